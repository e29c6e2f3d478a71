"""Differences between two leaderboards, or between a method and its variants, with intervals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.report.frame import CELL
from benchmarks.report.resampling import (
    NO_INTERVAL,
    RESAMPLES,
    SAFE,
    Floats,
    Interval,
    Resamples,
    interval,
    strata_of,
)

_CELL_RESAMPLES = 5_000
"""Resamples of a single cell: fewer, as there may be a thousand cells."""


@dataclass(frozen=True)
class Change:
    """One figure before and after, and the interval of the difference after - before."""

    before: float
    after: float
    interval: Interval = NO_INTERVAL

    @property
    def difference(self) -> float:
        """After minus before."""
        return self.after - self.before

    @property
    def clear(self) -> bool:
        """Whether the interval excludes 0; False without an interval."""
        return self.interval.low > 0 or self.interval.high < 0


@dataclass(frozen=True)
class Difference:
    """Differences of a method's figures over the cells (task x limit) that both results have.

    Reward and cost are means over cells, and `safe_cells` is the share of the safe ones, as in
    `metrics`. Intervals are NaN if a cell has one seed, and if no run differs.
    """

    method: str
    cells: int
    """Cells in both results, among the `of` cells in either."""
    of: int
    changed: int
    """Number of these `cells` whose runs differ."""
    reward: Change
    cost: Change
    safe_cells: Change
    task: str = ""
    """Set for the difference of a single cell, as `limit`."""
    limit: float = float("nan")


def differences(
    before: pd.DataFrame, after: pd.DataFrame, resamples: int = RESAMPLES
) -> list[Difference]:
    """The difference of each method that both `run_scores` have, by name."""
    methods = sorted(set(before["algorithm"]) & set(after["algorithm"]))
    return [
        difference(
            before[before["algorithm"] == method], after[after["algorithm"] == method], resamples
        )
        for method in methods
    ]


def cell_differences(before: pd.DataFrame, after: pd.DataFrame) -> list[Difference]:
    """The difference of each cell that both `run_scores` have and whose runs differ."""
    old, new = _cells(before), _cells(after)
    return [
        difference(old[key], new[key], _CELL_RESAMPLES)
        for key in old
        if key in new and not _equal(old[key], new[key])
    ]


def difference(before: pd.DataFrame, after: pd.DataFrame, resamples: int = RESAMPLES) -> Difference:
    """The difference of one method's `run_scores`; NaN without a shared cell."""
    old, new = _cells(before), _cells(after)
    shared = [key for key in old if key in new]
    changed = [key for key in shared if not _equal(old[key], new[key])]
    method = str(before["algorithm"].iloc[0])
    single = len(old) == len(new) == len(shared) == 1
    task, limit = (shared[0][1], shared[0][2]) if single else ("", float("nan"))
    of = len(old.keys() | new.keys())
    if not shared:
        unknown = Change(float("nan"), float("nan"))
        return Difference(method, 0, of, 0, unknown, unknown, unknown)
    both = [pd.concat([cells[key] for key in shared]) for cells in (old, new)]
    figures = [_figures(runs) for runs in both]
    intervals = [NO_INTERVAL] * 3
    enough = all(len(cells[key]) > 1 for cells in (old, new) for key in shared)
    if changed and enough:
        # Two seeds, as the draws of the two results must be independent.
        draws = [_resampled(runs, resamples, seed) for seed, runs in enumerate(both, start=1)]
        intervals = [interval(new - old) for old, new in zip(*draws, strict=True)]
    reward, cost, safe_cells = (
        Change(old_value, new_value, bounds)
        for old_value, new_value, bounds in zip(*figures, intervals, strict=True)
    )
    return Difference(method, len(shared), of, len(changed), reward, cost, safe_cells, task, limit)


def _cells(runs: pd.DataFrame) -> dict[Any, pd.DataFrame]:
    return {key: rows for key, rows in runs.groupby(CELL)}  # noqa: C416 (dict() would not type)


def _equal(before: pd.DataFrame, after: pd.DataFrame) -> bool:
    columns = ["seed", "reward", "cost", "episodes"]
    return bool(before[columns].to_numpy().tolist() == after[columns].to_numpy().tolist())


def _figures(runs: pd.DataFrame) -> list[float]:
    """Mean reward and mean cost over cells, and the share of safe cells."""
    means = runs.groupby(CELL)[["reward", "cost"]].mean()
    safe = means["cost"] <= SAFE
    return [float(means["reward"].mean()), float(means["cost"].mean()), float(safe.mean())]


def _resampled(runs: pd.DataFrame, resamples: int, seed: int) -> list[Floats]:
    """The `_figures` of each resample."""
    drawn = Resamples(strata_of(runs), resamples, seed)
    return [drawn.mean_reward(), drawn.mean_cost(), drawn.safe_cells()]


@dataclass(frozen=True)
class Variant:
    """A method with other options than its base, and the difference from the base."""

    options: dict[str, Any]
    """The options that differ."""
    difference: Difference
    label: str = ""
    """Its name in the leaderboard, if the base is in the same one."""


def changed_options(config: str, base: str) -> dict[str, Any]:
    """The entries of the JSON object `config` that differ from those of `base`."""
    new, old = json.loads(config), json.loads(base)
    return {key: new[key] for key in new if key not in old or new[key] != old[key]}


def config_of(trainings: pd.DataFrame, method: str) -> str | None:
    """The options of a method if all its trainings share them, else None."""
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
    rows = []
    for other_runs, other_trainings in others:
        for method in sorted(set(runs["algorithm"]) & set(other_runs["algorithm"])):
            base_config = config_of(trainings, method)
            config = config_of(other_trainings, method)
            options = changed_options(config, base_config) if base_config and config else {}
            if options:
                before = runs[runs["algorithm"] == method]
                after = other_runs[other_runs["algorithm"] == method]
                rows.append(Variant(options, difference(before, after)))
    return sorted(rows, key=lambda row: (row.difference.method, sort_key_of_options(row.options)))


def sort_key_of_options(options: dict[str, Any]) -> list[tuple[str, bool, float, str]]:
    """Sort key of variants: the names of the options; numbers of one option ascend."""
    keys = []
    for name, value in sorted(options.items()):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        keys.append((name, not number, float(value) if number else 0.0, json.dumps(value)))
    return keys
