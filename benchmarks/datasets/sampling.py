"""Uniform batches of transitions, gathered by index on the training device."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.common.random_streams import ONE_STREAM, Draws
from benchmarks.datasets.trajectories import Trajectories


class Transitions(NamedTuple):
    """A batch of B transitions; the last five columns are [B] (of a stack of seeds [K, B])."""

    observations: Tensor
    next_observations: Tensor
    actions: Tensor
    rewards: Tensor
    costs: Tensor
    done: Tensor
    """1 where the episode ended, for any reason (as in osrl and DSRL)."""
    initial: Tensor
    """1 where the episode began."""
    terminal: Tensor
    """1 where the task ended the episode, as opposed to a timeout."""

    def with_states(self, scaled: Callable[[Tensor], Tensor]) -> Transitions:
        """The same batch with `scaled` observations and next observations."""
        return self._replace(
            observations=scaled(self.observations),
            next_observations=scaled(self.next_observations),
        )


class TransitionSampler:
    """Uniform batches of transitions, gathered from one packed matrix on `device`.

    Rewards are scaled by `reward_scale`.
    """

    def __init__(
        self,
        data: Trajectories,
        batch: int,
        device: torch.device | str = "cpu",
        *,
        reward_scale: float = 1.0,
    ) -> None:
        self.batch, self.device = batch, torch.device(device)
        done, initial = (np.zeros(len(data.rewards), dtype=np.float32) for _ in range(2))
        done[data.starts[1:] - 1] = 1.0
        initial[data.starts[:-1]] = 1.0
        columns = [data.observations, data.next_observations, data.actions]
        rewards, terminal = data.rewards * np.float32(reward_scale), data.terminals
        scalars = [rewards, data.costs, done, initial, terminal.astype(np.float32)]
        packed = np.concatenate([*columns, *(s[:, None] for s in scalars)], axis=1)
        self._packed = torch.as_tensor(packed, dtype=torch.float32).to(self.device)
        self._widths = [column.shape[1] for column in columns] + [1] * len(scalars)

    def __call__(self, draws: Draws = ONE_STREAM) -> Transitions:
        """Draw the next batch, with replacement."""
        rows = draws.integers(len(self._packed), self.batch, self.device)
        columns = self._packed[rows].split(self._widths, dim=-1)
        return Transitions(*columns[:3], *(column.squeeze(-1) for column in columns[3:]))
