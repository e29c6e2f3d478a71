"""Constraints Penalized Q-learning (CPQ; Xu, Zhan and Zhu, AAAI 2022, arXiv 2107.09003), by osrl.

A cost critic marks actions as unsafe where its value exceeds the discounted limit; the reward
critic backs up through safe actions only, and the actor is rewarded for safe actions only. A
penalty is to raise the cost critic at actions unlike the data's, as a VAE tells them.

Fault kept in `cpq`: osrl computes that penalty without gradients, so that it raises nothing.
`cpq-penalised` mends that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from baselines.osrl.adapter import VAEAlgorithm, VAEConfig, import_osrl
from baselines.osrl.several_seeds import cpq_step
from benchmarks.common.errors import UserError
from benchmarks.datasets.sampling import Transitions
from benchmarks.methods.algorithm import Budget, MemorylessPolicy, Policy


@dataclass(frozen=True)
class CPQPenalisedConfig(VAEConfig):
    """Options of CPQ; defaults are osrl's."""

    actor_lr: float = 1e-4
    alpha_lr: float = 1e-4
    """Of alpha, the weight of the penalty."""
    qc_scalar: float = 1.5
    """What the penalty raises the cost critic to, in discounted limits."""


@dataclass(frozen=True)
class CPQConfig(CPQPenalisedConfig):
    """Those, and whether to compute what has no effect."""

    skip_inert_penalty: bool = True
    """Leave out the VAE and the penalty. osrl computes the penalty without gradients, so that it
    moves log alpha alone, which nothing reads: actor and critics are the same without it."""


# the targets follow faster, or the cost critic stays below the limit so short a time
_QUICK = Budget.of(1_000, update_ms=8, batch=256, hidden=128, actor_lr=1e-3, tau=0.02)
_QUICK_PENALISED = Budget.of(1_000, update_ms=24, **_QUICK.options, vae_hidden=128)


class CPQ(VAEAlgorithm):
    """CPQ as osrl trains it."""

    name = "cpq"
    config_class: ClassVar[type[CPQPenalisedConfig]] = CPQConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(5_000),
        "paper": Budget.of(100_000, update_ms=32),
    }
    loose_tensors = ("log_alpha",)
    stackable = True
    config: CPQConfig

    def build(self) -> tuple[Any, Any]:
        """The CPQ of osrl and its trainer."""
        osrl, c = import_osrl("algorithms.cpq"), self.config
        model = osrl.CPQ(**self.model_options(), qc_scalar=c.qc_scalar)
        options = self.trainer_options() | {"alpha_lr": c.alpha_lr}
        return model, osrl.CPQTrainer(model, **options)

    def update(self) -> dict[str, Tensor | float]:
        """One step of the critics, the actor and the targets, on one batch."""
        if self.stacked:
            if not self.config.skip_inert_penalty:
                raise UserError(f"{self.name}.skip_inert_penalty=false trains each seed alone")
            return cpq_step(self.model, self.sampler(self.draws), self.draws)
        if not self.config.skip_inert_penalty:
            return super().update()
        return self.step(self.sampler())

    def step(self, batch: Transitions) -> dict[str, Tensor | float]:
        """The update of osrl without the VAE's, and with this class's loss of the cost critics."""
        model, b = self.model, batch
        _, losses = model.critic_loss(
            b.observations, b.next_observations, b.actions, b.rewards, b.done
        )
        loss = self.cost_critic_loss(b)
        model.cost_critic_optim.zero_grad()
        loss.backward()
        model.cost_critic_optim.step()
        self.log.store(**losses, cost_critic_loss=loss.detach())
        _, losses = model.actor_loss(b.observations)
        self.log.store(**losses)
        model.sync_weight()
        return self.log.losses

    def cost_critic_loss(self, batch: Transitions) -> Tensor:
        """The cost critics' squared temporal difference.

        As in osrl, an episode's end does not stop the backup.
        """
        model = self.model
        _, values = model.cost_critic.predict(batch.observations, batch.actions)
        with torch.no_grad():
            actions, _ = model._actor_forward(batch.next_observations, False, False)
            following, _ = model.cost_critic_old.predict(batch.next_observations, actions)
        loss: Tensor = model.cost_critic.loss(batch.costs + model.gamma * following, values)
        return loss

    def policy(self, limits: Tensor) -> Policy:
        """The actor's mode, whatever the limits."""
        return MemorylessPolicy(lambda states: self.model._actor_forward(states, True, False)[0])


class CPQPenalised(CPQ):
    """CPQ with a penalty that trains the cost critic, as the paper has it.

    osrl takes the value of actions unlike the data's from the target critic and under `no_grad`.
    Here the same value comes from the trained critic and with a gradient, so that it is raised
    towards the penalty's threshold; alpha, the multiplier, grows until it is. All else is osrl's,
    also that actions are drawn from the actor's Gaussian before its tanh, and that the mean counts
    the three quarters of them that are most like the data's as 0.
    """

    name = "cpq-penalised"
    stackable = False
    config_class = CPQPenalisedConfig
    budgets: ClassVar = {
        "quick": _QUICK_PENALISED,
        "standard": _QUICK_PENALISED.extended(5_000),
        "paper": Budget.of(100_000, update_ms=140),
    }

    def update(self) -> dict[str, Tensor | float]:
        """One step of the VAE, and then that of CPQ, on one batch."""
        batch = self.sampler()
        _, losses = self.model.vae_loss(batch.observations, batch.actions)
        self.log.store(**losses)
        return self.step(batch)

    def cost_critic_loss(self, batch: Transitions) -> Tensor:
        """The temporal difference, and alpha times what unseen actions lack; a step of alpha."""
        model, loss = self.model, super().cost_critic_loss(batch)
        lacking: Tensor = model.qc_thres - self.value_of_unseen_actions(batch.observations)
        alpha: Tensor = model.log_alpha.exp()
        model.log_alpha += model.alpha_lr * alpha * lacking.detach()
        model.log_alpha.clamp_(-5.0, 5.0)
        self.log.store(alpha_value=model.log_alpha.exp())
        return loss + alpha * lacking

    def value_of_unseen_actions(self, observations: Tensor) -> Tensor:
        """The cost critic's mean value of the actor's actions, only those unlike the data's."""
        model = self.model
        with torch.no_grad():
            _, _, gaussian = model.actor(observations, False, True, True)
            actions = gaussian.sample([model.sample_action_num]).flatten(0, 1)
            observations = observations.repeat(model.sample_action_num, 1)
            _, mean, std = model.vae(observations, actions)
            # mean divergence of the VAE's code from its prior: large where the data hold no such
            divergence = -0.5 * (1 + std.pow(2).log() - mean.pow(2) - std.pow(2)).mean(1)
            unseen = divergence >= divergence.quantile(0.75)
        values, _ = model.cost_critic.predict(observations, actions)
        score: Tensor = (unseen * values).mean()
        return score
