"""Reward targets, of the data or set by hand: what GAS and CDT are asked for at a cost limit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from benchmarks.common.errors import UserError

TARGET_QUANTILE = 0.95
"""Of the returns within a limit, where a reward target is taken from the data."""
TARGET_MARGIN = 0.1
"""Part of a limit that is left unasked for by methods that ask for a cost."""


def reward_targets(
    returns: Tensor, costs: Tensor, limits: Tensor, quantile: float = TARGET_QUANTILE
) -> Tensor:
    """For each limit [B], a quantile of the returns [E] of trajectories within it.

    Where no trajectory keeps the limit, the return of the least costly one. The quantile rather
    than the maximum, so that one lucky episode does not set the target.
    """
    targets = torch.empty_like(limits)
    for i, limit in enumerate(limits):
        within = returns[costs <= limit]
        targets[i] = within.quantile(quantile) if len(within) else returns[costs.argmin()]
    return targets


def parse_targets(text: str) -> dict[float, float]:
    """Targets by limit from words like "8:420 16:430"; `UserError` for other words."""
    try:
        pairs = (map(float, pair.split(":")) for pair in text.split())
        targets = {limit: target for limit, target in pairs}  # noqa: C416 (dict() would not type)
    except ValueError:
        targets = {}
    if not targets or not np.isfinite([*targets, *targets.values()]).all():
        raise UserError(f'reward targets {text!r} are not of the form "LIMIT:TARGET LIMIT:TARGET"')
    return targets


def listed_targets(listed: Mapping[float, float], limits: Tensor) -> Tensor:
    """The target of each limit [B]: on lines between the listed limits, level beyond them."""
    known = sorted(listed)
    values = np.interp(limits.numpy(), known, [listed[limit] for limit in known])
    return torch.as_tensor(values, dtype=limits.dtype)
