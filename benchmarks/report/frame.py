"""The leaderboard's input frames (episodes, missing runs, trainings): columns and checks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd

from benchmarks.common.errors import UserError
from benchmarks.tasks.tasks import TASKS

Kind = Literal["text", "integer", "number", "optional number"]

EPISODES: dict[str, Kind] = {
    "algorithm": "text",
    "task": "text",
    "limit": "number",  # cost limit of an episode, absolute
    "fraction": "optional number",  # the limit as a fraction of the task's maximum cost
    "seed": "integer",
    "episode": "integer",
    "episode_return": "number",  # not normalised, as the cost
    "episode_cost": "number",
    "length": "integer",
    "min_return": "number",  # R_min of the normalised reward
    "max_return": "number",
    "source": "text",
    "checksum": "text",  # of the training data
    "budget": "text",
}
"""Columns of the episodes and their types; only an "optional number" may be NaN."""

MISSING: dict[str, Kind] = {
    "algorithm": "text",
    "task": "text",
    "limit": "number",
    "fraction": "optional number",
    "seed": "integer",
    "status": "text",
    "reason": "text",
}
"""Columns of the missing runs; `status` is "missing" or "failed"."""

TRAININGS: dict[str, Kind] = {
    "algorithm": "text",
    "task": "text",
    "seed": "integer",
    "train_limit": "optional number",  # NaN if one training serves all limits
    "key": "text",  # of the training, as `benchmarks.runs.jobs.Training.key`
    "updates": "integer",
    "config": "text",  # a JSON object, as are `versions` and `curve`
    "status": "text",
    "reason": "text",
    "traceback": "text",
    "train_seconds": "optional number",  # of the whole training
    "update_seconds": "optional number",  # of its updates only
    "evaluation_seconds": "optional number",  # of all limits
    "peak_memory_mb": "optional number",
    "device": "text",
    "platform": "text",
    "commit": "text",  # several if another commit resumed the training
    "dirty": "text",
    "versions": "text",
    "command": "text",
    "curve": "text",  # the logged losses: lists by column
    "evaluations": "text",  # those during the training, likewise; "{}" if there are none
}
"""Columns of the trainings; `status` is "finished", "failed" or "missing"; `dirty` is "yes", "no"
or, if unknown, empty."""

CELL = ["algorithm", "task", "limit"]
RUN = [*CELL, "seed"]


def validate(frame: pd.DataFrame) -> pd.DataFrame:
    """The episodes in canonical form: the columns of `EPISODES`, typed, sorted by run.

    Other columns are dropped. Raises `UserError` for columns that are missing, contain NaN or have
    the wrong type, for duplicate episodes, and for data that one table must not mix: several
    sources; several checksums or return ranges of a task; several budgets of a method on a task.
    """
    episodes = _typed(frame, EPISODES, "episodes").sort_values([*RUN, "episode"], kind="stable")
    episodes = episodes.reset_index(drop=True)
    _refuse_mixed(episodes, [], "source", "make one leaderboard for each source")
    _refuse_mixed(episodes, ["task"], "checksum", "run again on one data file")
    for bound in ("min_return", "max_return"):
        _refuse_mixed(episodes, ["task"], bound, "give each task one range of returns")
    _refuse_mixed(episodes, ["algorithm", "task"], "budget", "make one leaderboard for each budget")
    for column, wrong, why in (
        ("max_return", episodes["max_return"] <= episodes["min_return"], "not above min_return"),
        ("limit", episodes["limit"] < 0, "negative"),
    ):
        if wrong.any():
            row = episodes[wrong].iloc[0]
            raise UserError(f"{column} {row[column]:g} of task {row['task']!r} is {why}")
    duplicate = episodes.duplicated([*RUN, "episode"])
    if duplicate.any():
        row = episodes[duplicate].iloc[0]
        raise UserError(
            f"episode {row['episode']} of {row['algorithm']!r} on {row['task']!r}, limit "
            f"{row['limit']:g}, seed {row['seed']} occurs twice: give each run once"
        )
    return episodes


def validate_missing(missing: pd.DataFrame) -> pd.DataFrame:
    """The missing runs in canonical form; raises `UserError` as `validate`."""
    runs = _typed(missing, MISSING, "missing runs").sort_values([*RUN, "status"], kind="stable")
    invalid = ~runs["status"].isin(["missing", "failed"])
    if invalid.any():
        raise UserError(
            f"status {runs[invalid]['status'].iloc[0]!r} of a missing run: "
            "it must be 'missing' or 'failed'"
        )
    return runs.drop_duplicates(RUN).reset_index(drop=True)


def validate_trainings(trainings: pd.DataFrame) -> pd.DataFrame:
    """The trainings in canonical form, without duplicates; raises `UserError` as `validate`.

    Variants that differ only in evaluation options share a training and have a row each.
    """
    by = ["algorithm", "task", "seed", "train_limit", "key"]
    rows = _typed(trainings, TRAININGS, "trainings").sort_values(by, kind="stable")
    for column, allowed in (
        ("status", ("finished", "failed", "missing")),
        ("dirty", ("yes", "no", "")),
    ):
        invalid = ~rows[column].isin(allowed)
        if invalid.any():
            raise UserError(
                f"{column} {rows[invalid][column].iloc[0]!r} of a training: "
                f"it must be one of {', '.join(map(repr, allowed))}"
            )
    return rows.drop_duplicates(["algorithm", "key"]).reset_index(drop=True)


def ordered_tasks(names: Iterable[str]) -> list[str]:
    """The distinct `names` in the order of the table of tasks; unknown ones last, by name."""
    order = {name: i for i, name in enumerate(TASKS)}
    return sorted(set(names), key=lambda name: (order.get(name, len(order)), name))


def _typed(frame: pd.DataFrame, schema: dict[str, Kind], what: str) -> pd.DataFrame:
    """The columns of `schema`, converted; a frame without rows may lack columns."""
    absent = [column for column in schema if column not in frame.columns]
    if absent and len(frame):
        raise UserError(f"the {what} lack the column(s) {', '.join(absent)}")
    columns: dict[str, pd.Series] = {}
    for name, kind in schema.items():
        given = pd.Series(dtype=float) if name in absent else frame[name]
        values = given if kind == "text" else pd.to_numeric(given, errors="coerce")
        bad = values.isna()
        if kind != "text":
            bad |= np.isinf(values.astype(float))
        if kind == "optional number":
            bad &= given.notna()
        if kind == "integer" and not bad.any():
            bad = values.astype(float) % 1 != 0
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise UserError(
                f"column {name!r} of the {what} holds {given.iloc[row]!r} in row {row}: "
                f"it must be {'text' if kind == 'text' else f'a finite {kind}'}"
            )
        dtype = {"text": str, "integer": np.int64}.get(kind, np.float64)
        columns[name] = values.astype(dtype)
    typed = pd.DataFrame(columns)
    for name in {"limit", "fraction", "train_limit"} & set(schema):
        # Rounded, as 0.07 · 100 is 7.000000000000001, which is the limit 7.
        typed[name] = typed[name].round(9)
    return typed


def _refuse_mixed(episodes: pd.DataFrame, by: list[str], column: str, remedy: str) -> None:
    """Raise `UserError` if rows with equal columns `by` differ in `column`."""
    kinds = episodes[list(dict.fromkeys([*by, column, "algorithm"]))].drop_duplicates()
    for key, group in kinds.groupby(by) if by else [((), kinds)]:
        holders = group.groupby(column)["algorithm"].unique()
        if len(holders) > 1:
            where = " on ".join(repr(name) for name in key) or "the leaderboard"
            which = " and ".join(
                f"{value!r} ({', '.join(sorted(names))})" for value, names in holders.items()
            )
            line = f"{where} mixes {len(holders)} values of {column}: {which}; {remedy}"
            raise UserError(" ".join(line.split()))
