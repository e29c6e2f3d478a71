"""Utilisation of workers by the scheduler: with processes that sleep, and with real workers."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.datasets.source import DataSet
from benchmarks.datasets.trajectories import file_checksum
from benchmarks.measures.synthetic import trajectories
from benchmarks.methods.registry import find_method
from benchmarks.runs.jobs import Job, Training
from benchmarks.runs.plan import RunSpec
from benchmarks.runs.store import Run
from benchmarks.scheduling.devices import DevicePool
from benchmarks.scheduling.fork_server import ForkServer
from benchmarks.scheduling.local import WorkerProcess
from benchmarks.scheduling.protocol import Launch, OnMessage, ProcessExit, WorkItem
from benchmarks.scheduling.scheduler import Scheduler
from benchmarks.tasks.suites import find_suite
from benchmarks.tasks.tasks import find_task

# -S makes Python start faster, so that the measurement shows the scheduler itself.
SLEEPER = (sys.executable, "-S", str(Path(__file__).with_name("sleeper.py")))


class Usage(NamedTuple):
    """The measured times of a schedule, in seconds."""

    name: str
    jobs: int
    workers: int
    asked: float
    """Total sleep of the jobs; 0 for real workers, whose work is negligible."""
    busy: float
    """Total wall-clock time of the processes."""
    makespan: float
    processor: float = 0.0
    """Processor time of the processes."""

    @property
    def efficiency(self) -> float:
        """Time of the processes as a fraction of the time of all workers."""
        return self.busy / (self.workers * self.makespan)

    @property
    def overhead(self) -> float:
        """Seconds of worker time for each job, beyond its sleep."""
        return (self.workers * self.makespan - self.asked) / self.jobs

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return {**self._asdict(), "efficiency": self.efficiency, "overhead": self.overhead}


def lengths(jobs: int, mean: float) -> list[float]:
    """Unequal durations with mean `mean`, longest first; the longest is nine times the shortest."""
    spread = [0.2 + 1.6 * (i + 0.5) / jobs for i in range(jobs)]
    return [mean * factor for factor in reversed(spread)]


def sleeping(jobs: int, workers: int, mean: float) -> Usage:
    """Measure jobs of unequal, known length in processes that sleep, which need no cores."""
    durations = lengths(jobs, mean)
    with tempfile.TemporaryDirectory() as folder:
        plan = [_sleep(Path(folder), i, seconds) for i, seconds in enumerate(durations)]
        before = _processor()
        busy, makespan = _run(plan, workers, partial(WorkerProcess, command=SLEEPER))
    processor = _processor() - before
    return Usage("processes that sleep", jobs, workers, sum(durations), busy, makespan, processor)


def working(jobs: int, workers: int, *, afresh: bool = False) -> Usage:
    """Measure real workers that train bc-all for one update and evaluate one episode of BallRun.

    Workers are forks of a server, whose start counts, or new processes if `afresh`.
    """
    task, method = find_task("BallRun"), find_method("bc-all")
    with tempfile.TemporaryDirectory() as folder:
        data = DataSet(task, Path(folder) / "data.hdf5", "synthetic")
        trajectories(task, 50).save(data.path)
        limits = find_suite("tight").limits[:1]
        requested = RunSpec(
            methods=[method],
            data=[data],
            limits=limits,
            seeds=range(jobs),
            budget="quick",
            episodes=1,
            updates=1,
        )
        plan = requested.jobs(folder, {task.name: file_checksum(data.path)})
        with nullcontext() if afresh else closing(ForkServer()) as server:
            before = _processor()
            busy, makespan = _run(plan, workers, partial(WorkerProcess, server=server))
        processor = _processor() - before  # includes the server, which has exited
    name = "real workers, each started afresh" if afresh else "real workers, forks of one process"
    return Usage(name, jobs, workers, 0.0, busy, makespan, processor)


def _sleep(results: Path, number: int, seconds: float) -> Job:
    training = Training("sleep", "", {}, "BallRun", "ab", number, None, 1)
    folder = str(Run(results, training).folder)
    return Job(
        training=training,
        limits=(8.0,),
        episodes=1,
        method_spec="sleep",
        data="",
        source=folder,
        results=str(results),
        stage="train",
        command=repr(seconds),
    )


def _processor() -> float:
    """Processor time of this process's children that have exited."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _run(jobs: Sequence[Job], workers: int, launch: Launch) -> tuple[float, float]:
    """Total seconds of the processes, and wall-clock seconds of the schedule."""
    spent: list[float] = []

    def timed(item: WorkItem, on_message: OnMessage) -> Any:
        start = time.monotonic()

        def receive(message: dict[str, Any] | ProcessExit) -> None:
            if isinstance(message, ProcessExit):
                spent.append(time.monotonic() - start)
            on_message(message)

        return launch(item, receive)

    start = time.monotonic()
    events = list(Scheduler(DevicePool({"cpu": workers}), timed).run(jobs))
    makespan = time.monotonic() - start
    failed = [event for event in events if event.phase in ("failed", "interrupted")]
    if failed:
        raise RuntimeError(f"{len(failed)} jobs failed, the first: {failed[0].reason}")
    return sum(spent), makespan
