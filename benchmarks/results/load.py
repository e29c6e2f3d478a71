"""All that a leaderboard is made of: from the store beside its folder, else from what it keeps."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.report.details import Details, Evidence, Frontier, thinned
from benchmarks.report.frame import EPISODES, MISSING, RUN, TRAININGS, validate_trainings
from benchmarks.report.render.report import DETAILS, KEPT, LOST
from benchmarks.results.files import read_details, read_episodes, read_missing
from benchmarks.results.manifest import collect, jobs_of, read_manifest
from benchmarks.runs import provenance
from benchmarks.runs.jobs import Job
from benchmarks.runs.store import Run

Rows = list[dict[Any, Any]]
_Run = tuple[str, str, float, int]


def gather(folder: Path) -> Evidence:
    """The results of a folder that `python -m benchmarks.run` made.

    What the store beside it lacks (in a clone, in a folder sent by a colleague) is taken from the
    folder itself where the training asked for, by its key, and the number of episodes are those
    kept there. Raises `UserError` where there is no manifest, or files cannot be read.
    """
    manifest = read_manifest(folder)
    jobs = jobs_of(manifest, folder.parent)
    episodes, missing = collect(jobs, manifest)
    details = _details(jobs)
    if len(missing) and (folder / KEPT).is_file():
        kept_episodes, kept_missing = read_episodes(folder / KEPT), read_missing(folder / LOST)
        own = jobs
        if (folder / DETAILS).is_file():
            kept = read_details(folder / DETAILS)
            known = _known(kept)
            own = [job for job in jobs if _identity(job) in known]
        else:  # made before these were kept: all of it is of this plan unless there is a store
            kept = details
            if (folder.parent / "runs").is_dir():
                own = []
        episodes, missing = _filled(own, (episodes, missing), (kept_episodes, kept_missing))
        details = _with_kept(jobs, details, kept, episodes)
    return Evidence(manifest["title"], manifest["budget"], episodes, missing, details)


def kept_by(folders: Iterable[Path]) -> Callable[[Job], bool]:
    """Whether the leaderboards in these folders together keep every episode of a job.

    A folder need not be there. Raises `UserError` for files that cannot be read.
    """
    kept = [
        (_known(read_details(folder / DETAILS)), _counted(folder / KEPT))
        for folder in folders
        if all((folder / name).is_file() for name in (DETAILS, KEPT))
    ]

    def whole(job: Job) -> bool:
        own = [episodes for known, episodes in kept if _identity(job) in known]
        return all(any(one[run] == job.episodes for one in own) for run in _runs_of(job))

    return whole


def _counted(episodes: Path) -> Counter[_Run]:
    """Of every run how many episodes a file keeps."""
    return Counter(map(_key, read_episodes(episodes).to_dict("records")))


def _known(kept: Details) -> set[tuple[str, str, str]]:
    """The trainings that are kept, each under its options of acting (`_identity`)."""
    columns = (kept.trainings[name] for name in ("algorithm", "key", "config"))
    return set(zip(*columns, strict=True))


def _identity(job: Job) -> tuple[str, str, str]:
    return job.display_name, job.training.key, _config(job)


def _config(job: Job) -> str:
    return json.dumps(job.training.config | job.eval_options, separators=(",", ":"))


def _runs_of(job: Job) -> list[_Run]:
    one = job.training
    return [(job.display_name, one.task, round(limit, 9), one.seed) for limit in job.limits]


def _key(row: Mapping[Any, Any]) -> _Run:
    return row["algorithm"], row["task"], round(row["limit"], 9), row["seed"]


def _by_run(frame: pd.DataFrame) -> dict[_Run, Rows]:
    found: dict[_Run, Rows] = {}
    for row in frame.to_dict("records"):
        found.setdefault(_key(row), []).append(row)
    return found


def _filled(
    jobs: Iterable[Job],
    stored: tuple[pd.DataFrame, pd.DataFrame],
    kept: tuple[pd.DataFrame, pd.DataFrame],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`stored` with the runs of `jobs` that only `kept` has."""
    wanted = {run: job.episodes for job in jobs for run in _runs_of(job)}
    kept_runs, kept_lost = _by_run(kept[0]), _by_run(kept[1])
    episodes: Rows = stored[0].to_dict("records")
    missing: Rows = []
    for row in stored[1].to_dict("records"):
        key = _key(row)
        replacement = kept_runs.get(key, [])
        if row["status"] == "missing" and len(replacement) == wanted.get(key, 0) > 0:
            episodes += replacement
        elif row["status"] == "missing" and key in wanted and key in kept_lost:
            missing += kept_lost[key]
        else:
            missing.append(row)
    return (
        pd.DataFrame(episodes, columns=list(EPISODES)),
        pd.DataFrame(missing, columns=list(MISSING)),
    )


