"""Networks that ported baselines share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from benchmarks.common.random_streams import Draws, Dropout
from benchmarks.methods.networks import critic, mlp


class GaussianActor(nn.Module):
    """A normal distribution of actions, whose mean and deviation depend on the inputs.

    `layers` hidden layers; dropout after the last. The mean is a tanh where `bounded`.
    """

    def __init__(
        self,
        inputs: int,
        actions: int,
        hidden: int,
        draws: Draws,
        *,
        layers: int = 2,
        dropout: float = 0.0,
        log_std: tuple[float, float] = (-20.0, 2.0),
        bounded: bool = True,
    ) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *mlp(inputs, *[hidden] * layers), nn.ReLU(), Dropout(dropout, draws)
        )
        self.mean = nn.Linear(hidden, actions)
        self.log_std = nn.Linear(hidden, actions)
        self.log_std_range, self.bounded = log_std, bounded

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the standard deviation [..., B, a]."""
        features = self.trunk(inputs)
        mean = self.mean(features)
        return (
            mean.tanh() if self.bounded else mean,
            self.log_std(features).clamp(*self.log_std_range),
        )


class Ensemble(nn.Module):
    """Several Q-functions of one input."""

    def __init__(self, inputs: int, hidden: int, members: int, *, layers: int = 2) -> None:
        super().__init__()
        made = (critic(inputs, hidden, layers=layers) for _ in range(members))
        self.members = nn.ModuleList(made)

    def forward(self, inputs: Tensor) -> Tensor:
        """The values of all [members, ..., B]."""
        return torch.stack([network(inputs) for network in self.members])


def squashed(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """The tanh of normal actions [..., B, a], by `noise`, and its log-density [..., B]."""
    before = mean + log_std.exp() * noise
    change = 2.0 * (math.log(2.0) - before - nn.functional.softplus(-2.0 * before))
    return before.tanh(), -negative_log_likelihood(mean, log_std, before) - change.sum(-1)


def negative_log_likelihood(mean: Tensor, log_std: Tensor, values: Tensor) -> Tensor:
    """-log N(values; mean, std^2), summed over the last dimension [..., B]."""
    error = ((values - mean) * (-log_std).exp()).square()
    return (0.5 * (error + math.log(2.0 * math.pi)) + log_std).sum(-1)


def orthogonal(module: nn.Module, gain: float = math.sqrt(2.0)) -> None:
    """Give every linear layer orthogonal weights and no bias, in place."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)
