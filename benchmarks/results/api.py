"""A leaderboard's results as data frames, for Python programs and notebooks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks.common.errors import UserError
from benchmarks.common.files import user_path
from benchmarks.report import tidy
from benchmarks.report.frame import validate, validate_missing
from benchmarks.report.learning import learning_scores
from benchmarks.report.statistics import cells, standings
from benchmarks.results.load import load_results as load
from benchmarks.results.manifest import MANIFEST


@dataclass(frozen=True)
class Results:
    """The data frames of a leaderboard; `benchmarks.results.schema` describes their columns."""

    title: str
    episodes: pd.DataFrame
    """One row for each evaluated episode."""
    cells: pd.DataFrame
    """One row for each method, task and limit: means over episodes, then over seeds."""
    overall: pd.DataFrame
    """One row for each method, best first: metrics with 95% intervals."""
    trainings: pd.DataFrame
    """One row for each training: options, times, machine, commit."""
    curves: pd.DataFrame
    """The logged losses: one row for each training, number of updates and loss."""
    learning: pd.DataFrame
    """Scores of each run during its training and at its end (`run --evaluate-every`)."""
    missing: pd.DataFrame
    """One row for each run that is missing or failed, with the reason."""


def load_results(folder: Path | str) -> Results:
    """The results in the folder of a leaderboard, e.g. `load_results("results/quickstart")`.

    Raises `UserError` for a folder that `python -m benchmarks.run` did not make, or whose files
    cannot be read.
    """
    path = user_path(folder)
    if not (path / MANIFEST).is_file():
        raise UserError(f"{folder} is no leaderboard: it has no {MANIFEST}")
    data = load(path)
    episodes, missing = validate(data.episodes), validate_missing(data.missing)
    table, trainings = cells(episodes, missing), data.details.trainings
    return Results(
        data.title,
        episodes,
        tidy.leaderboard(table),
        tidy.overall(standings(episodes, table)),
        trainings.drop(columns=["curve", "evaluations"]),
        _curves(trainings),
        learning_scores(trainings, episodes),
        missing,
    )


def _curves(trainings: pd.DataFrame) -> pd.DataFrame:
    """The losses of all trainings in long form."""
    frames = []
    for row in trainings.to_dict("records"):
        curve = json.loads(row["curve"])
        if not curve:
            continue
        wide = pd.DataFrame(curve)
        long = wide.melt(["updates", "seconds"], var_name="loss", value_name="value")
        same = {name: row[name] for name in ("algorithm", "task", "seed", "train_limit")}
        frames.append(long.assign(**same))
    columns = ["algorithm", "task", "seed", "train_limit", "updates", "seconds", "loss", "value"]
    return pd.concat(frames)[columns] if frames else pd.DataFrame(columns=columns)
