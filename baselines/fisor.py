"""FISOR (Zheng and others, ICLR 2024, arXiv 2401.10700), ported to torch from the paper.

Which states are feasible - no violation ever after, under the best action in the data - is learned
by a Hamilton-Jacobi backup; a diffusion policy then clones the data, weighted towards reward where
the state is feasible and towards feasibility elsewhere. FISOR aims at no violation at all: it
ignores the cost limit, so that one training serves every limit. Observations and rewards are taken
as they are, as the authors took DSRL's; `standardise` and `reward_scale` change that. Settled here:
the larger of two Qh counts, which is the safe choice; target critics weigh and choose the actions;
an episode that ran out of time is backed up through, as if it went on.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from baselines.diffusion import Denoiser, Diffusion
from baselines.networks import Twin, critic, descend, expectile_loss, frozen, track
from benchmarks.datasets.sampling import Transitions, TransitionSampler
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Algorithm, Budget, Config, Policy, Problem


@dataclass(frozen=True)
class FISORConfig(Config):
    """Options of FISOR; defaults are the paper's."""

    batch: int = 2048
    critic_share: float = 0.125
    """Share of a batch that the critics learn from; the actor learns from the rest."""
    actor_steps: int = 2
    """Steps of the actor in one update, each on its part of the rest."""
    critic_lr: float = 3e-4
    actor_lr: float = 3e-4
    cosine: float = 1.5
    """Trainings after which the actor's rate is 0 (paper: 3M steps, of which it takes 2M)."""
    gamma: float = 0.99
    tau: float = 0.005
    """Share of the critics that enters their targets at each update."""
    actor_tau: float = 0.001
    """Share of the actor that enters its average, which acts, at each of its steps."""
    unsafe: float = 25.0
    """h of a transition that costs; -1 for the others."""
    feasibility_expectile: float = 0.9
    """Of Vh towards the least Qh: 1 is the minimum over the actions in the data."""
    reward_expectile: float = 0.9
    reward_temperature: float = 3.0
    feasibility_temperature: float = 5.0
    max_reward_weight: float = 100.0
    max_feasibility_weight: float = 150.0
    reward_scale: float = 1.0
    standardise: bool = False
    """Give the networks observations of mean 0 and standard deviation 1."""
    hidden: int = 256
    """Width of the critics' two hidden layers."""
    width: int = 256
    """Width of the actor's residual blocks."""
    blocks: int = 3
    expansion: int = 4
    dropout: float = 0.1
    time_features: int = 64
    diffusion_steps: int = 5
    samples: int = 16
    """Actions drawn at each step of an episode; the one with the least Qh is taken."""


