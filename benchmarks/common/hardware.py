"""What this machine has: cores and devices."""

from __future__ import annotations

import os
import platform
import resource
import sys
from contextlib import suppress
from pathlib import Path

from benchmarks.common.errors import UserError


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The make of the processor; its kind where that is unknown."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def peak_memory() -> int:
    """Most bytes of the host's memory that this process had since its program began."""
    # the system's own record, getrusage, starts from what the parent had
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        for line in lines:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def devices(choice: str) -> list[str]:
    """The devices that `choice` stands for: "auto", "cpu", "cuda" (all) or "cuda:0".

    Raises `UserError` for a device that is not there.
    """
    import torch

    there = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if choice == "auto":
        return there or ["cpu"]
    if choice == "cpu":
        return ["cpu"]
    if choice == "cuda" and there:
        return there
    if choice in there:
        return [choice]
    if choice.partition(":")[0] == "cuda":
        raise UserError(
            f"device {choice!r} is not there: this machine has {', '.join(there) or 'no GPU'}; "
            "use --device cpu"
        )
    raise UserError(f"unknown device {choice!r}: use auto, cpu, cuda or cuda:<number>")
