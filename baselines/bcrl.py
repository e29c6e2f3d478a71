"""BCRL: budget-conditioned reachability (arXiv 2603.22292), written from the paper.

IQL on costs finds V_c(s), the least discounted cost that the data's actions lead to. What a cost
limit allows beyond it is the excess budget. IQL on rewards, conditioned on the excess budget, and a
policy cloned with the weights of its advantages serve every limit at once; where no excess is left,
a second policy, cloned by the cost's advantage, acts.

Differs from the paper and its code: the last update acts, where the code keeps the best safe
evaluation; rewards can be scaled (`reward_scale`), which only the shorter budgets do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from baselines.networks import GaussianActor, negative_log_likelihood, orthogonal
from benchmarks.common.ranges import (
    Batch,
    Discount,
    Expectile,
    LearningRate,
    NotNegative,
    Positive,
    Width,
)
from benchmarks.datasets.sampling import Transitions, TransitionSampler
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Algorithm, Budget, Config, Policy
from benchmarks.methods.iql import ImplicitCritic, advantage_weight
from benchmarks.methods.limits import LimitPolicy, discounted
from benchmarks.methods.networks import adam, cosine_decay, optimizer_step
from benchmarks.methods.standardiser import Standardiser
from benchmarks.tasks.tasks import ALL_TASKS


@dataclass(frozen=True)
class BCRLConfig(Config):
    """Options of BCRL; defaults are those of the authors' code for Bullet's tasks."""

    batch: Batch = 512
    learning_rate: LearningRate = 3e-4
    """Of all networks; the policies' falls to 0 along a cosine."""
    hidden: Width = 512
    """Width of the two hidden layers of every network."""
    dropout: Discount = 0.1
    """Of the policies, behind their hidden layers."""
    max_grad_norm: Positive = 10.0
    """Largest norm of the gradient of a value function or critic."""
    gamma: Discount = 0.99
    tau: Expectile = 0.005
    """Polyak coefficient of the target critics."""
    cost_expectile: Expectile = 0.2
    """V_c is this expectile of Q_c (0.3 on the car's and drone's circle and Safety-Gymnasium)."""
    reward_expectile: Expectile = 0.5
    """V is this expectile of Q (0.6 on Safety-Gymnasium)."""
    temperature: NotNegative = 3.0
    max_weight: Positive = 100.0
    """Largest weight of an action in the loss of a policy."""
    least_excess: NotNegative = 0.1
    """Excess budget, in discounted cost, below which the safe policy acts."""
    reward_scale: Positive = 1.0


_QUICK = Budget.of(
    4_000,
    update_ms=14,
    batch=256,
    hidden=128,
    learning_rate=1e-3,
    tau=0.01,
    reward_scale=0.1,
)


