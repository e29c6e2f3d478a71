"""Methods against each other: safe beats unsafe; among safe more reward; among unsafe less cost.

A rank is the only figure of a method that depends on which others there are: it is a place among
them. The probability of improvement, and what two methods get where both are safe, depend on
these two alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import pandas as pd

from benchmarks.report.resampling import (
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
from benchmarks.report.statistics import NAN, Cell


@dataclass(frozen=True)
class Improvement:
    """How likely a run of `method` is better than a run of `other` on the same task and limit.

    The mean over the cells that both have, NaN where there are none; the interval is NaN where a
    method has fewer than two seeds in one of them.
    """

    method: str
    other: str
    probability: float = NAN
    interval: Interval = NO_INTERVAL
    cells: int = 0
    """Cells that both have, of the `of` that there should be."""
    of: int = 0


@dataclass(frozen=True)
class Place:
    """A method's average rank: 1 is best, equals share a rank, a cell without a run is last."""

    method: str
    rank: float
    cells: int
    """Cells with a run, of the `of` that there should be."""
    of: int


@dataclass(frozen=True)
class BothSafe:
    """What `method` and `other` get in the cells where both are safe, by the means over seeds.

    Rewards are NaN where there is no such cell. A method beside itself: its own safe cells.
    """

    method: str
    other: str
    reward: float
    """Mean reward of `method` over the cells that are `safe`."""
    other_reward: float
    safe: int
    cells: int
    """Cells in which both have a run, of the `of` that there should be."""
    of: int


def wins(ours: Floats, theirs: Floats) -> Floats:
    """1 where the row's run is better than the column's, 0.5 where neither is, else 0: [n, m].

    Runs are pairs of normalised reward and cost: `ours` [n, 2], `theirs` [m, 2].
    """
    reward, cost = ours[:, None, 0], ours[:, None, 1]
    other_reward, other_cost = theirs[None, :, 0], theirs[None, :, 1]
    safe, other_safe = cost <= SAFE, other_cost <= SAFE
    # of two runs in the same class: the difference that decides
    gain = np.where(safe, reward - other_reward, other_cost - cost)
    same = 0.5 * (1.0 + np.sign(gain))
    return np.where(safe == other_safe, same, safe.astype(np.float64) + 0.0 * gain)


def improvements(runs: pd.DataFrame, cells: int, resamples: int = RESAMPLES) -> list[Improvement]:
    """Every ordered pair of the methods in `runs` (`statistics.run_scores`), of `cells` each.

    The interval of a pair is that of the other way round, mirrored.
    """
    strata = {str(name): strata_of(own) for name, own in runs.groupby("algorithm")}
    found = []
    for method, other in combinations(sorted(strata), 2):
        one = _improvement(method, other, strata[method], strata[other], cells, resamples)
        low, high = one.interval
        mirrored = Interval(round(1.0 - high, 9), round(1.0 - low, 9))
        chance = round(1.0 - one.probability, 9)
        back = Improvement(other, method, chance, mirrored, one.cells, one.of)
        found += [one, back]
    return sorted(found, key=lambda one: (one.method, one.other))


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
    # rounded, so that nothing depends on which of the two comes first by name
    probability = round(float(sum(won.sum() for _, _, won, _ in pairs) / cells), 9)
    if min(min(won.shape) for _, _, won, _ in pairs) < 2:
        return Improvement(method, other, probability, NO_INTERVAL, cells, of)
    # Both are drawn by themselves. Which of two streams is whose must not follow from the names,
    # or renaming a method would change the interval: so half of the resamples have it either way.
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


def places(table: Sequence[Cell]) -> list[Place]:
    """The average rank of each method over all cells of `table`, best first.

    Within a cell the means over seeds are compared. A method without a run there shares the last
    places: a failure must not raise it.
    """
    methods = sorted({cell.algorithm for cell in table})
    ranks: dict[str, list[float]] = {name: [] for name in methods}
    filled = dict.fromkeys(methods, 0)
    here = _by_setting(table)
    for one in here:
        keys = {name: _key(one.get(name)) for name in methods}
        for name, key in keys.items():
            better = sum(other > key for other in keys.values())
            equal = sum(other == key for other in keys.values()) - 1
            ranks[name].append(1 + better + equal / 2)
            filled[name] += key[0] >= 0
    found = [Place(name, float(np.mean(ranks[name])), filled[name], len(here)) for name in methods]
    return sorted(found, key=lambda place: (place.rank, place.method))


def both_safe(table: Sequence[Cell]) -> list[BothSafe]:
    """Every ordered pair of the methods of `table`, those of a method with itself included.

    A mean reward over all cells praises what breaks limits for reward, and one over each method's
    own safe cells compares unlike cells; over the shared safe cells neither is so.
    """
    methods = sorted({cell.algorithm for cell in table})
    here = _by_setting(table)
    found = []
    for method, other in product(methods, repeat=2):
        both = [(one[method], one[other]) for one in here if method in one and other in one]
        shared = [(a, b) for a, b in both if a.safe is not None and b.safe is not None]
        safe = [(a.reward, b.reward) for a, b in shared if a.safe and b.safe]
        reward, other_reward = (
            (float(np.mean(rewards)) for rewards in zip(*safe, strict=True)) if safe else (NAN, NAN)
        )
        found.append(
            BothSafe(method, other, reward, other_reward, len(safe), len(shared), len(here))
        )
    return found


def _by_setting(table: Sequence[Cell]) -> list[dict[str, Cell]]:
    """The cells by method, for every task and limit of `table`."""
    here: dict[tuple[str, float], dict[str, Cell]] = {}
    for cell in table:
        here.setdefault((cell.task, cell.limit), {})[cell.algorithm] = cell
    return list(here.values())


def _key(cell: Cell | None) -> tuple[int, float]:
    """What is greater is better; below everything where there is no run."""
    if cell is None or cell.safe is None:
        return -1, 0.0
    return (1, cell.reward) if cell.safe else (0, -cell.cost)
