"""Statistics of the episodes: cells, averages over tasks, and one standing for each method.

A method's figures depend on its own episodes only, so that they do not change when another method
is added, renamed or removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from benchmarks.report.frame import CELL, RUN, ordered_tasks
from benchmarks.report.metrics import METRICS, NO_INTERVALS, Intervals, Scores, bootstrap, mean
from benchmarks.report.resampling import (
    NAN,
    RESAMPLES,
    SAFE,
    Floats,
    Interval,
    Resamples,
    interval,
    strata_of,
)

Key = tuple[str, str, float]
"""Method, task, limit."""
Status = Literal["finished", "partial", "failed", "missing"]


@dataclass(frozen=True)
class Cell:
    """A method's scores on one task at one limit: means over episodes, then over seeds.

    Without a finished run, scores are NaN and `safe` is None; `*_std` (over seeds, n - 1) needs two
    runs. `reward` and `cost` are normalised, `mean_return` and `mean_cost` raw.
    """

    algorithm: str
    task: str
    limit: float
    fraction: float
    reward: float = NAN
    reward_std: float = NAN
    cost: float = NAN
    cost_std: float = NAN
    safe: bool | None = None
    seeds: int = 0
    episodes: int = 0
    mean_return: float = NAN
    mean_cost: float = NAN
    status: Status = "missing"
    lost: int = 0
    """Missing or failed runs."""


class Average(NamedTuple):
    """A method's mean over the tasks that share a setting of the limit."""

    algorithm: str
    setting: tuple[bool, float]
    """(False, fraction of the maximum cost) or (True, absolute limit)."""
    reward: float
    cost: float
    safe: int
    """Safe cells, among the `cells` with a run, among the `of` expected ones."""
    cells: int
    of: int
    lost: int
    """Missing or failed runs in the cells with a run."""


AverageIntervals = Mapping[tuple[str, tuple[bool, float]], tuple[Interval, Interval]]
"""The intervals of an average's reward and cost, by method and setting."""


@dataclass(frozen=True)
class Standing:
    """A method's row in the overall table, over the cells with a run.

    Metrics are NaN without such a cell, intervals if a cell has fewer than two seeds.
    """

    algorithm: str
    safe: int
    """Safe cells, among the `cells` with a run, among the `of` expected ones."""
    cells: int
    of: int
    runs: int
    lost: int
    """Missing or failed runs in the cells with a run."""
    seeds: tuple[int, int]
    """Smallest and largest number of seeds in a cell."""
    safe_runs: int = 0
    """Safe runs (task x limit x seed), among the `runs`."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The value of each of `metrics.METRICS`, by name."""
    intervals: Intervals = field(default_factory=lambda: NO_INTERVALS)


def normalised_reward(returns: ArrayLike, low: ArrayLike, high: ArrayLike) -> Floats:
    """(R - R_min) / (R_max - R_min), elementwise."""
    low = np.asarray(low, dtype=np.float64)
    return np.asarray((np.asarray(returns) - low) / (np.asarray(high) - low))


def normalised_cost(costs: ArrayLike, limit: ArrayLike) -> Floats:
    """(C + ε) / (limit + ε) with ε = 1 where the limit is 0 and ε = 0 elsewhere, elementwise."""
    limit = np.asarray(limit, dtype=np.float64)
    epsilon = (limit == 0).astype(np.float64)
    return np.asarray((np.asarray(costs) + epsilon) / (limit + epsilon))


def run_scores(episodes: pd.DataFrame) -> pd.DataFrame:
    """One row for each run (method, task, limit, seed): means over episodes, and their number."""
    reward = normalised_reward(
        episodes["episode_return"], episodes["min_return"], episodes["max_return"]
    )
    cost = normalised_cost(episodes["episode_cost"], episodes["limit"])
    scores = episodes[RUN].assign(
        reward=reward,
        cost=cost,
        mean_return=episodes["episode_return"],
        mean_cost=episodes["episode_cost"],
    )
    runs = scores.groupby(RUN)
    return runs.mean().assign(episodes=runs.size()).reset_index()


def cells(episodes: pd.DataFrame, missing: pd.DataFrame) -> list[Cell]:
    """The cells of every method at every (task, limit) of either validated frame, in this order.

    A cell in neither frame has the status "missing".
    """
    both = pd.concat([frame[[*CELL, "fraction"]] for frame in (episodes, missing)])
    fractions: dict[str, dict[float, float]] = {task: {} for task in ordered_tasks(both["task"])}
    for (task, limit), rows in _groups(both, ["task", "limit"]).items():  # sorted by limit
        fractions[task][limit] = float(rows["fraction"].max())  # the one that is not NaN
    runs, lost = _groups(run_scores(episodes), CELL), _groups(missing, CELL)
    return [
        _cell(key, fraction, runs.get(key), lost.get(key, missing.iloc[:0]))
        for algorithm in sorted(set(both["algorithm"]))
        for task, limits in fractions.items()
        for limit, fraction in limits.items()
        for key in [(algorithm, task, limit)]
    ]


def _groups(frame: pd.DataFrame, by: list[str]) -> dict[Any, pd.DataFrame]:
    return {key: rows for key, rows in frame.groupby(by)}  # noqa: C416 (dict() would not type)


