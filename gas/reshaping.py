"""Reshaping of the data: the transitions of the best trajectories at each level of cost.

D_q takes a share of the trajectories at each level (paper), `CostRange` those above a return that
is set by hand (the authors' release).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.errors import UserError
from benchmarks.datasets.trajectories import Trajectories


def best_episodes(
    returns: NDArray[np.float64], costs: NDArray[np.float64], quantile: float, levels: int
) -> NDArray[np.intp]:
    """Episodes whose return is in the top `quantile` (0 to 1) among those of like cost.

    Levels of cost are parts of equal count; equal costs are never split, so there may be fewer
    than `levels`. Every level gives at least one episode.
    """
    edges = np.unique(np.quantile(costs, np.linspace(0.0, 1.0, levels + 1)[1:-1]))
    level = np.searchsorted(edges, costs, side="left")
    chosen = np.zeros(len(returns), dtype=bool)
    for one in np.unique(level):
        members = level == one
        chosen |= members & (returns >= np.quantile(returns[members], 1.0 - quantile))
    return np.flatnonzero(chosen)


def best_rows(data: Trajectories, quantile: float, levels: int) -> NDArray[np.intp]:
    """Rows of the transitions that belong to `best_episodes` of `data`."""
    episodes = best_episodes(data.returns, data.episode_costs, quantile, levels)
    chosen = np.zeros(len(data), dtype=bool)
    chosen[episodes] = True
    return np.flatnonzero(np.repeat(chosen, data.lengths))


class CostRange(NamedTuple):
    """Trajectories that return at least `floor` at a cost from `low` to `high`, both included."""

    floor: float
    low: float
    high: float

    def rows(self, data: Trajectories) -> NDArray[np.intp]:
        """Rows of the transitions of `data` that belong to such trajectories."""
        costs = data.episode_costs
        chosen = (data.returns >= self.floor) & (self.low <= costs) & (costs <= self.high)
        return np.flatnonzero(np.repeat(chosen, data.lengths))


def parse_ranges(text: str) -> list[CostRange]:
    """Ranges from words like "400:49-72", floor:low-high; `UserError` for other words."""
    ranges = []
    try:
        for word in text.split():
            floor, _, costs = word.partition(":")
            low, _, high = costs.partition("-")
            ranges.append(CostRange(float(floor), float(low), float(high)))
    except ValueError:
        ranges = []
    if not ranges or not np.isfinite(ranges).all():
        raise UserError(f'subsets {text!r} are not of the form "RETURN:LOW-HIGH RETURN:LOW-HIGH"')
    return ranges


def cost_thirds(
    returns: NDArray[np.float64], costs: NDArray[np.float64], largest: float, quantile: float
) -> list[CostRange]:
    """Three equal ranges of cost up to `largest`; each floor is that quantile of its returns.

    A range that holds no trajectory gets an infinite floor.
    """
    ranges, low = [], 0.0
    for high in np.linspace(0.0, largest, 4)[1:].tolist():
        members = returns[(low <= costs) & (costs <= high)]
        floor = float(np.quantile(members, quantile)) if len(members) else np.inf
        ranges.append(CostRange(floor, low, high))
        low = float(np.nextafter(high, np.inf))
    return ranges
