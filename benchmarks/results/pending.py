"""Selects the jobs of a plan that still have to run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.results.load import archived_in
from benchmarks.runs.jobs import Job
from benchmarks.runs.store import Run, is_done


def pending(jobs: Sequence[Job], folders: Sequence[Path]) -> tuple[list[Job], int]:
    """The jobs without complete results in the store or in the leaderboards of `folders`.

    Second is the number of jobs that only the leaderboards have, as in a clone. A job that failed
    in the store is pending even if a leaderboard has results: the tables show the failure.
    """
    unfinished = [job for job in jobs if not is_done(job)]
    archived = archived_in(folders if unfinished else [])
    to_run = [job for job in unfinished if has_failed(job) or not archived(job)]
    return to_run, len(unfinished) - len(to_run)


def has_failed(job: Job) -> bool:
    """Whether the store has a failure of the job other than an interruption."""
    failure = Run.of(job).failure()
    return failure is not None and not failure["interrupted"]
