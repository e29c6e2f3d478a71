"""From stored results to the data frames of the leaderboard."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.errors import UserError
from benchmarks.files import write_atomic
from benchmarks.jobs import Job
from benchmarks.leaderboard.frame import EPISODES, MISSING
from benchmarks.store import Run
from benchmarks.suites import Limit
from benchmarks.tasks import find_task

MANIFEST = "plan.json"


def write_manifest(
    folder: Path,
    title: str,
    jobs: Sequence[Job],
    limits: Sequence[Limit],
    ranges: dict[str, tuple[float, float]],
    budget: str,
) -> None:
    """Keep beside a leaderboard what it is made of: the jobs, and how to name and scale them."""
    entries = [json.loads(job.to_json()) for job in jobs]
    for entry in entries:  # where it ran is nothing to the leaderboard
        for name in ("data", "results", "device", "simulator_processes", "stage", "core_seconds"):
            del entry[name]
    content = {
        "title": title,
        "budget": budget,
        "limits": [list(limit) for limit in limits],
        "ranges": ranges,
        "jobs": entries,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / MANIFEST, json.dumps(content, indent=1))


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


def collect(results: Path, manifest: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The episodes that are there, and the runs that are not, of a manifest's jobs."""
    limits = [Limit(*limit) for limit in manifest["limits"]]
    episodes: list[dict[str, Any]] = []
    missing: list[dict[str, Any]] = []
    for entry in manifest["jobs"]:
        job = Job.from_json(json.dumps({**entry, "data": "", "results": str(results)}))
        training, task = job.training, find_task(job.training.task)
        run = Run(results, training)
        fractions = {limit.of(task): limit.fraction for limit in limits}
        low, high = manifest["ranges"][task.name]
        for limit in job.limits:
            cell = {
                "algorithm": training.algorithm,
                "task": task.name,
                "limit": limit,
                "fraction": fractions.get(limit, math.nan),
                "seed": training.seed,
            }
            if not run.evaluated(limit, job.episodes):
                failure = run.failure()
                failed = failure is not None and not failure["interrupted"]
                reason = failure["reason"] if failure else "not run yet"
                status = "failed" if failed else "missing"
                missing.append({**cell, "status": status, "reason": reason})
                continue
            shared = {
                **cell,
                "min_return": low,
                "max_return": high,
                "source": job.source,
                "checksum": training.checksum,
                "budget": manifest["budget"],
            }
            for one in run.episodes(limit, job.episodes):
                episodes.append(shared | one._asdict() | {"limit": limit})
    return (
        pd.DataFrame(episodes, columns=list(EPISODES)),
        pd.DataFrame(missing, columns=list(MISSING)),
    )
