"""Critic networks that ported baselines share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.methods.networks import mlp


class DoubleCritic(nn.Module):
    """Two Q-functions of observations and actions."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.both = nn.ModuleList(critic(inputs, hidden) for _ in range(2))

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """The values of both critics [2, ..., B]."""
        inputs = torch.cat([observations, actions], dim=-1)
        return torch.stack([network(inputs) for network in self.both])


def critic(inputs: int, hidden: int) -> nn.Sequential:
    """A network with two hidden layers and one value [..., B]."""
    return nn.Sequential(*mlp(inputs, hidden, hidden, 1), nn.Flatten(-2))
