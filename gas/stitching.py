"""What the forms of GAS share: segments, networks, optimiser, schedule, and acting in a budget."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.common.random_streams import Draws
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Algorithm, Budget, Config, Policy, Problem
from benchmarks.methods.stacking import clip_gradients
from gas.networks import ResidualMLP
from gas.reshaping import best_rows
from gas.segments import Segments, SegmentSampler


@dataclass(frozen=True)
class LearnerConfig(Config):
    """Options of every form of GAS: its batches, networks and optimiser."""

    batch: int = 2048
    width: int = 256
    blocks: int = 3
    expansion: int = 4
    dropout: float = 0.05
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup: int = 500
    """Updates in which the learning rate rises."""
    max_grad_norm: float = 0.25


@dataclass(frozen=True)
class StitchingConfig(LearnerConfig):
    """Options of the forms that draw from reshaped data. Defaults are the paper's where stated."""

    shortening: float = 1.0
    """Segments cover at least (1 - shortening) of the rest of their episode; 1 is any length."""
    quantile: float = 0.2
    """q: share of the trajectories at each level of cost that make up D_q."""
    reshaping_bins: int = 10
    """Bins of cost, of equal count, in the reshaping."""
    epsilon: float = 0.5
    """Probability of drawing from D_q."""


_QUICK = Budget.of(4_000, update_ms=15, batch=512, width=128, blocks=2, expansion=1, dropout=0.0)
BUDGETS: Mapping[str, Budget] = {
    "quick": _QUICK,
    "standard": _QUICK.extended(10_000),
    "paper": Budget.of(400_000, update_ms=800),
}


class SegmentLearner(Algorithm):
    """Networks that learn from batches of segments, each clipped by itself, by one optimiser.

    Subclasses say what the networks are, what they learn, and in `prepare` what draws the segments.
    """

    conditions_on_limit = True
    stackable = True
    compilable = ("losses",)
    config: LearnerConfig
    sampler: Callable[[Draws], Segments]

    def __init__(
        self,
        problem: Problem,
        config: LearnerConfig | None = None,
        *,
        limit: float | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        c = config or self.config_class()
        super().__init__(problem, c, limit=limit, seed=seed, device=device)
        self.cost_scale = problem.max_cost or 1.0
        """C_max, the task's maximum cost."""
        with self.random():
            self.modules = self.build()
        self.networks = tuple(self.modules.values())
        self.optimiser = torch.optim.AdamW(
            [p for n in self.networks for p in n.parameters()],
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
            fused=True,
        )

    @abstractmethod
    def build(self) -> dict[str, nn.Module]:
        """The networks, by name."""

    @abstractmethod
    def losses(self, segments: Segments) -> dict[str, Tensor]:
        """Losses on a batch of segments; each moves its own network, their sum is descended.

        Segments and losses of a stack of seeds have a leading dimension.
        """

    def update(self) -> dict[str, Tensor | float]:
        """One step of all networks on one batch of segments."""
        for network in self.networks:
            network.train()
        losses = self.losses(self.sampler(self.draws))
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        for network in self.networks:
            clip_gradients(network.parameters(), self.config.max_grad_norm, self.stacked)
        self.optimiser.param_groups[0]["lr"] = self.learning_rate()
        self.optimiser.step()
        return {name: loss.detach() for name, loss in losses.items()}

    def learning_rate(self) -> float:
        """Linear warm-up, then constant."""
        rise = min((self.updates + 1) / max(self.config.warmup, 1), 1.0)
        return self.config.learning_rate * rise

    def parts(self) -> dict[str, Any]:
        """Networks and optimiser."""
        return {**self.modules, "optimiser": self.optimiser}


class Stitching(SegmentLearner):
    """A form of GAS on reshaped data, in units of order one, at a rate that falls to zero."""

    config: StitchingConfig

    def __init__(
        self,
        problem: Problem,
        config: StitchingConfig | None = None,
        *,
        limit: float | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(problem, config, limit=limit, seed=seed, device=device)
        self.reward_scale = max(float(problem.returns.abs().max()), 1e-6)
        self._mean = problem.observation_mean.to(self.device)
        self._std = problem.observation_std.to(self.device) + 1e-6

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

    def prepare(self, data: Trajectories) -> None:
        """Put the segments, and those of D_q, on the device."""
        c = self.config
        self.sampler = SegmentSampler(
            data,
            c.batch,
            self.device,
            shortening=c.shortening,
            preferred=best_rows(data, c.quantile, c.reshaping_bins),
            epsilon=c.epsilon,
        )

    def scaled(self, segments: Segments) -> Segments:
        """Segments in the networks' units: standardised states, sums and times of order one."""
        return Segments(
            self.standardise(segments.observations),
            segments.actions,
            segments.rewards / self.reward_scale,
            segments.costs / self.cost_scale,
            segments.steps / self.problem.horizon,
            segments.first_costs,
        )

    def standardise(self, observations: Tensor) -> Tensor:
        """Observations with the data's mean 0 and standard deviation 1 [B, o]."""
        return (observations - self._mean) / self._std

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine to zero at the planned end."""
        fall = 0.5 * (1.0 + math.cos(math.pi * min(self.updates / self.planned_updates, 1.0)))
        return super().learning_rate() * fall


class BudgetPolicy(Policy):
    """Acts within a budget of cost and a horizon; both shrink as an episode goes on."""

    def __init__(self, gas: SegmentLearner, limits: Tensor) -> None:
        self.gas = gas
        self.costs_left = limits.clone()
        self.steps = torch.zeros_like(limits)

    @abstractmethod
    def respond(self, observations: Tensor, rows: Tensor) -> Tensor:
        """Actions [n, a] for observations as they are, by networks that are set to evaluation."""

    @torch.no_grad()
    def act(self, observations: Tensor, rows: Tensor) -> Tensor:
        """What the networks, as in evaluation, respond."""
        for network in self.gas.networks:
            network.eval()
        return self.respond(observations, rows)

    def time_left(self, rows: Tensor) -> Tensor:
        """Share of the horizon that is left [n]."""
        return 1.0 - self.steps[rows] / self.gas.problem.horizon

    def observe(self, rewards: Tensor, costs: Tensor, rows: Tensor) -> None:
        """The budget shrinks by the cost, one step less."""
        self.costs_left[rows] -= costs
        self.steps[rows] += 1
