"""The stratified bootstrap: seeds are drawn with replacement within each task.

A resample is stored as the number of times that each seed is drawn. Means are then products with
these counts, and the interquartile mean sorts the values once for all resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.float32]
"""How often each seed is drawn, [seeds, resamples]; float32 is exact for these whole numbers."""

NAN = float("nan")
RESAMPLES = 50_000
SAFE = 1 + 1e-9
"""Largest safe normalised cost; above 1, as the mean of costs equal to the limit may round up."""


class Interval(NamedTuple):
    """A 95% interval; NaN if there are too few seeds."""

    low: float = NAN
    high: float = NAN


NO_INTERVAL = Interval()


@dataclass(frozen=True)
class Stratum:
    """Runs of one method on one task; a seed is drawn at all limits at once.

    The runs of a seed at several limits are not independent, as one policy may serve them all.
    """

    task: str
    limits: tuple[float, ...]
    scores: Floats
    """Normalised reward and cost, [seeds, limits, 2]."""


def strata_of(runs: pd.DataFrame) -> list[Stratum]:
    """One method's `run_scores` as strata, one for each task.

    If the seeds differ between a task's limits, limits with the same seeds form a stratum.
    """
    cells: dict[str, dict[float, list[tuple[int, float, float]]]] = {}
    columns = (runs[name].tolist() for name in ("task", "limit", "seed", "reward", "cost"))
    # Plain lists, as a page has thousands of small groups.
    for task, limit, *run in zip(*columns, strict=True):
        cells.setdefault(task, {}).setdefault(limit, []).append(tuple(run))
    strata: list[Stratum] = []
    for task, of_task in sorted(cells.items()):
        by_seeds: dict[tuple[int, ...], dict[float, Floats]] = {}
        for limit, rows in sorted(of_task.items()):
            scores = np.array([row[1:] for row in rows], dtype=np.float64)
            by_seeds.setdefault(tuple(row[0] for row in rows), {})[limit] = scores
        strata += [
            Stratum(task, tuple(own), np.stack(list(own.values()), axis=1))
            for own in by_seeds.values()
        ]
    return strata


def draw(strata: Sequence[Stratum], resamples: int, seed: int = 0) -> list[Counts]:
    """How often each seed of each stratum is drawn in each resample.

    The result depends on `seed` and on the strata's numbers of seeds, in order, only.
    """
    return list(_draw(tuple(len(stratum.scores) for stratum in strata), resamples, seed))


@lru_cache(maxsize=8)  # methods with the same numbers of seeds share draws, some MB each
def _draw(seeds: tuple[int, ...], resamples: int, seed: int) -> tuple[Counts, ...]:
    generator = np.random.default_rng(seed)
    drawn = []
    for n in seeds:
        picks = generator.integers(n, size=(n, resamples), dtype=np.uint16)
        counts = np.stack([(picks == k).sum(axis=0, dtype=np.float32) for k in range(n)])
        counts.flags.writeable = False
        drawn.append(counts)
    return tuple(drawn)


def interval(values: Floats) -> Interval:
    """The 95% percentile interval of a statistic's resamples, without NaN."""
    valid = values[~np.isnan(values)]
    if not len(valid):
        return NO_INTERVAL
    low, high = np.quantile(valid, [0.025, 0.975])
    return Interval(float(low), float(high))


