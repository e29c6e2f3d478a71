"""Types shared by the scheduler, the launchers of processes, and the progress display."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from benchmarks.runs.jobs import Job


class Event(NamedTuple):
    """A change in a job's state.

    The phases "train" and "evaluate" report progress and "retry" announces another attempt,
    "waiting" that another process has locked the job.
    "done", "failed" and "interrupted" are final.
    """

    job: Job
    phase: str
    progress: float
    """Finished fraction of the phase."""
    reason: str


@dataclass(eq=False)
class WorkItem:
    """The part of a job that one process does: the whole job, or one of its stages."""

    job: Job
    """The job as requested."""
    stage: str
    needs_gpu: bool
    """Whether to run on a GPU where the pool has one."""
    failed_attempts: int = 0
    """Attempts that were killed from outside or ran out of memory."""
    max_neighbours: int | None = None
    """Maximum number of other processes on the same device; None is unlimited."""
    not_before: float = 0.0
    """Earliest start, by the monotonic clock."""
    device: str = ""
    """The assigned device: "cpu", "cuda:0", or "cuda:any" where the cluster chooses the GPU."""
    gpu_memory: int = 0
    """Peak memory on its GPU so far, in bytes."""
    failure_reason: str = ""
    """The failure that the process itself reported."""
    deadline: float = float("inf")
    """When the timeout expires, by the monotonic clock."""
    kill_at: float = float("inf")
    """When to kill it, once it was asked to stop; by the monotonic clock."""
    killed: bool = False
    timed_out: bool = False
    stacked_jobs: tuple[Job, ...] = ()
    """Jobs with other seeds that the process trains as one stack with `job`."""
    train_alone: bool = False
    """Do not stack this training: a stacked attempt failed."""

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Every job that the process works on."""
        return (self.job, *self.stacked_jobs)

    @property
    def worker_job(self) -> Job:
        """The job as passed to the worker process."""
        device = "cuda" if self.device.startswith("cuda") else "cpu"
        seeds = tuple(job.training.seed for job in self.stacked_jobs)
        return replace(self.job, stage=self.stage, device=device, stacked_seeds=seeds)


class ProcessExit(NamedTuple):
    """The exit status of a process (negative for a signal) and the end of its error output."""

    status: int
    stderr_tail: str


OnMessage = Callable[[dict[str, Any] | ProcessExit], None]
"""Receives the messages of a process, and its exit as the last one; called from any thread."""


class WorkerHandle(Protocol):
    """A process that works on an item, wherever it runs."""

    def stop(self) -> None:
        """Ask the process to save its progress and exit."""

    def kill(self) -> None:
        """Kill the process."""


Launch = Callable[[WorkItem, OnMessage], WorkerHandle]
"""Starts a process for an item on the device that was assigned to it."""
