"""WSAC: weighted safe actor-critic (NeurIPS 2024, OpenReview 82Ndsr4OS6), from the paper.

A game between the policy and pessimistic critics: those of reward say that the policy earns no more
than the data, those of cost that it costs no less, as far as their Bellman errors allow. The policy
maximises the reward critic, less lambda times what it costs beyond a reference policy. It promises
to be no worse than the reference in both.

No code is published and its table is an image. Our reading: critics, rates and the warm start of
its base, ATAC (Cheng and others, ICML 2022, arXiv 2202.02446); the same normalisation for the cost
critics; the last policy acts. The limit enters through the reference alone, which is cloned from
the trajectories within it; each limit is a training of its own. lambda is 1: the paper tunes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from baselines.networks import Ensemble, GaussianActor, negative_log_likelihood, squashed
from benchmarks.common.ranges import (
    Batch,
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
from benchmarks.methods.algorithm import Algorithm, Budget, Config, MemorylessPolicy, Policy
from benchmarks.methods.limits import within_limit
from benchmarks.methods.networks import adam, make_target, optimizer_step, polyak_update
from benchmarks.methods.standardiser import Standardiser


@dataclass(frozen=True)
class WSACConfig(Config):
    """Options of WSAC; defaults are those of its base, ATAC."""

    batch: Batch = 256
    actor_lr: LearningRate = 5e-7
    cloning_lr: LearningRate = 5e-4
    """Of the policy while it is cloned."""
    critic_lr: LearningRate = 5e-4
    """Also of the entropy's weight."""
    hidden: Width = 256
    """Width of the three hidden layers of every network."""
    gamma: Discount = 0.99
    tau: Expectile = 0.005
    """Polyak coefficient of the target critics."""
    beta: NotNegative = 1.0
    """Weight of the Bellman error against pessimism (3 in ATAC's script)."""
    multiplier: NotNegative = 1.0
    """lambda: price of what the policy costs beyond the reference."""
    reward_scale: Positive = 1.0
    largest_norm: Positive = 100.0
    """Largest Frobenius norm of a layer of the critics, to which it is scaled back."""
    cloning_share: Share = 0.2
    """First part of the training, which clones the reference (100 000 updates in ATAC)."""


_QUICK = Budget.of(
    4_000,
    update_ms=19,
    hidden=128,
    actor_lr=1e-4,
    cloning_lr=1e-3,
    critic_lr=1e-3,
    tau=0.01,
    reward_scale=0.1,
    multiplier=5.0,
)


