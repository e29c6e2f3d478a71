"""Jobs of a worker that only sleeps, exits or dies, and GPUs that are made up."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.runs.jobs import Job, Training
from benchmarks.runs.store import Run
from benchmarks.scheduling.devices import DevicePool
from benchmarks.scheduling.local import WorkerProcess
from benchmarks.scheduling.protocol import Event
from benchmarks.scheduling.scheduler import Scheduler

FAKE = (sys.executable, "-S", str(Path(__file__).parent / "fake_worker.py"))
launch = functools.partial(WorkerProcess, command=FAKE)


def make_job(results: Path, number: int = 0, script: str = "", **changes: object) -> Job:
    training = Training("fake", "", {"batch": 1}, "BallRun", "ab", number, None, 1)
    folder = Run(results, training).folder
    given = {
        "training": training,
        "limits": (8.0, 16.0),
        "episodes": 2,
        "method_spec": "fake",
        "data": str(folder),
        "source": script,
        "results": str(results),
    }
    return Job(**{**given, **changes})


def ends(events: Iterator[Event]) -> list[Event]:
    return [event for event in events if event.phase not in ("train", "evaluate")]


def tries(job: Job) -> list[str]:
    return (Run.of(job).folder / "tries").read_text().splitlines()


def run(jobs: list[Job], slots: int = 2, **options) -> list[Event]:
    return ends(Scheduler(DevicePool({"cpu": slots}), launch, **options).run(jobs))


class Gpus:
    """A made-up inventory: so much memory on each, less what running items have told."""

    def __init__(self, sizes: dict[str, int], running=lambda: ()) -> None:
        self.sizes, self.running = sizes, running

    def free(self, place: str) -> int | None:
        return self.sizes[place] - sum(p.gpu_memory for p in self.running() if p.device == place)
