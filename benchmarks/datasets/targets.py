"""Reward targets of GAS and CDT at a cost limit, computed from the data or given by the user."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from benchmarks.common.errors import UserError

TARGET_QUANTILE = 0.95
"""Quantile of the returns within a limit that becomes the reward target."""
TARGET_MARGIN = 0.1
"""Fraction of a limit that methods with a cost target leave as a margin."""


def reward_targets(
    returns: Tensor, costs: Tensor, limits: Tensor, quantile: float = TARGET_QUANTILE
) -> Tensor:
    """For each limit [B], a quantile of the returns [E] of trajectories within it.

    If no trajectory is within the limit, the target is the return of the one with the lowest cost.
    The quantile, unlike the maximum, does not depend on one lucky episode.
    """
    targets = torch.empty_like(limits)
    for i, limit in enumerate(limits):
        within = returns[costs <= limit]
        targets[i] = within.quantile(quantile) if len(within) else returns[costs.argmin()]
    return targets


def parse_targets(text: str) -> dict[float, float]:
    """Targets by limit from text like "8:420 16:430"; `UserError` for other text."""
    try:
        pairs = (map(float, pair.split(":")) for pair in text.split())
        targets = {limit: target for limit, target in pairs}  # noqa: C416 (dict() would not type)
    except ValueError:
        targets = {}
    if not targets or not np.isfinite([*targets, *targets.values()]).all():
        raise UserError(f'reward targets {text!r} are not of the form "LIMIT:TARGET LIMIT:TARGET"')
    return targets


def listed_targets(listed: Mapping[float, float], limits: Tensor) -> Tensor:
    """The target of each limit [B]: linear between the listed limits, constant beyond them."""
    points = sorted(listed)
    values = np.interp(limits.numpy(), points, [listed[limit] for limit in points])
    return torch.as_tensor(values, dtype=limits.dtype)
