"""CCAC: constraint-conditioned actor-critic (ICLR 2025, OpenReview nrRkAAAufl), from the paper.

Every network takes kappa, the cost that an episode may still have; in the data it is the cost-to-
go. A CVAE makes state-action pairs; a classifier tells which of them cost more than kappa, and the
cost critic is pushed above kappa there, as far as a multiplier asks. The policy maximises the
reward critic under the constraint Q_c <= kappa, with a multiplier that depends on kappa. One
training serves every limit.

As in the authors' code: the smallest of four critics counts, of costs too, which is optimistic; Q_c
is discounted and kappa is not; critics have positive values only. Differs from it: the last update
acts, where the code keeps the evaluation of the least cost. Training is unstable elsewhere as well:
reruns by others report DroneRun at 8 and 16 times the limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from baselines.networks import Ensemble, GaussianActor, squashed
from benchmarks.common.ranges import (
    Batch,
    Count,
    Discount,
    Expectile,
    LearningRate,
    NotNegative,
    Positive,
    Share,
    Width,
)
from benchmarks.datasets.sampling import Transitions, TransitionSampler
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Algorithm, Budget, Config, Policy
from benchmarks.methods.limits import LimitPolicy
from benchmarks.methods.networks import adam, make_target, mlp, optimizer_step, polyak_update
from benchmarks.methods.standardiser import Standardiser


@dataclass(frozen=True)
class CCACConfig(Config):
    """Options of CCAC; defaults are those of the authors' code."""

    batch: Batch = 512
    """1024 on CarRun."""
    actor_lr: LearningRate = 1e-4
    multiplier_lr: LearningRate = 1e-4
    """Of the networks of both multipliers."""
    critic_lr: LearningRate = 1e-3
    """Also of CVAE and classifier."""
    hidden: Width = 256
    """Width of the two hidden layers of policy and critics."""
    vae_hidden: Width = 512
    """Width of the two hidden layers of CVAE, classifier and multipliers."""
    latent: Width = 64
    vae_beta: NotNegative = 0.5
    """Weight of the KL divergence in the CVAE's loss."""
    critics: Count = 4
    """Critics of rewards, and as many of costs; the smallest counts."""
    gamma: Discount = 0.99
    tau: Expectile = 0.005
    """Polyak coefficient of the target critics."""
    decay: NotNegative = 0.01
    """Weight of the squared norm of a multiplier's parameters in its loss."""
    generating_share: Share = 0.5
    """First part of the training, in which only CVAE and classifier learn."""
    reward_scale: Positive = 0.1
    standardise: bool = False
    """Networks take standardised observations, and kappa as a part of the task's maximum cost."""


_QUICK = Budget.of(
    3_000,
    update_ms=26,
    batch=256,
    hidden=128,
    vae_hidden=128,
    latent=16,
    actor_lr=5e-4,
    multiplier_lr=5e-4,
    tau=0.01,
    generating_share=0.2,
    standardise=True,
)


class Generated(NamedTuple):
    """What the CVAE makes of a batch."""

    states: Tensor
    actions: Tensor
    mean: Tensor
    log_std: Tensor


