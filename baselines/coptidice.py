"""COptiDICE (Lee and others, ICLR 2022, arXiv 2204.08957), by osrl; and with the paper's threshold.

Estimates the ratio between the best constrained policy's state-action distribution and the data's,
with a Lagrange multiplier on an upper bound of the cost, and clones the data with that ratio as
the weight.

Fault kept in `coptidice`: osrl compares the bound, a mean cost a step, with the discounted limit,
which is a sum over steps and about 1 / (1 - gamma) times too large, so that the constraint hardly
ever binds and the results depend little on the limit. `coptidice-perstep` mends that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from baselines.osrl.adapter import TransitionAlgorithm, TransitionConfig, import_osrl
from baselines.osrl.several_seeds import coptidice_step
from benchmarks.methods.algorithm import Budget, MemorylessPolicy, Policy


@dataclass(frozen=True)
class COptiDICEConfig(TransitionConfig):
    """Options of COptiDICE; defaults are osrl's."""

    actor_lr: float = 1e-4
    critic_lr: float = 1e-4
    """Of the nu and chi networks."""
    scalar_lr: float = 1e-4
    """Of the multipliers lambda and tau."""
    alpha: float = 0.5
    """Weight of the divergence from the data's distribution."""
    cost_ub_epsilon: float = 0.01
    """Divergence allowed to the cost's upper bound; 0 bounds the plain estimate."""
    f_type: str = "softchi"
    """The divergence: "softchi", "chi2" or "kl"."""
    num_nu: int = 2
    num_chi: int = 2


_QUICK = Budget.of(800, update_ms=8, batch=256, hidden=128, actor_lr=1e-3, critic_lr=3e-4)
# so few steps at osrl's rate would leave lambda where it starts, whatever the limit
_QUICK_PER_STEP = Budget.of(800, update_ms=8, **_QUICK.options, scalar_lr=1e-2)


class COptiDICE(TransitionAlgorithm):
    """COptiDICE as osrl trains it."""

    name = "coptidice"
    config_class = COptiDICEConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(5_000),
        "paper": Budget.of(100_000, update_ms=27),
    }
    loose_tensors = ("tau", "lmbda")
    stackable = True
    config: COptiDICEConfig

    def build(self) -> tuple[Any, Any]:
        """The COptiDICE of osrl and its trainer."""
        osrl, c = import_osrl("algorithms.coptidice"), self.config
        model = osrl.COptiDICE(
            **self.model_options(),
            f_type=c.f_type,
            init_state_propotion=self.problem.initial_fraction,
            observations_std=self.problem.observation_std[None].numpy(force=True),
            actions_std=self.problem.action_std[None].numpy(force=True),
            alpha=c.alpha,
            cost_ub_epsilon=c.cost_ub_epsilon,
            num_nu=c.num_nu,
            num_chi=c.num_chi,
        )
        options = self.trainer_options() | {"scalar_lr": c.scalar_lr}
        return model, osrl.COptiDICETrainer(model, **options)

    def update(self) -> dict[str, Tensor | float]:
        """One step of chi, tau, nu, lambda and the actor, on one batch."""
        if self.stacked:
            return coptidice_step(self.model, self.sampler(self.draws), self.draws)
        self.trainer.train_one_step(self.sampler()[:7])  # the columns of osrl's own batches
        return self.log.losses

    def policy(self, limits: Tensor) -> Policy:
        """The actor's mode, whatever the limits."""
        return MemorylessPolicy(lambda states: self.model.actor(states, True, False)[0])


class COptiDICEPerStep(COptiDICE):
    """COptiDICE with the threshold on the scale of what is compared with it: limit / horizon.

    As in the paper and its authors' code, where the mean cost a step under the normalised
    distribution is compared with a cost a step. Nothing else differs from `coptidice`, so that it
    is still lenient by 1 / (1 - gamma ** horizon): osrl ends the distribution with the episode,
    where the paper's goes on for ever.
    """

    name = "coptidice-perstep"
    budgets: ClassVar = {
        **COptiDICE.budgets,
        "quick": _QUICK_PER_STEP,
        "standard": _QUICK_PER_STEP.extended(5_000),
    }

    def build(self) -> tuple[Any, Any]:
        """The COptiDICE of osrl with the other threshold, and its trainer."""
        assert self.limit is not None
        model, trainer = super().build()
        model.qc_thres = self.limit / self.problem.horizon
        return model, trainer
