"""The networks of GAS: a residual MLP, without attention or history."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.common.random_streams import Draws, Dropout


class ResidualBlock(nn.Module):
    """x + W2 GELU(W1 LayerNorm(x)), with dropout."""

    def __init__(self, width: int, expansion: int, dropout: float, draws: Draws) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, expansion * width),
            nn.GELU(),
            nn.Linear(expansion * width, width),
            Dropout(dropout, draws),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[..., B, width] to the same shape."""
        residual: Tensor = self.body(x)
        return x + residual


class ResidualMLP(nn.Module):
    """One linear layer for the concatenated inputs, residual blocks, a linear head."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int,
        blocks: int,
        expansion: int,
        dropout: float,
        draws: Draws,
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, width),
            *(ResidualBlock(width, expansion, dropout, draws) for _ in range(blocks)),
            nn.LayerNorm(width),
            nn.GELU(),
            nn.Linear(width, outputs),
        )

    def forward(self, *columns: Tensor) -> Tensor:
        """[..., B, outputs] from `columns` [..., B, n]; all but the first may be [..., B]."""
        dims = columns[0].dim()
        inputs = [column if column.dim() == dims else column[..., None] for column in columns]
        result: Tensor = self.layers(torch.cat(inputs, dim=-1))
        return result
