"""The pace of an episode: the return that the best trajectories of the data still collect."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmarks.datasets.trajectories import Trajectories

POINTS = 65
"""Times at which a pace is known, equally spaced from the start to the horizon."""
_BEST = 0.9
"""The pace of a limit is that of the trajectories above this quantile of the returns within it."""


def returns_left(data: Trajectories, horizon: int) -> Tensor:
    """Return-to-go of each trajectory at `POINTS` times [E, POINTS]; 0 after its end."""
    times = np.linspace(0.0, horizon, POINTS)
    to_go = np.split(data.to_go(data.rewards), np.cumsum(data.lengths)[:-1])
    rows = [np.interp(times, np.arange(len(one) + 1), np.append(one, 0.0)) for one in to_go]
    return torch.as_tensor(np.stack(rows), dtype=torch.float32)


def paces(left: Tensor, costs: Tensor, budgets: Tensor, targets: Tensor) -> Tensor:
    """The return left over time at each limit [B, POINTS], from the target return down to 0.

    `left` [E, POINTS] and `costs` [E] are those of the trajectories, `budgets` and `targets` [B]
    the target costs and returns at the start. A pace is the mean over the best tenth of the
    trajectories within the target cost, the cheapest one if there is none. It is shifted, by less
    the less time is left, so that it starts at the target return.
    """
    returns, remaining = left[:, 0], torch.linspace(1.0, 0.0, POINTS)
    rows = []
    for budget, target in zip(budgets, targets, strict=True):
        within = costs <= budget
        if within.any():
            chosen = within & (returns >= returns[within].quantile(_BEST))
        else:
            chosen = costs == costs.min()
        mean = left[chosen].mean(0)
        rows.append(mean + (target - mean[0]) * remaining)
    return torch.stack(rows)


def at_time(paces: Tensor, elapsed: Tensor) -> Tensor:
    """Each pace [n, POINTS] after a fraction `elapsed` [n] of the horizon, interpolated [n]."""
    place = elapsed.clamp(0.0, 1.0) * (POINTS - 1)
    before = place.floor().clamp(max=POINTS - 2)
    index = before.long()[:, None]
    left, right = paces.gather(1, index)[:, 0], paces.gather(1, index + 1)[:, 0]
    return torch.lerp(left, right, place - before)
