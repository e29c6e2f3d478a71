"""What the forms of GAS share: networks, losses on segments, one update, policies with a budget."""

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
    Expectile,
    LearningRate,
    NotNegative,
    Positive,
    Share,
    Updates,
    Width,
)
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Algorithm, Budget, Config, Policy
from benchmarks.methods.networks import cosine_decay
from benchmarks.methods.stacking import clip_gradients
from gas.networks import ResidualMLP
from gas.reshaping import best_rows
from gas.segments import Segments, SegmentSampler


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


@dataclass(frozen=True)
class StitchingConfig(LearnerConfig):
    """Options of the forms that reshape the data. Defaults are the paper's where it states them."""

    shortening: Share = 1.0
    """Segments cover at least (1 - shortening) of the rest of their episode; 1 is any length."""
    quantile: Expectile = 0.2
    """q: fraction of the trajectories in each bin of cost that make up D_q."""
    reshaping_bins: Count = 10
    """Bins of cost, with equally many trajectories, in the reshaping."""
    epsilon: Share = 0.5
    """Probability of sampling from D_q."""


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


class Stitching(SegmentLearner):
    """A form of GAS that reshapes the data and scales them to order one."""

    config: StitchingConfig

    # networks

    def build(self) -> None:
        """Scales of the data, then the networks and their optimiser."""
        self.reward_scale = max(float(self.problem.returns.abs().max()), 1e-6)
        self._mean = self.problem.observation_mean.to(self.device)
        self._std = self.problem.observation_std.to(self.device) + 1e-6
        super().build()

    def network(self, inputs: int, outputs: int) -> ResidualMLP:
        """A network of the configured size."""
        c = self.config
        return ResidualMLP(
            inputs,
            outputs,
            width=c.width,
            blocks=c.blocks,
            expansion=c.expansion,
            dropout=c.dropout,
            draws=self.draws,
        ).to(self.device)

    def scaled(self, segments: Segments) -> Segments:
        """Segments as the networks take them: standardised states, sums and times of order one."""
        return Segments(
            self.standardise(segments.observations),
            segments.actions,
            segments.rewards / self.reward_scale,
            segments.costs / self.cost_scale,
            segments.steps / self.problem.horizon,
            segments.first_costs,
        )

    def standardise(self, observations: Tensor) -> Tensor:
        """Observations scaled to mean 0 and standard deviation 1 over the dataset [B, o]."""
        return (observations - self._mean) / self._std

    # update

    def prepare(self, data: Trajectories) -> None:
        """Put the trajectories on the device, and the indices of D_q."""
        c = self.config
        self.sampler = SegmentSampler(
            data,
            c.batch,
            self.device,
            shortening=c.shortening,
            preferred=best_rows(data, c.quantile, c.reshaping_bins),
            epsilon=c.epsilon,
        )

    def learning_rate(self) -> float:
        """Linear warm-up, and a cosine decay to 0 at the planned end."""
        return super().learning_rate() * cosine_decay(self.updates / self.planned_updates)


class BudgetPolicy(Policy):
    """Tracks what is left of each episode's cost limit and horizon."""

    def __init__(self, gas: SegmentLearner, limits: Tensor) -> None:
        self.gas = gas
        self.costs_left = limits.clone()
        self.steps = torch.zeros_like(limits)

    @abstractmethod
    def actions(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """Actions [n, a] for unscaled observations; the networks are in evaluation mode."""

    @torch.no_grad()
    def act(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """`actions` with the networks in evaluation mode."""
        for network in self.gas.networks:
            network.eval()
        return self.actions(observations, env_ids)

    def time_left(self, env_ids: Tensor) -> Tensor:
        """Fraction of the horizon that is left [n]."""
        return 1.0 - self.steps[env_ids] / self.gas.problem.horizon

    def observe(self, rewards: Tensor, costs: Tensor, env_ids: Tensor) -> None:
        """Subtract the costs and count the step."""
        self.costs_left[env_ids] -= costs
        self.steps[env_ids] += 1
