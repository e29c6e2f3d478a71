"""CAPS: constraint-adaptive policy switching (AAAI 2025, arXiv 2412.18946), in its IQL form.

IQL values rewards and costs. Policies with one trunk and several heads are cloned with weights from
the advantage in reward (the first head) to that in cost (the last). At each step the critics judge
what every head proposes: of those within the limit that is left the most rewarding acts, otherwise
the cheapest. One training serves every limit. `baselines.caps_sac` is the other form.

Q_c assumes the cheap behaviour of its expectile after the proposed action, whichever head proposed
it: the estimate errs low. Differs from the authors' code: costs are kept positive, so that the
larger of two Q_c counts where the code takes the smaller of two negative ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from baselines.switching import Proposals, SwitchingPolicy
from benchmarks.common.ranges import (
    Batch,
    Discount,
    Expectile,
    LearningRate,
    NotNegative,
    Positive,
    Range,
    Width,
)
from benchmarks.datasets.sampling import Transitions, TransitionSampler
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Algorithm, Budget, Config, Policy
from benchmarks.methods.iql import ImplicitCritic, advantage_weight
from benchmarks.methods.networks import adam, cosine_decay, mlp, optimizer_step


@dataclass(frozen=True)
class CAPSConfig(Config):
    """Options of CAPS; defaults are those of the authors' code."""

    batch: Batch = 512
    learning_rate: LearningRate = 3e-4
    decay_updates: Annotated[int, Range(1, most=10**9)] = 1_000_000
    """Length of the cosine decay of the policy's learning rate."""
    hidden: Width = 512
    """Width of the two hidden layers of every network."""
    heads: Annotated[int, Range(2, most=1000)] = 2
    """Policies from reward to cost, at least 2 (the paper also tries 4 and 8)."""
    gamma: Discount = 0.99
    tau: Expectile = 0.005
    """Polyak coefficient of the target critics."""
    reward_expectile: Expectile = 0.7
    cost_expectile: Expectile = 0.3
    """V_c is this expectile of Q_c (the paper: 0.7 of the negative cost)."""
    temperature: NotNegative = 3.0
    max_weight: Positive = 100.0
    """Largest weight of an action in the loss of a head."""
    reward_scale: Positive = 0.1

    def __post_init__(self) -> None:
        if self.heads < 2:
            raise ValueError(f"caps needs at least 2 heads, not {self.heads}")


_QUICK = Budget.of(4_000, update_ms=9, batch=256, hidden=128, learning_rate=1e-3, tau=0.01)


class HeadedActor(nn.Module):
    """Policies with one trunk; a head's actions are the tanh of a linear layer."""

    def __init__(self, states: int, actions: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*mlp(states, hidden, hidden), nn.ReLU())
        self.heads = nn.ModuleList(nn.Linear(hidden, actions) for _ in range(heads))

    def forward(self, states: Tensor) -> Tensor:
        """The actions of all heads [heads, ..., B, a]."""
        features = self.trunk(states)
        return torch.stack([head(features).tanh() for head in self.heads])


