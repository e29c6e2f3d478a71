"""Which machines run the jobs: the options that choose them, and what they stand for."""

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
from benchmarks.scheduling.devices import MemoryEstimates, Places
from benchmarks.scheduling.fork_server import AVAILABLE, Server
from benchmarks.scheduling.gpu_memory import open_inventory
from benchmarks.scheduling.local import WorkerProcess
from benchmarks.scheduling.protocol import Launch
from benchmarks.scheduling.scheduler import Scheduler

_PACKAGES = {"ray": "ray", "slurm": "submitit"}
_ALONE = 4
"""Processes on a GPU whose memory is not known."""
_TOGETHER = 16
"""Processes on a GPU at most, however much memory is free."""
_SEEDS = 8
"""Seeds trained as one on a GPU."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare --engine and what belongs to the engines."""
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
        help="processes at a time; default: one a core, on a GPU as many as its memory holds",
    )
    parser.add_argument(
        "--timeout", type=float, metavar="MINUTES", help="a job that takes longer has failed"
    )
    parser.add_argument("--address", default="auto", help="of the Ray cluster")
    parser.add_argument(
        "--gpu-share", type=float, default=0.0, help="of a GPU for each training on a cluster"
    )
    parser.add_argument(
        "--slurm", action="append", default=[], metavar="KEY=VALUE", help="as partition=gpu"
    )


def check(args: argparse.Namespace) -> None:
    """Raise `UserError` for an engine that is not installed, and for numbers out of range."""
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
            raise UserError(f"--slurm {word!r} is not of the form key=value")


@contextmanager
def open_scheduler(args: argparse.Namespace, results: Path) -> Iterator[Scheduler]:
    """The scheduler that the options ask for, while the block runs; `results` holds the store."""
    timeout = None if args.timeout is None else 60.0 * args.timeout
    if args.engine == "local":
        with _launcher() as launch:
            yield Scheduler(_here(args, results), launch, timeout=timeout)
        return
    engine = importlib.import_module(f"benchmarks.scheduling.{args.engine}")
    places, launch, close = engine.connect(args, results)
    try:
        yield Scheduler(places, launch, timeout=timeout, tries=engine.TRIES)
    finally:
        close()


@contextmanager
def _launcher() -> Iterator[Launch]:
    """What starts processes of this machine: forks of a server, where that can be."""
    if not AVAILABLE:
        yield WorkerProcess
        return
    with closing(Server()) as server:
        yield functools.partial(WorkerProcess, server=server)


def _here(args: argparse.Namespace, results: Path) -> Places:
    """The places of this machine."""
    if not _gpus(args):
        return Places(slots(args))
    seen = MemoryEstimates(path=results / "runs" / "gpu-memory.json")
    return Places(slots(args), open_inventory(), seen)


def slots(args: argparse.Namespace) -> Mapping[str, int]:
    """Processes at a time on each device of this machine.

    Beside GPUs, which train, every core may evaluate what is trained.
    """
    there, cores = _gpus(args), available_cores()
    if not there:
        return {"cpu": args.workers or cores}
    each = _ALONE
    if open_inventory() is not None:
        each = min(_TOGETHER, max(_ALONE, cores // len(there)))
    total = args.workers or each * len(there)
    # the first ones get what cannot be shared evenly
    counts = [total // len(there) + (i < total % len(there)) for i in range(len(there))]
    return {**dict(zip(there, counts, strict=True)), "cpu": cores}


def seeds_together(args: argparse.Namespace) -> int:
    """Seeds that a process may train as one: small networks leave most of a GPU idle."""
    if args.together is None:
        return _SEEDS if _gpus(args) else 1
    if args.together < 1:
        raise UserError(f"--together must be at least 1, not {args.together}")
    if args.together > 1 and args.engine != "local":
        raise UserError(f"--together is for --engine local: {args.engine} trains each seed alone")
    return int(args.together)


def _gpus(args: argparse.Namespace) -> list[str]:
    """The GPUs of this machine that are asked for; evaluation alone uses those that are named."""
    if args.engine != "local" or (args.stage == "evaluate" and args.device == "auto"):
        return []
    return [device for device in devices(args.device) if device != "cpu"]
