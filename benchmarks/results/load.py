"""Loads a leaderboard's results from the store, else from the files stored in its folder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.report.details import Details, Frontier, LeaderboardData, thin_curve
from benchmarks.report.frame import EPISODES, MISSING, RUN, TRAININGS, validate_trainings
from benchmarks.report.render.report import EPISODES_FILE, MISSING_FILE, TRAININGS_FILE
from benchmarks.results.files import read_details, read_episodes, read_missing
from benchmarks.results.manifest import jobs_of, load_stored, read_manifest
from benchmarks.runs import provenance
from benchmarks.runs.interim import read_interim
from benchmarks.runs.jobs import Job
from benchmarks.runs.store import Run

Rows = list[dict[Any, Any]]
_RunKey = tuple[str, str, float, int]
"""Method or variant, task, limit and seed."""
_TrainingKey = tuple[str, str]
"""Method or variant, and key of the training."""


def load_results(folder: Path) -> LeaderboardData:
    """The results of a leaderboard's folder, which `python -m benchmarks.run` made.

    Results that the store next to the folder lacks (as in a clone) are taken from the folder's own
    files if those have the same training, by its key, and the same number of episodes. Raises
    `UserError` without a manifest, or if a file cannot be read.
    """
    manifest = read_manifest(folder)
    jobs = jobs_of(manifest, folder.parent)
    episodes, missing = load_stored(jobs, manifest)
    details = _stored_details(jobs)
    if len(missing) and (folder / EPISODES_FILE).is_file():
        archive = read_episodes(folder / EPISODES_FILE), read_missing(folder / MISSING_FILE)
        archived_jobs = jobs
        if (folder / TRAININGS_FILE).is_file():
            archived_details = read_details(folder / TRAININGS_FILE)
            trained = _options_of_trainings(archived_details)
            archived_jobs = [job for job in jobs if _same_training(job, trained)]
        else:  # an old folder without this file: trust it only where there is no store
            archived_details = details
            if (folder.parent / "runs").is_dir():
                archived_jobs = []
        episodes, missing = _fill_from_archive(archived_jobs, (episodes, missing), archive)
        details = _merge_details(jobs, details, archived_jobs, archived_details, episodes)
    return LeaderboardData(manifest["title"], manifest["budget"], episodes, missing, details)


def archived_in(folders: Iterable[Path]) -> Callable[[Job], bool]:
    """A function that tells whether the leaderboards in `folders` have all episodes of a job.

    A folder need not exist. Raises `UserError` for files that cannot be read.
    """
    archives = [
        (_options_of_trainings(read_details(folder / TRAININGS_FILE)), _count_episodes(folder))
        for folder in folders
        if all((folder / name).is_file() for name in (TRAININGS_FILE, EPISODES_FILE))
    ]

    def is_archived(job: Job) -> bool:
        counts = [count for trained, count in archives if _same_training(job, trained)]
        return all(any(count[run] == job.episodes for count in counts) for run in _runs_of(job))

    return is_archived


def _count_episodes(folder: Path) -> Counter[_RunKey]:
    """The number of archived episodes of every run."""
    episodes = folder / EPISODES_FILE
    return Counter(map(_key, read_episodes(episodes).to_dict("records")))


def _options_of_trainings(details: Details) -> dict[_TrainingKey, dict[str, Any]]:
    """All options of each training, those of its evaluation included."""
    columns = (details.trainings[name] for name in ("algorithm", "key", "config"))
    rows = zip(*columns, strict=True)
    return {(algorithm, key): json.loads(config) for algorithm, key, config in rows}


def _same_training(job: Job, trained: Mapping[_TrainingKey, dict[str, Any]]) -> bool:
    """Whether `trained` has the job's training, with the same options of evaluation."""
    options: dict[str, Any] = json.loads(_config(job))
    return trained.get(_training_key(job)) == options


def _training_key(job: Job) -> _TrainingKey:
    return job.display_name, job.training.key


def _config(job: Job) -> str:
    return json.dumps(job.training.config | job.eval_options, separators=(",", ":"))


def _runs_of(job: Job) -> list[_RunKey]:
    training = job.training
    return [
        (job.display_name, training.task, round(limit, 9), training.seed) for limit in job.limits
    ]