class CCAC(Algorithm):
    """Actor, critics and multipliers conditioned on the cost that is left; serves every limit."""

    name = "ccac"
    trains_per_limit = False
    heeds_limit = True
    stackable = True
    config_class = CCACConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(12_000),
        "paper": Budget.of(400_000, update_ms=116),
    }
    config: CCACConfig

    @classmethod
    def options_on(cls, task: str, source: str) -> Mapping[str, Any]:
        """The authors' larger batch on CarRun."""
        return {"batch": 1024} if task == "CarRun" else {}

    # networks

    def build(self) -> None:
        """Policy, critics and targets, CVAE, classifier, multipliers."""
        c, problem, draws = self.config, self.problem, self.draws
        states, actions = problem.observation_dim, problem.action_dim
        whole, wide = states + actions + 1, (c.vae_hidden, c.vae_hidden)
        self.actor = GaussianActor(states + 1, actions, c.hidden, draws, bounded=False)
        self.rewards, self.costs = (Ensemble(whole, c.hidden, c.critics) for _ in range(2))
        self.encoder = GaussianActor(
            whole, c.latent, c.vae_hidden, draws, log_std=(-4.0, 15.0), bounded=False
        )
        self.decoder = mlp(c.latent + 1, *wide, states + actions)
        self.classifier = nn.Sequential(*mlp(whole, *wide, 1), nn.Flatten(-2))
        self.push_multiplier, self.multiplier = (
            nn.Sequential(*mlp(1, *wide, 1), nn.Flatten(-2)) for _ in range(2)
        )
        for network in (
            *(self.actor, self.rewards, self.costs, self.encoder, self.decoder),
            *(self.classifier, self.push_multiplier, self.multiplier),
        ):
            network.to(self.device)
        self.reward_targets, self.cost_targets = map(make_target, (self.rewards, self.costs))
        self.vae_optimiser = adam(c.critic_lr, self.encoder, self.decoder)
        self.classifier_optimiser = adam(c.critic_lr, self.classifier)
        self.critic_optimiser = adam(c.critic_lr, self.rewards, self.costs)
        self.actor_optimiser = adam(c.actor_lr, self.actor)
        mean = torch.cat([problem.observation_mean, torch.zeros(1)])
        largest = torch.full((1,), problem.max_cost or 1.0)
        std = torch.cat([problem.observation_std + 1e-6, largest])
        self.scaled = Standardiser(mean, std, self.device, used=c.standardise)
        """Takes states with kappa [..., B, o + 1]."""
        self.multiplier_optimiser = adam(c.multiplier_lr, self.push_multiplier, self.multiplier)

    def smallest(self, critics: nn.Module, given: Tensor, actions: Tensor) -> Tensor:
        """The smallest of the critics' values [..., B]; `given` are states with kappa."""
        return self.values(critics, given, actions).amin(0)

    def values(self, critics: nn.Module, given: Tensor, actions: Tensor) -> Tensor:
        """The positive values of all critics [critics, ..., B]."""
        return softplus(critics(torch.cat([self.scaled(given), actions], dim=-1)))

    def sampled(self, given: Tensor) -> Tensor:
        """An action of the policy [..., B, a]."""
        mean, log_std = self.actor(self.scaled(given))
        return squashed(mean, log_std, self.draws.normal_like(mean))[0]

    def decoded(self, latent: Tensor, kappa: Tensor) -> tuple[Tensor, Tensor]:
        """States and actions within the data's range, through which gradients pass whole."""
        made = self.decoder(torch.cat([latent, kappa[..., None] / self.scaled.std[-1:]], dim=-1))
        states, actions = made.split([self._low.shape[-1], self.problem.action_dim], dim=-1)
        return straight(states, self._low, self._high), straight(actions, *self._bounds)

    def reconstructed(self, batch: Transitions) -> Generated:
        """The batch through the CVAE."""
        given, kappa = batch.observations, batch.observations[..., -1]
        mean, log_std = self.encoder(torch.cat([self.scaled(given), batch.actions], dim=-1))
        latent = mean + log_std.exp() * self.draws.normal_like(mean)
        return Generated(*self.decoded(latent, kappa), mean, log_std)

    # losses

    def vae_loss(self, batch: Transitions, made: Generated) -> tuple[Tensor, dict[str, Tensor]]:
        """Squared error of states and actions, and the KL divergence of the latent code."""
        given, made_pairs = batch.observations[..., :-1], torch.cat([made.states, made.actions], -1)
        error = (made_pairs - torch.cat([given, batch.actions], -1)).square().mean((-2, -1))
        variance = (2.0 * made.log_std).exp()
        kl = 0.5 * (made.mean.square() + variance - 1.0 - 2.0 * made.log_std)
        loss = error + self.config.vae_beta * kl.mean((-2, -1))
        return loss, {"vae_loss": loss.detach()}

    def classifier_loss(
        self, batch: Transitions, made: Generated
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of "costs more than the first row's kappa", on data and what was made."""
        kappa = batch.observations[..., -1]
        bound = kappa[..., :1].expand_as(kappa)
        over = (kappa > bound).float()
        loss = torch.zeros_like(kappa[..., 0])
        for states, actions in (
            (batch.observations[..., :-1], batch.actions),
            (made.states.detach(), made.actions.detach()),
        ):
            given = self.scaled(torch.cat([states, bound[..., None]], dim=-1))
            score = self.classifier(torch.cat([given, actions], dim=-1))
            loss = loss + 0.5 * binary_cross_entropy_with_logits(
                score, over, reduction="none"
            ).mean(-1)
        return loss, {"classifier_loss": loss.detach()}

    def critic_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Regress the reward critics on r + gamma min target Q of a sampled action."""
        loss = self.td_loss(batch, batch.rewards, self.rewards, self.reward_targets)
        return loss, {"critic_loss": loss.detach()}

    def cost_critic_loss(
        self, batch: Transitions, made: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The same on costs, and a push above kappa on what the classifier finds too costly."""
        given, actions, kept = made
        kappa = given[..., -1]
        with torch.no_grad():
            weight = kept * self.push_multiplier_of(kappa)
        over = self.smallest(self.costs, given, actions) - kappa
        push = (weight * over).sum(-1) / kept.sum(-1).clamp(min=1.0)
        td = self.td_loss(batch, batch.costs, self.costs, self.cost_targets)
        return td - push, {"cost_critic_loss": td.detach(), "push": push.detach()}

    def td_loss(
        self, batch: Transitions, now: Tensor, critics: nn.Module, targets: nn.Module
    ) -> Tensor:
        """Sum over the critics of the squared errors to one step and the targets."""
        after = batch.next_observations
        with torch.no_grad():
            next_q = self.smallest(targets, after, self.sampled(after))
            backup = now + self.config.gamma * (1.0 - batch.done) * next_q
        error = self.values(critics, batch.observations, batch.actions) - backup
        return error.square().mean(-1).sum(0)

    def push_multiplier_loss(
        self, made: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Raise the push's multiplier where Q_c is below kappa, lower it where it is above."""
        given, actions, kept = made
        kappa = given[..., -1]
        with torch.no_grad():
            over = kept * (self.smallest(self.costs, given, actions) - kappa)
        weighted = (self.push_multiplier_of(kappa) * over).sum(-1) / kept.sum(-1).clamp(min=1.0)
        loss = weighted + self.config.decay * self.norm(self.push_multiplier)
        return loss, {"push_multiplier_loss": loss.detach()}

    def actor_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """-Q_r + lambda(kappa) (Q_c - kappa) of a sampled action."""
        given = batch.observations
        actions, kappa = self.sampled(given), given[..., -1]
        with torch.no_grad():
            weight = self.multiplier_of(kappa)
        over = self.smallest(self.costs, given, actions) - kappa
        loss = (weight * over - self.smallest(self.rewards, given, actions)).mean(-1)
        return loss, {"actor_loss": loss.detach(), "multiplier": weight.mean(-1)}

    def multiplier_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Raise the multiplier where the policy's Q_c is above kappa, lower it below."""
        given = batch.observations
        kappa = given[..., -1]
        with torch.no_grad():
            over = self.smallest(self.costs, given, self.sampled(given)) - kappa
        gain = (self.multiplier_of(kappa) * over).mean(-1)
        loss = self.config.decay * self.norm(self.multiplier) - gain
        return loss, {"multiplier_loss": loss.detach()}

    def multiplier_of(self, kappa: Tensor) -> Tensor:
        """The multiplier of the policy's constraint at each kappa [..., B]."""
        part = kappa[..., None] / self.scaled.std[-1:]
        return straight(self.multiplier(part), *self._log_range).exp()

    def push_multiplier_of(self, kappa: Tensor) -> Tensor:
        """The multiplier of the push above kappa [..., B]."""
        part = kappa[..., None] / self.scaled.std[-1:]
        return straight(self.push_multiplier(part), *self._log_range).exp()

    def norm(self, network: nn.Module) -> Tensor:
        """Squared norm of a network's parameters, of each seed."""
        first = int(self.stacked)
        return torch.stack([p.square().flatten(first).sum(-1) for p in network.parameters()]).sum(0)

    # update

    def prepare(self, data: Trajectories) -> None:
        """Put the transitions on the device, with the cost-to-go as last observation."""
        c = self.config
        to_go = data.to_go(data.costs).astype(np.float32)
        after = np.append(to_go[1:], np.float32(0.0))
        after[data.starts[1:] - 1] = 0.0
        joined = replace(
            data,
            observations=np.column_stack([data.observations, to_go]),
            next_observations=np.column_stack([data.next_observations, after]),
        )
        self.sampler = TransitionSampler(joined, c.batch, self.device, reward_scale=c.reward_scale)

        def tensor(values: Any) -> Tensor:
            return torch.as_tensor(values, device=self.device)

        self._low, self._high = tensor(data.observations.min(0)), tensor(data.observations.max(0))
        self._bounds = tensor(-1.0), tensor(1.0)
        self._log_range = tensor(-20.0), tensor(5.0)

    def update(self) -> dict[str, Tensor | float]:
        """Update CVAE and classifier; in the second part of the training all else too."""
        c, batch = self.config, self.sampler(self.draws)
        made = self.reconstructed(batch)
        info: dict[str, Tensor | float] = {}
        vae_loss, one = self.vae_loss(batch, made)
        info |= one
        optimizer_step(self.vae_optimiser, vae_loss)
        classifier_loss, one = self.classifier_loss(batch, made)
        info |= one
        optimizer_step(self.classifier_optimiser, classifier_loss)
        if self.updates < round(c.generating_share * self.planned_updates):
            later = ("critic_loss", "cost_critic_loss", "push", "push_multiplier_loss")
            return info | dict.fromkeys(
                (*later, "actor_loss", "multiplier", "multiplier_loss"), 0.0
            )
        critic_loss, one = self.critic_loss(batch)
        info |= one
        optimizer_step(self.critic_optimiser, critic_loss)
        pairs = self.costly_pairs(batch)
        for optimiser, loss_of, given in (
            (self.critic_optimiser, self.cost_critic_loss, (batch, pairs)),
            (self.multiplier_optimiser, self.push_multiplier_loss, (pairs,)),
            (self.actor_optimiser, self.actor_loss, (batch,)),
            (self.multiplier_optimiser, self.multiplier_loss, (batch,)),
        ):
            loss, one = loss_of(*given)
            info |= one
            optimizer_step(optimiser, loss)
        polyak_update(self.reward_targets, self.rewards, c.tau)
        polyak_update(self.cost_targets, self.costs, c.tau)
        return info

    @torch.no_grad()
    def costly_pairs(self, batch: Transitions) -> tuple[Tensor, Tensor, Tensor]:
        """States with kappa and actions that the CVAE makes, and 1 where the classifier finds
        that they cost more than kappa.
        """
        kappa = batch.observations[..., -1]
        empty = batch.observations.new_empty(*kappa.shape, self.config.latent)
        latent = self.draws.normal_like(empty).clamp(-1.0, 1.0)
        states, actions = self.decoded(latent, kappa)
        given = torch.cat([states, kappa[..., None]], dim=-1)
        score = self.classifier(torch.cat([self.scaled(given), actions], dim=-1))
        return given, actions, (score > 0.0).float()

    # policy

    def policy(self, limits: Tensor) -> Policy:
        """Acts on what is left of each limit."""
        return CCACPolicy(self, limits.to(self.device))


class CCACPolicy(LimitPolicy):
    """The policy's mean action, given what is left of the limit."""

    def __init__(self, ccac: CCAC, limits: Tensor) -> None:
        super().__init__(limits, ccac.problem.horizon)
        self.ccac = ccac

    def actions(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """The tanh of the mean."""
        left = self.left[env_ids].clamp(min=0.0)
        given = self.ccac.scaled(torch.cat([observations, left[:, None]], dim=-1))
        mean, _ = self.ccac.actor(given)
        action: Tensor = mean.tanh()
        return action


def straight(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """`values` between `low` and `high`, with the gradient of `values` also beyond."""
    return values + (values.clamp(low, high) - values).detach()
