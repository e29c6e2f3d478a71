"""CAPS (AAAI 2025, arXiv 2412.18946) in its SAC+BC form: `baselines.caps` with other learners.

Critics of reward and cost evaluate the mean over all heads; each head maximises its own mixture of
both, its entropy, and its likeness to the data. Acting is that of the IQL form.

Our reading where the facts leave room: one entropy weight for all heads; the same entropy term in
both critics' targets, as for rewards; the sampled action is the one compared with the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from baselines.networks import squashed
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
from benchmarks.methods.networks import (
    DoubleCritic,
    adam,
    make_target,
    mlp,
    optimizer_step,
    polyak_update,
)


@dataclass(frozen=True)
class CAPSSACConfig(Config):
    """Options of the SAC+BC form of CAPS; defaults are those of the authors' code."""

    batch: Batch = 512
    actor_lr: LearningRate = 1e-4
    """Also of the entropy's weight."""
    critic_lr: LearningRate = 1e-3
    hidden: Width = 512
    """Width of the two hidden layers of every network."""
    heads: Annotated[int, Range(2, most=1000)] = 2
    """Policies from reward to cost, at least 2."""
    gamma: Discount = 0.99
    tau: Expectile = 0.005
    """Polyak coefficient of the target critics."""
    init_alpha: Positive = 0.1
    """Initial weight of the entropy; its target is minus the number of action components."""
    bc_scale: NotNegative = 2.5
    """Weight of the mean absolute value against the squared error to the data's actions."""
    reward_scale: Positive = 0.1

    def __post_init__(self) -> None:
        if self.heads < 2:
            raise ValueError(f"caps-sac needs at least 2 heads, not {self.heads}")


_QUICK = Budget.of(3_000, update_ms=12, batch=256, hidden=128, actor_lr=5e-4, tau=0.01)


