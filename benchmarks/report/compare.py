"""Two leaderboards, or a method and its variants: what differs, with intervals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.report.frame import CELL
from benchmarks.report.resampling import (
    NO_INTERVAL,
    RESAMPLES,
    SAFE,
    Interval,
    interval,
    mean_of_cells,
    strata_of,
)

_OF_CELLS = 5_000
"""Resamples of a single cell, of which there may be a thousand."""


@dataclass(frozen=True)
class Change:
    """One figure before and after; the interval is that of the difference, after less before."""

    before: float
    after: float
    interval: Interval = NO_INTERVAL

    @property
    def difference(self) -> float:
        """After less before."""
        return self.after - self.before

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out; never without one."""
        return self.interval.low > 0 or self.interval.high < 0


@dataclass(frozen=True)
class Difference:
    """How a method's figures differ over the cells (task x limit) that both results have.

    As in `statistics.Standing`: means over cells, and the share of safe runs. Intervals are NaN
    where a cell has one seed, and where no run differs.
    """

    method: str
    cells: int
    """Cells that both have, of the `of` that either has."""
    of: int
    changed: int
    """Of those `cells`, how many have other runs."""
    reward: Change
    cost: Change
    safe_rate: Change
    task: str = ""
    """Set where the difference is that of one cell, as is `limit`."""
    limit: float = float("nan")


def differences(
    before: pd.DataFrame, after: pd.DataFrame, resamples: int = RESAMPLES
) -> list[Difference]:
    """One of each method that both `run_scores` have, by name."""
    methods = sorted(set(before["algorithm"]) & set(after["algorithm"]))
    return [
        difference(
            before[before["algorithm"] == method], after[after["algorithm"] == method], resamples
        )
        for method in methods
    ]


def cell_differences(before: pd.DataFrame, after: pd.DataFrame) -> list[Difference]:
    """One of each cell that both `run_scores` have and whose runs differ."""
    old, new = _cells(before), _cells(after)
    return [
        difference(old[key], new[key], _OF_CELLS)
        for key in old
        if key in new and not _equal(old[key], new[key])
    ]


def difference(before: pd.DataFrame, after: pd.DataFrame, resamples: int = RESAMPLES) -> Difference:
    """The difference of one method's `run_scores`; NaN where no cell is shared."""
    old, new = _cells(before), _cells(after)
    shared = [key for key in old if key in new]
    changed = [key for key in shared if not _equal(old[key], new[key])]
    method = str(before["algorithm"].iloc[0])
    one = len(old) == len(new) == len(shared) == 1
    task, limit = (shared[0][1], shared[0][2]) if one else ("", float("nan"))
    if not shared:
        nothing = Change(float("nan"), float("nan"))
        every = len(old.keys() | new.keys())
        return Difference(method, 0, every, 0, nothing, nothing, nothing)
    ours = [pd.concat([cells[key] for key in shared]) for cells in (old, new)]
    figures = [_figures(runs) for runs in ours]
    intervals = [NO_INTERVAL] * 3
    enough = all(len(cells[key]) > 1 for cells in (old, new) for key in shared)
    if changed and enough:
        draws = [
            mean_of_cells(strata_of(runs), resamples, seed)
            for seed, runs in enumerate(ours, start=1)
        ]
        intervals = [interval(row) for row in draws[1] - draws[0]]
    reward, cost, safe_rate = (
        Change(old_value, new_value, bounds)
        for old_value, new_value, bounds in zip(*figures, intervals, strict=True)
    )
    of = len(old.keys() | new.keys())
    return Difference(method, len(shared), of, len(changed), reward, cost, safe_rate, task, limit)


def _cells(runs: pd.DataFrame) -> dict[Any, pd.DataFrame]:
    return {key: rows for key, rows in runs.groupby(CELL)}  # noqa: C416 (dict() would not type)


def _equal(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    columns = ["seed", "reward", "cost", "episodes"]
    return bool(one[columns].to_numpy().tolist() == other[columns].to_numpy().tolist())


def _figures(runs: pd.DataFrame) -> list[float]:
    """Reward and cost, means over cells, and the safe rate."""
    means = runs.groupby(CELL)[["reward", "cost"]].mean().mean()
    return [float(means["reward"]), float(means["cost"]), float(np.mean(runs["cost"] <= SAFE))]


@dataclass(frozen=True)
class Variant:
    """A method with other options than the base, and how it differs from it."""

    options: dict[str, Any]
    """The options that differ."""
    difference: Difference
    label: str = ""
    """What it is called in its leaderboard, where that has the base too."""


def changed_options(config: str, base: str) -> dict[str, Any]:
    """What of one JSON object differs from another."""
    own, other = json.loads(config), json.loads(base)
    return {key: own[key] for key in own if key not in other or own[key] != other[key]}


def config_of(trainings: pd.DataFrame, method: str) -> str | None:
    """The options of a method where all its trainings share them, else None."""
    configs = sorted(set(trainings.loc[trainings["algorithm"] == method, "config"]))
    return configs[0] if len(configs) == 1 else None


def variants(
    base: tuple[pd.DataFrame, pd.DataFrame],
    others: Sequence[tuple[pd.DataFrame, pd.DataFrame]],
) -> list[Variant]:
    """The methods of `others` whose options differ from the base's, in order of their options.

    Each is a pair of `run_scores` and trainings (`frame.TRAININGS`).
    """
    runs, trainings = base
    found = []
    for other_runs, other_trainings in others:
        for method in sorted(set(runs["algorithm"]) & set(other_runs["algorithm"])):
            ours, theirs = config_of(trainings, method), config_of(other_trainings, method)
            options = changed_options(theirs, ours) if ours and theirs else {}
            if options:
                mine = runs[runs["algorithm"] == method]
                changed = other_runs[other_runs["algorithm"] == method]
                found.append(Variant(options, difference(mine, changed)))
    return sorted(found, key=lambda one: (one.difference.method, order_of_options(one.options)))


def order_of_options(options: dict[str, Any]) -> list[tuple[str, bool, float, str]]:
    """What to sort variants by: the names of the options; numbers of one option ascend."""
    keys = []
    for name, value in sorted(options.items()):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        keys.append((name, not number, float(value) if number else 0.0, json.dumps(value)))
    return keys
