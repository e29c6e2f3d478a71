"""O3SRL (NeurIPS 2025, arXiv 2510.22027), written from the paper.

A minimax game: a bandit (EXP3) chooses one of a few Lagrange multipliers, and TD3+BC maximises r -
lambda (c - (1 - gamma) kappa), whose discounted sum is the Lagrangian. The multiplier is drawn anew
every few updates and the bandit lowers what the policy has gained: no off-policy evaluation. The
critics see the rewards of all multipliers in turn.

Our reading where the paper leaves room: the multipliers are evenly spaced; a multiplier's loss is
the batch mean of the smaller Q of the policy's action after its updates, scaled to [0, 1] by the
range of the last losses and divided by its probability; TD3+BC as in its own paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from baselines.td3bc import TD3BC, TD3BCConfig
from benchmarks.common.ranges import Count, NotNegative, Positive, Share
from benchmarks.datasets.sampling import Transitions
from benchmarks.methods.algorithm import Budget


@dataclass(frozen=True)
class O3SRLConfig(TD3BCConfig):
    """Options of O3SRL; the rest is TD3+BC's."""

    arms: Count = 5
    """Number of multipliers."""
    largest_multiplier: NotNegative = 5.0
    """They are evenly spaced from 0 to this."""
    reward_scale: Positive = 0.1
    """Factor of the data's rewards, which weighs them against the multipliers (that of CAPS, by the
    same authors)."""
    arm_updates: Count = 10
    """Updates between two draws of a multiplier."""
    mixing: Share = 0.1
    """Probability that a multiplier is drawn uniformly (our choice)."""
    step_scale: Positive = 1.0
    """Factor of EXP3's step size, sqrt(2 ln arms / (arms * draws)) (our choice)."""
    memory: Count = 50
    """Losses of multipliers whose range scales the next (our choice)."""


_QUICK = Budget.of(5_000, update_ms=5, hidden=128, learning_rate=1e-3, tau=0.01, step_scale=4.0)


class O3SRL(TD3BC):
    """TD3+BC on a Lagrangian whose multiplier a bandit draws."""

    name = "o3srl"
    config_class = O3SRLConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(20_000),
        "paper": Budget.of(100_000, update_ms=9),
    }
    config: O3SRLConfig

    # networks

    def build(self) -> None:
        """Also the state of the bandit."""
        super().build()
        c = self.config
        self.multipliers = torch.linspace(0.0, c.largest_multiplier, c.arms, device=self.device)
        self.total_losses = torch.zeros(c.arms, device=self.device)
        """Estimated sum of the losses of each multiplier."""
        self.arm = torch.zeros((), dtype=torch.long, device=self.device)
        """The multiplier that is drawn."""
        self.recent = torch.zeros(c.memory, device=self.device)
        """The last losses before scaling, the newest last."""
        self.judged = torch.zeros((), dtype=torch.long, device=self.device)
        """Number of losses so far."""

    def parts(self) -> dict[str, Any]:
        """Also the state of the bandit."""
        names = "total_losses", "arm", "recent", "judged"
        return {**super().parts(), **{name: getattr(self, name) for name in names}}

    # losses

    def rewards(self, batch: Transitions) -> Tensor:
        """The Lagrangian's reward under the multiplier that is drawn."""
        assert self.limit is not None
        excess = batch.costs - (1.0 - self.config.gamma) * self.limit
        rewards = self.config.reward_scale * batch.rewards
        return rewards - self.multipliers[self.arm][..., None] * excess

    def probabilities(self) -> Tensor:
        """Of drawing each multiplier [..., arms]."""
        c = self.config
        draws = max(self.planned_updates / c.arm_updates, 1.0)
        step = c.step_scale * math.sqrt(2.0 * math.log(max(c.arms, 2)) / (c.arms * draws))
        softmax = (-step * self.total_losses).softmax(-1)
        return (1.0 - c.mixing) * softmax + c.mixing / c.arms

    # update

    def update(self) -> dict[str, Tensor | float]:
        """Update TD3+BC; draw a multiplier before the first, judge it after the last of a round."""
        c = self.config
        if self.updates % c.arm_updates == 0:
            self.draw()
        batch = self.batch()
        info = self.update_td3(batch)
        if (self.updates + 1) % c.arm_updates == 0:
            with torch.no_grad():
                value = self.critics(batch.observations, self.actor(batch.observations)).amin(0)
            self.judge(value.mean(-1))
        return {**info, "multiplier": self.multipliers[self.arm]}

    def draw(self) -> None:
        """Draw a multiplier."""
        limits = self.probabilities().cumsum(-1)
        point = self.draws.uniform(1, self.device)
        self.arm.copy_((point > limits[..., :-1]).sum(-1))

    def judge(self, loss: Tensor) -> None:
        """Add the multiplier's `loss` [...], scaled and weighted, to its total."""
        self.recent.copy_(torch.cat([self.recent[..., 1:], loss[..., None]], dim=-1))
        self.judged.add_(1)
        age = torch.arange(self.config.memory, 0, -1, device=self.device)
        known = age <= self.judged[..., None]
        low = torch.where(known, self.recent, torch.inf).amin(-1)
        high = torch.where(known, self.recent, -torch.inf).amax(-1)
        scaled = torch.where(high > low, (loss - low) / (high - low).clamp(min=1e-12), 0.5)
        at = self.arm[..., None]
        weighted = scaled[..., None] / self.probabilities().gather(-1, at)
        self.total_losses.scatter_add_(-1, at, weighted)
