"""The options that say where jobs run, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from benchmarks.common.ranges import Range

ENGINES = {"local": "", "ray": "ray", "slurm": "submitit"}
"""Engines and the package that each needs."""


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """Which machines and devices run the jobs, and how many jobs at a time."""

    engine: str = "local"
    """One of `ENGINES`."""
    device: str = "auto"
    """ "auto", "cpu", "cuda" (all GPUs) or "cuda:0"; stored policies act on the CPU by "auto"."""
    workers: Annotated[int, Range(1, most=1024)] | None = None
    """Processes at a time; None for one per core, on a GPU as many as its memory allows."""
    timeout: Annotated[float, Range(0, above=True, most=10**7)] | None = None
    """Minutes after which a job counts as failed; None for no limit."""
    address: str = "auto"
    """Address of the Ray cluster."""
    gpu_share: Annotated[float, Range(0, 8)] = 0.0
    """Fraction of a GPU that each training takes on a cluster; 0 trains on CPUs."""
    slurm: tuple[str, ...] = ()
    """Options of Slurm jobs, each as "partition=gpu"."""
    seeds_per_job: Annotated[int, Range(1, most=1024)] | None = None
    """Most seeds that one process trains as one; None for 8 on a GPU, otherwise 1."""
    stage: str = "both"
    """ "train", "evaluate" or "both"."""
