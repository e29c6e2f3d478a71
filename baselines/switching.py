"""Acting by switching between several policies, as in CAPS."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.methods.limits import LimitPolicy, discounted


class Proposals(NamedTuple):
    """What K policies would do at n observations, and how critics judge it."""

    actions: Tensor
    """[K, n, a]"""
    rewards: Tensor
    """Estimated return [K, n]."""
    costs: Tensor
    """Estimated discounted cost [K, n]."""


class SwitchingPolicy(LimitPolicy):
    """Of the proposals within the limit the most rewarding, otherwise the cheapest."""

    def __init__(
        self, proposals: Callable[[Tensor], Proposals], limits: Tensor, horizon: int, gamma: float
    ) -> None:
        super().__init__(limits, horizon)
        self.proposals, self.gamma = proposals, gamma

    def actions(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """The chosen proposals."""
        budget = discounted(self.left[env_ids], self.steps[env_ids], self.gamma)
        found = self.proposals(observations)
        chosen = choice(found.rewards, found.costs, budget)
        return found.actions[chosen, torch.arange(len(chosen), device=chosen.device)]


def choice(rewards: Tensor, costs: Tensor, budget: Tensor) -> Tensor:
    """Index of the proposal [n] to take, of K with `rewards` and `costs` [K, n].

    The largest reward of those that cost less than `budget` [n]; the least cost if none does.
    """
    within = costs < budget
    best = torch.where(within, rewards, -torch.inf).argmax(0)
    return torch.where(within.any(0), best, costs.argmin(0))
