"""Networks, target networks and gradient steps that several methods use."""

from __future__ import annotations

import math
from copy import deepcopy
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.methods.stacking import clip_gradients


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers of these widths, inputs first and outputs last, with ReLUs between them."""
    layers = list[nn.Module]()
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class DoubleCritic(nn.Module):
    """Two Q-functions of observations and actions."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.both = nn.ModuleList(critic(inputs, hidden) for _ in range(2))

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """The values of both critics [2, ..., B]."""
        inputs = torch.cat([observations, actions], dim=-1)
        return torch.stack([network(inputs) for network in self.both])


def critic(inputs: int, hidden: int, *, layers: int = 2, layer_norm: bool = False) -> nn.Sequential:
    """A network with `layers` hidden layers and one value [..., B].

    `layer_norm` puts a layer norm before each ReLU.
    """
    parts = list(mlp(inputs, *[hidden] * layers, 1))
    if layer_norm:
        parts = [
            part
            for layer in parts
            for part in ([nn.LayerNorm(hidden), layer] if isinstance(layer, nn.ReLU) else [layer])
        ]
    return nn.Sequential(*parts, nn.Flatten(-2))


def make_target(module: nn.Module) -> Any:
    """A target network: a copy in evaluation mode that takes no gradient."""
    return deepcopy(module).eval().requires_grad_(False)


@torch.no_grad()
def polyak_update(target: nn.Module, source: nn.Module, tau: float) -> None:
    """Move the parameters of `target` by the fraction `tau` towards those of `source`."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), tau)


def cosine_decay(done: float) -> float:
    """Factor of a learning rate that falls from 1 to 0 as `done` rises from 0 to 1."""
    return 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


def adam(learning_rate: float, *modules: nn.Module) -> torch.optim.Adam:
    """Adam over the parameters of `modules`."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    return torch.optim.Adam(parameters, learning_rate, fused=True)


def optimizer_step(
    optimiser: Optimizer, loss: Tensor, *, largest: float = math.inf, stacked: bool = False
) -> None:
    """One gradient step on `loss`; the losses [K] of a stack of seeds are added up.

    Parameters without a gradient keep still. `largest` bounds the norm of the gradient, in a stack
    that of each seed.
    """
    optimiser.zero_grad(set_to_none=True)
    loss.sum().backward()
    if largest < math.inf:
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        clip_gradients(parameters, largest, stacked)
    optimiser.step()
