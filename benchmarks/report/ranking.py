"""Comparisons of methods: safe beats unsafe; among safe more reward; among unsafe less cost.

The rank is the only figure of a method that depends on all other methods. The probability of
improvement, and the rewards where two methods are both safe, depend on these two only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import pandas as pd

from benchmarks.report.resampling import (
    NAN,
    NO_INTERVAL,
    RESAMPLES,
    SAFE,
    Floats,
    Interval,
    Stratum,
    draw,
    interval,
    strata_of,
)
from benchmarks.report.statistics import Cell


@dataclass(frozen=True)
class Improvement:
    """Probability that a run of `method` is better than one of `other` on the same task and limit.

    The mean over the cells that both have, NaN without such a cell. The interval is NaN if a method
    has fewer than two seeds in one of them.
    """

    method: str
    other: str
    probability: float = NAN
    interval: Interval = NO_INTERVAL
    cells: int = 0
    """Cells that both have, among the `of` expected ones."""
    of: int = 0


@dataclass(frozen=True)
class AverageRank:
    """A method's average rank: 1 is best, ties share a rank, a cell without a run ranks last."""

    method: str
    rank: float
    cells: int
    """Cells with a run, among the `of` expected ones."""
    of: int


@dataclass(frozen=True)
class BothSafe:
    """Mean rewards of `method` and `other` over the cells where both are safe (means over seeds).

    NaN without such a cell. Paired with itself, a method has all its safe cells.
    """

    method: str
    other: str
    reward: float
    """Mean reward of `method` over the `safe` cells."""
    other_reward: float
    safe: int
    cells: int
    """Cells in which both have a run, among the `of` expected ones."""
    of: int


def wins(ours: Floats, theirs: Floats) -> Floats:
    """1 if the row's run is better than the column's, 0.5 for a tie, else 0: [n, m].

    Runs are pairs of normalised reward and cost: `ours` [n, 2], `theirs` [m, 2].
    """
    reward, cost = ours[:, None, 0], ours[:, None, 1]
    other_reward, other_cost = theirs[None, :, 0], theirs[None, :, 1]
    safe, other_safe = cost <= SAFE, other_cost <= SAFE
    # For two runs that are both safe or both unsafe.
    gain = np.where(safe, reward - other_reward, other_cost - cost)
    same = 0.5 * (1.0 + np.sign(gain))
    return np.where(safe == other_safe, same, safe.astype(np.float64) + 0.0 * gain)


def improvements(runs: pd.DataFrame, cells: int, resamples: int = RESAMPLES) -> list[Improvement]:
    """The improvement of every ordered pair of methods in `runs` (`statistics.run_scores`).

    Each method should have `cells` cells. The figures of (b, a) mirror those of (a, b).
    """
    strata = {str(name): strata_of(rows) for name, rows in runs.groupby("algorithm")}
    pairs = []
    for method, other in combinations(sorted(strata), 2):
        pair = _improvement(method, other, strata[method], strata[other], cells, resamples)
        low, high = pair.interval
        mirrored = Interval(round(1.0 - high, 9), round(1.0 - low, 9))
        probability = round(1.0 - pair.probability, 9)
        reverse = Improvement(other, method, probability, mirrored, pair.cells, pair.of)
        pairs += [pair, reverse]
    return sorted(pairs, key=lambda pair: (pair.method, pair.other))


def _improvement(
    method: str,
    other: str,
    ours: Sequence[Stratum],
    theirs: Sequence[Stratum],
    of: int,
    resamples: int,
) -> Improvement:
    pairs = []
    for i, a in enumerate(ours):
        for j, b in enumerate(theirs):
            shared = sorted(set(a.limits) & set(b.limits)) if a.task == b.task else []
            if shared:
                each = [
                    wins(a.scores[:, a.limits.index(x)], b.scores[:, b.limits.index(x)])
                    for x in shared
                ]
                pairs.append((i, j, np.sum(each, axis=0) / each[0].size, len(shared)))
    cells = sum(count for *_, count in pairs)
    if not cells:
        return Improvement(method, other, of=of)
    # Rounded, so that the result does not depend on the order of the two names.
    probability = round(float(sum(won.sum() for _, _, won, _ in pairs) / cells), 9)
    if min(min(won.shape) for _, _, won, _ in pairs) < 2:
        return Improvement(method, other, probability, NO_INTERVAL, cells, of)
    # The two methods need independent random streams. If the names decided which method gets which
    # stream, renaming a method would change the interval: so each half of the resamples swaps them.
    half = (resamples + 1) // 2
    values = []
    for first, second in ((1, 2), (2, 1)):
        our_counts, their_counts = draw(ours, half, first), draw(theirs, half, second)
        total = np.zeros(half)
        for i, j, won, _ in pairs:
            total += ((won.T @ our_counts[i]) * their_counts[j]).sum(axis=0)
        values.append(total / cells)
    low, high = interval(np.concatenate(values))
    bounds = Interval(round(low, 9), round(high, 9))
    return Improvement(method, other, probability, bounds, cells, of)


def average_ranks(table: Sequence[Cell]) -> list[AverageRank]:
    """The average rank of each method over all cells of `table`, best first.

    Within a cell the means over seeds are compared. Methods without a run share the last ranks, so
    that a failure cannot improve a rank.
    """
    methods = sorted({cell.algorithm for cell in table})
    ranks: dict[str, list[float]] = {name: [] for name in methods}
    present = dict.fromkeys(methods, 0)
    settings = _by_setting(table)
    for cells in settings:
        keys = {name: _key(cells.get(name)) for name in methods}
        for name, key in keys.items():
            better = sum(other > key for other in keys.values())
            equal = sum(other == key for other in keys.values()) - 1
            ranks[name].append(1 + better + equal / 2)
            present[name] += key[0] >= 0
    averages = [
        AverageRank(name, float(np.mean(ranks[name])), present[name], len(settings))
        for name in methods
    ]
    return sorted(averages, key=lambda average: (average.rank, average.method))


def both_safe(table: Sequence[Cell]) -> list[BothSafe]:
    """Every ordered pair of the methods of `table`, including each method with itself.

    A mean reward over all cells rewards methods that violate limits, and one over each method's own
    safe cells compares different cells. The shared safe cells avoid both.
    """
    methods = sorted({cell.algorithm for cell in table})
    settings = _by_setting(table)
    pairs = []
    for method, other in product(methods, repeat=2):
        both = [(c[method], c[other]) for c in settings if method in c and other in c]
        shared = [(a, b) for a, b in both if a.safe is not None and b.safe is not None]
        safe = [(a.reward, b.reward) for a, b in shared if a.safe and b.safe]
        reward, other_reward = (
            (float(np.mean(rewards)) for rewards in zip(*safe, strict=True)) if safe else (NAN, NAN)
        )
        pairs.append(
            BothSafe(method, other, reward, other_reward, len(safe), len(shared), len(settings))
        )
    return pairs


def _by_setting(table: Sequence[Cell]) -> list[dict[str, Cell]]:
    """The cells by method, for every task and limit of `table`."""
    settings: dict[tuple[str, float], dict[str, Cell]] = {}
    for cell in table:
        settings.setdefault((cell.task, cell.limit), {})[cell.algorithm] = cell
    return list(settings.values())


def _key(cell: Cell | None) -> tuple[int, float]:
    """Sort key of a cell: greater is better; a cell without a run is the smallest."""
    if cell is None or cell.safe is None:
        return -1, 0.0
    return (1, cell.reward) if cell.safe else (0, -cell.cost)
