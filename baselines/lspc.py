"""LSPC: latent safety-constrained policies (ICLR 2025, arXiv 2412.08794), written from the paper.

IQL values rewards, and costs with a low expectile. A CVAE clones the actions given the state, with
weights of the cost's advantage: its decoder makes cheap actions of a bounded latent code. A policy
of that code is cloned with weights of the reward's advantage, through the fixed decoder. No network
knows the limit: one training serves all, and the policy ignores the limit.

LSPC-O (`acting=optimal`) draws the code from that policy; LSPC-S (`acting=safe`) draws it from the
clipped prior. Both act at random, here with noise that belongs to the episode. Differs from the
authors' code: no checkpoint is chosen by evaluations in the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from baselines.episode_noise import EpisodeNoise
from baselines.networks import GaussianActor
from benchmarks.common.errors import UserError
from benchmarks.common.ranges import (
    Batch,
    Choices,
    Discount,
    Expectile,
    LearningRate,
    NotNegative,
    Positive,
    Width,
)
from benchmarks.datasets.sampling import Transitions, TransitionSampler
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Algorithm, Budget, Config, Policy, eval_only
from benchmarks.methods.iql import ImplicitCritic, advantage_weight
from benchmarks.methods.losses import expectile_weight
from benchmarks.methods.networks import adam, mlp, optimizer_step
from benchmarks.methods.standardiser import Standardiser
from benchmarks.tasks.tasks import ALL_TASKS


@dataclass(frozen=True)
class LSPCConfig(Config):
    """Options of LSPC; defaults are those of the authors' code for Bullet's tasks."""

    batch: Batch = 1024
    learning_rate: LearningRate = 3e-4
    hidden: Width = 256
    """Width of the two hidden layers of every network."""
    latent: Width = 32
    gamma: Discount = 0.99
    tau: Expectile = 0.005
    """Polyak coefficient of the target critics."""
    reward_expectile: Expectile = 0.7
    cost_expectile: Expectile = 0.3
    """V_c is this expectile of Q_c (the paper: 0.7 of its negative)."""
    temperature: NotNegative = 2.0
    max_weight: Positive = 200.0
    """Largest weight of an action."""
    cost_bound: Positive = 999.0
    """Actions with a Q_c or V_c of this or more do not train the CVAE (0.02 on MetaDrive)."""
    restriction: Positive = 0.6
    """Largest absolute component of the latent code (0.25 on AntRun and Safety-Gymnasium)."""
    standardise: bool = False
    """Scale observations to mean 0 and standard deviation 1."""
    acting: Annotated[str, Choices(("optimal", "safe"))] = eval_only("optimal")
    """"optimal": the code is drawn from the policy (LSPC-O); "safe": from the prior (LSPC-S)."""

    def __post_init__(self) -> None:
        if self.acting not in ("optimal", "safe"):
            raise UserError(f"lspc.acting is optimal or safe, not {self.acting!r}")


_QUICK = Budget.of(
    4_000,
    update_ms=12,
    batch=256,
    hidden=128,
    latent=8,
    learning_rate=1e-3,
    tau=0.01,
    standardise=True,
)


class LSPC(Algorithm):
    """A policy in the latent space of cheap actions; ignores the cost limit."""

    name = "lspc"
    trains_per_limit = False
    heeds_limit = False
    stackable = True
    capturable = True
    config_class = LSPCConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(15_000),
        "paper": Budget.of(1_000_000, update_ms=64),
    }
    config: LSPCConfig

    @classmethod
    def options_on(cls, task: str, source: str) -> Mapping[str, Any]:
        """The authors' settings of a task."""
        engine = ALL_TASKS[task].engine if task in ALL_TASKS else ""
        if engine == "metadrive":
            return {"cost_bound": 0.02}
        return {"restriction": 0.25} if engine == "mujoco" or task == "AntRun" else {}

    # networks

    def build(self) -> None:
        """Values of rewards and costs, the CVAE, and the policy of its latent code."""
        c, problem = self.config, self.problem
        states, actions = problem.observation_dim, problem.action_dim
        self.rewards = ImplicitCritic(states, actions, c.hidden, costs=False).to(self.device)
        self.costs = ImplicitCritic(states, actions, c.hidden, costs=True).to(self.device)
        self.encoder = GaussianActor(
            *(states + actions, c.latent, c.hidden, self.draws),
            log_std=(-4.0, 15.0),
            bounded=False,
        ).to(self.device)
        self.decoder = nn.Sequential(
            *mlp(states + c.latent, c.hidden, c.hidden, actions), nn.Tanh()
        ).to(self.device)
        self.actor = GaussianActor(
            *(states, c.latent, c.hidden, self.draws), log_std=(-10.0, 2.0), bounded=False
        ).to(self.device)
        self.scaled = Standardiser.of(problem, self.device, used=c.standardise)
        values = self.rewards.q, self.rewards.v, self.costs.q, self.costs.v
        self.critic_optimiser = adam(c.learning_rate, *values)
        self.vae_optimiser = adam(c.learning_rate, self.encoder, self.decoder)
        self.actor_optimiser = adam(c.learning_rate, self.actor)

    def decoded(self, states: Tensor, latent: Tensor) -> Tensor:
        """Actions [..., B, a] of latent codes."""
        actions: Tensor = self.decoder(torch.cat([states, latent], dim=-1))
        return actions

    def code(self, states: Tensor, noise: Tensor) -> Tensor:
        """Latent codes of the policy from standard `noise` [..., B, latent]."""
        mean, log_std = self.actor(states)
        latent: Tensor = self.config.restriction * (mean + log_std.exp() * noise).tanh()
        return latent

    # losses

    def value_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Regress V on a high expectile of Q, and the positive part of V_c on a low one of Q_c's.

        Where V_c is negative it has no gradient.
        """
        c, at = self.config, batch.observations
        q = self.rewards.target_q(at, batch.actions)
        reward = self.rewards.value_loss(q, at, c.reward_expectile)
        cost_q = self.costs.target_q(at, batch.actions).clamp(min=0.0)
        dearer = cost_q - self.costs.v(at).clamp(min=0.0)
        cost = (expectile_weight(dearer, c.cost_expectile) * dearer.square()).mean(-1)
        return reward + cost, {"value_loss": reward.detach(), "cost_value_loss": cost.detach()}

    def critic_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Regress Q on r + gamma V' and Q_c on c + gamma max(V_c', 0), until the episode ends."""
        at, going = (batch.observations, batch.actions), self.config.gamma * (1.0 - batch.done)
        after = batch.next_observations
        reward = self.rewards.critic_loss(*at, batch.rewards + going * self.rewards.v(after))
        cost_after = self.costs.v(after).clamp(min=0.0)
        cost = self.costs.critic_loss(*at, batch.costs + going * cost_after)
        return reward + cost, {"critic_loss": reward.detach(), "cost_critic_loss": cost.detach()}

    def vae_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Squared error of the actions and KL divergence, weighted by the saving in cost."""
        c, at = self.config, batch.observations
        with torch.no_grad():
            q, v = self.costs.target_q(at, batch.actions), self.costs.v(at)
            weight = advantage_weight(v - q, c.temperature, c.max_weight)
            weight = weight * ((v < c.cost_bound) & (q < c.cost_bound))
        mean, log_std = self.encoder(torch.cat([at, batch.actions], dim=-1))
        latent = mean + log_std.exp() * self.draws.normal_like(mean)
        error = (self.decoded(at, latent) - batch.actions).square().sum(-1)
        kl = 0.5 * (mean.square() + (2.0 * log_std).exp() - 1.0 - 2.0 * log_std)
        loss = (weight * (error + 0.5 * kl.mean(-1))).mean(-1)
        return loss, {"vae_loss": loss.detach()}

    def actor_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Squared error of the decoded actions, weighted by the advantage in reward."""
        c, at = self.config, batch.observations
        with torch.no_grad():
            gain = self.rewards.target_q(at, batch.actions) - self.rewards.v(at)
            weight = advantage_weight(gain, c.temperature, c.max_weight)
        noise = self.draws.normal_like(at.new_empty(*at.shape[:-1], c.latent))
        error = (self.decoded(at, self.code(at, noise)) - batch.actions).square().sum(-1)
        loss = (weight * error).mean(-1)
        return loss, {"actor_loss": loss.detach()}

    # update

    def prepare(self, data: Trajectories) -> None:
        """Put the transitions on the device."""
        self.sampler = TransitionSampler(data, self.config.batch, self.device)

    def update(self) -> dict[str, Tensor | float]:
        """One step of the values, the CVAE and the policy, each on the others before; targets."""
        batch = self.sampler(self.draws).with_states(self.scaled)
        value_loss, value_info = self.value_loss(batch)
        critic_loss, critic_info = self.critic_loss(batch)
        vae_loss, vae_info = self.vae_loss(batch)
        optimizer_step(self.critic_optimiser, value_loss + critic_loss)
        optimizer_step(self.vae_optimiser, vae_loss)
        actor_loss, actor_info = self.actor_loss(batch)
        optimizer_step(self.actor_optimiser, actor_loss)
        for values in (self.rewards, self.costs):
            values.move_target(self.config.tau)
        return {**value_info, **critic_info, **vae_info, **actor_info}

    # policy

    @torch.no_grad()
    def act(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Actions [n, a] of the codes that `noise` [n, latent] gives."""
        c = self.config
        prior = noise.clamp(-c.restriction, c.restriction)
        states = self.scaled(observations)
        latent = self.code(states, noise) if c.acting == "optimal" else prior
        return self.decoded(states, latent)

    def policy(self, limits: Tensor) -> Policy:
        """The learned policy, the same at every limit."""
        return LSPCPolicy(self)


class LSPCPolicy(Policy):
    """Acts with the noise of each episode."""

    def __init__(self, lspc: LSPC) -> None:
        self.lspc, self.noise = lspc, EpisodeNoise(lspc.seed)

    def act(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """Decoded codes."""
        return self.lspc.act(
            observations, self.noise(observations, env_ids, self.lspc.config.latent)
        )
