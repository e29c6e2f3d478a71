"""Reshaping of the dataset: the transitions of the best trajectories at each level of cost.

D_q takes a fraction of the trajectories in each bin of cost (paper); `CostRange` takes those above
a return set by hand (the authors' release).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.errors import UserError
from benchmarks.datasets.trajectories import Trajectories


def best_episodes(
    returns: NDArray[np.float64], costs: NDArray[np.float64], quantile: float, bins: int
) -> NDArray[np.intp]:
    """Indices of the episodes whose return is in the top `quantile` (0 to 1) of their cost bin.

    Bins hold equally many episodes. Equal costs are never split, so there may be fewer than `bins`.
    Every bin contributes at least one episode.
    """
    edges = np.unique(np.quantile(costs, np.linspace(0.0, 1.0, bins + 1)[1:-1]))
    bin_of = np.searchsorted(edges, costs, side="left")
    chosen = np.zeros(len(returns), dtype=bool)
    for index in np.unique(bin_of):
        members = bin_of == index
        chosen |= members & (returns >= np.quantile(returns[members], 1.0 - quantile))
    return np.flatnonzero(chosen)


def best_rows(data: Trajectories, quantile: float, bins: int) -> NDArray[np.intp]:
    """Indices of the transitions of `best_episodes`."""
    episodes = best_episodes(data.returns, data.episode_costs, quantile, bins)
    chosen = np.zeros(len(data), dtype=bool)
    chosen[episodes] = True
    return np.flatnonzero(np.repeat(chosen, data.lengths))


class CostRange(NamedTuple):
    """Trajectories with a return of at least `floor` and a cost from `low` to `high`, inclusive."""

    floor: float
    low: float
    high: float

    def rows(self, data: Trajectories) -> NDArray[np.intp]:
        """Indices of the transitions of these trajectories."""
        costs = data.episode_costs
        chosen = (data.returns >= self.floor) & (self.low <= costs) & (costs <= self.high)
        return np.flatnonzero(np.repeat(chosen, data.lengths))


def parse_ranges(text: str) -> list[CostRange]:
    """Parse ranges such as "400:49-72", floor:low-high; raises `UserError` for other text."""
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
    """Three equal ranges of cost up to `largest`; the floor is a `quantile` of the range's returns.

    A range without trajectories gets an infinite floor.
    """
    ranges, low = [], 0.0
    for high in np.linspace(0.0, largest, 4)[1:].tolist():
        members = returns[(low <= costs) & (costs <= high)]
        floor = float(np.quantile(members, quantile)) if len(members) else np.inf
        ranges.append(CostRange(floor, low, high))
        low = float(np.nextafter(high, np.inf))
    return ranges
