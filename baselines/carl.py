"""CARL (ICLR 2026 submission, OpenReview klB3AvQZqJ), written from the paper.

Offline safe RL by an unconstrained learner: where the policy's own cost critic exceeds the limit,
the reward is replaced by minus the largest reward in the data, and TD3+BC learns from that. The
cost critic evaluates the current policy (fitted Q evaluation). Each batch makes one step of both.

Our reading where the paper leaves room: TD3+BC as in its own paper; the limit in discounted form;
the cost critic's target network values the current policy's action, and the cost ends with the
episode, for which the discounted limit is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from baselines.td3bc import TD3BC, TD3BCConfig
from benchmarks.datasets.sampling import Transitions
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Budget
from benchmarks.methods.limits import discounted_limit
from benchmarks.methods.networks import adam, critic, make_target, optimizer_step, polyak_update


@dataclass(frozen=True)
class CARLConfig(TD3BCConfig):
    """Options of CARL: those of TD3+BC, at its paper's defaults."""


_QUICK = Budget.of(5_000, update_ms=6, hidden=128, learning_rate=1e-3, tau=0.01)


class CARL(TD3BC):
    """TD3+BC that sees a bad reward wherever its cost critic is above the limit."""

    name = "carl"
    config_class = CARLConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(20_000),
        "paper": Budget.of(1_000_000, update_ms=11),
    }
    config: CARLConfig

    # networks

    def build(self) -> None:
        """Also the cost critic and its target."""
        super().build()
        c, problem = self.config, self.problem
        inputs = problem.observation_dim + problem.action_dim
        self.cost_critic = critic(inputs, c.hidden).to(self.device)
        self.cost_target = make_target(self.cost_critic)
        self.cost_optimiser = adam(c.learning_rate, self.cost_critic)
        assert self.limit is not None
        self.threshold = discounted_limit(self.limit, problem.horizon, c.gamma)

    # losses

    def cost_critic_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """Regress Q_c on c + gamma target Q_c of the policy's action, until the episode ends."""
        after = batch.next_observations
        with torch.no_grad():
            next_q = self.cost_target(torch.cat([after, self.actor(after)], dim=-1))
            backup = batch.costs + self.config.gamma * (1.0 - batch.done) * next_q
        error = self.cost_of(batch) - backup
        loss = error.square().mean(-1)
        return loss, {"cost_critic_loss": loss.detach()}

    def cost_of(self, batch: Transitions) -> Tensor:
        """Q_c of the data's actions [..., B]."""
        value: Tensor = self.cost_critic(torch.cat([batch.observations, batch.actions], dim=-1))
        return value

    def rewards(self, batch: Transitions) -> Tensor:
        """The data's, or -R_max where the cost critic is above the limit."""
        return torch.where(
            self.cost_of(batch) > self.threshold, -self.largest_reward, batch.rewards
        )

    # update

    def prepare(self, data: Trajectories) -> None:
        """Also find R_max."""
        super().prepare(data)
        self.largest_reward = float(data.rewards.max())

    def update(self) -> dict[str, Tensor | float]:
        """Update the cost critic, then TD3+BC on the same batch."""
        batch = self.batch()
        loss, info = self.cost_critic_loss(batch)
        optimizer_step(self.cost_optimiser, loss)
        polyak_update(self.cost_target, self.cost_critic, self.config.tau)
        return {**info, **self.update_td3(batch)}