def _cell(key: Key, fraction: float, runs: pd.DataFrame | None, lost: pd.DataFrame) -> Cell:
    if runs is None:
        status: Status = "failed" if (lost["status"] == "failed").any() else "missing"
        return Cell(*key, fraction, status=status, lost=len(lost))
    absent = len(set(lost["seed"]) - set(runs["seed"]))
    cost = float(runs["cost"].mean())
    return Cell(
        *key,
        fraction,
        reward=float(runs["reward"].mean()),
        reward_std=float(runs["reward"].std()),
        cost=cost,
        cost_std=float(runs["cost"].std()),
        safe=cost <= SAFE,
        seeds=len(runs),
        episodes=int(runs["episodes"].sum()),
        mean_return=float(runs["mean_return"].mean()),
        mean_cost=float(runs["mean_cost"].mean()),
        status="partial" if absent else "finished",
        lost=absent,
    )


def setting_of(cell: Cell) -> tuple[bool, float]:
    """(False, fraction of the maximum cost), or (True, limit) where there is no fraction."""
    absolute = bool(np.isnan(cell.fraction))
    return absolute, cell.limit if absolute else cell.fraction


def averages(table: Sequence[Cell]) -> list[Average]:
    """Means over tasks of each method at each setting, settings ascending; NaN without cells.

    Limits of two tasks are the same setting if they are the same fraction of the maximum cost, or,
    without a fraction, the same number.
    """

    def setting(cell: Cell) -> tuple[str, tuple[bool, float]]:
        return cell.algorithm, setting_of(cell)

    means = []
    for (algorithm, key), group in groupby(sorted(table, key=setting), key=setting):
        expected = list(group)
        present = [cell for cell in expected if cell.seeds]
        means.append(
            Average(
                algorithm,
                key,
                reward=mean([cell.reward for cell in present]),
                cost=mean([cell.cost for cell in present]),
                safe=sum(bool(cell.safe) for cell in present),
                cells=len(present),
                of=len(expected),
                lost=sum(cell.lost for cell in present),
            )
        )
    return means


def average_intervals(
    runs: pd.DataFrame, table: Sequence[Cell], resamples: int = 5_000
) -> AverageIntervals:
    """95% intervals of the `averages` of `table`, where each cell has two seeds or more.

    `runs` are the `run_scores` of the episodes whose `cells` the table holds.
    """
    settings = {(cell.algorithm, cell.task, cell.limit): setting_of(cell) for cell in table}
    keys = list(zip(runs["algorithm"], runs["task"], runs["limit"], strict=True))
    place = pd.Series([settings[key] for key in keys], index=runs.index, dtype=object)
    found: dict[tuple[str, tuple[bool, float]], tuple[Interval, Interval]] = {}
    groups: dict[Any, pd.DataFrame] = _groups(runs.assign(place=place), ["algorithm", "place"])
    for (method, setting), rows in groups.items():
        if rows.groupby(CELL).size().min() > 1:
            drawn = Resamples(strata_of(rows), resamples, seed=0)
            found[method, setting] = interval(drawn.mean_reward()), interval(drawn.mean_cost())
    return found


def standings(
    episodes: pd.DataFrame, table: Sequence[Cell], resamples: int = RESAMPLES
) -> list[Standing]:
    """One row for each method, by descending share of safe cells, then reward of the safe cells.

    Methods without a safe cell follow by their reward, those without a run are last. `table` holds
    the `cells` of `episodes`.
    """
    runs = run_scores(episodes)
    rows = [
        _standing(algorithm, list(of_method), runs[runs["algorithm"] == algorithm], resamples)
        for algorithm, of_method in groupby(table, key=lambda cell: cell.algorithm)
    ]

    def sort_key(row: Standing) -> tuple[bool, float, float, float, str]:
        if not row.cells:
            return True, 0.0, 0.0, 0.0, row.algorithm
        share, safe_reward = (row.metrics[name] for name in ("safe_cells", "safe_cell_reward"))
        # Without a safe cell there is no such reward; the share has put these methods last.
        gained = safe_reward if row.safe else 0.0
        return False, -share, -gained, -row.metrics["reward"], row.algorithm

    return sorted(rows, key=sort_key)


def _standing(
    algorithm: str, expected: Sequence[Cell], runs: pd.DataFrame, resamples: int
) -> Standing:
    """The row of a method with the cells `expected` and the `run_scores` `runs`."""
    present = [cell for cell in expected if cell.seeds]
    seeds = [cell.seeds for cell in present] or [0]
    scores = Scores(
        [cell.reward for cell in present],
        [cell.cost for cell in present],
        runs["reward"].to_numpy(dtype=np.float64),
        runs["cost"].to_numpy(dtype=np.float64),
    )
    return Standing(
        algorithm,
        safe=sum(bool(cell.safe) for cell in present),
        cells=len(present),
        of=len(expected),
        runs=len(runs),
        lost=sum(cell.lost for cell in present),
        seeds=(min(seeds), max(seeds)),
        safe_runs=int(scores.safe.sum()),
        metrics={metric.name: metric.value(scores) for metric in METRICS},
        # A cell with one seed would count as a cell without variance.
        intervals=bootstrap(strata_of(runs), resamples) if min(seeds) > 1 else NO_INTERVALS,
    )
