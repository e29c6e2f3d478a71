"""TraC: safe policies by trajectory classification (AAAI 2025, arXiv 2412.15429).

Segments within the limit with a high return are desirable, those beyond it (and, on some tasks,
safe ones with a low return) undesirable. The policy is cloned and then moved so that its log-
likelihood against that of the cloned policy classifies the segments. No value is learned, and the
policy does not heed the limit when it acts: each limit is a training of its own.

Differs from the authors' code: an episode shorter than a segment counts as a whole; the length of a
segment is published for three tasks only, and is the horizon elsewhere; labels can be the user's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.segment_labels import Labelled
from baselines.segment_policy import QUICK, SegmentPolicy, SegmentPolicyConfig
from benchmarks.common.errors import UserError
from benchmarks.common.ranges import Share
from benchmarks.datasets.sequences import Indices
from benchmarks.methods.algorithm import Budget


@dataclass(frozen=True)
class TraCConfig(SegmentPolicyConfig):
    """Options of TraC; defaults are those of the authors' code for Bullet's tasks."""

    desirable: Share = 0.5
    """Fraction of the safe segments, by return, that are desirable."""
    undesirable: Share = 0.0
    """Fraction of the safe segments, by return, that are undesirable (0.5 on Safety-Gymnasium)."""
    least_weight: Share = 0.7
    """Smallest weight of a safe segment; the weight rises with its return, or falls."""
    balance: Share = 0.25
    """Weight of all undesirable segments against all desirable ones (0.5 on Safety-Gymnasium)."""


_QUICK = Budget.of(2_000, update_ms=8, **QUICK)


class TraC(SegmentPolicy):
    """A cloned policy, moved towards desirable segments and away from undesirable ones."""

    name = "trac"
    config_class = TraCConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(8_000),
        "paper": Budget.of(100_000, update_ms=105),
    }
    config: TraCConfig

    @classmethod
    def options_on(cls, task: str, source: str) -> Mapping[str, Any]:
        """Also the undesirable share and the balance of Safety-Gymnasium."""
        options = dict(super().options_on(task, source))
        more = {"undesirable": 0.5, "balance": 0.5}
        return options | more if options.get("alpha") else options

    # losses

    def actor_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the segments' classes under sigma(S), weighted."""
        kept = self.draws.integers(len(self._kept), self.config.batch, self.device)
        good, weights = self._good[kept], self._weights[kept]
        probability = self.score(self._kept[kept]).sigmoid().clamp(1e-6, 1.0 - 1e-6)
        right = torch.where(good, probability, 1.0 - probability)
        counts = good.sum(-1, keepdim=True), (~good).sum(-1, keepdim=True).clamp(min=1)
        balance = torch.where(good, 1.0, self.config.balance * counts[0] / counts[1])
        loss = -(balance * weights * right.log()).mean(-1)
        return loss, {"actor_loss": loss.detach()}

    # update

    def prepare_labels(self, labelled: Labelled) -> None:
        """Keep the segments that have a class."""
        c = self.config
        if not labelled.safe.any():
            raise UserError(
                f"trac cannot be trained for the cost limit {self.limit:g}: no segment is safe; "
                "choose a higher limit"
            )
        kept, good, weights = classes(labelled, c.desirable, c.undesirable, c.least_weight)
        self._kept, self._good = (torch.as_tensor(v).to(self.device) for v in (kept, good))
        self._weights = torch.as_tensor(weights, dtype=torch.float32).to(self.device)


def classes(
    labelled: Labelled, desirable: float, undesirable: float, least: float
) -> tuple[Indices, NDArray[np.bool_], NDArray[np.float64]]:
    """The segments that have a class [k], which are desirable, and their weights.

    Of the safe ones the best fraction `desirable` and the worst fraction `undesirable`, by score;
    all that are not safe are undesirable. A desirable segment weighs least + (1 - least) rho, an
    undesirable safe one least + (1 - least) (1 - rho), with rho its score scaled to [0, 1] among
    the safe ones; one that is not safe weighs 1.
    """
    safe = np.flatnonzero(labelled.safe)
    score = labelled.score[safe]
    rho = (score - score.min()) / max(float(np.ptp(score)), 1e-12)
    if np.ptp(score) == 0:
        rho = np.ones_like(rho)
    order = np.argsort(-score, kind="stable")
    best = order[: max(round(desirable * len(safe)), 1)]
    worst = order[max(len(safe) - round(undesirable * len(safe)), len(best)) :]
    unsafe = np.flatnonzero(~labelled.safe)
    kept = np.concatenate([safe[best], safe[worst], unsafe])
    good = np.arange(len(kept)) < len(best)
    weights = np.concatenate(
        [
            least + (1.0 - least) * rho[best],
            least + (1.0 - least) * (1.0 - rho[worst]),
            np.ones(len(unsafe)),
        ]
    )
    return kept, good, weights
