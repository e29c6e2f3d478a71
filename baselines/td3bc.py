"""TD3+BC (Fujimoto and Gu, NeurIPS 2021, arXiv 2106.06860), on which CARL and O3SRL are built.

Twin critics with target networks and noise on the target's actions; a deterministic policy that
maximises the value, scaled by its mean absolute value, and stays near the data's actions. A method
built on it says what reward the critics see.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.common.ranges import (
    Batch,
    Count,
    Discount,
    Expectile,
    LearningRate,
    NotNegative,
    Width,
)
from benchmarks.datasets.sampling import Transitions, TransitionSampler
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Algorithm, Config, MemorylessPolicy, Policy
from benchmarks.methods.networks import (
    DoubleCritic,
    adam,
    make_target,
    mlp,
    optimizer_step,
    polyak_update,
)
from benchmarks.methods.standardiser import Standardiser


@dataclass(frozen=True)
class TD3BCConfig(Config):
    """Options of TD3+BC; defaults are its paper's."""

    batch: Batch = 256
    learning_rate: LearningRate = 3e-4
    hidden: Width = 256
    """Width of the two hidden layers of every network."""
    gamma: Discount = 0.99
    tau: Expectile = 0.005
    """Polyak coefficient of the target networks."""
    actor_every: Count = 2
    """Updates of the critics for one of the policy and of the target networks."""
    noise: NotNegative = 0.2
    """Standard deviation of the noise on the target policy's actions."""
    noise_clip: NotNegative = 0.5
    bc_scale: NotNegative = 2.5
    """Weight of the mean absolute value against the squared error to the data's actions."""


class TD3BC(Algorithm):
    """TD3+BC on a reward that the subclass defines; trained for one cost limit."""

    trains_per_limit = True
    heeds_limit = True
    stackable = True
    config: TD3BCConfig

    # networks

    def build(self) -> None:
        """Policy, critics and their targets; observations are standardised."""
        c, problem = self.config, self.problem
        states, actions = problem.observation_dim, problem.action_dim
        self.actor = nn.Sequential(*mlp(states, c.hidden, c.hidden, actions), nn.Tanh())
        self.actor.to(self.device)
        self.critics = DoubleCritic(states + actions, c.hidden).to(self.device)
        self.target_actor, self.targets = make_target(self.actor), make_target(self.critics)
        self.actor_optimiser = adam(c.learning_rate, self.actor)
        self.critic_optimiser = adam(c.learning_rate, self.critics)
        self.scaled = Standardiser.of(problem, self.device, floor=1e-3)

    # losses

    @abstractmethod
    def rewards(self, batch: Transitions) -> Tensor:
        """The rewards [..., B] that the critics learn from; they take no gradient."""

    def critic_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Regress both Q on the reward and the smaller target Q of a noisy target action."""
        c, after = self.config, batch.next_observations
        with torch.no_grad():
            mean = self.target_actor(after)
            noise = (c.noise * self.draws.normal_like(mean)).clamp(-c.noise_clip, c.noise_clip)
            next_q = self.targets(after, (mean + noise).clamp(-1.0, 1.0)).amin(0)
            backup = self.rewards(batch) + c.gamma * (1.0 - batch.terminal) * next_q
        error = self.critics(batch.observations, batch.actions) - backup
        loss = error.square().mean(-1).sum(0)
        return loss, {"critic_loss": loss.detach()}

    def actor_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Minus the first Q, scaled by its mean absolute value, and the error to the data."""
        actions = self.actor(batch.observations)
        value = self.critics(batch.observations, actions)[0]
        scale = self.config.bc_scale / value.detach().abs().mean(-1).clamp(min=1e-6)
        cloning = (actions - batch.actions).square().mean((-2, -1))
        loss = cloning - scale * value.mean(-1)
        return loss, {"actor_loss": loss.detach(), "cloning_loss": cloning.detach()}

    # update

    def prepare(self, data: Trajectories) -> None:
        """Put the transitions on the device."""
        self.sampler = TransitionSampler(data, self.config.batch, self.device)

    def batch(self) -> Transitions:
        """A new batch, with standardised observations."""
        return self.sampler(self.draws).with_states(self.scaled)

    def update_td3(self, batch: Transitions) -> dict[str, Tensor | float]:
        """Update the critics, and each `actor_every`-th time the policy and the targets.

        The policy's loss is reported at every update.
        """
        c = self.config
        critic_loss, critic_info = self.critic_loss(batch)
        optimizer_step(self.critic_optimiser, critic_loss)
        due = (self.updates + 1) % c.actor_every == 0
        with torch.set_grad_enabled(due):
            actor_loss, actor_info = self.actor_loss(batch)
        if due:
            optimizer_step(self.actor_optimiser, actor_loss)
            polyak_update(self.target_actor, self.actor, c.tau)
            polyak_update(self.targets, self.critics, c.tau)
        return {**critic_info, **actor_info}

    # policy

    def policy(self, limits: Tensor) -> Policy:
        """The learned policy."""
        return MemorylessPolicy(lambda observations: self.actor(self.scaled(observations)))
