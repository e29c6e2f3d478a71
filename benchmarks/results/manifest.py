"""The manifest of a leaderboard (plan.json), and loading its jobs' results from the store."""

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
_OMITTED = (
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
"""Fields of a job that do not affect the leaderboard."""


def write_manifest(
    folder: Path,
    title: str,
    jobs: Sequence[Job],
    data: Sequence[DataSet],
    limits: Sequence[Limit],
    budget: str,
) -> None:
    """Write the manifest: the jobs of a leaderboard, their limits and the tasks' return ranges."""
    entries = [json.loads(job.to_json()) for job in jobs]
    for entry in entries:
        for name in _OMITTED:
            del entry[name]
        for name in ("variant", "eval_options"):
            if not entry[name]:
                del entry[name]
    content = {
        "title": title,
        "budget": budget,
        "limits": {
            d.task.name: [_cost_and_fraction(limit, d.task) for limit in limits] for d in data
        },
        "ranges": {d.task.name: d.return_range() for d in data},
        "jobs": entries,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / MANIFEST, json.dumps(content, indent=1))


def _cost_and_fraction(limit: Limit, task: Task) -> tuple[float, float | None]:
    """A limit as a cost, and as a fraction of the maximum cost if the user gave a fraction."""
    return limit.of(task), limit.value if limit.relative else None


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of `write_manifest`."""
    try:
        content: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        jobs_of(content, folder)
        missing = {"title", "budget", "limits", "ranges"} - content.keys()
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder} has no readable {MANIFEST} ({error}): name a folder that "
            "`python -m benchmarks.run` made"
        ) from None
    except (KeyError, TypeError, AttributeError) as error:
        missing = {" ".join(str(error).split())}
    if missing:
        raise UserError(
            f"{folder}/{MANIFEST} is damaged or from another version of the suite "
            f"({', '.join(sorted(missing))}): make it with this version, by the same command"
        )
    return content


def jobs_of(manifest: Mapping[str, Any], results: Path) -> list[Job]:
    """A manifest's jobs, with their results in the store of `results`."""
    paths = {"data": "", "results": str(results)}
    return [Job.of({**entry, **paths}) for entry in manifest["jobs"]]


def load_stored(
    jobs: Iterable[Job], manifest: Mapping[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The stored episodes of a manifest's jobs, and the runs without a result."""
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
            played = run.episodes(limit, job.episodes)
            if not all(episode.finite for episode in played):  # of earlier versions
                reason = f"returns or costs are no numbers: delete {run.folder} to run it again"
                missing.append((*cell, "failed", reason))
                continue
            shared = (low, high, job.source, training.checksum, manifest["budget"])
            for e in played:
                values = (e.episode, e.episode_return, e.episode_cost, e.length)
                episodes.append(cell + values + shared)  # tuples need less memory than dicts
    return (
        pd.DataFrame(episodes, columns=list(EPISODES)),
        pd.DataFrame(missing, columns=list(MISSING)),
    )