class BCRL(Algorithm):
    """Policies conditioned on the budget in excess of the least cost; serves every limit."""

    name = "bcrl"
    trains_per_limit = False
    heeds_limit = True
    stackable = True
    capturable = True
    config_class = BCRLConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(12_000),
        "paper": Budget.of(100_000, update_ms=100),
    }
    config: BCRLConfig

    @classmethod
    def options_on(cls, task: str, source: str) -> Mapping[str, Any]:
        """The authors' expectiles of a task."""
        if task in ALL_TASKS and ALL_TASKS[task].engine == "mujoco":
            return {"cost_expectile": 0.3, "reward_expectile": 0.6}
        return {"cost_expectile": 0.3} if task in ("CarCircle", "DroneCircle") else {}

    # networks

    def build(self) -> None:
        """Q_c and V_c; Q and V, which take a budget; a policy that takes one, and one without."""
        c, problem = self.config, self.problem
        states, actions = problem.observation_dim, problem.action_dim
        self.costs = ImplicitCritic(states, actions, c.hidden, costs=True, layer_norm=True)
        self.rewards = ImplicitCritic(states + 1, actions, c.hidden, costs=False, layer_norm=True)
        sizes = actions, c.hidden, self.draws
        self.actor = GaussianActor(states + 1, *sizes, dropout=c.dropout)
        self.safe_actor = GaussianActor(states, *sizes, dropout=c.dropout)
        critics = self.costs.q, self.costs.v, self.rewards.q, self.rewards.v
        actors = self.actor, self.safe_actor
        for network in (*critics, *actors):
            orthogonal(network.to(self.device))
        for values in (self.costs, self.rewards):
            values.to(self.device).move_target(1.0)
        self.critic_optimiser = adam(c.learning_rate, *critics)
        self.actor_optimiser = adam(c.learning_rate, *actors)
        self.largest_cost = torch.zeros((), device=self.device)
        """c_max: the discounted cost of an endless episode with the largest cost at each step."""
        self.scaled = Standardiser.of(problem, self.device)

    def parts(self) -> dict[str, Any]:
        """Also the range of budgets, which acting reads."""
        return {**super().parts(), "largest_cost": self.largest_cost}

    # losses

    def cost_value_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Regress V_c on a low expectile of the larger target Q_c."""
        return self.costs.least_value_loss(batch, self.config.cost_expectile)

    def cost_critic_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Regress Q_c on c + gamma V_c'."""
        return self.costs.least_critic_loss(batch, self.config.gamma)

    def value_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Regress V on an expectile of the smaller target Q, at random budgets."""
        q_states, v_states = self.budgeted(batch)[:2]
        q = self.rewards.target_q(q_states, batch.actions)
        loss = self.rewards.value_loss(q, v_states, self.config.reward_expectile)
        return loss, {"value_loss": loss.detach()}

    def critic_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Regress Q at the excess gamma delta' on r + gamma V at the excess delta' of s'."""
        gamma, excess = self.config.gamma, self.drawn_budgets(batch)
        next_v = self.rewards.v(joined(batch.next_observations, excess))
        backup = batch.rewards + gamma * (1.0 - batch.terminal) * next_v
        states = joined(batch.observations, gamma * excess)
        loss = self.rewards.critic_loss(states, batch.actions, backup)
        return loss, {"critic_loss": loss.detach()}

    def actor_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Likelihood of the actions, weighted by the advantage at a random budget."""
        c = self.config
        with torch.no_grad():
            q_states, v_states, excess = self.budgeted(batch)
            advantage = self.rewards.online_q(q_states, batch.actions) - self.rewards.v(v_states)
            weight = advantage_weight(advantage, c.temperature, c.max_weight)
            given = joined(batch.observations, self.clipped(excess))
        mean, log_std = self.actor(given)
        loss = (weight * negative_log_likelihood(mean, log_std, batch.actions)).mean(-1)
        return loss, {"actor_loss": loss.detach()}

    def safe_actor_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Likelihood of the actions, weighted by how much less they cost than V_c."""
        c, at = self.config, batch.observations
        with torch.no_grad():
            saved = self.costs.v(at) - self.costs.target_q(at, batch.actions)
            weight = advantage_weight(saved, c.temperature, c.max_weight)
        mean, log_std = self.safe_actor(at)
        loss = (weight * negative_log_likelihood(mean, log_std, batch.actions)).mean(-1)
        return loss, {"safe_actor_loss": loss.detach()}

    def drawn_budgets(self, batch: Transitions) -> Tensor:
        """Uniform between 0 and c_max, one a transition [..., B]."""
        return self.draws.uniform_like(batch.rewards) * self.largest_cost[..., None]

    @torch.no_grad()
    def budgeted(self, batch: Transitions) -> tuple[Tensor, Tensor, Tensor]:
        """States with the excess over Q_c(s, a), with that over V_c(s), and the latter [..., B].

        Both belong to the same budget, which covers the larger of the two.
        """
        q = self.costs.target_q(batch.observations, batch.actions)
        v = self.costs.v(batch.observations)
        budget = self.drawn_budgets(batch) + torch.maximum(q, v)
        states = batch.observations
        return joined(states, budget - q), joined(states, budget - v), budget - v

    def clipped(self, budget: Tensor) -> Tensor:
        """`budget` [..., B] between 0 and c_max."""
        return budget.clamp(min=0.0).minimum(self.largest_cost[..., None])

    # update

    def prepare(self, data: Trajectories) -> None:
        """Put the transitions on the device and find c_max."""
        c = self.config
        self.sampler = TransitionSampler(data, c.batch, self.device, reward_scale=c.reward_scale)
        self.largest_cost.fill_(float(data.costs.max()) / (1.0 - c.gamma))

    def schedule(self) -> None:
        """Set the policies' learning rate."""
        decay = cosine_decay(self.updates / self.planned_updates)
        self.actor_optimiser.param_groups[0]["lr"] = self.config.learning_rate * decay

    def update(self) -> dict[str, Tensor | float]:
        """Update V_c, Q_c, their target, V, Q, their target, and both policies, in this order."""
        c, batch = self.config, self.sampler(self.draws).with_states(self.scaled)
        self.actor.train()
        self.safe_actor.train()
        info: dict[str, Tensor | float] = {}
        for values, losses in (
            (self.costs, (self.cost_value_loss, self.cost_critic_loss)),
            (self.rewards, (self.value_loss, self.critic_loss)),
        ):
            for loss_of in losses:
                loss, one = loss_of(batch)
                optimizer_step(
                    self.critic_optimiser, loss, largest=c.max_grad_norm, stacked=self.stacked
                )
                info |= one
            values.move_target(c.tau)
        actor_loss, actor_info = self.actor_loss(batch)
        safe_loss, safe_info = self.safe_actor_loss(batch)
        optimizer_step(self.actor_optimiser, actor_loss + safe_loss)
        return {**info, **actor_info, **safe_info}

    # policy

    def policy(self, limits: Tensor) -> Policy:
        """Acts on what is left of each limit."""
        return BCRLPolicy(self, limits.to(self.device))


class BCRLPolicy(LimitPolicy):
    """The budget's policy with the excess that is left; the safe one where there is none."""

    def __init__(self, bcrl: BCRL, limits: Tensor) -> None:
        super().__init__(limits, bcrl.problem.horizon)
        self.bcrl = bcrl

    def actions(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """Means of the two policies, chosen by the excess budget."""
        bcrl = self.bcrl
        bcrl.actor.eval()
        bcrl.safe_actor.eval()
        states = bcrl.scaled(observations)
        budget = discounted(self.left[env_ids], self.steps[env_ids], bcrl.config.gamma)
        excess = (bcrl.clipped(budget) - bcrl.costs.v(states)).clamp(min=0.0)
        means, _ = bcrl.actor(joined(states, excess))
        safe_means, _ = bcrl.safe_actor(states)
        return torch.where(excess[:, None] < bcrl.config.least_excess, safe_means, means)


def joined(states: Tensor, numbers: Tensor) -> Tensor:
    """States [..., o] with a number each [..., B] behind them [..., o + 1]."""
    return torch.cat([states, numbers[..., None]], dim=-1)