class HeadedGaussian(nn.Module):
    """Normal distributions of actions before a tanh, with one trunk."""

    def __init__(self, states: int, actions: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*mlp(states, hidden, hidden), nn.ReLU())
        self.means = nn.ModuleList(nn.Linear(hidden, actions) for _ in range(heads))
        self.log_stds = nn.ModuleList(nn.Linear(hidden, actions) for _ in range(heads))

    def forward(self, states: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Mean and logarithm of the deviation [..., B, a] of each head."""
        features = self.trunk(states)
        return [
            (mean(features), log_std(features).clamp(-20.0, 2.0))
            for mean, log_std in zip(self.means, self.log_stds, strict=True)
        ]


class CAPSSAC(Algorithm):
    """Heads trained by SAC with behaviour cloning, switched as in CAPS; serves every limit."""

    name = "caps-sac"
    trains_per_limit = False
    heeds_limit = True
    stackable = True
    config_class = CAPSSACConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(12_000),
        "paper": Budget.of(100_000, update_ms=95),
    }
    config: CAPSSACConfig

    # networks

    def build(self) -> None:
        """Two Q of rewards and two of negative costs, their targets, and the policies."""
        c, problem = self.config, self.problem
        states, actions = problem.observation_dim, problem.action_dim
        self.critics = nn.ModuleDict(
            {name: DoubleCritic(states + actions, c.hidden) for name in ("reward", "cost")}
        ).to(self.device)
        self.targets = make_target(self.critics)
        self.actor = HeadedGaussian(states, actions, c.hidden, c.heads).to(self.device)
        self.log_alpha = torch.tensor(c.init_alpha, device=self.device).log().requires_grad_()
        self.critic_optimiser = adam(c.critic_lr, self.critics)
        self.actor_optimiser = adam(c.actor_lr, self.actor)
        self.alpha_optimiser = torch.optim.Adam([self.log_alpha], c.actor_lr)

    def parts(self) -> dict[str, Any]:
        """Also the entropy's weight."""
        return {**super().parts(), "log_alpha": self.log_alpha}

    def sampled(self, states: Tensor) -> list[tuple[Tensor, Tensor]]:
        """An action [..., B, a] of each head, and its log-density [..., B]."""
        return [
            squashed(mean, log_std, self.draws.normal_like(mean))
            for mean, log_std in self.actor(states)
        ]

    # losses

    def critic_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Regress both kinds of Q on one step, the smaller target Q and the entropy."""
        c, going = self.config, 1.0 - batch.done
        with torch.no_grad():
            after, alpha = batch.next_observations, self.log_alpha.exp()[..., None]
            drawn = self.sampled(after)
            backups = {
                name: torch.stack(
                    [
                        now + c.gamma * going * self.targets[name](after, a).amin(0) - alpha * p
                        for a, p in drawn
                    ]
                ).mean(0)
                for name, now in (("reward", batch.rewards), ("cost", -batch.costs))
            }
        losses = {
            name: (critic(batch.observations, batch.actions) - backups[name])
            .square()
            .mean(-1)
            .sum(0)
            for name, critic in self.critics.items()
        }
        info = {f"{name}_critic_loss": loss.detach() for name, loss in losses.items()}
        return losses["reward"] + losses["cost"], info

    def actor_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Each head: its entropy, its mixture of both values, and the error to the data."""
        c, states = self.config, batch.observations
        loss, entropy = torch.zeros_like(self.log_alpha), torch.zeros_like(self.log_alpha)
        alpha = self.log_alpha.exp().detach()
        for head, (actions, log_density) in enumerate(self.sampled(states)):
            reward, cost = (
                self.critics[name](states, actions).amin(0) for name in ("reward", "cost")
            )
            last = head == c.heads - 1
            value = cost if last else reward
            if 0 < head < c.heads - 1:
                value = reward + 2.0 * head / (c.heads - 1) * cost
            scale = c.bc_scale / value.detach().abs().mean(-1).clamp(min=1e-6)
            cloning = (actions - batch.actions).square().mean((-2, -1))
            loss = loss + alpha * log_density.mean(-1) - scale * value.mean(-1) + cloning
            entropy = entropy - log_density.detach().mean(-1) / c.heads
        return loss, {"actor_loss": loss.detach(), "entropy": entropy}

    def alpha_loss(self, entropy: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Raise the entropy's weight where the entropy is below its target."""
        loss = self.log_alpha.exp() * (entropy + self.problem.action_dim)
        return loss, {"alpha": self.log_alpha.exp().detach()}

    # update

    def prepare(self, data: Trajectories) -> None:
        """Put the transitions on the device."""
        c = self.config
        self.sampler = TransitionSampler(data, c.batch, self.device, reward_scale=c.reward_scale)

    def update(self) -> dict[str, Tensor | float]:
        """Update the critics, the policies, the entropy's weight and the targets."""
        batch = self.sampler(self.draws)
        critic_loss, critic_info = self.critic_loss(batch)
        optimizer_step(self.critic_optimiser, critic_loss)
        actor_loss, actor_info = self.actor_loss(batch)
        optimizer_step(self.actor_optimiser, actor_loss)
        alpha_loss, alpha_info = self.alpha_loss(actor_info["entropy"])
        optimizer_step(self.alpha_optimiser, alpha_loss)
        polyak_update(self.targets, self.critics, self.config.tau)
        return {**critic_info, **actor_info, **alpha_info}

    # policy

    @torch.no_grad()
    def proposals(self, observations: Tensor) -> Proposals:
        """The mean action of each head, and the worse of two critics of it."""
        actions = torch.stack([mean.tanh() for mean, _ in self.actor(observations)])
        states = observations.expand(len(actions), *observations.shape)
        reward, cost = (self.critics[name](states, actions).amin(0) for name in ("reward", "cost"))
        return Proposals(actions, reward, (-cost).clamp(min=0.0))

    def policy(self, limits: Tensor) -> Policy:
        """Switches heads by what is left of each limit."""
        given = limits.to(self.device), self.problem.horizon, self.config.gamma
        return SwitchingPolicy(self.proposals, *given)
