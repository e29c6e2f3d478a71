"""GAS with a shield: a critic of costs keeps actions from spending the cost limit too fast (ours).

GAS judges an action by the whole segments that began with it. A policy that drifts away from the
trajectories reaches states from which every segment costs much, although one action may lead back.
The target cost is then below that of every segment, and the policy does not come back. A critic
that is trained by TD learns from single transitions, and so finds the way back.

Implicit Q-learning on costs finds Q_c(s, a), the discounted cost after the action a if the cheaper
actions of the data follow. What is left of the cost limit, spent evenly over the steps left, allows
a discounted cost of b. The candidates are the policy's action and others around it. The nearest one
with Q_c(s, a) <= b acts. If there is none, a mean of the candidates acts, in which cheaper ones
weigh more. The cheapest one alone would change from step to step with the critic's errors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.quasirandom import SobolEngine

from benchmarks.common.ranges import Count, Discount, Expectile, LearningRate, NotNegative
from benchmarks.datasets.sampling import Transitions, TransitionSampler
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import eval_only
from benchmarks.methods.iql import ImplicitCritic
from benchmarks.methods.limits import discounted
from benchmarks.methods.networks import adam, optimizer_step
from gas.algorithm import GAS, GASConfig, GASPolicy
from gas.stitching import BUDGETS

_EDGE = 1e-4
"""Points of the sequence are kept this far inside (0, 1), so that normal ones stay finite."""
_SAME = 1e-6
"""Candidates whose Q_c have a smaller standard deviation weigh the same."""


@dataclass(frozen=True)
class ShieldConfig(GASConfig):
    """Options of GAS and of its shield."""

    gamma: Discount = 0.98
    """Discount of the costs: the shield looks about 1 / (1 - gamma) steps ahead."""
    cost_expectile: Expectile = 0.3
    """V_c is this expectile of Q_c over the data's actions."""
    tau: Expectile = 0.005
    """Polyak coefficient of the target critics."""
    critic_learning_rate: LearningRate = 3e-4
    critic_steps: Count = 2
    """Updates of Q_c and V_c for each update of GAS."""
    candidates: Count = eval_only(32)
    """Number of actions to choose from, the policy's own among them."""
    spread: NotNegative = eval_only(0.2)
    """Standard deviation of the candidates around the policy's action."""
    allowance: NotNegative = eval_only(1.0)
    """Factor of b, the discounted cost that is allowed."""
    sharpness: NotNegative = eval_only(1.25)
    """If no candidate is cheap enough, they weigh exp(-sharpness z), where z is their standardised
    Q_c: at 0 all weigh the same, and the larger, the more the cheapest decides."""


class ShieldedGAS(GAS):
    """Goal-Assisted Stitching whose actions a critic of costs may replace."""

    name = "gas-shield"
    config_class = ShieldConfig
    budgets: ClassVar = {
        **BUDGETS,
        "quick": replace(BUDGETS["quick"], update_ms=24),
        "standard": replace(BUDGETS["standard"], update_ms=24),
    }
    config: ShieldConfig

    # networks

    def build(self) -> None:
        """The networks of GAS, Q_c and V_c."""
        super().build()
        states, actions = self.problem.observation_dim, self.problem.action_dim
        self.shield = ImplicitCritic(states, actions, self.config.width, costs=True).to(self.device)
        rate = self.config.critic_learning_rate
        self.shield_optimiser = adam(rate, self.shield.q, self.shield.v)

    # losses

    def shield_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """The losses of V_c, a low expectile of Q_c, and of Q_c, one step and V_c after it."""
        value_loss, value_info = self.shield.least_value_loss(batch, self.config.cost_expectile)
        critic_loss, critic_info = self.shield.least_critic_loss(batch, self.config.gamma)
        return value_loss + critic_loss, {**value_info, **critic_info}

    # update

    def prepare(self, data: Trajectories) -> None:
        """Also put the transitions on the device."""
        super().prepare(data)
        self.transitions = TransitionSampler(data, self.config.batch, self.device)

    def update(self) -> dict[str, Tensor | float]:
        """Update the networks of GAS, then the shield's critic."""
        info = super().update()
        for _ in range(self.config.critic_steps):
            info |= self.update_shield()
        return info

    def update_shield(self) -> dict[str, Tensor]:
        """Update V_c, Q_c and its target on a new batch."""
        batch = self.transitions(self.draws).with_states(self.standardise)
        loss, info = self.shield_loss(batch)
        optimizer_step(self.shield_optimiser, loss)
        self.shield.move_target(self.config.tau)
        return info

    # policy

    def policy(self, limits: Tensor) -> ShieldedPolicy:
        """The learned policy behind its shield."""
        return ShieldedPolicy(self, *self.initial(limits))

    def shielded(self, states: Tensor, actions: Tensor, offsets: Tensor, allowed: Tensor) -> Tensor:
        """For each state [n, o] the action [n, a] that the shield takes.

        Candidates are `actions` [n, a] plus each of the `offsets` [K, a], the first of which is 0.
        `allowed` [n] is the discounted cost that a candidate may lead to.
        """
        candidates = (actions[:, None] + offsets).clamp(-1.0, 1.0)
        costs = self.shield.online_q(states[:, None].expand(-1, len(offsets), -1), candidates)
        distances = (candidates - actions[:, None]).square().sum(-1)
        within = costs <= allowed[:, None]
        nearest = distances.masked_fill(~within, torch.inf).argmin(1)
        chosen = candidates.take_along_dim(nearest[:, None, None], 1).squeeze(1)
        mean = (self.weights(costs)[..., None] * candidates).sum(1)
        return torch.where(within.any(1, keepdim=True), chosen, mean)

    def weights(self, costs: Tensor) -> Tensor:
        """The weights [n, K] of candidates with these Q_c [n, K], where none is cheap enough."""
        spread = costs.std(1, correction=0, keepdim=True).clamp(min=_SAME)
        return torch.softmax(-self.config.sharpness * (costs - costs.mean(1, True)) / spread, 1)


class ShieldedPolicy(GASPolicy):
    """The actions of GAS, unless they would spend the cost limit too fast."""

    gas: ShieldedGAS

    def __init__(
        self, gas: ShieldedGAS, targets: Tensor, budgets: Tensor, pace: Tensor | None
    ) -> None:
        super().__init__(gas, targets, budgets, pace)
        c = gas.config
        offsets = c.spread * normal_points(c.candidates - 1, gas.problem.action_dim)
        self.offsets = nn.functional.pad(offsets, (0, 0, 1, 0)).to(gas.device)

    def actions(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """The shield's choice among candidates around GAS's action."""
        gas, c = self.gas, self.gas.config
        steps_left = gas.problem.horizon - self.steps[env_ids]
        allowed = c.allowance * discounted(self.costs_left[env_ids], steps_left, c.gamma)
        actions = super().actions(observations, env_ids)
        return gas.shielded(gas.standardise(observations), actions, self.offsets, allowed)


def normal_points(count: int, dimensions: int) -> Tensor:
    """Points [count, dimensions] spread like a standard normal distribution, always the same.

    They are those of a scrambled Sobol sequence, which fill the space more evenly than random ones.
    """
    uniform = SobolEngine(dimensions, scramble=True, seed=0).draw(count + 1)[:count]
    points: Tensor = torch.special.ndtri(uniform.clamp(_EDGE, 1.0 - _EDGE))
    return points
