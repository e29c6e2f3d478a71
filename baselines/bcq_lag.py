"""BCQ-Lag by osrl: BCQ (Fujimoto and others, ICML 2019, arXiv 1812.02900) at a price of cost.

A VAE proposes actions like the data's, the actor moves them a little towards more reward and less
cost, and the best of several proposals is backed up. A PID controller sets the price of cost
(Stooke and others, ICML 2020, arXiv 2007.03964) from the cost critic's value.

As in osrl, the cost critics too back up the proposal of the *largest* value, and through the end
of an episode: they lean to the side of caution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from baselines.osrl.adapter import LagrangianAlgorithm, LagrangianConfig, import_osrl
from benchmarks.methods.algorithm import Budget, MemorylessPolicy, Policy


@dataclass(frozen=True)
class BCQLagConfig(LagrangianConfig):
    """Options of BCQ-Lag; defaults are osrl's."""

    phi: float = 0.05
    """How far the actor moves a proposed action at most."""


_QUICK = Budget.of(1_000, update_ms=21, batch=128, hidden=128, vae_hidden=128, tau=0.02)


class BCQLag(LagrangianAlgorithm):
    """BCQ-Lag as osrl trains it."""

    name = "bcq-lag"
    config_class = BCQLagConfig
    budgets: ClassVar = {
        # smaller batches and networks, and targets that follow faster
        "quick": _QUICK,
        "standard": _QUICK.extended(4_000),
        "paper": Budget.of(100_000, update_ms=195),
    }
    config: BCQLagConfig

    def build(self) -> tuple[Any, Any]:
        """The BCQL of osrl and its trainer."""
        osrl = import_osrl("algorithms.bcql")
        model = osrl.BCQL(**self.model_options(), phi=self.config.phi)
        self.start_controller(model)
        return model, osrl.BCQLTrainer(model, **self.trainer_options())

    def policy(self, limits: Tensor) -> Policy:
        """The actor's version of the VAE's middle proposal, whatever the limits.

        osrl draws the proposal's code at each step; here it is 0, the prior's mode, so that acting
        is deterministic.
        """
        return MemorylessPolicy(self._act)

    def _act(self, observations: Tensor) -> Tensor:
        code = torch.zeros(len(observations), self.model.latent_dim, device=self.device)
        actions: Tensor = self.model.actor(observations, self.model.vae.decode(observations, code))
        return actions
