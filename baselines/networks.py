"""What ported baselines share: critics, their targets, and the loss of an expectile."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.methods.losses import expectile_weight


class Twin(nn.Module):
    """Two critics of states and actions."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.both = nn.ModuleList(critic(inputs, hidden) for _ in range(2))

    def forward(self, states: Tensor, actions: Tensor) -> Tensor:
        """The values of both [2, ..., B]."""
        joined = torch.cat([states, actions], dim=-1)
        return torch.stack([one(joined) for one in self.both])


def critic(inputs: int, hidden: int) -> nn.Sequential:
    """A network of two hidden layers to one value [..., B]."""
    layers = nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
    return nn.Sequential(*layers, nn.Linear(hidden, 1), nn.Flatten(-2))


def expectile_loss(residual: Tensor, expectile: float) -> Tensor:
    """Mean square of `residual` [..., B], weighted by `expectile` above 0 and by the rest below."""
    return (expectile_weight(residual, expectile) * residual.square()).mean(-1)


def frozen(module: nn.Module) -> Any:
    """A copy that acts as in evaluation and takes no gradient."""
    return deepcopy(module).eval().requires_grad_(False)


@torch.no_grad()
def track(target: nn.Module, source: nn.Module, share: float) -> None:
    """Move the parameters of `target` by `share` of the way to those of `source`."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), share)


def descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step down the gradient of `loss`, of a stack of seeds each down its own."""
    optimiser.zero_grad(set_to_none=True)
    loss.sum().backward()
    optimiser.step()
