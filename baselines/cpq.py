"""Constraints Penalized Q-learning (CPQ; Xu, Zhan and Zhu, AAAI 2022, arXiv 2107.09003), by osrl.

An action is unsafe if its cost value exceeds the discounted cost limit. The reward critic
bootstraps through safe actions only, and the actor is rewarded for safe actions only. A penalty
raises the cost value of out-of-distribution actions, which a VAE of the behaviour policy detects.

`cpq` keeps a fault of osrl: the penalty is computed without gradients and has no effect.
`cpq-penalised` fixes this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from baselines.osrl import stacked_cpq
from baselines.osrl.adapter import VAEAlgorithm, VAEConfig, import_osrl
from benchmarks.common.errors import UserError
from benchmarks.common.ranges import LearningRate, Positive
from benchmarks.datasets.sampling import Transitions
from benchmarks.methods.algorithm import Budget, MemorylessPolicy, Policy
from benchmarks.methods.networks import optimizer_step


@dataclass(frozen=True)
class CPQPenalisedConfig(VAEConfig):
    """Options of CPQ; defaults are osrl's."""

    actor_lr: LearningRate = 1e-4
    alpha_lr: LearningRate = 1e-4
    """Learning rate of alpha, the weight of the penalty."""
    qc_scalar: Positive = 1.5
    """Cost value that the penalty aims at, as a multiple of the discounted cost limit."""


@dataclass(frozen=True)
class CPQConfig(CPQPenalisedConfig):
    """Options of CPQ as osrl trains it."""

    skip_inert_penalty: bool = True
    """Skip the VAE and the penalty. osrl computes the penalty without gradients, so it only changes
    log alpha, which nothing reads; the critics and the actor are the same without it."""


# with slower target networks the cost values would stay below the limit in so few updates
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

    # networks

    def build_osrl(self) -> tuple[Any, Any]:
        """Create osrl's CPQ and its trainer."""
        osrl, c = import_osrl("algorithms.cpq"), self.config
        model = osrl.CPQ(**self.model_options(), qc_scalar=c.qc_scalar)
        options = self.trainer_options() | {"alpha_lr": c.alpha_lr}
        return model, osrl.CPQTrainer(model, **options)

    # losses; those of the reward critics and the actor are osrl's, which also steps on them

    def cost_critic_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """TD loss of the cost critics, which bootstrap through the end of an episode as in osrl."""
        model = self.model
        _, qc = model.cost_critic.predict(batch.observations, batch.actions)
        with torch.no_grad():
            next_actions, _ = model._actor_forward(batch.next_observations, False, False)
            next_qc, _ = model.cost_critic_old.predict(batch.next_observations, next_actions)
        loss: Tensor = model.cost_critic.loss(batch.costs + model.gamma * next_qc, qc)
        return loss, {"cost_critic_loss": loss.detach()}

    # update

    def update(self) -> dict[str, Tensor | float]:
        """Update the critics, the actor and the target networks."""
        if self.stacked:
            if not self.config.skip_inert_penalty:
                raise UserError(
                    f"{self.name}.skip_inert_penalty=false cannot train several seeds as one: "
                    "train each seed alone"
                )
            return stacked_cpq.update(self.model, self.sampler(self.draws), self.draws)
        if not self.config.skip_inert_penalty:
            return super().update()
        return self.update_without_vae(self.sampler())

    def update_without_vae(self, batch: Transitions) -> dict[str, Tensor | float]:
        """Do osrl's update without that of the VAE, with `cost_critic_loss` of this class."""
        model, b = self.model, batch
        _, critic_info = model.critic_loss(
            b.observations, b.next_observations, b.actions, b.rewards, b.done
        )
        loss, cost_critic_info = self.cost_critic_loss(b)
        optimizer_step(model.cost_critic_optim, loss)
        _, actor_info = model.actor_loss(b.observations)
        self.log.store(**critic_info | cost_critic_info | actor_info)
        model.sync_weight()
        return self.log.losses

    # policy

    def policy(self, limits: Tensor) -> Policy:
        """The actor's mode."""
        return MemorylessPolicy(lambda states: self.model._actor_forward(states, True, False)[0])


class CPQPenalised(CPQ):
    """CPQ with a penalty that trains the cost critic, as in the paper.

    osrl takes the value of out-of-distribution actions from the target critic, without gradients.
    Here it comes from the trained critic, with gradients, and is raised towards the threshold;
    alpha, the multiplier, grows until it reaches it. The rest is osrl's: actions are sampled from
    the actor's Gaussian before the tanh, and the mean counts the 75 % of them that are most in
    distribution as 0.
    """

    name = "cpq-penalised"
    stackable = False
    config_class = CPQPenalisedConfig
    budgets: ClassVar = {
        "quick": _QUICK_PENALISED,
        "standard": _QUICK_PENALISED.extended(5_000),
        "paper": Budget.of(100_000, update_ms=140),
    }

    # losses

    def cost_critic_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """TD loss plus alpha (threshold - value of out-of-distribution actions).

        Also takes one gradient ascent step of alpha.
        """
        model = self.model
        td_loss, info = super().cost_critic_loss(batch)
        gap: Tensor = model.qc_thres - self.out_of_distribution_qc(batch.observations)
        alpha: Tensor = model.log_alpha.exp()
        model.log_alpha += model.alpha_lr * alpha * gap.detach()
        model.log_alpha.clamp_(-5.0, 5.0)
        loss = td_loss + alpha * gap
        return loss, {
            **info,
            "cost_critic_loss": loss.detach(),
            "alpha_value": model.log_alpha.exp(),
        }

    def out_of_distribution_qc(self, observations: Tensor) -> Tensor:
        """Mean cost value of the actor's actions; 0 for those that the VAE finds likely."""
        model = self.model
        with torch.no_grad():
            _, _, gaussian = model.actor(observations, False, True, True)
            actions = gaussian.sample([model.sample_action_num]).flatten(0, 1)
            observations = observations.repeat(model.sample_action_num, 1)
            _, mean, std = model.vae(observations, actions)
            # mean KL divergence of the latent code from the prior, large out of distribution
            kl = -0.5 * (1 + std.pow(2).log() - mean.pow(2) - std.pow(2)).mean(1)
            out_of_distribution = kl >= kl.quantile(0.75)
        qc, _ = model.cost_critic.predict(observations, actions)
        score: Tensor = (out_of_distribution * qc).mean()
        return score

    # update

    def update(self) -> dict[str, Tensor | float]:
        """Update the VAE, then everything else as in CPQ."""
        batch = self.sampler()
        _, vae_info = self.model.vae_loss(batch.observations, batch.actions)
        self.log.store(**vae_info)
        return self.update_without_vae(batch)
