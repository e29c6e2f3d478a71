"""PreSa: preference and safety alignment (AAMAS 2026, arXiv 2512.20173).

Pairs of segments say which is better, labels say which segments are safe. The policy prefers the
better segments, under the constraint that the probability which it gives to the right safety labels
is at least delta; a Lagrange multiplier holds the constraint. No reward, cost or value is learned,
and the policy does not heed the limit when it acts.

No code and no verified figures are published. Our reading where the paper's text leaves room: the
probability of a segment's label is sigma(+S) if it is safe and sigma(-S) if not; its mean over a
batch, half from each kind of label, is the constraint; sizes, rates and segments are TraC's, and
the likelihood is too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from baselines.segment_labels import Labelled
from baselines.segment_policy import QUICK, SegmentPolicy, SegmentPolicyConfig
from benchmarks.common.errors import UserError
from benchmarks.common.ranges import LearningRate, NotNegative, Share
from benchmarks.methods.algorithm import Budget


@dataclass(frozen=True)
class PreSaConfig(SegmentPolicyConfig):
    """Options of PreSa; a batch has as many pairs as labelled segments."""

    delta: Share = 0.9
    """Least mean probability of the right safety labels (the paper: 0.9 or 0.95)."""
    multiplier_lr: LearningRate = 0.01
    """Step size of the multiplier's ascent (our choice)."""
    init_multiplier: NotNegative = 1.0
    """Initial multiplier (our choice)."""


_QUICK = Budget.of(2_000, update_ms=21, multiplier_lr=0.1, **QUICK)


class PreSa(SegmentPolicy):
    """A cloned policy, moved by preferences under a constraint of safety labels."""

    name = "presa"
    config_class = PreSaConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(8_000),
        "paper": Budget.of(100_000, update_ms=310),
    }
    config: PreSaConfig

    # networks

    def build(self) -> None:
        """Also the multiplier."""
        super().build()
        self.multiplier = torch.tensor(self.config.init_multiplier, device=self.device)

    def parts(self) -> dict[str, Any]:
        """Also the multiplier."""
        return {**super().parts(), "multiplier": self.multiplier}

    # losses

    def actor_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of the preferences, and the multiplier times what the constraint lacks."""
        preference, info = self.preference_loss()
        safe_probability = self.safety()
        lacking = self.config.delta - safe_probability
        loss = preference + self.multiplier.detach().clone() * lacking
        info |= {"actor_loss": loss.detach(), "safe_probability": safe_probability.detach()}
        return loss, info

    def preference_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """-ln sigma(S of the better - S of the worse), over a batch of pairs."""
        drawn = self.draws.integers(len(self._pairs), self.config.batch, self.device)
        better, worse = (self.score(self._pairs[drawn][..., k]) for k in (0, 1))
        loss = -logsigmoid(better - worse).mean(-1)
        return loss, {"preference_loss": loss.detach()}

    def safety(self) -> Tensor:
        """Mean probability of the right safety label; half of the batch from each kind of label."""
        each = max(self.config.batch // len(self._kinds), 1)
        drawn = [kind[self.draws.integers(len(kind), each, self.device)] for kind in self._kinds]
        chosen = torch.cat(drawn, dim=-1)
        return (self._sign[chosen] * self.score(chosen)).sigmoid().mean(-1)

    # update

    def prepare_labels(self, labelled: Labelled) -> None:
        """Put pairs and safety labels on the device."""
        if not len(labelled.pairs):
            raise UserError(
                "presa has no pair of segments to learn from: give a file of pairs beside the "
                "labels, or data whose segments differ in return"
            )
        self._pairs = torch.as_tensor(labelled.pairs).to(self.device)
        kinds = (torch.as_tensor(np.flatnonzero(labelled.safe == kind)) for kind in (True, False))
        self._kinds = [kind.to(self.device) for kind in kinds if len(kind)]
        sign = 2.0 * torch.as_tensor(labelled.safe).float() - 1.0
        self._sign = sign.to(self.device)

    def update(self) -> dict[str, Tensor | float]:
        """Also one step of the multiplier, which never falls below 0."""
        info = {"preference_loss": 0.0, "safe_probability": self.config.delta, **super().update()}
        lacking = self.config.delta - info["safe_probability"]
        self.multiplier.add_(self.config.multiplier_lr * lacking).clamp_(min=0.0)
        return {**info, "multiplier": self.multiplier.clone()}
