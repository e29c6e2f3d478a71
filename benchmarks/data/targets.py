"""Reward targets taken from the data: what GAS and CDT are asked for at a cost limit."""

from __future__ import annotations

import torch
from torch import Tensor

QUANTILE = 0.95


def reward_targets(returns: Tensor, costs: Tensor, limits: Tensor) -> Tensor:
    """For each limit [B], the 95 % quantile of the returns [E] of trajectories within it.

    Where no trajectory keeps the limit, the return of the least costly one. The quantile rather
    than the maximum, so that one lucky episode does not set the target.
    """
    targets = torch.empty_like(limits)
    for i, limit in enumerate(limits):
        within = returns[costs <= limit]
        targets[i] = within.quantile(QUANTILE) if len(within) else returns[costs.argmin()]
    return targets
