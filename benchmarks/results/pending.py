"""Which jobs of a plan are left to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.results.load import kept_by
from benchmarks.runs.jobs import Job
from benchmarks.runs.store import Run, is_done


def pending(jobs: Sequence[Job], folders: Sequence[Path]) -> tuple[list[Job], int]:
    """The jobs that neither the store nor leaderboards, as those in a clone, have whole.

    Second is how many the leaderboards in `folders` have and the store has not. A job that failed
    in the store is left, whatever was kept of it: the tables show the failure.
    """
    left = [job for job in jobs if not is_done(job)]
    kept = kept_by(folders if left else [])
    others = [job for job in left if has_failed(job) or not kept(job)]
    return others, len(left) - len(others)


def has_failed(job: Job) -> bool:
    """Whether the store holds a failure of the job that was no interruption."""
    failure = Run.of(job).failure()
    return failure is not None and not failure["interrupted"]
