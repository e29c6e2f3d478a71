"""Behaviour cloning (BC) of all or of selected trajectories, with osrl's network and loss.

These are reference lines. BC-All shows what the behaviour policies do on average, BC-Safe what
cloning only the trajectories within the cost limit gives, BC-Frontier what cloning only the
trajectories near the Pareto front of return and cost return gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.polynomial import Polynomial
from torch import Tensor

from baselines.osrl.adapter import WrappedAlgorithm, import_osrl
from benchmarks.common.ranges import Batch, Count, LearningRate, Width
from benchmarks.datasets.sampling import Transitions, TransitionSampler
from benchmarks.datasets.sequences import Indices, Values, fit_front, pareto_front
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Budget, Config, MemorylessPolicy, Policy
from benchmarks.methods.limits import within_limit
from benchmarks.methods.networks import optimizer_step


@dataclass(frozen=True)
class BCConfig(Config):
    """Options of behaviour cloning; defaults are osrl's."""

    batch: Batch = 512
    actor_lr: LearningRate = 1e-3
    hidden: Width = 256
    """Width of the hidden layers."""
    hidden_layers: Count = 2


class BCAll(WrappedAlgorithm):
    """Clones all trajectories and ignores the cost limit."""

    name = "bc-all"
    trains_per_limit = False
    heeds_limit = False
    stackable = True
    capturable = True
    config_class = BCConfig
    budgets: ClassVar = {
        "quick": Budget.of(2_000, update_ms=1.8, batch=256),
        "standard": Budget.of(10_000, update_ms=3.2),
        "paper": Budget.of(100_000, update_ms=3.2),
    }
    config: BCConfig

    # networks

    def build_osrl(self) -> tuple[Any, Any]:
        """Create osrl's BC and its trainer."""
        osrl, c = import_osrl("algorithms.bc"), self.config
        model = osrl.BC(
            self.problem.observation_dim,
            self.problem.action_dim,
            max_action=1.0,
            a_hidden_sizes=[c.hidden] * c.hidden_layers,
            episode_len=self.problem.horizon,
            device=str(self.device),
        )
        return model, osrl.BCTrainer(model, None, self.log, c.actor_lr, device=str(self.device))

    # losses

    def actor_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of the actions."""
        error = self.model.actor(batch.observations) - batch.actions
        loss = error.square().mean((-2, -1))
        return loss, {"actor_loss": loss.detach()}

    # update

    def prepare(self, data: Trajectories) -> None:
        """Put the transitions on the device."""
        self.sampler = TransitionSampler(data, self.config.batch, self.device)

    def update(self) -> dict[str, Tensor | float]:
        """One gradient step of the actor."""
        loss, info = self.actor_loss(self.sampler(self.draws))
        optimizer_step(self.model.actor_optim, loss)
        return {**info}

    # policy

    def policy(self, limits: Tensor) -> Policy:
        """The cloned policy, the same at every limit."""
        return MemorylessPolicy(self.model.actor)


class BCSafe(BCAll):
    """Clones the trajectories whose cost return is within the limit.

    osrl selects by `cost <= limit`, where costs are discounted by an option that is 1 by default.
    """

    name = "bc-safe"
    trains_per_limit = True
    heeds_limit = True

    def prepare(self, data: Trajectories) -> None:
        """Select the safe trajectories; raises `UserError` if there is none."""
        assert self.limit is not None
        super().prepare(data.select(within_limit(data, self.limit, self.name)))


class BCFrontier(BCAll):
    """Clones the trajectories near the Pareto front of return and cost; ignores the limit."""

    name = "bc-frontier"

    def prepare(self, data: Trajectories) -> None:
        """Select the trajectories near the Pareto front."""
        super().prepare(data.select(near_front(data.returns, data.episode_costs)))


def near_front(returns: Values, costs: Values) -> Indices:
    """Indices of the trajectories whose return is close to the Pareto front's at their cost return.

    Follows osrl: the front is a polynomial of the smallest degree up to 2 that explains 90 % of the
    variance of its points; close means within a fifth of the range of returns. If all points of the
    front coincide, the front is a constant here, whereas osrl fits a parabola.
    """
    front = pareto_front(returns, costs)
    curve = _front_curve(returns[front], costs[front])
    return np.flatnonzero(np.abs(returns - curve(costs)) <= np.ptp(returns) / 5)


def _front_curve(returns: Values, costs: Values) -> Polynomial:
    total = np.square(returns - returns.mean()).sum()
    for degree in (1, 2):  # degree 0 explains no variance
        curve = fit_front(returns, costs, degree)
        if np.square(returns - curve(costs)).sum() <= 0.1 * total:
            break
    return curve
