"""FISOR (Zheng and others, ICLR 2024, arXiv 2401.10700), written from the paper.

A state is feasible if some action in the data keeps it free of violations for ever; a
Hamilton-Jacobi backup learns this. A diffusion policy then clones the data, weighted by the reward
advantage in feasible states and by feasibility elsewhere. FISOR aims at no violation at all and
ignores the cost limit, so one training serves every limit.

Choices where the paper leaves room or differs from this suite: observations and rewards are used
unscaled, as the authors used DSRL's (`standardise` and `reward_scale` change that); the larger of
the two Qh is used, which is the safe choice; target critics weigh and select the actions; the
backup continues through time-outs, as if the episode went on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from baselines.diffusion import Denoiser, Diffusion
from baselines.episode_noise import EpisodeNoise
from benchmarks.common.ranges import (
    Batch,
    Count,
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
from benchmarks.methods.losses import expectile_loss
from benchmarks.methods.networks import (
    DoubleCritic,
    cosine_decay,
    critic,
    make_target,
    optimizer_step,
    polyak_update,
)
from benchmarks.methods.standardiser import Standardiser


@dataclass(frozen=True)
class FISORConfig(Config):
    """Options of FISOR; defaults are the paper's."""

    batch: Batch = 2048
    critic_share: Annotated[float, Range(0, 1, above=True, below=True)] = 0.125
    """Fraction of a batch that trains the critics; the actor trains on the rest."""
    actor_steps: Count = 2
    """Actor updates in one update, each on an equal part of the rest."""
    critic_lr: LearningRate = 3e-4
    actor_lr: LearningRate = 3e-4
    lr_decay_ratio: Positive = 1.5
    """Length of the actor's cosine decay over the length of the training (paper: 3M / 2M steps)."""
    gamma: Discount = 0.99
    tau: Expectile = 0.005
    """Polyak coefficient of the target critics."""
    actor_tau: Expectile = 0.001
    """Polyak coefficient of the averaged actor, which acts."""
    violation_value: Positive = 25.0
    """h of a transition with a cost; h is -1 without."""
    feasibility_expectile: Expectile = 0.9
    """Expectile of Vh towards the smallest Qh; 1 is the minimum over the actions in the data."""
    reward_expectile: Expectile = 0.9
    reward_temperature: NotNegative = 3.0
    feasibility_temperature: NotNegative = 5.0
    max_reward_weight: Positive = 100.0
    max_feasibility_weight: Positive = 150.0
    reward_scale: Positive = 1.0
    standardise: bool = False
    """Scale observations to mean 0 and standard deviation 1."""
    hidden: Width = 256
    """Width of the critics' two hidden layers."""
    width: Width = 256
    """Width of the actor's residual blocks."""
    blocks: Count = 3
    expansion: Count = 4
    dropout: Discount = 0.1
    time_features: Width = 64
    diffusion_steps: Count = 5
    samples: Count = 16
    """Actions sampled at each step of an episode; the one with the smallest Qh is taken."""


_QUICK = Budget.of(
    6_000,
    update_ms=12,
    batch=512,
    critic_share=0.5,
    actor_steps=1,
    lr_decay_ratio=1.0,
    critic_lr=1e-3,
    actor_lr=1e-3,
    tau=0.01,
    actor_tau=0.005,
    standardise=True,
    hidden=128,
    width=128,
    blocks=2,
    expansion=2,
)


