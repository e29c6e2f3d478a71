"""BEAR-Lag by osrl: BEAR (Kumar and others, NeurIPS 2019, arXiv 1906.00949) at a price of cost.

The actor is free within the support of the data's actions: the maximum mean discrepancy between
its actions and those of a VAE is held at a threshold by a multiplier, alpha. A PID controller sets
the price of cost (Stooke and others, ICML 2020, arXiv 2007.03964) from the cost critic's
value.

As in osrl, the cost critics too back up the action of the *largest* value, and through the end of
an episode: they lean to the side of caution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from baselines.osrl.adapter import LagrangianAlgorithm, LagrangianConfig, import_osrl
from benchmarks.methods.algorithm import Budget, MemorylessPolicy, Policy


@dataclass(frozen=True)
class BEARLagConfig(LagrangianConfig):
    """Options of BEAR-Lag; defaults are osrl's."""

    alpha_lr: float = 1e-3
    """Of alpha, the weight of the discrepancy."""
    mmd_sigma: float = 50.0
    """Width of the discrepancy's kernel."""
    target_mmd_thresh: float = 0.05
    """Discrepancy allowed."""
    num_samples_mmd_match: int = 10
    """Actions of either side that the discrepancy is estimated from."""
    start_update_policy_step: int = 0
    """Updates during which the actor looks at discrepancy and cost only."""
    kernel: str = "gaussian"
    """Of the discrepancy: "gaussian" or "laplacian"."""


_QUICK = Budget.of(1_000, update_ms=18, batch=128, hidden=128, vae_hidden=128, tau=0.02)


class BEARLag(LagrangianAlgorithm):
    """BEAR-Lag as osrl trains it."""

    name = "bear-lag"
    config_class = BEARLagConfig
    budgets: ClassVar = {
        # smaller batches and networks, and targets that follow faster
        "quick": _QUICK,
        "standard": _QUICK.extended(4_000),
        "paper": Budget.of(300_000, update_ms=150),
    }
    loose_tensors = (*LagrangianAlgorithm.loose_tensors, "log_alpha", "n_train_steps")
    config: BEARLagConfig

    def build(self) -> tuple[Any, Any]:
        """The BEARL of osrl and its trainer."""
        osrl, c = import_osrl("algorithms.bearl"), self.config
        model = osrl.BEARL(
            **self.model_options(),
            mmd_sigma=c.mmd_sigma,
            target_mmd_thresh=c.target_mmd_thresh,
            num_samples_mmd_match=c.num_samples_mmd_match,
            start_update_policy_step=c.start_update_policy_step,
            kernel=c.kernel,
        )
        self.start_controller(model)
        model.n_train_steps = torch.zeros((), dtype=torch.long)  # so that a checkpoint holds it
        options = self.trainer_options() | {"alpha_lr": c.alpha_lr}
        return model, osrl.BEARLTrainer(model, **options)

    def policy(self, limits: Tensor) -> Policy:
        """The actor's mode, whatever the limits."""
        return MemorylessPolicy(lambda states: self.model._actor_forward(states, True, False)[0])
