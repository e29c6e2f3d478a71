"""The networks of the authors' first release of GAS: tables of whole numbers, residual blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.common.random_streams import Draws, Dropout

LOG_STD = -5.0, 2.0
"""Bounds of the policy's log standard deviation."""


class TableSizes(NamedTuple):
    """Sizes of the parts of a network."""

    embedding: int
    """Width of an observation and of each number before they are joined."""
    width: int
    blocks: int
    expansion: int
    dropout: float


class SharedNormBlock(nn.Module):
    """GELU(x + W2 GELU(W1 norm(x))), with dropout; the norm belongs to the network."""

    def __init__(self, sizes: TableSizes, draws: Draws) -> None:
        super().__init__()
        self.widen = nn.Linear(sizes.width, sizes.expansion * sizes.width)
        self.narrow = nn.Linear(sizes.expansion * sizes.width, sizes.width)
        self.dropout = Dropout(sizes.dropout, draws)

    def forward(self, x: Tensor, norm: nn.Module, noisy: bool) -> Tensor:
        """[..., B, width] to the same; without `noisy` as in evaluation."""
        change = self.narrow(nn.functional.gelu(self.widen(norm(x))))
        return nn.functional.gelu(x + (self.dropout(change) if noisy else change))


class TableBody(nn.Module):
    """An observation by a linear layer, each number by a table; joined, then residual blocks.

    One layer norm serves all blocks. The numbers are rounded down to the rows of their tables, so
    no gradient passes through them.
    """

    def __init__(
        self, observation_dim: int, rows: Sequence[int], sizes: TableSizes, draws: Draws
    ) -> None:
        """`rows` says how many whole numbers, from 0, each table holds."""
        super().__init__()
        self.observation = nn.Linear(observation_dim, sizes.embedding)
        self.tables = nn.ModuleList(nn.Embedding(count, sizes.embedding) for count in rows)
        self.joined = nn.Linear((1 + len(rows)) * sizes.embedding, sizes.width)
        self.norm = nn.LayerNorm(sizes.width)
        self.blocks = nn.ModuleList(SharedNormBlock(sizes, draws) for _ in range(sizes.blocks))

    def body(self, observations: Tensor, numbers: Sequence[Tensor], noisy: bool) -> Tensor:
        """[..., B, width] of observations [..., B, o] and numbers [..., B] within their tables."""
        parts = [self.observation(observations)]
        for table, number in zip(self.tables, numbers, strict=True):
            parts.append(table(number.long()))  # none is negative: cut off is rounded down
        x = nn.functional.gelu(self.joined(torch.cat(parts, dim=-1)))
        for block in self.blocks:
            x = block(x, self.norm, noisy)
        return x


class TableGoal(TableBody):
    """A goal function: one number, in the units of the data."""

    def __init__(
        self, observation_dim: int, rows: Sequence[int], sizes: TableSizes, draws: Draws
    ) -> None:
        super().__init__(observation_dim, rows, sizes, draws)
        self.head = nn.Linear(sizes.width, 1)

    def forward(self, observations: Tensor, *numbers: Tensor, noisy: bool = True) -> Tensor:
        """The goal [..., B]; without `noisy` as in evaluation, whatever the mode."""
        value: Tensor = self.head(self.body(observations, numbers, noisy)).squeeze(-1)
        return value


class TablePolicy(TableBody):
    """A diagonal Gaussian over actions."""

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        rows: Sequence[int],
        sizes: TableSizes,
        draws: Draws,
    ) -> None:
        super().__init__(observation_dim, rows, sizes, draws)
        self.last = nn.Linear(sizes.width, sizes.width)
        self.mean = _orthogonal(nn.Linear(sizes.width, action_dim))
        self.log_std = _orthogonal(nn.Linear(sizes.width, action_dim))

    def forward(self, observations: Tensor, *numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation [..., B, a]; the mean is not bounded."""
        x = self.last(self.body(observations, numbers, noisy=True))
        return self.mean(x), self.log_std(x).clamp(*LOG_STD)


def _orthogonal(layer: nn.Linear) -> nn.Linear:
    nn.init.orthogonal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