_QUICK = Budget.of(
    6_000,
    update_ms=12,
    batch=512,
    critic_share=0.5,
    actor_steps=1,
    cosine=1.0,
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
    """Feasibility-guided safe offline RL. It ignores the limit: one training serves every limit."""

    name = "fisor"
    conditions_on_limit = True
    stackable = True
    compilable = ("feasibility_loss", "reward_value_loss", "actor_loss")
    config_class = FISORConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(20_000),
        "paper": Budget.of(1_000_000, update_ms=280),
    }
    config: FISORConfig

    def __init__(
        self,
        problem: Problem,
        config: FISORConfig | None = None,
        *,
        limit: float | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        c = config or FISORConfig()
        super().__init__(problem, c, limit=limit, seed=seed, device=device)
        states, actions = problem.observation_dim, problem.action_dim
        with self.random():
            self.critics = nn.ModuleDict(
                {
                    "feasible_q": Twin(states + actions, c.hidden),
                    "feasible_v": critic(states, c.hidden),
                    "reward_q": Twin(states + actions, c.hidden),
                    "reward_v": critic(states, c.hidden),
                }
            ).to(self.device)
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
        followed = {name: self.critics[name] for name in ("feasible_q", "reward_q")}
        self.targets = frozen(nn.ModuleDict(followed))
        self.average = frozen(self.actor)
        self.critic_optimiser = torch.optim.Adam(self.critics.parameters(), c.critic_lr, fused=True)
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), c.actor_lr, fused=True)
        self.diffusion = Diffusion(c.diffusion_steps, self.device)
        scaled = float(c.standardise)
        self._mean = scaled * problem.observation_mean.to(self.device)
        self._std = (problem.observation_std.to(self.device) + 1e-6) ** scaled

    def prepare(self, data: Trajectories) -> None:
        """Put the transitions on the device."""
        c = self.config
        self.sampler = TransitionSampler(data, c.batch, self.device, reward_scale=c.reward_scale)

    def update(self) -> dict[str, Tensor | float]:
        """One step of the critics and their targets, then the actor's steps."""
        c, batch, rows = self.config, self.sampler(self.draws), int(self.stacked)
        batch = batch._replace(
            observations=self.scaled(batch.observations),
            next_observations=self.scaled(batch.next_observations),
        )
        first = max(round(c.critic_share * c.batch), 1)
        part = Transitions(*(column.narrow(rows, 0, first) for column in batch))
        feasibility_loss, info = self.feasibility_loss(part)
        reward_loss, more = self.reward_value_loss(part)
        descend(self.critic_optimiser, feasibility_loss + reward_loss)
        for name, target in self.targets.items():
            track(target, self.critics[name], c.tau)
        self.actor_optimiser.param_groups[0]["lr"] = self.learning_rate()
        rest = (column.narrow(rows, first, c.batch - first) for column in batch)
        for columns in zip(*(column.chunk(c.actor_steps, rows) for column in rest), strict=True):
            actor_loss, last = self.actor_loss(Transitions(*columns))
            descend(self.actor_optimiser, actor_loss)
            track(self.average, self.actor, c.actor_tau)
        return {**info, **more, **last}

    def scaled(self, observations: Tensor) -> Tensor:
        """Observations as the networks take them [..., o]."""
        return (observations - self._mean) / self._std

    def feasibility_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Qh on (1 - gamma) h + gamma max(h, Vh'), or h at the end; Vh on a low expectile of Qh."""
        c, nets = self.config, self.critics
        with torch.no_grad():
            violation = torch.where(batch.costs > 0, c.unsafe, -1.0)
            following = nets["feasible_v"](batch.next_observations)
            worst = torch.maximum(violation, following)
            backup = (1.0 - c.gamma) * violation + c.gamma * worst
            target = torch.where(batch.terminal > 0, violation, backup)
            known = self.targets["feasible_q"](batch.observations, batch.actions).amax(0)
        values = nets["feasible_v"](batch.observations)
        errors = nets["feasible_q"](batch.observations, batch.actions) - target
        q_loss = errors.square().mean((0, -1))
        # reversed: the residual of V to Q, so that what lies below V weighs more
        v_loss = expectile_loss(values - known, c.feasibility_expectile)
        info = {"feasible_q_loss": q_loss.detach(), "feasible_v_loss": v_loss.detach()}
        return q_loss + v_loss, info

    def reward_value_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """IQL: Qr on r + gamma Vr', Vr on an upper expectile of the lesser target Qr."""
        c, nets = self.config, self.critics
        with torch.no_grad():
            following = nets["reward_v"](batch.next_observations)
            target = batch.rewards + c.gamma * (1.0 - batch.terminal) * following
            known = self.targets["reward_q"](batch.observations, batch.actions).amin(0)
        values = nets["reward_v"](batch.observations)
        errors = nets["reward_q"](batch.observations, batch.actions) - target
        q_loss = errors.square().mean((0, -1))
        v_loss = expectile_loss(known - values, c.reward_expectile)
        info = {"reward_q_loss": q_loss.detach(), "reward_v_loss": v_loss.detach()}
        return q_loss + v_loss, info

    @torch.no_grad()
    def weights(self, observations: Tensor, actions: Tensor) -> Tensor:
        """How much each action counts [B]: by reward where it is feasible, else by feasibility."""
        c = self.config
        feasible_q = self.targets["feasible_q"](observations, actions).amax(0)
        feasible_v = self.critics["feasible_v"](observations)
        advantage = self.targets["reward_q"](observations, actions).amin(0)
        advantage = advantage - self.critics["reward_v"](observations)
        gain = (c.reward_temperature * advantage).exp().clamp(max=c.max_reward_weight)
        safety = (c.feasibility_temperature * (feasible_v - feasible_q)).exp()
        feasible = (feasible_v <= 0) & (feasible_q <= 0)
        return torch.where(feasible, gain, safety.clamp(max=c.max_feasibility_weight))

    def actor_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted squared error of the predicted noise, at a random step of the diffusion."""
        weights = self.weights(batch.observations, batch.actions)
        size = weights.shape[-1]
        steps = self.draws.integers(self.config.diffusion_steps, size, self.device)
        noise = self.draws.normal_like(batch.actions)
        noisy = self.diffusion.noised(batch.actions, noise, steps)
        error = (self.actor(batch.observations, noisy, steps) - noise).square().sum(-1)
        loss = (weights * error).mean(-1)
        return loss, {"actor_loss": loss.detach(), "weight": weights.mean(-1)}

    def learning_rate(self) -> float:
        """The actor's, along a cosine."""
        share = min(self.updates / (self.config.cosine * self.planned_updates), 1.0)
        return self.config.actor_lr * 0.5 * (1.0 + math.cos(math.pi * share))

    @torch.no_grad()
    def act(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Of N actions denoised from `noise` [n, N, T, a], the one with the least Qh [n, a]."""
        n, samples, _, width = noise.shape
        states = self.scaled(observations).repeat_interleave(samples, 0)
        actions = self.diffusion.denoised(self.average, states, noise.flatten(0, 1))
        feasible_q = self.targets["feasible_q"](states, actions).amax(0).view(n, samples)
        best = feasible_q.argmin(1)[:, None, None].expand(n, 1, width)
        return actions.view(n, samples, width).gather(1, best).squeeze(1)

    def policy(self, limits: Tensor) -> Policy:
        """The learned policy, the same at every limit."""
        return FISORPolicy(self)

    def parts(self) -> dict[str, Any]:
        """Networks, targets, the actor's average and optimisers."""
        names = "critics", "targets", "actor", "average", "critic_optimiser", "actor_optimiser"
        return {name: getattr(self, name) for name in names}


class FISORPolicy(Policy):
    """Draws each episode's noise from a generator of its own, seeded by its first observation.

    So an episode is the same whatever others run beside it, and different starts have different
    noise; those that start alike have the same.
    """

    def __init__(self, fisor: FISOR) -> None:
        self.fisor = fisor
        self.generators: dict[int, torch.Generator] = {}

    def act(self, observations: Tensor, rows: Tensor) -> Tensor:
        """The most feasible of the actions drawn."""
        c = self.fisor.config
        shape = c.samples, c.diffusion_steps, self.fisor.problem.action_dim
        noise = torch.empty(len(rows), *shape)
        for i, row in enumerate(rows.tolist()):
            if row not in self.generators:
                start = observations[i].cpu().numpy().tobytes()
                seed = zlib.crc32(start, self.fisor.seed % 2**32)
                self.generators[row] = torch.Generator().manual_seed(seed)
            torch.randn(shape, generator=self.generators[row], out=noise[i])
        return self.fisor.act(observations, noise.to(self.fisor.device))
