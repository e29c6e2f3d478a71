"""Cost limits within an episode: what is left of them, and what that allows in discounted cost."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor

from benchmarks.common.errors import UserError
from benchmarks.datasets.sequences import Indices
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Policy


def discounted(left: Tensor, steps: Tensor, gamma: float) -> Tensor:
    """Discounted cost of spending `left` evenly over `steps`, elementwise.

    b(kappa, n) = max(kappa, 0) (1 - gamma^n) / ((1 - gamma) n), as in CAPS and BCRL; `left` itself
    for gamma = 1. At least one step is assumed.
    """
    left, steps = left.clamp(min=0.0), steps.clamp(min=1.0)
    if gamma == 1.0:
        return left.expand_as(steps)
    return left * (1.0 - gamma**steps) / ((1.0 - gamma) * steps)


def discounted_limit(limit: float, horizon: int, gamma: float) -> float:
    """`discounted` for a whole episode, as a number."""
    return float(discounted(torch.tensor(limit), torch.tensor(float(horizon)), gamma))


def within_limit(data: Trajectories, limit: float, method: str) -> Indices:
    """Indices of the trajectories whose cost return is at most `limit`; `UserError` if none is."""
    safe = np.flatnonzero(data.episode_costs <= limit)
    if len(safe) == 0:
        raise UserError(
            f"{method} cannot be trained for the cost limit {limit:g}: the smallest cost return in "
            f"the dataset is {data.episode_costs.min():g}; choose a higher limit"
        )
    return safe


class LimitPolicy(Policy):
    """Tracks what is left of each episode's cost limit (`left`) and of its steps (`steps`)."""

    def __init__(self, limits: Tensor, horizon: int) -> None:
        self.left = limits.clone()
        self.steps = torch.full_like(limits, float(horizon))

    @abstractmethod
    def actions(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """Actions [n, a] for unscaled observations, of any size."""

    @torch.no_grad()
    def act(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """`actions`, clamped to [-1, 1]."""
        return self.actions(observations, env_ids).clamp(-1.0, 1.0)

    def observe(self, rewards: Tensor, costs: Tensor, env_ids: Tensor) -> None:
        """Subtract the costs and the step."""
        self.left[env_ids] -= costs
        self.steps[env_ids] -= 1.0
