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

from benchmarks.leaderboard.frame import CELL, RUN, ordered_tasks

Floats = NDArray[np.float64]
Key = tuple[str, str, float]
"""Method, task, limit."""
Status = Literal["finished", "partial", "failed", "missing"]

NAN = float("nan")
RESAMPLES = 5000
SAFE = 1 + 1e-9
"""Largest safe normalised cost: the mean of costs that equal the limit may round to just over 1."""


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


class Interval(NamedTuple):
    """A 95% interval; NaN where there are too few seeds for one."""

    low: float = NAN
    high: float = NAN


NO_INTERVAL = Interval()


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
    reward: float = NAN
    reward_interval: Interval = NO_INTERVAL
    iqm: float = NAN
    """Interquartile mean of the reward over cells x seeds."""
    iqm_interval: Interval = NO_INTERVAL
    cost: float = NAN
    cost_interval: Interval = NO_INTERVAL


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
        return False, -row.safe / row.cells, -row.reward, row.algorithm

    return sorted(rows, key=place)


def _standing(algorithm: str, every: Sequence[Cell], runs: pd.DataFrame) -> Standing:
    """The row of a method with the cells `every` and the `run_scores` `runs`."""
    here = [cell for cell in every if cell.seeds]
    seeds = [cell.seeds for cell in here] or [0]
    # one cell with one seed would pass for a cell without variance
    intervals = bootstrap(_strata(runs)) if min(seeds) > 1 else (NO_INTERVAL,) * 3
    return Standing(
        algorithm,
        safe=sum(bool(cell.safe) for cell in here),
        cells=len(here),
        of=len(every),
        runs=sum(seeds),
        lost=sum(cell.lost for cell in here),
        seeds=(min(seeds), max(seeds)),
        reward=_mean([cell.reward for cell in here]),
        reward_interval=intervals[0],
        iqm=float(iqm(runs["reward"])) if here else NAN,
        iqm_interval=intervals[1],
        cost=_mean([cell.cost for cell in here]),
        cost_interval=intervals[2],
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else NAN


def _strata(runs: pd.DataFrame) -> list[Floats]:
    """One method's runs as arrays [seeds, limits, 2] of reward and cost, one a task.

    Where the seeds differ between a task's limits, the limits with the same seeds form an array.
    """
    strata: list[Floats] = []
    for _, task in runs.groupby("task"):
        alike: dict[tuple[int, ...], list[Floats]] = {}
        for _, cell in task.groupby("limit"):
            scores = cell[["reward", "cost"]].to_numpy(dtype=np.float64)
            alike.setdefault(tuple(cell["seed"]), []).append(scores)
        strata += [np.stack(columns, axis=1) for columns in alike.values()]
    return strata


def bootstrap(
    strata: Sequence[Floats], resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Interval, Interval, Interval]:
    """95% percentile intervals of the mean reward, its IQM, and the mean cost.

    `strata` are arrays [seeds, limits, 2] of reward and cost. Seeds are drawn with replacement
    within each, all limits of a seed together: they may be one trained policy, hence dependent.
    """
    generator = np.random.default_rng(seed)
    means, rewards = [], []
    for scores in strata:
        n = len(scores)
        drawn = scores[generator.integers(n, size=(resamples, n))]  # [resamples, n, limits, 2]
        means.append(drawn.mean(axis=1))
        rewards.append(drawn[..., 0].reshape(resamples, -1))
    mean = np.concatenate(means, axis=1).mean(axis=1)
    middle = iqm(np.concatenate(rewards, axis=1))
    reward, inner, cost = (
        Interval(*(float(bound) for bound in np.quantile(values, [0.025, 0.975])))
        for values in (mean[:, 0], middle, mean[:, 1])
    )
    return reward, inner, cost
