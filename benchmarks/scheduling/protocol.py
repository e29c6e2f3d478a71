"""What passes between those who start processes, the scheduler, and whoever watches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from benchmarks.runs.jobs import Job


class Event(NamedTuple):
    """Something that happened to a job.

    The phases "train" and "evaluate" tell progress, "again" that it will be tried once more;
    "done", "failed" and "interrupted" end it.
    """

    job: Job
    phase: str
    share: float
    """Part of the phase that is done."""
    reason: str


@dataclass(eq=False)
class Piece:
    """What one process does of a job: all of it, or one of its stages."""

    job: Job
    """The job as it was asked for."""
    stage: str
    gpu: bool
    """Whether it belongs on a GPU, where there is one."""
    tries: int = 0
    """How often it was ended from outside or ran out of memory."""
    neighbours: int | None = None
    """How many others may run in its place beside it; None for as many as there is room for."""
    not_before: float = 0.0
    """By the monotonic clock."""
    place: str = ""
    memory: int = 0
    """Bytes of its GPU that it has taken at most."""
    said: str = ""
    """Why it failed, as the process itself said."""
    deadline: float = float("inf")
    """When it has run for too long, by the monotonic clock."""
    kill_at: float = float("inf")
    """When it is killed after it was asked to stop."""
    killed: bool = False
    timed_out: bool = False
    others: tuple[Job, ...] = ()
    """Jobs whose seeds the process trains as one with that of `job`."""
    alone: bool = False
    """Its training is not to be one of several: as one they failed."""

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All that the process works on."""
        return (self.job, *self.others)

    @property
    def work(self) -> Job:
        """The job as its process sees it."""
        device = "cuda" if self.place.startswith("cuda") else "cpu"
        seeds = tuple(job.training.seed for job in self.others)
        return replace(self.job, stage=self.stage, device=device, stacked_seeds=seeds)


class Ended(NamedTuple):
    """The end of a process: its exit status (negative for a signal) and its last words."""

    status: int
    tail: str


Heard = Callable[[dict[str, Any] | Ended], None]
"""Takes what a process says, and its end last; called from any thread."""


class Attempt(Protocol):
    """A process that works on a piece, wherever it runs."""

    def stop(self) -> None:
        """Ask it to save what it has and end."""

    def kill(self) -> None:
        """End it at once."""


Launch = Callable[[Piece, Heard], Attempt]
"""Starts a process for a piece in the place that was chosen for it."""