class CAPS(Algorithm):
    """Heads between reward and cost, switched by critics at each step; serves every limit."""

    name = "caps"
    trains_per_limit = False
    heeds_limit = True
    stackable = True
    capturable = True
    config_class = CAPSConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(15_000),
        "paper": Budget.of(100_000, update_ms=72),
    }
    config: CAPSConfig

    # networks

    def build(self) -> None:
        """Q, their targets and V, of rewards and of costs; the policies."""
        c, problem = self.config, self.problem
        sizes = problem.observation_dim, problem.action_dim, c.hidden
        self.rewards = ImplicitCritic(*sizes, costs=False).to(self.device)
        self.costs = ImplicitCritic(*sizes, costs=True).to(self.device)
        self.actor = HeadedActor(*sizes, c.heads).to(self.device)
        values = self.rewards.q, self.rewards.v, self.costs.q, self.costs.v
        self.critic_optimiser = adam(c.learning_rate, *values)
        self.actor_optimiser = adam(c.learning_rate, self.actor)

    # losses

    def value_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Regress V on a high expectile of target Q, and V_c on a low one of target Q_c."""
        c, at = self.config, batch.observations
        reward = self.rewards.value_loss(
            self.rewards.target_q(at, batch.actions), at, c.reward_expectile
        )
        cost = self.costs.value_loss(self.costs.target_q(at, batch.actions), at, c.cost_expectile)
        return reward + cost, {"value_loss": reward.detach(), "cost_value_loss": cost.detach()}

    def critic_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Regress Q on r + gamma V' and Q_c on c + gamma V_c', until the episode ends."""
        at, going = (batch.observations, batch.actions), self.config.gamma * (1.0 - batch.done)
        after = batch.next_observations
        reward = self.rewards.critic_loss(*at, batch.rewards + going * self.rewards.v(after))
        cost = self.costs.critic_loss(*at, batch.costs + going * self.costs.v(after))
        return reward + cost, {"critic_loss": reward.detach(), "cost_critic_loss": cost.detach()}

    def actor_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean over the heads of weighted squared errors, halved: likelihoods with deviation 1."""
        error = 0.5 * (self.actor(batch.observations) - batch.actions).square().sum(-1)
        loss = (self.weights(batch) * error).mean((0, -1))
        return loss, {"actor_loss": loss.detach()}

    @torch.no_grad()
    def weights(self, batch: Transitions) -> Tensor:
        """Weight of each action for each head [heads, ..., B]."""
        c, at = self.config, (batch.observations, batch.actions)
        gain = self.rewards.target_q(*at) - self.rewards.v(at[0])
        saving = self.costs.v(at[0]) - self.costs.target_q(*at)
        reward, cost = (advantage_weight(a, c.temperature, c.max_weight) for a in (gain, saving))
        between = [reward + 2.0 * k / (c.heads - 1) * cost for k in range(1, c.heads - 1)]
        return torch.stack([reward, *between, cost])

    # update

    def prepare(self, data: Trajectories) -> None:
        """Put the transitions on the device."""
        c = self.config
        self.sampler = TransitionSampler(data, c.batch, self.device, reward_scale=c.reward_scale)

    def schedule(self) -> None:
        """Set the policy's learning rate."""
        self.actor_optimiser.param_groups[0]["lr"] = self.learning_rate()

    def update(self) -> dict[str, Tensor | float]:
        """One step of all networks, each on the others as they were before it; then the targets."""
        batch = self.sampler(self.draws)
        value_loss, value_info = self.value_loss(batch)
        critic_loss, critic_info = self.critic_loss(batch)
        actor_loss, actor_info = self.actor_loss(batch)
        optimizer_step(self.critic_optimiser, value_loss + critic_loss)
        optimizer_step(self.actor_optimiser, actor_loss)
        for values in (self.rewards, self.costs):
            values.move_target(self.config.tau)
        return {**value_info, **critic_info, **actor_info}

    def learning_rate(self) -> float:
        """The policy's learning rate, on a long cosine decay."""
        c = self.config
        return c.learning_rate * cosine_decay(self.updates / c.decay_updates)

    # policy

    @torch.no_grad()
    def proposals(self, observations: Tensor) -> Proposals:
        """What each head would do, and the worse Q and Q_c of it."""
        actions = self.actor(observations)
        states = observations.expand(len(actions), *observations.shape)
        return Proposals(
            actions,
            self.rewards.online_q(states, actions),
            self.costs.online_q(states, actions),
        )

    def policy(self, limits: Tensor) -> Policy:
        """Switches heads by what is left of each limit."""
        given = limits.to(self.device), self.problem.horizon, self.config.gamma
        return SwitchingPolicy(self.proposals, *given)
