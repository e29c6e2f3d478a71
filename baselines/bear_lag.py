"""BEAR-Lag by osrl: BEAR (Kumar and others, NeurIPS 2019, arXiv 1906.00949) with a cost penalty.

The actor is constrained to the support of the behaviour policy: a Lagrange multiplier, alpha, holds
the maximum mean discrepancy (MMD) between its actions and those of a VAE at a threshold. A PID
controller sets the Lagrange multiplier of the cost (Stooke and others, ICML 2020, arXiv 2007.03964)
from the cost critic's value.

As in osrl, the cost critics too back up the *largest* value over sampled actions, and bootstrap
through the end of an episode; both overestimate cost, which is the cautious side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from baselines.osrl.adapter import LagrangianAlgorithm, LagrangianConfig, import_osrl
from benchmarks.common.ranges import Choices, Count, LearningRate, NotNegative, Positive, Updates
from benchmarks.methods.algorithm import Budget, MemorylessPolicy, Policy


@dataclass(frozen=True)
class BEARLagConfig(LagrangianConfig):
    """Options of BEAR-Lag; defaults are osrl's."""

    alpha_lr: LearningRate = 1e-3
    """Learning rate of alpha, the multiplier of the MMD."""
    mmd_sigma: Positive = 50.0
    """Width of the MMD's kernel."""
    target_mmd_thresh: NotNegative = 0.05
    """Threshold of the MMD."""
    num_samples_mmd_match: Count = 10
    """Actions sampled from the actor and from the VAE to estimate the MMD."""
    start_update_policy_step: Updates = 0
    """Updates during which the actor's loss leaves out the reward."""
    kernel: Annotated[str, Choices(("gaussian", "laplacian"))] = "gaussian"
    """Kernel of the MMD: "gaussian" or "laplacian"."""


_QUICK = Budget.of(1_000, update_ms=18, batch=128, hidden=128, vae_hidden=128, tau=0.02)


class BEARLag(LagrangianAlgorithm):
    """BEAR-Lag as osrl trains it; losses and updates are osrl's."""

    name = "bear-lag"
    config_class = BEARLagConfig
    budgets: ClassVar = {
        # smaller batches and networks, faster target networks
        "quick": _QUICK,
        "standard": _QUICK.extended(4_000),
        "paper": Budget.of(300_000, update_ms=150),
    }
    loose_tensors = (*LagrangianAlgorithm.loose_tensors, "log_alpha", "n_train_steps")
    config: BEARLagConfig

    # networks

    def build_osrl(self) -> tuple[Any, Any]:
        """Create osrl's BEARL and its trainer."""
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
        model.n_train_steps = torch.zeros((), dtype=torch.long)  # a tensor, for checkpoints
        options = self.trainer_options() | {"alpha_lr": c.alpha_lr}
        return model, osrl.BEARLTrainer(model, **options)

    # policy

    def policy(self, limits: Tensor) -> Policy:
        """The actor's mode."""
        return MemorylessPolicy(lambda states: self.model._actor_forward(states, True, False)[0])