class Resamples:
    """The seeds of one method's runs, drawn with replacement (`draw`)."""

    def __init__(self, strata: Sequence[Stratum], number: int, seed: int) -> None:
        self.counts = draw(strata, number, seed)
        self.rewards = [stratum.scores[..., 0] for stratum in strata]
        self.costs = [stratum.scores[..., 1] for stratum in strata]
        self.runs = sum(reward.size for reward in self.rewards)

    def total(self, values: Sequence[Floats]) -> Floats:
        """Sum of `values` over the runs of each resample."""
        return sum_over_runs(values, self.counts)

    def mean_reward(self) -> Floats:
        """Mean reward over the cells of each resample."""
        return mean_over_cells(self.rewards, self.counts)

    def mean_cost(self) -> Floats:
        """Mean cost over the cells of each resample."""
        return mean_over_cells(self.costs, self.counts)

    @cached_property
    def cells(self) -> tuple[Floats, NDArray[np.bool_]]:
        """Mean reward of each cell, and whether it is safe: [cells, resamples]."""
        rewards, costs = (cell_means(values, self.counts) for values in (self.rewards, self.costs))
        return rewards, costs <= SAFE

    def safe_cells(self) -> Floats:
        """Share of the safe cells of each resample."""
        return np.asarray(self.cells[1].mean(axis=0))

    def safe_cell_reward(self) -> Floats:
        """Mean reward of the safe cells of each resample; NaN where none is."""
        rewards, safe = self.cells
        number = safe.sum(axis=0).astype(float)
        number[number == 0] = np.nan
        return np.asarray((rewards * safe).sum(axis=0) / number)


def share_bands(
    strata: Sequence[Stratum], column: int, thresholds: Floats, resamples: int
) -> tuple[Floats, Floats]:
    """Pointwise 95% bands of the share of runs with a score up to each threshold, [thresholds].

    `column` is 0 for the reward and 1 for the cost.
    """
    total = np.zeros((len(thresholds), resamples))
    runs = 0
    for stratum, counts in zip(strata, draw(strata, resamples), strict=True):
        values = stratum.scores[..., column]
        runs += values.size
        within = (values[:, :, None] <= thresholds).sum(axis=1)  # [seeds, thresholds]
        total += within.T.astype(np.float32) @ counts
    low, high = np.quantile(total / runs, [0.025, 0.975], axis=1)
    return low, high


def sum_over_runs(values: Sequence[Floats], drawn: Sequence[Counts]) -> Floats:
    """The sum over all runs, [resamples]; `values` are [seeds, limits] for each stratum."""
    parts = [v.sum(axis=1) @ counts for v, counts in zip(values, drawn, strict=True)]
    return np.asarray(np.sum(parts, axis=0, dtype=np.float64))


def cell_means(values: Sequence[Floats], drawn: Sequence[Counts]) -> Floats:
    """The mean over seeds of each cell, [cells, resamples]."""
    means = [(v.T @ counts) / len(v) for v, counts in zip(values, drawn, strict=True)]
    return np.concatenate(means)


def mean_over_cells(values: Sequence[Floats], drawn: Sequence[Counts]) -> Floats:
    """The mean over cells of the means over seeds, [resamples]."""
    cells = sum(v.shape[1] for v in values)
    return sum_over_runs([v / len(v) for v in values], drawn) / cells


def interquartile_means(values: Sequence[Floats], drawn: Sequence[Counts]) -> Floats:
    """The interquartile mean over all runs, [resamples].

    Starts from the largest value for every draw in the middle half. Then walks up through the
    sorted values: `passed` counts the draws up to a value, and the gap to the next value is
    subtracted for each draw of the middle half among them.
    """
    flat = np.concatenate([v.ravel() for v in values])
    # `rows` is the row of `counts` for each value.
    sizes = [v.shape for v in values]
    starts = np.cumsum([0, *(seeds for seeds, _ in sizes)])
    rows = np.concatenate(
        [np.repeat(start + np.arange(n), m) for start, (n, m) in zip(starts, sizes, strict=False)]
    )
    order = np.argsort(flat, kind="stable")
    flat, rows = flat[order], rows[order]
    counts = np.concatenate(drawn)
    cut = len(flat) // 4
    middle = len(flat) - 2 * cut
    passed = np.zeros(counts.shape[1], dtype=np.float32)
    inside = np.empty(len(passed))  # float64, as products with the gaps are not whole numbers
    total = np.full(len(passed), flat[-1] * middle)
    for row, gap in zip(rows[:-1], np.diff(flat), strict=True):
        passed += counts[row]
        if gap > 0:
            np.clip(passed, cut, cut + middle, out=inside)
            inside -= cut
            inside *= gap
            total -= inside
    return total / middle
