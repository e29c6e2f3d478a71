"""The dual of a constrained improvement step over sampled actions, as in VOCE and CVPO.

At each of B states N actions have values of reward and cost. The improved distribution over them
has weights w proportional to exp((Q_r - lambda Q_c) / eta): it maximises the reward with a KL
divergence of at most epsilon to the uniform one and a mean cost of at most q. eta and lambda
minimise g = eta epsilon + lambda q + mean_s[eta ln mean_a exp((Q_r - lambda Q_c) / eta)], which is
convex.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SMALLEST, LARGEST = 1e-6, 1e5
"""Bounds of eta and lambda."""
_SIZES = (*(0.5**k for k in range(8)), 0.0)
"""Tried sizes of a Newton step."""
_FACTORS = (16.0, 4.0, 0.25, 0.0625)
"""Tried changes of either variable, for where the second derivatives are nearly 0."""


def weights(rewards: Tensor, costs: Tensor, eta: Tensor, multiplier: Tensor) -> Tensor:
    """W [..., B, N] of values [..., B, N] at eta and lambda [...]."""
    return logits(rewards, costs, eta, multiplier).softmax(-1)


def logits(rewards: Tensor, costs: Tensor, eta: Tensor, multiplier: Tensor) -> Tensor:
    """(Q_r - lambda Q_c) / eta [..., B, N]."""
    return (rewards - multiplier[..., None, None] * costs) / eta[..., None, None]


def dual(
    rewards: Tensor, costs: Tensor, epsilon: float, bound: float, eta: Tensor, multiplier: Tensor
) -> Tensor:
    """G [...]."""
    x = logits(rewards, costs, eta, multiplier)
    soft_max = (x.logsumexp(-1) - math.log(x.shape[-1])).mean(-1)
    return eta * (epsilon + soft_max) + multiplier * bound


def derivatives(
    rewards: Tensor, costs: Tensor, epsilon: float, bound: float, eta: Tensor, multiplier: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Gradient of g by (eta, lambda), and second derivatives: eta eta, eta lambda, both lambda."""
    x = logits(rewards, costs, eta, multiplier)
    w = x.softmax(-1)
    mean_x, mean_cost = ((w * v).sum(-1, keepdim=True) for v in (x, costs))
    soft_max = x.logsumexp(-1) - math.log(x.shape[-1])
    by_eta = epsilon + (soft_max - mean_x.squeeze(-1)).mean(-1)
    by_multiplier = bound - mean_cost.squeeze(-1).mean(-1)
    off_x, off_cost = x - mean_x, costs - mean_cost
    second = tuple(
        (w * one * other).sum(-1).mean(-1) / eta
        for one, other in ((off_x, off_x), (off_x, off_cost), (off_cost, off_cost))
    )
    return (by_eta, by_multiplier), (second[0], second[1], second[2])


def minimise(
    rewards: Tensor,
    costs: Tensor,
    epsilon: float,
    bound: float,
    start: tuple[Tensor, Tensor],
    iterations: int,
) -> tuple[Tensor, Tensor]:
    """Eta and lambda [...] after `iterations` projected Newton steps from `start`.

    Of several sizes of a step, and of changes of one variable by a factor, the best is taken: g
    never rises.
    """
    eta, multiplier = start
    for _ in range(iterations):
        gradient, (a, b, d) = derivatives(rewards, costs, epsilon, bound, eta, multiplier)
        fixed = [
            (at <= SMALLEST) & (slope > 0)
            for at, slope in zip((eta, multiplier), gradient, strict=True)
        ]
        g_eta, g_multiplier = (
            torch.where(still, 0.0, slope) for still, slope in zip(fixed, gradient, strict=True)
        )
        ridge = 1e-8 * (a + d) + 1e-12
        a, d = torch.where(fixed[0], 1.0, a + ridge), torch.where(fixed[1], 1.0, d + ridge)
        b = torch.where(fixed[0] | fixed[1], 0.0, b)
        determinant = (a * d - b * b).clamp(min=1e-24)
        step = (
            -(d * g_eta - b * g_multiplier) / determinant,
            -(a * g_multiplier - b * g_eta) / determinant,
        )
        tried = [(eta + size * step[0], multiplier + size * step[1]) for size in _SIZES]
        tried += [(factor * eta, multiplier) for factor in _FACTORS]
        tried += [(eta, factor * multiplier) for factor in _FACTORS]
        tried = [(e.clamp(SMALLEST, LARGEST), m.clamp(SMALLEST, LARGEST)) for e, m in tried]
        found = torch.stack([dual(rewards, costs, epsilon, bound, *pair) for pair in tried])
        best = found.nan_to_num(nan=torch.inf).argmin(0, keepdim=True)
        eta, multiplier = (
            torch.stack([pair[k] for pair in tried]).gather(0, best).squeeze(0) for k in (0, 1)
        )
    return eta, multiplier
