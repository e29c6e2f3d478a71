"""The options that choose the machines, and the scheduler that they stand for."""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.common.errors import UserError
from benchmarks.common.hardware import available_cores, devices
from benchmarks.scheduling.devices import DevicePool, MemoryEstimates
from benchmarks.scheduling.fork_server import AVAILABLE, ForkServer
from benchmarks.scheduling.gpu_memory import open_inventory
from benchmarks.scheduling.local import WorkerProcess
from benchmarks.scheduling.protocol import Launch
from benchmarks.scheduling.scheduler import Scheduler

_PACKAGES = {"ray": "ray", "slurm": "submitit"}
_MIN_SLOTS = 4
"""Processes on a GPU whose free memory cannot be read."""
_MAX_SLOTS = 16
"""Maximum number of processes on a GPU, however much memory is free."""
_GPU_STACK_SIZE = 8
"""Seeds that a process on a GPU trains as one stack."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare --engine and the options of the engines."""
    parser.add_argument(
        "--engine", choices=("local", *_PACKAGES), default="local", help="where jobs run"
    )
    parser.add_argument(
        "--device",
        default="auto",
        help="auto, cpu, cuda or cuda:0; auto evaluates stored policies on the CPU",
    )
    parser.add_argument(
        "--workers",
        type=int,
        help="processes at a time; default: one per core, on a GPU as many as its memory allows",
    )
    parser.add_argument(
        "--timeout", type=float, metavar="MINUTES", help="a job that takes longer counts as failed"
    )
    parser.add_argument("--address", default="auto", help="address of the Ray cluster")
    parser.add_argument(
        "--gpu-share", type=float, default=0.0, help="GPU fraction per training on a cluster"
    )
    parser.add_argument(
        "--slurm", action="append", default=[], metavar="KEY=VALUE", help="as partition=gpu"
    )


def check(args: argparse.Namespace) -> None:
    """Raise `UserError` if an engine is not installed or a number is out of range."""
    package = _PACKAGES.get(args.engine)
    if package and importlib.util.find_spec(package) is None:
        raise UserError(
            f"--engine {args.engine} needs the package {package}: pip install -e '.[{args.engine}]'"
        )
    if args.workers is not None and args.workers < 1:
        raise UserError(f"--workers must be at least 1, not {args.workers}")
    if args.timeout is not None and not args.timeout > 0:
        raise UserError(f"--timeout must be more than 0 minutes, not {args.timeout:g}")
    if not 0 <= args.gpu_share <= 8:
        raise UserError(f"--gpu-share must be from 0 to 8 GPUs, not {args.gpu_share:g}")
    for word in args.slurm:
        if not word.partition("=")[2]:
            raise UserError(f"--slurm {word!r} is not of the form key=value: try partition=gpu")


@contextmanager
def open_scheduler(args: argparse.Namespace, results: Path) -> Iterator[Scheduler]:
    """Open the scheduler that the options choose; `results` is the folder of the store."""
    timeout = None if args.timeout is None else 60.0 * args.timeout
    if args.engine == "local":
        with _launcher() as launch:
            yield Scheduler(_local_devices(args, results), launch, timeout=timeout)
        return
    engine = importlib.import_module(f"benchmarks.scheduling.{args.engine}")
    pool, launch, close = engine.connect(args, results)
    try:
        yield Scheduler(pool, launch, timeout=timeout, max_attempts=engine.MAX_ATTEMPTS)
    finally:
        close()


@contextmanager
def _launcher() -> Iterator[Launch]:
    """Starts processes on this machine: forks of a server on Linux, otherwise new processes."""
    if not AVAILABLE:
        yield WorkerProcess
        return
    with closing(ForkServer()) as server:
        yield functools.partial(WorkerProcess, server=server)


def _local_devices(args: argparse.Namespace, results: Path) -> DevicePool:
    """The devices of this machine."""
    if not _gpus(args):
        return DevicePool(slots(args))
    estimates = MemoryEstimates(path=results / "runs" / "gpu-memory.json")
    return DevicePool(slots(args), open_inventory(), estimates)


def slots(args: argparse.Namespace) -> Mapping[str, int]:
    """Number of processes at a time on each device of this machine.

    With GPUs, which train, every core evaluates trained policies.
    """
    gpus, cores = _gpus(args), available_cores()
    if not gpus:
        return {"cpu": args.workers or cores}
    per_gpu = _MIN_SLOTS
    if open_inventory() is not None:
        per_gpu = min(_MAX_SLOTS, max(_MIN_SLOTS, cores // len(gpus)))
    total = args.workers or per_gpu * len(gpus)
    # The first GPUs take the remainder of an uneven split.
    counts = [total // len(gpus) + (i < total % len(gpus)) for i in range(len(gpus))]
    return {**dict(zip(gpus, counts, strict=True)), "cpu": cores}


def seeds_together(args: argparse.Namespace) -> int:
    """Number of seeds to train as one stack; small networks leave most of a GPU idle."""
    if args.together is None:
        return _GPU_STACK_SIZE if _gpus(args) else 1
    if args.together < 1:
        raise UserError(f"--together must be at least 1, not {args.together}")
    if args.together > 1 and args.engine != "local":
        raise UserError(
            f"--together needs --engine local: {args.engine} trains each seed separately"
        )
    return int(args.together)


def _gpus(args: argparse.Namespace) -> list[str]:
    """The GPUs to use on this machine; the stage "evaluate" uses only explicitly named ones."""
    if args.engine != "local" or (args.stage == "evaluate" and args.device == "auto"):
        return []
    return [device for device in devices(args.device) if device != "cpu"]