def _key(row: Mapping[Any, Any]) -> _RunKey:
    return row["algorithm"], row["task"], round(row["limit"], 9), row["seed"]


def _by_run(frame: pd.DataFrame) -> dict[_RunKey, Rows]:
    rows: dict[_RunKey, Rows] = {}
    for row in frame.to_dict("records"):
        rows.setdefault(_key(row), []).append(row)
    return rows


def _fill_from_archive(
    jobs: Iterable[Job],
    stored: tuple[pd.DataFrame, pd.DataFrame],
    archived: tuple[pd.DataFrame, pd.DataFrame],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Episodes and missing runs of `stored`, with the runs of `jobs` that only `archived` has."""
    expected = {run: job.episodes for job in jobs for run in _runs_of(job)}
    archived_runs, archived_missing = _by_run(archived[0]), _by_run(archived[1])
    episodes: Rows = stored[0].to_dict("records")
    missing: Rows = []
    for row in stored[1].to_dict("records"):
        key = _key(row)
        replacement = archived_runs.get(key, [])
        if row["status"] == "missing" and len(replacement) == expected.get(key, 0) > 0:
            episodes += replacement
        elif row["status"] == "missing" and key in expected and key in archived_missing:
            missing += archived_missing[key]
        else:
            missing.append(row)
    return (
        pd.DataFrame(episodes, columns=list(EPISODES)),
        pd.DataFrame(missing, columns=list(MISSING)),
    )


def _merge_details(
    jobs: Iterable[Job],
    details: Details,
    archived_jobs: Iterable[Job],
    archived: Details,
    episodes: pd.DataFrame,
) -> Details:
    """The trainings of the store, with those of `archived_jobs` where the store lacks them."""
    old = {(row["algorithm"], row["key"]): row for row in archived.trainings.to_dict("records")}
    kept = {name: old[name] for name in map(_training_key, archived_jobs) if name in old}
    expected = {_training_key(job): _runs_of(job) for job in jobs}
    finished = {_key(row) for row in episodes[RUN].drop_duplicates().to_dict("records")}
    rows = []
    for row in details.trainings.to_dict("records"):
        if row["status"] == "missing":
            name = row["algorithm"], row["key"]
            row = kept.get(name, row)
            if row["status"] == "missing" and finished.issuperset(expected[name]):
                row = row | {"status": "finished", "reason": ""}
        rows.append(row)
    trainings = validate_trainings(pd.DataFrame(rows, columns=list(TRAININGS)))
    return Details(trainings, {**archived.frontiers, **details.frontiers})


def _stored_details(jobs: Iterable[Job]) -> Details:
    """The trainings of the store."""
    rows: Rows = []
    frontiers: dict[str, Frontier] = {}
    for job in jobs:
        run = Run.of(job)
        record = provenance.read_record(run.folder, "training")
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
    records = [record, provenance.read_record(run.folder, "evaluation")]
    commits = dict.fromkeys(sha for r in records for sha in r.get("commits", []) if sha)
    dirty = {r["dirty"] for r in records if r.get("dirty") is not None}
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
        "evaluations": _evaluations(run.folder),
    }


def _evaluation_seconds(job: Job, run: Run) -> float | None:
    done = [limit for limit in job.limits if run.evaluated(limit, job.episodes)]
    if not done:
        return None
    return sum(run.evaluation_seconds(limit, job.episodes) for limit in done)


def _evaluations(folder: Path) -> str:
    """The evaluations during the training as JSON with one list for each column."""
    rows = read_interim(folder)
    names = ("updates", "limit", "mean_return", "mean_cost")
    columns = {name: [getattr(row, name) for row in rows] for name in names} if rows else {}
    return json.dumps(columns, separators=(",", ":"))


def _curve(path: Path) -> str:
    """The thinned learning curve of a losses.csv; empty if the file does not exist.

    Lines with another number of columns, such as one that a crash cut off, are left out.
    """
    try:
        header, *lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return "{}"
    names = header.split(",")
    rows = [row for row in (line.split(",") for line in lines) if len(row) == len(names)]
    return thin_curve(names, rows)
