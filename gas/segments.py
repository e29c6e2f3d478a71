"""Temporal segments of trajectories and their relabelled targets (paper, section on TSRA).

A segment starts at step t of an episode and has m steps; its return R and cost C are sums over
these steps. The networks take m as the time left, as if the episode ended after the segment. All
sums are differences of return-to-go and cost-to-go.
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
    """R: undiscounted return of the segment."""
    costs: Tensor
    """C: undiscounted cost of the segment."""
    steps: Tensor
    """m: length of the segment; with `ClockedSampler` the horizon minus the segment's time t'."""
    first_costs: Tensor
    """Cost of the first step."""


class _SegmentTable:
    """Trajectories on `device`, from which segments are cut."""

    def __init__(self, data: Trajectories, batch: int, device: torch.device) -> None:
        self.batch, self.device = batch, device

        def tensor(values: object) -> Tensor:
            return torch.as_tensor(values, dtype=torch.float32).to(device)

        self._observations = tensor(data.observations)
        self._actions = tensor(data.actions)
        self._costs = tensor(data.costs)
        # a zero at the end, for segments that reach the end of their episode
        self._reward_to_go = tensor(np.append(data.to_go(data.rewards), 0.0))
        self._cost_to_go = tensor(np.append(data.to_go(data.costs), 0.0))
        remaining = np.repeat(data.lengths, data.lengths) - data.timesteps
        self._remaining = torch.as_tensor(remaining).to(device)

    def cut(self, rows: Tensor, steps: Tensor, time_left: Tensor) -> Segments:
        """Segments of `steps` steps from the transitions `rows`; `time_left` is stored; all [B]."""
        ends = torch.where(steps < self._remaining[rows], rows + steps, len(self._observations))
        return Segments(
            self._observations[rows],
            self._actions[rows],
            self._reward_to_go[rows] - self._reward_to_go[ends],
            self._cost_to_go[rows] - self._cost_to_go[ends],
            time_left.float(),
            self._costs[rows],
        )


class SegmentSampler(_SegmentTable):
    """Samples segments from trajectories on `device`.

    A segment covers at least (1 - `shortening`) of the steps that remain in its episode: 1 is any
    length, 0 the whole rest of the episode. With probability `epsilon` its first transition is
    sampled from `preferred` (indices), else from all transitions.
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
        """Sample the next batch."""
        size, device = self.batch, self.device
        rows = draws.integers(len(self._observations), size, device)
        if self.epsilon > 0:
            chosen = draws.integers(len(self._preferred), size, device)
            from_preferred = draws.uniform(size, device) < self.epsilon
            rows = torch.where(from_preferred, self._preferred[chosen], rows)
        return self.segments(rows, draws.uniform(size, device))

    def segments(self, rows: Tensor, u: Tensor) -> Segments:
        """Segments from the transitions `rows` [B], shortened by `u` [B] of the maximum, 0 to 1."""
        remaining = self._remaining[rows]
        steps = torch.ceil(remaining * (1.0 - self.shortening * u)).long().clamp(min=1)
        return self.cut(rows, steps, steps)


class ClockedSampler(_SegmentTable):
    """Samples segments by the clock of their episode, as the authors' release does.

    A transition at step t of an episode of `len` steps gets a time t' = floor(t + shortening u
    (T + 1 - t)), u in [0, 1) and T the horizon. Its segment has len - t' steps: the whole rest for
    t' = t, none for t' >= len. `Segments.steps` is T - t'. The time that an episode did not use,
    because it ended early, thus counts as left.

    Each pool of indices contributes an equal part of the batch; all transitions contribute another
    equal part and the remainder of the division. An empty pool means all transitions. Sampling is
    with replacement.
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
        tensors = [torch.as_tensor(pool).to(device) for pool in pools]
        self._pools = [everything, *(pool if len(pool) else everything for pool in tensors)]

    def __call__(self, draws: Draws = ONE_STREAM) -> Segments:
        """Sample the next batch."""
        return self.segments(self.rows(draws), draws.uniform(self.batch, self.device))

    def rows(self, draws: Draws = ONE_STREAM) -> Tensor:
        """Indices of the transitions of a batch [B]: from all transitions, then pool by pool."""
        part, rest = divmod(self.batch, len(self._pools))
        sizes = [part + rest, *[part] * (len(self._pools) - 1)]
        sampled = [
            pool[draws.integers(len(pool), size, self.device)]
            for pool, size in zip(self._pools, sizes, strict=True)
        ]
        return torch.cat(sampled, dim=-1)

    def segments(self, rows: Tensor, u: Tensor) -> Segments:
        """Segments from the transitions `rows` [B] with random numbers `u` [B] in [0, 1)."""
        t = self._timesteps[rows]
        later = self.shortening * u * (self.horizon + 1 - t).clamp(min=0)
        skipped = later.floor().long()  # t' - t, since t is whole
        steps = (self._remaining[rows] - skipped).clamp(min=0)
        return self.cut(rows, steps, self.horizon - t - skipped)


def relabel_rewards(rewards: Tensor, delta: float, draws: Draws = ONE_STREAM) -> Tensor:
    """R-hat ~ U((1 - delta) R, (1 + delta) R) [B]; R may be negative."""
    return rewards * (1.0 + delta * (2.0 * draws.uniform_like(rewards) - 1.0))


def relabel_costs(costs: Tensor, widths: Tensor, draws: Draws = ONE_STREAM) -> Tensor:
    """C-hat ~ U(C, C + width) [B]; the segment's cost is within every such limit."""
    return costs + widths * draws.uniform_like(costs)
