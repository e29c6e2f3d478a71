"""The stratified bootstrap: seeds are drawn with replacement within each task.

A resample is told by how often each seed is drawn. Means are then products with these counts, and
the interquartile mean needs one sorting of the values for all resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.float32]
"""Drawn how often, [seeds, resamples]; whole numbers, which float32 holds exactly."""

NAN = float("nan")
RESAMPLES = 50_000
SAFE = 1 + 1e-9
"""Largest safe normalised cost: the mean of costs that equal the limit may round to just over 1."""


class Interval(NamedTuple):
    """A 95% interval; NaN where there are too few seeds for one."""

    low: float = NAN
    high: float = NAN


NO_INTERVAL = Interval()


@dataclass(frozen=True)
class Stratum:
    """Runs of one method on one task that are drawn together: a seed at all limits at once.

    One trained policy may stand behind a seed at every limit, hence they depend on each other.
    """

    task: str
    limits: tuple[float, ...]
    scores: Floats
    """Normalised reward and cost, [seeds, limits, 2]."""


class Intervals(NamedTuple):
    """The intervals of one method's figures, as `statistics.Standing` has them."""

    reward: Interval = NO_INTERVAL
    iqm: Interval = NO_INTERVAL
    cost: Interval = NO_INTERVAL
    safe_rate: Interval = NO_INTERVAL
    violation: Interval = NO_INTERVAL
    safe_reward: Interval = NO_INTERVAL


NO_INTERVALS = Intervals()


def strata_of(runs: pd.DataFrame) -> list[Stratum]:
    """One method's `run_scores` as strata, one a task.

    Where the seeds differ between a task's limits, the limits with the same seeds form a stratum.
    """
    strata: list[Stratum] = []
    for task, own in runs.groupby("task"):
        alike: dict[tuple[int, ...], dict[float, Floats]] = {}
        for limit, cell in own.groupby("limit"):
            scores = cell[["reward", "cost"]].to_numpy(dtype=np.float64)
            alike.setdefault(tuple(cell["seed"]), {})[float(limit)] = scores  # type: ignore[arg-type]
        strata += [
            Stratum(str(task), tuple(cells), np.stack(list(cells.values()), axis=1))
            for cells in alike.values()
        ]
    return strata


def draw(strata: Sequence[Stratum], resamples: int, seed: int = 0) -> list[Counts]:
    """How often each seed of each stratum is drawn in each resample; the same for the same `seed`.

    Nothing but the strata's numbers of seeds, and their order, has a say.
    """
    return list(_draw(tuple(len(stratum.scores) for stratum in strata), resamples, seed))


@lru_cache(maxsize=8)  # methods run alike share their draws: several times faster, some MB each
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
    """The 95% percentile interval of a statistic's resamples; NaN among them are left out."""
    known = values[~np.isnan(values)]
    if not len(known):
        return NO_INTERVAL
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(float(low), float(high))


def bootstrap(strata: Sequence[Stratum], resamples: int = RESAMPLES, seed: int = 0) -> Intervals:
    """95% intervals of one method's figures; each is defined at `statistics.Standing`."""
    drawn = draw(strata, resamples, seed)
    rewards = [stratum.scores[..., 0] for stratum in strata]
    costs = [stratum.scores[..., 1] for stratum in strata]
    safe = [cost <= SAFE for cost in costs]
    number_safe = _total([one.astype(float) for one in safe], drawn)
    gained = _total([r * s for r, s in zip(rewards, safe, strict=True)], drawn)
    runs = sum(reward.size for reward in rewards)
    with np.errstate(invalid="ignore"):
        safe_reward = gained / np.where(number_safe > 0, number_safe, np.nan)
    return Intervals(
        interval(_mean_of_cells(rewards, drawn)),
        interval(_middle(rewards, drawn)),
        interval(_mean_of_cells(costs, drawn)),
        interval(number_safe / runs),
        interval(_total([violation(cost) for cost in costs], drawn) / runs),
        interval(safe_reward),
    )


def violation(cost: Floats) -> Floats:
    """How far a normalised cost lies above 1; 0 where it is safe."""
    return np.where(cost <= SAFE, 0.0, cost - 1.0)


def mean_of_cells(strata: Sequence[Stratum], resamples: int, seed: int) -> Floats:
    """Resamples of the mean over cells of reward and of cost and of the safe rate, [3, resamples].

    For differences between two results, whose draws must not be the same: give other seeds.
    """
    drawn = draw(strata, resamples, seed)
    rewards = [stratum.scores[..., 0] for stratum in strata]
    costs = [stratum.scores[..., 1] for stratum in strata]
    runs = sum(cost.size for cost in costs)
    rate = _total([(cost <= SAFE).astype(float) for cost in costs], drawn) / runs
    return np.stack([_mean_of_cells(rewards, drawn), _mean_of_cells(costs, drawn), rate])


def share_bands(
    strata: Sequence[Stratum], column: int, thresholds: Floats, resamples: int
) -> tuple[Floats, Floats]:
    """Pointwise 95% bands of the share of runs at most each threshold, [thresholds] each.

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


def _total(values: Sequence[Floats], drawn: Sequence[Counts]) -> Floats:
    """The sum over all runs, [resamples]; `values` are [seeds, limits] a stratum."""
    parts = [one.sum(axis=1) @ counts for one, counts in zip(values, drawn, strict=True)]
    return np.asarray(np.sum(parts, axis=0, dtype=np.float64))


def _mean_of_cells(values: Sequence[Floats], drawn: Sequence[Counts]) -> Floats:
    """The mean over cells of the means over seeds, [resamples]."""
    cells = sum(one.shape[1] for one in values)
    return _total([one / len(one) for one in values], drawn) / cells


def _middle(values: Sequence[Floats], drawn: Sequence[Counts]) -> Floats:
    """The interquartile mean over all runs, [resamples].

    Going up through the sorted values, `passed` counts the draws so far; clipped to the middle
    half it tells how many of those that count have been passed, and what is gained from one value
    to the next is multiplied by the rest.
    """
    flat = np.concatenate([one.ravel() for one in values])
    # of each value, the row that says how often it is drawn
    sizes = [one.shape for one in values]
    starts = np.cumsum([0, *(seeds for seeds, _ in sizes)])
    rows = np.concatenate(
        [np.repeat(start + np.arange(n), m) for start, (n, m) in zip(starts, sizes, strict=False)]
    )
    order = np.argsort(flat, kind="stable")
    flat, rows = flat[order], rows[order]
    counts = np.concatenate(drawn)
    cut = len(flat) // 4
    kept = len(flat) - 2 * cut
    passed = np.zeros(counts.shape[1], dtype=np.float32)
    inside = np.empty(len(passed))  # float64: products with the gaps are not whole
    total = np.full(len(passed), flat[-1] * kept)
    for row, gap in zip(rows[:-1], np.diff(flat), strict=True):
        passed += counts[row]
        if gap > 0:
            np.clip(passed, cut, cut + kept, out=inside)
            inside -= cut
            inside *= gap
            total -= inside
    return total / kept
