"""BCQ-Lag by osrl: BCQ (Fujimoto and others, ICML 2019, arXiv 1812.02900) with a cost penalty.

A VAE proposes actions like the behaviour policy's, the actor perturbs them towards more reward and
less cost, and the target value is that of the best of several proposals. A PID controller sets the
Lagrange multiplier of the cost (Stooke and others, ICML 2020, arXiv 2007.03964) from the cost
critic's value.

As in osrl, the cost critics too back up the *largest* value over the proposals, and bootstrap
through the end of an episode; both overestimate cost, which is the cautious side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from baselines.osrl.adapter import LagrangianAlgorithm, LagrangianConfig, import_osrl
from benchmarks.common.ranges import NotNegative
from benchmarks.methods.algorithm import Budget, MemorylessPolicy, Policy


@dataclass(frozen=True)
class BCQLagConfig(LagrangianConfig):
    """Options of BCQ-Lag; defaults are osrl's."""

    phi: NotNegative = 0.05
    """Largest perturbation of a proposed action."""


_QUICK = Budget.of(1_000, update_ms=21, batch=128, hidden=128, vae_hidden=128, tau=0.02)


class BCQLag(LagrangianAlgorithm):
    """BCQ-Lag as osrl trains it; losses and updates are osrl's."""

    name = "bcq-lag"
    config_class = BCQLagConfig
    budgets: ClassVar = {
        # smaller batches and networks, faster target networks
        "quick": _QUICK,
        "standard": _QUICK.extended(4_000),
        "paper": Budget.of(100_000, update_ms=195),
    }
    config: BCQLagConfig

    # networks

    def build_osrl(self) -> tuple[Any, Any]:
        """Create osrl's BCQL and its trainer."""
        osrl = import_osrl("algorithms.bcql")
        model = osrl.BCQL(**self.model_options(), phi=self.config.phi)
        self.start_controller(model)
        return model, osrl.BCQLTrainer(model, **self.trainer_options())

    # policy

    def policy(self, limits: Tensor) -> Policy:
        """The actor's perturbation of the VAE's proposal for latent code 0.

        osrl samples the code at each step; 0, the mode of the prior, makes the policy
        deterministic.
        """
        return MemorylessPolicy(self._act)

    def _act(self, observations: Tensor) -> Tensor:
        code = torch.zeros(len(observations), self.model.latent_dim, device=self.device)
        actions: Tensor = self.model.actor(observations, self.model.vae.decode(observations, code))
        return actions
