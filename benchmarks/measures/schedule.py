"""How much of the machine the schedule uses: worker processes that sleep, and real ones."""

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
from benchmarks.scheduling.devices import Places
from benchmarks.scheduling.fork_server import Server
from benchmarks.scheduling.local import WorkerProcess
from benchmarks.scheduling.protocol import Ended, Heard, Launch, Piece
from benchmarks.scheduling.scheduler import Scheduler
from benchmarks.tasks.suites import find_suite
from benchmarks.tasks.tasks import find_task

# -S: what starts in no time leaves the schedule itself to be seen
SLEEPER = (sys.executable, "-S", str(Path(__file__).with_name("sleeper.py")))


class Usage(NamedTuple):
    """A schedule as it was run, in seconds."""

    name: str
    jobs: int
    workers: int
    asked: float
    """What the jobs were to take in all: the sleep; 0 where next to nothing is to be done."""
    busy: float
    """What their processes took."""
    makespan: float
    processor: float = 0.0
    """Processor time of the processes."""

    @property
    def efficiency(self) -> float:
        """Time of the processes over the time of all workers."""
        return self.busy / (self.workers * self.makespan)

    @property
    def overhead(self) -> float:
        """Seconds that each job took of a worker beside what it was asked for."""
        return (self.workers * self.makespan - self.asked) / self.jobs

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return {**self._asdict(), "efficiency": self.efficiency, "overhead": self.overhead}


def lengths(jobs: int, mean: float) -> list[float]:
    """Unequal durations around `mean`, the longest nine times the shortest, longest first."""
    spread = [0.2 + 1.6 * (i + 0.5) / jobs for i in range(jobs)]
    return [mean * one for one in reversed(spread)]


def sleeping(jobs: int, workers: int, mean: float) -> Usage:
    """Jobs of unequal, known length, in processes that sleep: cores are no matter."""
    asked = lengths(jobs, mean)
    with tempfile.TemporaryDirectory() as folder:
        plan = [_sleep(Path(folder), i, seconds) for i, seconds in enumerate(asked)]
        before = _processor()
        busy, makespan = _run(plan, workers, partial(WorkerProcess, command=SLEEPER))
    processor = _processor() - before
    return Usage("processes that sleep", jobs, workers, sum(asked), busy, makespan, processor)


def working(jobs: int, workers: int, *, afresh: bool = False) -> Usage:
    """Real workers that train bc-all for one update and evaluate one episode of BallRun.

    They are forks of a server, whose own start counts, or each is started `afresh`.
    """
    task, method = find_task("BallRun"), find_method("bc-all")
    with tempfile.TemporaryDirectory() as folder:
        data = DataSet(task, Path(folder) / "data.hdf5", "synthetic")
        trajectories(task, 50).save(data.path)
        limits = find_suite("tight").limits[:1]
        asked = RunSpec(
            methods=[method],
            data=[data],
            limits=limits,
            seeds=range(jobs),
            budget="quick",
            episodes=1,
            updates=1,
        )
        plan = asked.jobs(folder, {task.name: file_checksum(data.path)})
        with nullcontext() if afresh else closing(Server()) as server:
            before = _processor()
            busy, makespan = _run(plan, workers, partial(WorkerProcess, server=server))
        processor = _processor() - before  # the server's counts once it has ended
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
    """Processor time of this process's children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _run(jobs: Sequence[Job], workers: int, launch: Launch) -> tuple[float, float]:
    """Seconds of all processes, and from begin to end."""
    spent: list[float] = []

    def timed(piece: Piece, heard: Heard) -> Any:
        begin = time.monotonic()

        def hear(message: dict[str, Any] | Ended) -> None:
            if isinstance(message, Ended):
                spent.append(time.monotonic() - begin)
            heard(message)

        return launch(piece, hear)

    begin = time.monotonic()
    events = list(Scheduler(Places({"cpu": workers}), timed).run(jobs))
    makespan = time.monotonic() - begin
    lost = [event for event in events if event.phase in ("failed", "interrupted")]
    if lost:
        raise RuntimeError(f"{len(lost)} jobs were lost, the first: {lost[0].reason}")
    return sum(spent), makespan
