"""Which machines run the jobs: the scheduler that the options of `EngineConfig` choose."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.common.errors import UserError
from benchmarks.common.hardware import available_cores, devices, most_workers
from benchmarks.common.ranges import check_ranges
from benchmarks.scheduling.config import ENGINES, EngineConfig
from benchmarks.scheduling.devices import DevicePool, MemoryEstimates
from benchmarks.scheduling.fork_server import AVAILABLE, ForkServer
from benchmarks.scheduling.gpu_memory import open_inventory
from benchmarks.scheduling.local import WorkerProcess
from benchmarks.scheduling.protocol import Launch
from benchmarks.scheduling.scheduler import Scheduler

_MIN_SLOTS = 4
"""Processes on a GPU whose free memory cannot be read."""
_MAX_SLOTS = 16
"""Maximum number of processes on a GPU, however much memory is free."""
_GPU_STACK_SIZE = 8
"""Seeds that a process on a GPU trains as one stack."""


def check(config: EngineConfig) -> None:
    """Raise `UserError` if an engine is not installed or a number is out of range."""
    package = ENGINES[config.engine]
    if package and importlib.util.find_spec(package) is None:
        raise UserError(
            f"--engine {config.engine} needs the package {package}: "
            f"pip install -e '.[{config.engine}]'"
        )
    check_ranges(config, lambda name: f"--{name.replace('_', '-')}")
    if config.engine == "local" and (config.workers or 0) > (most := most_workers()):
        raise UserError(
            f"--workers {config.workers}: the limit of open files (ulimit -n) allows {most}"
        )
    for word in config.slurm:
        if not word.partition("=")[2]:
            raise UserError(f"--slurm {word!r} is not of the form key=value: try partition=gpu")


@contextmanager
def open_scheduler(config: EngineConfig, results: Path) -> Iterator[Scheduler]:
    """Open the scheduler that the options choose; `results` is the folder of the store."""
    timeout = None if config.timeout is None else 60.0 * config.timeout
    if config.engine == "local":
        with _launcher() as launch:
            yield Scheduler(_local_devices(config, results), launch, timeout=timeout)
        return
    engine = importlib.import_module(f"benchmarks.scheduling.{config.engine}")
    pool, launch, close = engine.connect(config, results)
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


def _local_devices(config: EngineConfig, results: Path) -> DevicePool:
    """The devices of this machine."""
    if not _gpus(config):
        return DevicePool(slots(config))
    estimates = MemoryEstimates(path=results / "runs" / "gpu-memory.json")
    return DevicePool(slots(config), open_inventory(), estimates)


def slots(config: EngineConfig) -> Mapping[str, int]:
    """Number of processes at a time on each device of this machine.

    With GPUs, which train, every core evaluates trained policies.
    """
    gpus, cores = _gpus(config), min(available_cores(), most_workers())
    if not gpus:
        return {"cpu": config.workers or cores}
    per_gpu = _MIN_SLOTS
    if open_inventory() is not None:
        per_gpu = min(_MAX_SLOTS, max(_MIN_SLOTS, cores // len(gpus)))
    total = config.workers or per_gpu * len(gpus)
    # The first GPUs take the remainder of an uneven split.
    counts = [total // len(gpus) + (i < total % len(gpus)) for i in range(len(gpus))]
    return {**dict(zip(gpus, counts, strict=True)), "cpu": cores}


def seeds_per_job(config: EngineConfig) -> int:
    """Number of seeds to train as one stack; small networks leave most of a GPU idle."""
    chosen = config.seeds_per_job
    if chosen is None:
        return _GPU_STACK_SIZE if _gpus(config) else 1
    if chosen > 1 and config.engine != "local":
        raise UserError(
            f"--seeds-per-job needs --engine local: {config.engine} trains each seed separately"
        )
    return chosen


def _gpus(config: EngineConfig) -> list[str]:
    """The GPUs to use on this machine; the stage "evaluate" uses only explicitly named ones."""
    if config.engine != "local" or (config.stage == "evaluate" and config.device == "auto"):
        return []
    return [device for device in devices(config.device) if device != "cpu"]
