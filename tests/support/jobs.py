"""Small trainings of real methods, and how to stop and compare them."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.datasets.trajectories import file_checksum
from benchmarks.methods.registry import configure, find_method
from benchmarks.runs.jobs import Job, Training
from benchmarks.runs.store import Run
from benchmarks.tasks.tasks import TASKS
from tests.support.small_data import SmallData
from tests.support.small_options import SMALL

UPDATES = 7


def make_job(name: str, small_data: SmallData, results: Path, **changes: Any) -> Job:
    """A training of some updates of a small network, and an evaluation at two limits."""
    data = small_data.folder / TASKS["BallRun"].dataset_file
    cls = find_method(name).cls
    config, _ = configure(cls, "quick", dict(SMALL.get(name, {"batch": 16})))
    limit = 40.0 if cls.trains_per_limit else None
    training = Training(name, "", asdict(config), "BallRun", file_checksum(data), 0, limit, UPDATES)
    limits = (8.0, 40.0) if limit is None else (40.0,)
    job = Job(
        training=training,
        limits=limits,
        episodes=2,
        method_spec=name,
        data=str(data),
        source="small",
        results=str(results),
        checkpoint_seconds=0.0,
    )
    return replace(job, **changes)


def stopping_after(checks: int):
    """A question that is answered yes from the `checks`-th time on."""
    asked = iter(range(10**6))
    return lambda: next(asked) >= checks


def losses(job: Job) -> list[list[str]]:
    """losses.csv without the time."""
    lines = (Run.of(job).folder / "losses.csv").read_text().splitlines()
    return [row[:1] + row[2:] for row in (line.split(",") for line in lines)]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