class WSAC(Algorithm):
    """Pessimistic critics and a policy that is safer than a reference; one limit a training."""

    name = "wsac"
    trains_per_limit = True
    heeds_limit = True
    stackable = True
    config_class = WSACConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(15_000),
        "paper": Budget.of(500_000, update_ms=41),
    }
    config: WSACConfig

    # networks

    def build(self) -> None:
        """Policy, reference, critics and targets, and the entropy's weight."""
        c, problem = self.config, self.problem
        states, actions = problem.observation_dim, problem.action_dim
        self.actor = GaussianActor(
            *(states, actions, c.hidden, self.draws),
            layers=3,
            log_std=(-5.0, 2.0),
            bounded=False,
        ).to(self.device)
        self.reference = make_target(self.actor)
        self.rewards, self.costs = (
            Ensemble(states + actions, c.hidden, 2, layers=3).to(self.device) for _ in range(2)
        )
        self.reward_targets, self.cost_targets = map(make_target, (self.rewards, self.costs))
        self.log_alpha = torch.zeros((), device=self.device, requires_grad=True)
        self.cloning_optimiser = adam(c.cloning_lr, self.actor)
        self.actor_optimiser = adam(c.actor_lr, self.actor)
        self.critic_optimiser = adam(c.critic_lr, self.rewards, self.costs)
        self.alpha_optimiser = torch.optim.Adam([self.log_alpha], c.critic_lr)
        self.scaled = Standardiser.of(problem, self.device)

    def parts(self) -> dict[str, Any]:
        """Also the entropy's weight."""
        return {**super().parts(), "log_alpha": self.log_alpha}

    def sampled(self, policy: nn.Module, states: Tensor) -> tuple[Tensor, Tensor]:
        """An action of `policy` [..., B, a], and its log-density [..., B]."""
        mean, log_std = policy(states)
        return squashed(mean, log_std, self.draws.normal_like(mean))

    # losses

    def cloning_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Likelihood of the actions before the tanh, whose density differs by a constant."""
        mean, log_std = self.actor(batch.observations)
        before = batch.actions.clamp(-1.0 + 1e-5, 1.0 - 1e-5).atanh()
        loss = negative_log_likelihood(mean, log_std, before).mean(-1)
        return loss, {"cloning_loss": loss.detach()}

    def critic_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Pessimism and Bellman errors of both kinds of critics."""
        c = self.config
        with torch.no_grad():
            now, _ = self.sampled(self.actor, batch.observations)
            later, _ = self.sampled(self.actor, batch.next_observations)
            after = torch.cat([batch.next_observations, later], dim=-1)
            next_reward = self.reward_targets(after).amin(0)
            next_cost = self.cost_targets(after).amax(0)
        loss, info = torch.zeros_like(batch.rewards[..., 0]), dict[str, Tensor]()
        for name, critics, gained, next_q, sign in (
            ("reward", self.rewards, batch.rewards, next_reward, 1.0),
            ("cost", self.costs, batch.costs, next_cost, -c.multiplier),
        ):
            states, going = batch.observations, c.gamma * (1.0 - batch.terminal)
            known = critics(torch.cat([states, batch.actions], dim=-1))
            optimism = (critics(torch.cat([states, now], dim=-1)) - known).mean(-1)
            target_error = (known - (gained + going * next_q)).square().mean(-1)
            residual = (known - (gained + going * critics(after))).square().mean(-1)
            bellman = 0.5 * (target_error + residual)
            both = sign * optimism / max(c.beta, 1.0) + min(c.beta, 1.0) * bellman
            loss = loss + both.sum(0)
            info |= {
                f"{name}_bellman_error": bellman.detach().mean(0),
                f"{name}_optimism": optimism.detach().mean(0),
            }
        return loss, info

    def actor_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """-Q_r + lambda max(Q_c - Q_c of the reference, 0), less the weighted entropy."""
        states = batch.observations
        actions, density = self.sampled(self.actor, states)
        with torch.no_grad():
            usual, _ = self.sampled(self.reference, states)
            allowed = self.first(self.costs, states, usual)
            alpha = self.log_alpha.exp()
        beyond = (self.first(self.costs, states, actions) - allowed).relu()
        value = self.first(self.rewards, states, actions) - self.config.multiplier * beyond
        loss = alpha * density.mean(-1) - value.mean(-1)
        return loss, {"actor_loss": loss.detach(), "entropy": -density.detach().mean(-1)}

    def first(self, critics: Ensemble, states: Tensor, actions: Tensor) -> Tensor:
        """The value of the first of two critics [..., B]."""
        value: Tensor = critics.members[0](torch.cat([states, actions], dim=-1))
        return value

    def alpha_loss(self, entropy: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Raise the entropy's weight where the entropy is below minus the action components."""
        loss = self.log_alpha.exp() * (entropy + self.problem.action_dim)
        return loss, {"alpha": self.log_alpha.exp().detach()}

    # update

    def prepare(self, data: Trajectories) -> None:
        """Put all transitions on the device, and those of the trajectories within the limit."""
        assert self.limit is not None
        safe = data.select(within_limit(data, self.limit, self.name))
        c = self.config
        self.sampler, self.safe_sampler = (
            TransitionSampler(one, c.batch, self.device, reward_scale=c.reward_scale)
            for one in (data, safe)
        )

    def batch(self, sampler: TransitionSampler) -> Transitions:
        """A batch with standardised observations."""
        return sampler(self.draws).with_states(self.scaled)

    def update(self) -> dict[str, Tensor | float]:
        """Clone the reference; later update critics, policy, entropy's weight and targets."""
        c = self.config
        cloning = round(c.cloning_share * self.planned_updates)
        if self.updates < cloning:
            loss, info = self.cloning_loss(self.batch(self.safe_sampler))
            optimizer_step(self.cloning_optimiser, loss)
            return {**info, **dict.fromkeys(_LATER, 0.0)}
        if self.updates == cloning:
            polyak_update(self.reference, self.actor, 1.0)
        batch = self.batch(self.sampler)
        critic_loss, critic_info = self.critic_loss(batch)
        optimizer_step(self.critic_optimiser, critic_loss)
        self.scale_back()
        actor_loss, actor_info = self.actor_loss(batch)
        optimizer_step(self.actor_optimiser, actor_loss)
        alpha_loss, alpha_info = self.alpha_loss(actor_info["entropy"])
        optimizer_step(self.alpha_optimiser, alpha_loss)
        polyak_update(self.reward_targets, self.rewards, c.tau)
        polyak_update(self.cost_targets, self.costs, c.tau)
        return {"cloning_loss": 0.0, **critic_info, **actor_info, **alpha_info}

    @torch.no_grad()
    def scale_back(self) -> None:
        """Scale the layers of the critics whose norm is too large, those of each seed."""
        first = int(self.stacked)
        for critics in (self.rewards, self.costs):
            for weight in critics.parameters():
                if weight.dim() < first + 2:
                    continue
                norm = weight.flatten(first).norm(dim=-1).clamp(min=1e-12)
                scale = (self.config.largest_norm / norm).clamp(max=1.0)
                weight.mul_(scale[..., None, None])

    # policy

    def policy(self, limits: Tensor) -> Policy:
        """The mean of the learned policy."""
        return MemorylessPolicy(
            lambda observations: self.actor(self.scaled(observations))[0].tanh()
        )


_LATER = (
    *("reward_bellman_error", "reward_optimism", "cost_bellman_error", "cost_optimism"),
    *("actor_loss", "entropy", "alpha"),
)
"""Losses of the second part of the training."""
