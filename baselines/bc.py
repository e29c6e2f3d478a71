"""Behaviour cloning with osrl's network and loss: of all trajectories, or of some.

The reference lines of the benchmark: BC-All shows what the data do on average, BC-Safe what is to
be had by leaving out every trajectory that breaks the limit, BC-Frontier by leaving out those that
are poor for what they cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.polynomial import Polynomial
from torch import Tensor

from baselines.networks import descend
from baselines.osrl.adapter import WrappedAlgorithm, import_osrl
from benchmarks.common.errors import UserError
from benchmarks.datasets.sampling import TransitionSampler
from benchmarks.datasets.sequences import Indices, Values, fit_front, pareto_front
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Budget, Config, MemorylessPolicy, Policy


@dataclass(frozen=True)
class BCConfig(Config):
    """Options of behaviour cloning; defaults are osrl's."""

    batch: int = 512
    actor_lr: float = 1e-3
    hidden: int = 256
    """Width of the hidden layers."""
    hidden_layers: int = 2


class BCAll(WrappedAlgorithm):
    """Clones all trajectories. It ignores the limit, so that one training serves every limit."""

    name = "bc-all"
    conditions_on_limit = True
    stackable = True
    config_class = BCConfig
    budgets: ClassVar = {
        "quick": Budget.of(2_000, update_ms=1.8, batch=256),
        "standard": Budget.of(10_000, update_ms=3.2),
        "paper": Budget.of(100_000, update_ms=3.2),
    }
    config: BCConfig

    def build(self) -> tuple[Any, Any]:
        """The BC of osrl and its trainer."""
        osrl, c = import_osrl("algorithms.bc"), self.config
        model = osrl.BC(
            self.problem.observation_dim,
            self.problem.action_dim,
            max_action=1.0,
            a_hidden_sizes=[c.hidden] * c.hidden_layers,
            episode_len=self.problem.horizon,
            device=str(self.device),
        )
        trainer = osrl.BCTrainer(model, None, self.log, c.actor_lr, device=str(self.device))
        self.optimiser = model.actor_optim
        return model, trainer

    def prepare(self, data: Trajectories) -> None:
        """Put the transitions on the device."""
        self.sampler = TransitionSampler(data, self.config.batch, self.device)

    def update(self) -> dict[str, Tensor | float]:
        """One step on the squared error of the actions."""
        batch = self.sampler(self.draws)
        error = self.model.actor(batch.observations) - batch.actions
        loss = error.square().mean((-2, -1))
        descend(self.optimiser, loss)
        return {"actor_loss": loss.detach()}

    def policy(self, limits: Tensor) -> Policy:
        """The cloned policy, the same at every limit."""
        return MemorylessPolicy(self.model.actor)


class BCSafe(BCAll):
    """Clones the trajectories whose undiscounted cost is within the limit.

    osrl selects by `cost <= limit` with costs discounted by an option that its script leaves at 1.
    """

    name = "bc-safe"
    conditions_on_limit = False

    def prepare(self, data: Trajectories) -> None:
        """Keep the safe trajectories; a `UserError` where there is none."""
        assert self.limit is not None
        safe = np.flatnonzero(data.episode_costs <= self.limit)
        if len(safe) == 0:
            raise UserError(
                f"no trajectory keeps the cost limit {self.limit:g} that bc-safe is trained for: "
                f"the least cost in the data is {data.episode_costs.min():g}"
            )
        super().prepare(data.select(safe))


class BCFrontier(BCAll):
    """Clones the trajectories near the Pareto front of return and cost, whatever the limit."""

    name = "bc-frontier"

    def prepare(self, data: Trajectories) -> None:
        """Keep the trajectories near the front."""
        super().prepare(data.select(near_front(data.returns, data.episode_costs)))


def near_front(returns: Values, costs: Values) -> Indices:
    """Indices of the trajectories whose return lies near what the front has at their cost.

    As osrl selects: the front is a polynomial of the least degree up to 2 that explains 90 % of
    the variance of its points, and near is within a fifth of the range of the returns. Where all
    points of the front are one, it is a constant; osrl fits a parabola through them all the same.
    """
    front = pareto_front(returns, costs)
    curve = _curve(returns[front], costs[front])
    return np.flatnonzero(np.abs(returns - curve(costs)) <= np.ptp(returns) / 5)


def _curve(returns: Values, costs: Values) -> Polynomial:
    total = np.square(returns - returns.mean()).sum()
    for degree in (1, 2):  # degree 0 explains nothing
        curve = fit_front(returns, costs, degree)
        if np.square(returns - curve(costs)).sum() <= 0.1 * total:
            break
    return curve
