"""Cores, memory use and devices of this machine."""

from __future__ import annotations

import os
import platform
import resource
import sys
from contextlib import suppress
from pathlib import Path

from benchmarks.common.cgroups import cpu_quota
from benchmarks.common.errors import UserError

_FILES_PER_WORKER = 5
"""Open files of a runner for each of its workers: four pipes, and one while it starts another."""
_OTHER_FILES = 48


def available_cores() -> int:
    """Number of cores that this process may use, by its affinity and its container's quota."""
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    quota = cpu_quota()
    return cores if quota is None else max(1, min(cores, int(quota)))


def raise_open_files() -> None:
    """Let this process open as many files as the system allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # macOS takes no unlimited value
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_workers() -> int:
    """Worker processes that the limit of open files allows this process at a time."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    return max((limit - _OTHER_FILES) // _FILES_PER_WORKER, 1)


def processor() -> str:
    """The model of the processor; its architecture if the model is unknown."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def peak_memory() -> int:
    """Peak host memory of this process in bytes, since its program started."""
    # Preferred to getrusage, whose peak includes that of the parent.
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        for line in lines:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def devices(choice: str) -> list[str]:
    """The devices of a choice: "auto", "cpu", "cuda" (all GPUs) or "cuda:0".

    Raises `UserError` for a device that does not exist.
    """
    import torch

    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if choice == "auto":
        return gpus or ["cpu"]
    if choice == "cpu":
        return ["cpu"]
    if choice == "cuda" and gpus:
        return gpus
    if choice in gpus:
        return [choice]
    if choice.partition(":")[0] == "cuda":
        raise UserError(
            f"device {choice!r} does not exist: this machine has {', '.join(gpus) or 'no GPU'}; "
            "use --device cpu"
        )
    raise UserError(f"unknown device {choice!r}: use auto, cpu, cuda or cuda:<number>")
