"""What is computed from the episodes: cells, averages over tasks, and one standing a method.

Every figure of a method is computed from its own episodes alone, so that no method's figures
change when another is added, renamed or removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from benchmarks.report.frame import CELL, RUN, ordered_tasks
from benchmarks.report.resampling import (
    NO_INTERVALS,
    SAFE,
    Intervals,
    bootstrap,
    strata_of,
    violation,
)

Floats = NDArray[np.float64]
Key = tuple[str, str, float]
"""Method, task, limit."""
Status = Literal["finished", "partial", "failed", "missing"]

NAN = float("nan")


@dataclass(frozen=True)
class Cell:
    """A method's scores on one task at one limit: means over episodes, then over seeds.

    Scores are NaN and `safe` None where no run is finished, `*_std` (over seeds, n - 1) where
    fewer than two are. `reward` and `cost` are normalised, `mean_return` and `mean_cost` raw.
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
    """Runs of this cell that are missing or failed."""


class Average(NamedTuple):
    """A method's mean over the tasks that share a setting of the limit."""

    algorithm: str
    setting: tuple[bool, float]
    """(False, fraction of the maximum cost) or (True, absolute limit)."""
    reward: float
    cost: float
    safe: int
    """Cells that are safe, of the `cells` it has, of the `of` that there should be."""
    cells: int
    of: int
    lost: int
    """Runs missing or failed in the cells that it has."""


@dataclass(frozen=True)
class Standing:
    """A method's row in the overall table: means over the cells that it has.

    Scores are NaN where it has none, intervals where one of its cells has fewer than two seeds.
    """

    algorithm: str
    safe: int
    """Cells that are safe, of the `cells` it has, of the `of` that there should be."""
    cells: int
    of: int
    runs: int
    lost: int
    """Runs missing or failed in the cells that it has."""
    seeds: tuple[int, int]
    """Fewest and most seeds in a cell."""
    safe_runs: int = 0
    """Runs (task x limit x seed) with a mean normalised cost of at most 1, of the `runs`."""
    reward: float = NAN
    iqm: float = NAN
    """Interquartile mean of the reward over the runs."""
    cost: float = NAN
    safe_rate: float = NAN
    """Share of the runs that are safe."""
    violation: float = NAN
    """Mean over the runs of how far the normalised cost lies above 1, 0 where it is safe."""
    safe_reward: float = NAN
    """Mean reward of the safe runs; NaN where none is."""
    intervals: Intervals = NO_INTERVALS


def normalised_reward(returns: ArrayLike, low: ArrayLike, high: ArrayLike) -> Floats:
    """(R - R_min) / (R_max - R_min), elementwise."""
    low = np.asarray(low, dtype=np.float64)
    return np.asarray((np.asarray(returns) - low) / (np.asarray(high) - low))


def normalised_cost(costs: ArrayLike, limit: ArrayLike) -> Floats:
    """(C + ε) / (limit + ε) with ε = 1 where the limit is 0 and ε = 0 elsewhere, elementwise."""
    limit = np.asarray(limit, dtype=np.float64)
    epsilon = (limit == 0).astype(np.float64)
    return np.asarray((np.asarray(costs) + epsilon) / (limit + epsilon))


def iqm(values: ArrayLike) -> Floats:
    """Interquartile mean over the last axis; of n values the ⌊n/4⌋ at either end are left out."""
    values = np.sort(np.asarray(values, dtype=np.float64), axis=-1)
    cut = values.shape[-1] // 4
    return np.asarray(values[..., cut : values.shape[-1] - cut].mean(axis=-1))


def run_scores(episodes: pd.DataFrame) -> pd.DataFrame:
    """One row a run (method, task, limit, seed): its means over episodes, and their number."""
    reward = normalised_reward(
        episodes["episode_return"], episodes["min_return"], episodes["max_return"]
    )
    cost = normalised_cost(episodes["episode_cost"], episodes["limit"])
    return (
        episodes.assign(reward=reward, cost=cost)
        .groupby(RUN, as_index=False)
        .agg(
            reward=("reward", "mean"),
            cost=("cost", "mean"),
            mean_return=("episode_return", "mean"),
            mean_cost=("episode_cost", "mean"),
            episodes=("episode", "size"),
        )
    )