def _with_kept(
    jobs: Iterable[Job], details: Details, kept: Details, episodes: pd.DataFrame
) -> Details:
    """The trainings, those that the store lacks as they are kept."""
    old = {(row["algorithm"], row["key"]): row for row in kept.trainings.to_dict("records")}
    asked = {(job.display_name, job.training.key): _runs_of(job) for job in jobs}
    there = {_key(row) for row in episodes[RUN].drop_duplicates().to_dict("records")}
    rows = []
    for row in details.trainings.to_dict("records"):
        if row["status"] == "missing":
            name = row["algorithm"], row["key"]
            row = old.get(name, row)
            if row["status"] == "missing" and there.issuperset(asked[name]):
                row = row | {"status": "finished", "reason": ""}
        rows.append(row)
    trainings = validate_trainings(pd.DataFrame(rows, columns=list(TRAININGS)))
    return Details(trainings, {**kept.frontiers, **details.frontiers})


def _details(jobs: Iterable[Job]) -> Details:
    """What the store knows of the trainings."""
    rows: Rows = []
    frontiers: dict[str, Frontier] = {}
    for job in jobs:
        run = Run.of(job)
        record = provenance.kept(run.folder, "training")
        points = record.get("data_frontier", [])
        if points:
            frontiers[job.training.task] = [(float(cost), float(best)) for cost, best in points]
        rows.append(_row(job, run, record))
    trainings = validate_trainings(pd.DataFrame(rows, columns=list(TRAININGS)))
    return Details(trainings, frontiers)


def _row(job: Job, run: Run, record: Mapping[str, Any]) -> dict[Any, Any]:
    training = job.training
    failure = run.failure() or {}
    failed = bool(failure) and not failure["interrupted"]
    summary = run.training_summary() if run.trained else {}
    done = run.trained and all(run.evaluated(limit, job.episodes) for limit in job.limits)
    records = [record, provenance.kept(run.folder, "evaluation")]
    commits = dict.fromkeys(one for known in records for one in known.get("commits", []) if one)
    dirty = {known["dirty"] for known in records if known.get("dirty") is not None}
    return {
        "algorithm": job.display_name,
        "task": training.task,
        "seed": training.seed,
        "train_limit": training.limit,
        "key": training.key,
        "updates": training.updates,
        "config": _config(job),
        "status": "failed" if failed else "finished" if done else "missing",
        "reason": failure.get("reason", "") if failure else "" if done else "not run yet",
        "traceback": failure.get("traceback", ""),
        "train_seconds": summary.get("seconds"),
        "update_seconds": summary.get("update_seconds"),
        "evaluation_seconds": _evaluation_seconds(job, run),
        "peak_memory_mb": record.get("peak_memory_mb"),
        "device": record.get("device", summary.get("device", "")),
        "platform": record.get("platform", ""),
        "commit": " ".join(commits),
        "dirty": "yes" if True in dirty else "no" if dirty else "",
        "versions": json.dumps(record.get("versions", {}), separators=(",", ":")),
        "command": record.get("command", ""),
        "curve": _curve(run.folder / "losses.csv"),
    }


def _evaluation_seconds(job: Job, run: Run) -> float | None:
    done = [limit for limit in job.limits if run.evaluated(limit, job.episodes)]
    if not done:
        return None
    return sum(run.evaluation_seconds(limit, job.episodes) for limit in done)


def _curve(path: Path) -> str:
    """The progress of a training; nothing where its file is not there.

    A line that a crash cut off, or that is no row of numbers, is left out.
    """
    try:
        header, *lines = path.read_text().splitlines()
    except (OSError, ValueError):
        return "{}"
    names = header.split(",")
    rows = [row for row in (line.split(",") for line in lines) if len(row) == len(names)]
    return thinned(names, rows)
