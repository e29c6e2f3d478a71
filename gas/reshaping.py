"""Reshaping of the data: D_q, the transitions of the best trajectories at each level of cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