class FISOR(Algorithm):
    """Feasibility-guided safe offline RL; it ignores the cost limit."""

    name = "fisor"
    trains_per_limit = False
    heeds_limit = False
    stackable = True
    capturable = True
    config_class = FISORConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(20_000),
        "paper": Budget.of(1_000_000, update_ms=280),
    }
    config: FISORConfig

    # networks

    def build(self) -> None:
        """Qh, Vh, Qr, Vr, target networks of both Q, the actor and its average."""
        c, problem = self.config, self.problem
        states, actions = problem.observation_dim, problem.action_dim
        self.critics = nn.ModuleDict(
            {
                "feasible_q": DoubleCritic(states + actions, c.hidden),
                "feasible_v": critic(states, c.hidden),
                "reward_q": DoubleCritic(states + actions, c.hidden),
                "reward_v": critic(states, c.hidden),
            }
        ).to(self.device)
        self.targets = make_target(
            nn.ModuleDict({name: self.critics[name] for name in ("feasible_q", "reward_q")})
        )
        self.actor = Denoiser(
            states,
            actions,
            width=c.width,
            blocks=c.blocks,
            expansion=c.expansion,
            dropout=c.dropout,
            time_features=c.time_features,
            draws=self.draws,
        ).to(self.device)
        self.average = make_target(self.actor)
        self.critic_optimiser = torch.optim.Adam(self.critics.parameters(), c.critic_lr, fused=True)
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), c.actor_lr, fused=True)
        self.diffusion = Diffusion(c.diffusion_steps, self.device)
        self.scaled = Standardiser.of(problem, self.device, used=c.standardise)

    # losses

    def feasibility_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Regress Qh on (1 - gamma) h + gamma max(h, Vh'), Vh on a low expectile of target Qh.

        At terminal transitions Qh is regressed on h.
        """
        c, nets = self.config, self.critics
        with torch.no_grad():
            violation = torch.where(batch.costs > 0, c.violation_value, -1.0)
            next_v = nets["feasible_v"](batch.next_observations)
            backup = (1.0 - c.gamma) * violation + c.gamma * torch.maximum(violation, next_v)
            q_target = torch.where(batch.terminal > 0, violation, backup)
            target_q = self.targets["feasible_q"](batch.observations, batch.actions).amax(0)
        v = nets["feasible_v"](batch.observations)
        td_error = nets["feasible_q"](batch.observations, batch.actions) - q_target
        q_loss = td_error.square().mean((0, -1))
        # v - q instead of q - v, so that actions with a small Qh weigh more
        v_loss = expectile_loss(v - target_q, c.feasibility_expectile)
        info = {"feasible_q_loss": q_loss.detach(), "feasible_v_loss": v_loss.detach()}
        return q_loss + v_loss, info

    def value_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """IQL: regress Qr on r + gamma Vr', Vr on a high expectile of the smaller target Qr."""
        c, nets = self.config, self.critics
        with torch.no_grad():
            next_v = nets["reward_v"](batch.next_observations)
            q_target = batch.rewards + c.gamma * (1.0 - batch.terminal) * next_v
            target_q = self.targets["reward_q"](batch.observations, batch.actions).amin(0)
        v = nets["reward_v"](batch.observations)
        td_error = nets["reward_q"](batch.observations, batch.actions) - q_target
        q_loss = td_error.square().mean((0, -1))
        v_loss = expectile_loss(target_q - v, c.reward_expectile)
        info = {"reward_q_loss": q_loss.detach(), "reward_v_loss": v_loss.detach()}
        return q_loss + v_loss, info

    @torch.no_grad()
    def weights(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Weight of each action [B]: exp(reward advantage) if feasible, else exp(-Qh advantage)."""
        c = self.config
        feasible_q = self.targets["feasible_q"](observations, actions).amax(0)
        feasible_v = self.critics["feasible_v"](observations)
        reward_q = self.targets["reward_q"](observations, actions).amin(0)
        advantage = reward_q - self.critics["reward_v"](observations)
        reward_weight = (c.reward_temperature * advantage).exp().clamp(max=c.max_reward_weight)
        safety_weight = (c.feasibility_temperature * (feasible_v - feasible_q)).exp()
        feasible = (feasible_v <= 0) & (feasible_q <= 0)
        return torch.where(
            feasible, reward_weight, safety_weight.clamp(max=c.max_feasibility_weight)
        )

    def actor_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted squared error of the predicted noise at a random diffusion step."""
        weights = self.weights(batch.observations, batch.actions)
        size = weights.shape[-1]
        steps = self.draws.integers(self.config.diffusion_steps, size, self.device)
        noise = self.draws.normal_like(batch.actions)
        noisy = self.diffusion.noised(batch.actions, noise, steps)
        error = (self.actor(batch.observations, noisy, steps) - noise).square().sum(-1)
        loss = (weights * error).mean(-1)
        return loss, {"actor_loss": loss.detach(), "weight": weights.mean(-1)}

    # update

    def prepare(self, data: Trajectories) -> None:
        """Put the transitions on the device."""
        c = self.config
        self.sampler = TransitionSampler(data, c.batch, self.device, reward_scale=c.reward_scale)

    def schedule(self) -> None:
        """Set the policy's learning rate."""
        self.actor_optimiser.param_groups[0]["lr"] = self.learning_rate()

    def update(self) -> dict[str, Tensor | float]:
        """Update the critics and their targets on one part of a batch, the actor on the rest."""
        c, dim = self.config, int(self.stacked)
        batch = self.sampler(self.draws).with_states(self.scaled)
        size = max(round(c.critic_share * c.batch), 1)
        critic_batch = Transitions(*(column.narrow(dim, 0, size) for column in batch))
        feasibility_loss, feasibility_info = self.feasibility_loss(critic_batch)
        value_loss, value_info = self.value_loss(critic_batch)
        optimizer_step(self.critic_optimiser, feasibility_loss + value_loss)
        for name, target in self.targets.items():
            polyak_update(target, self.critics[name], c.tau)
        rest = (column.narrow(dim, size, c.batch - size) for column in batch)
        for columns in zip(*(column.chunk(c.actor_steps, dim) for column in rest), strict=True):
            actor_loss, actor_info = self.actor_loss(Transitions(*columns))
            optimizer_step(self.actor_optimiser, actor_loss)
            polyak_update(self.average, self.actor, c.actor_tau)
        return {**feasibility_info, **value_info, **actor_info}

    def learning_rate(self) -> float:
        """The actor's learning rate, on a cosine decay."""
        c = self.config
        return c.actor_lr * cosine_decay(self.updates / (c.lr_decay_ratio * self.planned_updates))

    # policy

    @torch.no_grad()
    def act(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Denoise N actions from `noise` [n, N, T, a] and take that of the smallest Qh [n, a]."""
        n, samples, _, width = noise.shape
        states = self.scaled(observations).repeat_interleave(samples, 0)
        actions = self.diffusion.denoised(self.average, states, noise.flatten(0, 1))
        feasible_q = self.targets["feasible_q"](states, actions).amax(0).view(n, samples)
        best = feasible_q.argmin(1)[:, None, None].expand(n, 1, width)
        return actions.view(n, samples, width).gather(1, best).squeeze(1)

    def policy(self, limits: Tensor) -> Policy:
        """The learned policy, the same at every limit."""
        return FISORPolicy(self)


class FISORPolicy(Policy):
    """Acts with the noise of each episode."""

    def __init__(self, fisor: FISOR) -> None:
        self.fisor, self.noise = fisor, EpisodeNoise(fisor.seed)

    def act(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """The most feasible of the sampled actions."""
        c = self.fisor.config
        shape = c.samples, c.diffusion_steps, self.fisor.problem.action_dim
        return self.fisor.act(observations, self.noise(observations, env_ids, *shape))
