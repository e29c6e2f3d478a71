"""Constraints Penalized Q-learning (CPQ; Xu, Zhan and Zhu, AAAI 2022, arXiv 2107.09003), by osrl.

A cost critic marks actions as unsafe where its value exceeds the discounted limit; the reward
critic backs up through safe actions only, and the actor is rewarded for safe actions only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from baselines.osrl_adapter import WrappedAlgorithm, import_osrl
from benchmarks.algorithm import Budget, Config, MemorylessPolicy, Policy
from benchmarks.data.sampling import Transitions, TransitionSampler
from benchmarks.data.trajectories import Trajectories


@dataclass(frozen=True)
class CPQConfig(Config):
    """Options of CPQ; defaults are osrl's."""

    batch: int = 512
    actor_lr: float = 1e-4
    critic_lr: float = 1e-3
    """Of the reward critics and the cost critics."""
    alpha_lr: float = 1e-4
    vae_lr: float = 1e-3
    hidden: int = 256
    """Width of the hidden layers of actor and critics."""
    hidden_layers: int = 2
    vae_hidden: int = 400
    sample_action_num: int = 10
    """Actions drawn at each state for the penalty on actions unlike the data's."""
    gamma: float = 0.99
    tau: float = 0.005
    """Share of the networks that enters their targets at each update."""
    beta: float = 0.5
    """Weight of the divergence in the VAE's loss."""
    num_q: int = 2
    num_qc: int = 2
    qc_scalar: float = 1.5
    """Threshold of the penalty, in discounted limits."""
    reward_scale: float = 0.1
    skip_inert_penalty: bool = True
    """Leave out the VAE and the penalty. osrl computes the penalty without gradients, so that it
    moves log alpha alone, which nothing reads: actor and critics are the same without it."""


class CPQ(WrappedAlgorithm):
    """CPQ as osrl trains it, trained for one limit."""

    name = "cpq"
    conditions_on_limit = False
    config_class = CPQConfig
    budgets: ClassVar = {
        # the targets follow faster, or the cost critic stays below the limit so short a time
        "quick": Budget.of(1_000, update_ms=11, batch=256, hidden=128, actor_lr=1e-3, tau=0.02),
        "standard": Budget.of(20_000, update_ms=35),
        "paper": Budget.of(100_000, update_ms=35),
    }
    loose_tensors = ("log_alpha",)
    config: CPQConfig

    def build(self) -> tuple[Any, Any]:
        """The CPQ of osrl and its trainer."""
        osrl, c = import_osrl("algorithms.cpq"), self.config
        model = osrl.CPQ(
            self.problem.observation_dim,
            self.problem.action_dim,
            max_action=1.0,
            a_hidden_sizes=[c.hidden] * c.hidden_layers,
            c_hidden_sizes=[c.hidden] * c.hidden_layers,
            vae_hidden_sizes=c.vae_hidden,
            sample_action_num=c.sample_action_num,
            gamma=c.gamma,
            tau=c.tau,
            beta=c.beta,
            num_q=c.num_q,
            num_qc=c.num_qc,
            qc_scalar=c.qc_scalar,
            cost_limit=self.limit,
            episode_len=self.problem.horizon,
            device=str(self.device),
        )
        trainer = osrl.CPQTrainer(
            model,
            None,
            self.log,
            actor_lr=c.actor_lr,
            critic_lr=c.critic_lr,
            alpha_lr=c.alpha_lr,
            vae_lr=c.vae_lr,
            reward_scale=c.reward_scale,
            device=str(self.device),
        )
        return model, trainer

    def prepare(self, data: Trajectories) -> None:
        """Put the transitions on the device."""
        c = self.config
        self.sampler = TransitionSampler(data, c.batch, self.device, reward_scale=c.reward_scale)

    def update(self) -> dict[str, Tensor | float]:
        """One step of the critics, the actor and the targets, on one batch."""
        b = self.sampler()
        if not self.config.skip_inert_penalty:
            self.trainer.train_one_step(
                b.observations, b.next_observations, b.actions, b.rewards, b.costs, b.done
            )
            return self.log.losses
        _, losses = self.model.critic_loss(
            b.observations, b.next_observations, b.actions, b.rewards, b.done
        )
        self.log.store(**losses, cost_critic_loss=self.cost_critic_loss(b))
        _, losses = self.model.actor_loss(b.observations)
        self.log.store(**losses)
        self.model.sync_weight()
        return self.log.losses

    def cost_critic_loss(self, batch: Transitions) -> Tensor:
        """A step on the cost critics' squared temporal difference; returns the loss.

        As in osrl, an episode's end does not stop the backup.
        """
        model = self.model
        _, values = model.cost_critic.predict(batch.observations, batch.actions)
        with torch.no_grad():
            actions, _ = model._actor_forward(batch.next_observations, False, False)
            following, _ = model.cost_critic_old.predict(batch.next_observations, actions)
        loss: Tensor = model.cost_critic.loss(batch.costs + model.gamma * following, values)
        model.cost_critic_optim.zero_grad()
        loss.backward()
        model.cost_critic_optim.step()
        return loss.detach()

    def policy(self, limits: Tensor) -> Policy:
        """The actor's mode, whatever the limits."""
        return MemorylessPolicy(lambda states: self.model._actor_forward(states, True, False)[0])
