"""What the forms of GAS share: sizes of networks, budgets and one update on segments."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.common.random_streams import Draws
from benchmarks.common.ranges import (
    Batch,
    Count,
    Discount,
    LearningRate,
    NotNegative,
    Positive,
    Updates,
    Width,
)
from benchmarks.methods.algorithm import Algorithm, Budget, Config
from benchmarks.methods.stacking import clip_gradients
from gas.segments import Segments


@dataclass(frozen=True)
class LearnerConfig(Config):
    """Options of every form of GAS: batches, networks and optimiser."""

    batch: Batch = 2048
    width: Width = 256
    blocks: Count = 3
    expansion: Count = 4
    dropout: Discount = 0.05
    learning_rate: LearningRate = 1e-3
    weight_decay: NotNegative = 1e-4
    warmup: Updates = 500
    """Updates over which the learning rate rises linearly."""
    max_grad_norm: Positive = 0.25


_QUICK = Budget.of(4_000, update_ms=15, batch=512, width=128, blocks=2, expansion=1, dropout=0.0)
BUDGETS: Mapping[str, Budget] = {
    "quick": _QUICK,
    "standard": _QUICK.extended(10_000),
    "paper": Budget.of(400_000, update_ms=800),
}


class SegmentLearner(Algorithm):
    """Trains networks on batches of segments with one AdamW; each network is clipped separately.

    Subclasses implement `build_networks`, `total_loss`, and in `prepare` set `sampler`.
    """

    trains_per_limit = False
    heeds_limit = True
    stackable = True
    capturable = True
    config: LearnerConfig
    sampler: Callable[[Draws], Segments]

    # networks

    def build(self) -> None:
        """The networks and their optimiser."""
        self.cost_scale = self.problem.max_cost or 1.0
        """C_max, the task's maximum cost."""
        self.networks = self.build_networks()
        self.optimiser = torch.optim.AdamW(
            [p for network in self.networks for p in network.parameters()],
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
            fused=True,
        )

    @abstractmethod
    def build_networks(self) -> tuple[nn.Module, ...]:
        """Create the networks as attributes; returns all that are trained."""

    # losses

    @abstractmethod
    def total_loss(self, segments: Segments) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of all losses, each with a gradient to its own network, and each loss by name.

        Segments and losses of a stack of seeds have a leading dimension.
        """

    # update

    def schedule(self) -> None:
        """Set the learning rate."""
        self.optimiser.param_groups[0]["lr"] = self.learning_rate()

    def update(self) -> dict[str, Tensor | float]:
        """One gradient step of all networks on one batch of segments."""
        for network in self.networks:
            network.train()
        loss, info = self.total_loss(self.sampler(self.draws))
        self.optimiser.zero_grad(set_to_none=True)
        loss.sum().backward()
        for network in self.networks:
            clip_gradients(network.parameters(), self.config.max_grad_norm, self.stacked)
        self.optimiser.step()
        return {**info}

    def learning_rate(self) -> float:
        """Linear warm-up, then constant."""
        rise = min((self.updates + 1) / max(self.config.warmup, 1), 1.0)
        return self.config.learning_rate * rise
