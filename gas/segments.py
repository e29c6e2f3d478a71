"""Temporal segments of trajectories and their relabelled targets (paper, section on TSRA).

A segment starts at step t of an episode and is m steps long; its reward R and cost C are sums over
those m steps, and the networks are told m, "how much time is left", as if the episode ended there.
Two return-to-go vectors give every sum; no table over segment lengths is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.common.random_streams import ONE_STREAM, Draws
from benchmarks.datasets.trajectories import Trajectories


class Segments(NamedTuple):
    """A batch of B segments; all but the first two are [B] (of a stack of seeds [K, B])."""

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    """R: undiscounted reward over the segment."""
    costs: Tensor
    """C: undiscounted cost over the segment."""
    steps: Tensor
    """m: the segment's length; of `ClockedSampler` the time that the clock leaves it."""
    first_costs: Tensor
    """Cost of its first step."""


class _SegmentTable:
    """Trajectories held on `device`, from which segments are cut."""

    def __init__(self, data: Trajectories, batch: int, device: torch.device) -> None:
        self.batch, self.device = batch, device

        def tensor(values: object) -> Tensor:
            return torch.as_tensor(values, dtype=torch.float32).to(device)

        self._observations = tensor(data.observations)
        self._actions = tensor(data.actions)
        self._costs = tensor(data.costs)
        # a zero behind the end, for segments that reach it
        self._reward_to_go = tensor(np.append(data.to_go(data.rewards), 0.0))
        self._cost_to_go = tensor(np.append(data.to_go(data.costs), 0.0))
        remaining = np.repeat(data.lengths, data.lengths) - data.timesteps
        self._remaining = torch.as_tensor(remaining).to(device)

    def cut(self, rows: Tensor, steps: Tensor, left: Tensor) -> Segments:
        """Segments of `steps` steps that start at `rows`, told that `left` is left; all [B]."""
        ends = torch.where(steps < self._remaining[rows], rows + steps, len(self._observations))
        return Segments(
            self._observations[rows],
            self._actions[rows],
            self._reward_to_go[rows] - self._reward_to_go[ends],
            self._cost_to_go[rows] - self._cost_to_go[ends],
            left.float(),
            self._costs[rows],
        )


class SegmentSampler(_SegmentTable):
    """Draws segments from trajectories held on `device`.

    Of the r steps that remain at a transition a segment covers at least (1 - `shortening`) r:
    1 is any length, 0 the whole rest of the episode. With probability `epsilon` the transition
    comes from `preferred` (row indices), else from all.
    """

    def __init__(
        self,
        data: Trajectories,
        batch: int,
        device: torch.device,
        *,
        shortening: float,
        preferred: NDArray[np.intp],
        epsilon: float,
    ) -> None:
        super().__init__(data, batch, device)
        self.shortening, self.epsilon = shortening, epsilon
        self._preferred = torch.as_tensor(preferred).to(device)

    def __call__(self, draws: Draws = ONE_STREAM) -> Segments:
        """Draw the next batch."""
        size, device = self.batch, self.device
        rows = draws.integers(len(self._observations), size, device)
        if self.epsilon > 0:
            chosen = draws.integers(len(self._preferred), size, device)
            from_preferred = draws.uniform(size, device) < self.epsilon
            rows = torch.where(from_preferred, self._preferred[chosen], rows)
        return self.segments(rows, draws.uniform(size, device))

    def segments(self, rows: Tensor, shares: Tensor) -> Segments:
        """Segments that start at `rows` [B], shortened by `shares` [B] in [0, 1) of the most."""
        remaining = self._remaining[rows]
        steps = torch.ceil(remaining * (1.0 - self.shortening * shares)).long().clamp(min=1)
        return self.cut(rows, steps, steps)


class ClockedSampler(_SegmentTable):
    """Draws segments by the clock of their episode, as the authors' release does.

    A transition at step t of an episode of `len` steps gets a time t' = floor(t + shortening u
    (T + 1 - t)), u in [0, 1) and T the horizon. Its segment is what fits into len - t' steps: the
    whole rest for t' = t, nothing for t' >= len. `Segments.steps` is T - t'. So an episode that
    ended early keeps its clock: the time it did not use counts as left.

    Every pool of row indices gives an equal part of the batch, all transitions another and what
    remains of the division; an empty pool stands for all transitions. Drawn with replacement.
    """

    def __init__(
        self,
        data: Trajectories,
        batch: int,
        device: torch.device,
        *,
        horizon: int,
        shortening: float,
        pools: Sequence[NDArray[np.intp]],
    ) -> None:
        super().__init__(data, batch, device)
        self.horizon, self.shortening = horizon, shortening
        self._timesteps = torch.as_tensor(data.timesteps).to(device)
        everything = torch.arange(len(data.rewards), device=device)
        given = [torch.as_tensor(pool).to(device) for pool in pools]
        self._pools = [everything, *(pool if len(pool) else everything for pool in given)]

    def __call__(self, draws: Draws = ONE_STREAM) -> Segments:
        """Draw the next batch."""
        return self.segments(self.rows(draws), draws.uniform(self.batch, self.device))

    def rows(self, draws: Draws = ONE_STREAM) -> Tensor:
        """The transitions of a batch: those from all data first, then pool by pool [B]."""
        part, rest = divmod(self.batch, len(self._pools))
        sizes = [part + rest, *[part] * (len(self._pools) - 1)]
        drawn = [
            pool[draws.integers(len(pool), size, self.device)]
            for pool, size in zip(self._pools, sizes, strict=True)
        ]
        return torch.cat(drawn, dim=-1)

    def segments(self, rows: Tensor, shares: Tensor) -> Segments:
        """Segments that start at `rows` [B], with u = `shares` [B] in [0, 1)."""
        now = self._timesteps[rows]
        later = self.shortening * shares * (self.horizon + 1 - now).clamp(min=0)
        passed = later.floor().long()  # t' - t, for t is whole
        steps = (self._remaining[rows] - passed).clamp(min=0)
        return self.cut(rows, steps, self.horizon - now - passed)


def relabel_rewards(rewards: Tensor, delta: float, draws: Draws = ONE_STREAM) -> Tensor:
    """R-hat ~ U((1 - delta) R, (1 + delta) R), for negative R too [B]."""
    return rewards * (1.0 + delta * (2.0 * draws.uniform_like(rewards) - 1.0))


def relabel_costs(costs: Tensor, widths: Tensor, draws: Draws = ONE_STREAM) -> Tensor:
    """C-hat ~ U(C, C + width) [B]: the segment's cost keeps every such limit."""
    return costs + widths * draws.uniform_like(costs)
