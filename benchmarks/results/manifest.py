"""From stored results to the data frames of the leaderboard."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.common.errors import UserError
from benchmarks.common.files import write_atomic
from benchmarks.datasets.source import DataSet
from benchmarks.report.frame import EPISODES, MISSING
from benchmarks.runs.jobs import Job
from benchmarks.runs.store import Run
from benchmarks.tasks.suites import Limit
from benchmarks.tasks.tasks import Task

MANIFEST = "plan.json"
_WHERE = (
    "data",
    "results",
    "device",
    "simulator_processes",
    "stage",
    "core_seconds",
    "task_file",
    "checkpoint_seconds",
    "trackers",
    "command",
)
"""What of a job is nothing to the leaderboard."""


def write_manifest(
    folder: Path,
    title: str,
    jobs: Sequence[Job],
    data: Sequence[DataSet],
    limits: Sequence[Limit],
    budget: str,
) -> None:
    """Keep beside a leaderboard what it is made of: the jobs, and how to name and scale them."""
    entries = [json.loads(job.to_json()) for job in jobs]
    for entry in entries:
        for name in _WHERE:
            del entry[name]
        for name in ("variant", "eval_options"):  # only variants have them
            if not entry[name]:
                del entry[name]
    content = {
        "title": title,
        "budget": budget,
        "limits": {one.task.name: [_named(limit, one.task) for limit in limits] for one in data},
        "ranges": {one.task.name: one.return_range() for one in data},
        "jobs": entries,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / MANIFEST, json.dumps(content, indent=1))


def _named(limit: Limit, task: Task) -> tuple[float, float | None]:
    """A limit as a cost, and as a fraction of the maximum if the user gave it so."""
    return limit.of(task), limit.value if limit.relative else None


def read_manifest(folder: Path) -> dict[str, Any]:
    """What `write_manifest` wrote."""
    try:
        content: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder} holds no readable {MANIFEST} ({error}): name a folder that "
            "`python -m benchmarks.run` made"
        ) from None
    return content


def jobs_of(manifest: Mapping[str, Any], results: Path) -> list[Job]:
    """A manifest's jobs, their results in the store of `results`."""
    where = {"data": "", "results": str(results)}
    return [Job.of({**entry, **where}) for entry in manifest["jobs"]]


def collect(jobs: Iterable[Job], manifest: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The episodes that are there, and the runs that are not, of a manifest's jobs."""
    episodes: list[tuple[Any, ...]] = []
    missing: list[tuple[Any, ...]] = []
    for job in jobs:
        training, run = job.training, Run.of(job)
        fractions = {
            limit: math.nan if fraction is None else fraction
            for limit, fraction in manifest["limits"][training.task]
        }
        low, high = manifest["ranges"][training.task]
        for limit in job.limits:
            cell = (job.display_name, training.task, limit, fractions[limit], training.seed)
            if not run.evaluated(limit, job.episodes):
                failure = run.failure()
                failed = failure is not None and not failure["interrupted"]
                reason = failure["reason"] if failure else "not run yet"
                status = "failed" if failed else "missing"
                missing.append((*cell, status, reason))
                continue
            shared = (low, high, job.source, training.checksum, manifest["budget"])
            for one in run.episodes(limit, job.episodes):
                raw = (one.episode, one.episode_return, one.episode_cost, one.length)
                episodes.append(cell + raw + shared)  # tuples: cheaper than a dict a row
    return (
        pd.DataFrame(episodes, columns=list(EPISODES)),
        pd.DataFrame(missing, columns=list(MISSING)),
    )
