"""Cost limits within an episode: what is left of them, and what that allows in discounted cost."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

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