def cells(episodes: pd.DataFrame, missing: pd.DataFrame) -> list[Cell]:
    """Every method x every (task, limit) of either frame, sorted so; both frames validated.

    A cell of which nothing is known at all has the status "missing".
    """
    both = pd.concat([frame[[*CELL, "fraction"]] for frame in (episodes, missing)])
    fractions: dict[str, dict[float, float]] = {task: {} for task in ordered_tasks(both["task"])}
    for (task, limit), rows in _groups(both, ["task", "limit"]).items():  # sorted by limit
        fractions[task][limit] = float(rows["fraction"].max())  # the one that is not NaN
    found, lost = _groups(run_scores(episodes), CELL), _groups(missing, CELL)
    return [
        _cell(key, fraction, found.get(key), lost.get(key, missing.iloc[:0]))
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


def averages(table: Sequence[Cell]) -> list[Average]:
    """Means over tasks of each method at each setting, settings ascending; NaN without cells.

    Limits are alike where they are the same fraction of the maximum cost, or, where no fraction
    is known, the same number.
    """

    def setting(cell: Cell) -> tuple[str, tuple[bool, float]]:
        absolute = bool(np.isnan(cell.fraction))
        return cell.algorithm, (absolute, cell.limit if absolute else cell.fraction)

    means = []
    for (algorithm, key), group in groupby(sorted(table, key=setting), key=setting):
        alike = list(group)
        here = [cell for cell in alike if cell.seeds]
        means.append(
            Average(
                algorithm,
                key,
                reward=_mean([cell.reward for cell in here]),
                cost=_mean([cell.cost for cell in here]),
                safe=sum(bool(cell.safe) for cell in here),
                cells=len(here),
                of=len(alike),
                lost=sum(cell.lost for cell in here),
            )
        )
    return means


def standings(episodes: pd.DataFrame, table: Sequence[Cell]) -> list[Standing]:
    """A row a method, by falling safe rate, then reward; methods without a cell come last.

    `table` holds the `cells` of `episodes`.
    """
    runs = run_scores(episodes)
    rows = [
        _standing(algorithm, list(own), runs[runs["algorithm"] == algorithm])
        for algorithm, own in groupby(table, key=lambda cell: cell.algorithm)
    ]

    def place(row: Standing) -> tuple[bool, float, float, str]:
        if not row.cells:
            return True, 0.0, 0.0, row.algorithm
        return False, -row.safe_rate, -row.reward, row.algorithm

    return sorted(rows, key=place)


def _standing(algorithm: str, every: Sequence[Cell], runs: pd.DataFrame) -> Standing:
    """The row of a method with the cells `every` and the `run_scores` `runs`."""
    here = [cell for cell in every if cell.seeds]
    seeds = [cell.seeds for cell in here] or [0]
    safe = runs["cost"] <= SAFE
    return Standing(
        algorithm,
        safe=sum(bool(cell.safe) for cell in here),
        cells=len(here),
        of=len(every),
        runs=len(runs),
        lost=sum(cell.lost for cell in here),
        seeds=(min(seeds), max(seeds)),
        safe_runs=int(safe.sum()),
        reward=_mean([cell.reward for cell in here]),
        iqm=float(iqm(runs["reward"])) if here else NAN,
        cost=_mean([cell.cost for cell in here]),
        safe_rate=_mean(safe.tolist()),
        violation=_mean(violation(runs["cost"].to_numpy()).tolist()),
        safe_reward=_mean(runs["reward"][safe].tolist()),
        # one cell with one seed would pass for a cell without variance
        intervals=bootstrap(strata_of(runs)) if min(seeds) > 1 else NO_INTERVALS,
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else NAN
