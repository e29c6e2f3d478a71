"""COptiDICE (Lee and others, ICLR 2022, arXiv 2204.08957), by osrl; and with the paper's threshold.

COptiDICE estimates the density ratio between the optimal constrained policy's state-action
distribution and the dataset's, with a Lagrange multiplier on an upper bound of the cost. It then
clones the data, weighted by that ratio.

`coptidice` keeps a fault of osrl: the bound, a mean cost per step, is compared with the discounted
cost limit, a sum over steps that is about 1 / (1 - gamma) times too large. The constraint therefore
rarely binds, and results depend little on the limit. `coptidice-perstep` fixes this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from torch import Tensor

from baselines.osrl import stacked_coptidice
from baselines.osrl.adapter import TransitionAlgorithm, TransitionConfig, import_osrl
from benchmarks.common.ranges import Choices, Count, LearningRate, NotNegative, Positive
from benchmarks.methods.algorithm import Budget, MemorylessPolicy, Policy


@dataclass(frozen=True)
class COptiDICEConfig(TransitionConfig):
    """Options of COptiDICE; defaults are osrl's."""

    actor_lr: LearningRate = 1e-4
    critic_lr: LearningRate = 1e-4
    """Learning rate of the nu and chi networks."""
    scalar_lr: LearningRate = 1e-4
    """Learning rate of the multipliers lambda and tau."""
    alpha: Positive = 0.5
    """Weight of the f-divergence from the dataset's distribution."""
    cost_ub_epsilon: NotNegative = 0.01
    """KL divergence allowed in the upper bound of the cost; 0 uses the estimate itself."""
    f_type: Annotated[str, Choices(("softchi", "chi2", "kl"))] = "softchi"
    """The f-divergence: "softchi", "chi2" or "kl"."""
    num_nu: Count = 2
    num_chi: Count = 2


_QUICK = Budget.of(800, update_ms=8, batch=256, hidden=128, actor_lr=1e-3, critic_lr=3e-4)
# at osrl's rate, lambda would hardly move from its initial value in so few updates
_QUICK_PER_STEP = Budget.of(800, update_ms=8, **_QUICK.options, scalar_lr=1e-2)


class COptiDICE(TransitionAlgorithm):
    """COptiDICE as osrl trains it; losses and updates are osrl's."""

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

    # networks

    def build_osrl(self) -> tuple[Any, Any]:
        """Create osrl's COptiDICE and its trainer."""
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

    # update

    def update(self) -> dict[str, Tensor | float]:
        """Update chi, tau, nu, lambda and the actor."""
        if self.stacked:
            return stacked_coptidice.update(self.model, self.sampler(self.draws), self.draws)
        self.trainer.train_one_step(self.sampler()[:7])  # the columns of osrl's batches
        return self.log.losses

    # policy

    def policy(self, limits: Tensor) -> Policy:
        """The actor's mode."""
        return MemorylessPolicy(lambda states: self.model.actor(states, True, False)[0])


class COptiDICEPerStep(COptiDICE):
    """COptiDICE with a threshold per step, limit / horizon.

    The paper and its authors' code also compare the mean cost per step with a cost per step.
    Nothing else differs from `coptidice`. The threshold is still too large by the factor
    1 / (1 - gamma ** horizon): osrl's distribution ends with the episode, the paper's does not.
    """

    name = "coptidice-perstep"
    budgets: ClassVar = {
        **COptiDICE.budgets,
        "quick": _QUICK_PER_STEP,
        "standard": _QUICK_PER_STEP.extended(5_000),
    }

    def build_osrl(self) -> tuple[Any, Any]:
        """Create osrl's COptiDICE with the other threshold, and its trainer."""
        assert self.limit is not None
        model, trainer = super().build_osrl()
        model.qc_thres = self.limit / self.problem.horizon
        return model, trainer
