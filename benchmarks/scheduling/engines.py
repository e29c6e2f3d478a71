"""Which machines run the jobs, by the options of `EngineConfig`."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.common.errors import UserError
from benchmarks.common.hardware import available_cores, devices
from benchmarks.scheduling.config import ENGINES, EngineConfig
from benchmarks.scheduling.devices import MemoryEstimates, Places
from benchmarks.scheduling.fork_server import AVAILABLE, Server
from benchmarks.scheduling.gpu_memory import open_inventory
from benchmarks.scheduling.local import WorkerProcess
from benchmarks.scheduling.protocol import Launch
from benchmarks.scheduling.scheduler import Scheduler

_ALONE = 4
"""Processes on a GPU whose memory is not known."""
_TOGETHER = 16
"""Processes on a GPU at most, however much memory is free."""
_SEEDS = 8
"""Seeds trained as one on a GPU."""


def check(config: EngineConfig) -> None:
    """Raise `UserError` for an engine that is not installed, and for numbers out of range."""
    package = ENGINES[config.engine]
    if package and importlib.util.find_spec(package) is None:
        raise UserError(
            f"--engine {config.engine} needs the package {package}: "
            f"pip install -e '.[{config.engine}]'"
        )
    if config.workers is not None and config.workers < 1:
        raise UserError(f"--workers must be at least 1, not {config.workers}")
    if config.timeout is not None and not config.timeout > 0:
        raise UserError(f"--timeout must be more than 0 minutes, not {config.timeout:g}")
    if not 0 <= config.gpu_share <= 8:
        raise UserError(f"--gpu-share must be from 0 to 8 GPUs, not {config.gpu_share:g}")
    for word in config.slurm:
        if not word.partition("=")[2]:
            raise UserError(f"--slurm {word!r} is not of the form key=value")


@contextmanager
def open_scheduler(config: EngineConfig, results: Path) -> Iterator[Scheduler]:
    """The scheduler that the options ask for, while the block runs; `results` holds the store."""
    timeout = None if config.timeout is None else 60.0 * config.timeout
    if config.engine == "local":
        with _launcher() as launch:
            yield Scheduler(_here(config, results), launch, timeout=timeout)
        return
    engine = importlib.import_module(f"benchmarks.scheduling.{config.engine}")
    places, launch, close = engine.connect(config, results)
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


def _here(config: EngineConfig, results: Path) -> Places:
    """The places of this machine."""
    if not _gpus(config):
        return Places(slots(config))
    seen = MemoryEstimates(path=results / "runs" / "gpu-memory.json")
    return Places(slots(config), open_inventory(), seen)


def slots(config: EngineConfig) -> Mapping[str, int]:
    """Processes at a time on each device of this machine.

    Beside GPUs, which train, every core may evaluate what is trained.
    """
    there, cores = _gpus(config), available_cores()
    if not there:
        return {"cpu": config.workers or cores}
    each = _ALONE
    if open_inventory() is not None:
        each = min(_TOGETHER, max(_ALONE, cores // len(there)))
    total = config.workers or each * len(there)
    # the first ones get what cannot be shared evenly
    counts = [total // len(there) + (i < total % len(there)) for i in range(len(there))]
    return {**dict(zip(there, counts, strict=True)), "cpu": cores}


def seeds_per_job(config: EngineConfig) -> int:
    """Most seeds that a process may train as one: small networks leave most of a GPU idle."""
    chosen = config.seeds_per_job
    if chosen is None:
        return _SEEDS if _gpus(config) else 1
    if chosen < 1:
        raise UserError(f"--seeds-per-job must be at least 1, not {chosen}")
    if chosen > 1 and config.engine != "local":
        raise UserError(
            f"--seeds-per-job is for --engine local: {config.engine} trains each seed alone"
        )
    return chosen


def _gpus(config: EngineConfig) -> list[str]:
    """The GPUs of this machine that are asked for; evaluation alone uses those that are named."""
    if config.engine != "local" or (config.stage == "evaluate" and config.device == "auto"):
        return []
    return [device for device in devices(config.device) if device != "cpu"]
