"""COptiDICE (Lee and others, ICLR 2022, arXiv 2204.08957), by osrl.

Estimates the ratio between the best constrained policy's state-action distribution and the data's,
with a Lagrange multiplier on an upper bound of the cost, and clones the data with that ratio as
the weight.

Fault kept: osrl compares the bound, a mean cost a step, with the discounted limit, which is a sum
over steps and about 1 / (1 - gamma) times too large, so that the constraint hardly ever binds and
the results depend little on the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from baselines.osrl_adapter import WrappedAlgorithm, import_osrl
from benchmarks.algorithm import Budget, Config, MemorylessPolicy, Policy
from benchmarks.data.sampling import TransitionSampler
from benchmarks.data.trajectories import Trajectories


@dataclass(frozen=True)
class COptiDICEConfig(Config):
    """Options of COptiDICE; defaults are osrl's."""

    batch: int = 512
    actor_lr: float = 1e-4
    critic_lr: float = 1e-4
    """Of the nu and chi networks."""
    scalar_lr: float = 1e-4
    """Of the multipliers lambda and tau."""
    hidden: int = 256
    """Width of the hidden layers of all networks."""
    hidden_layers: int = 2
    gamma: float = 0.99
    alpha: float = 0.5
    """Weight of the divergence from the data's distribution."""
    cost_ub_epsilon: float = 0.01
    """Divergence allowed to the cost's upper bound; 0 bounds the plain estimate."""
    f_type: str = "softchi"
    """The divergence: "softchi", "chi2" or "kl"."""
    num_nu: int = 2
    num_chi: int = 2
    reward_scale: float = 0.1


class COptiDICE(WrappedAlgorithm):
    """COptiDICE as osrl trains it, trained for one limit."""

    name = "coptidice"
    conditions_on_limit = False
    config_class = COptiDICEConfig
    budgets: ClassVar = {
        "quick": Budget.of(800, update_ms=12, batch=256, hidden=128, actor_lr=1e-3, critic_lr=3e-4),
        "standard": Budget.of(20_000, update_ms=30),
        "paper": Budget.of(100_000, update_ms=30),
    }
    loose_tensors = ("tau", "lmbda")
    config: COptiDICEConfig

    def build(self) -> tuple[Any, Any]:
        """The COptiDICE of osrl and its trainer."""
        osrl, c = import_osrl("algorithms.coptidice"), self.config
        model = osrl.COptiDICE(
            self.problem.observation_dim,
            self.problem.action_dim,
            max_action=1.0,
            f_type=c.f_type,
            init_state_propotion=self.problem.initial_fraction,
            observations_std=self.problem.observation_std[None].numpy(force=True),
            actions_std=self.problem.action_std[None].numpy(force=True),
            a_hidden_sizes=[c.hidden] * c.hidden_layers,
            c_hidden_sizes=[c.hidden] * c.hidden_layers,
            gamma=c.gamma,
            alpha=c.alpha,
            cost_ub_epsilon=c.cost_ub_epsilon,
            num_nu=c.num_nu,
            num_chi=c.num_chi,
            cost_limit=self.limit,
            episode_len=self.problem.horizon,
            device=str(self.device),
        )
        trainer = osrl.COptiDICETrainer(
            model,
            None,
            self.log,
            actor_lr=c.actor_lr,
            critic_lr=c.critic_lr,
            scalar_lr=c.scalar_lr,
            reward_scale=c.reward_scale,
            device=str(self.device),
        )
        return model, trainer

    def prepare(self, data: Trajectories) -> None:
        """Put the transitions on the device."""
        c = self.config
        self.sampler = TransitionSampler(data, c.batch, self.device, reward_scale=c.reward_scale)

    def update(self) -> dict[str, Tensor | float]:
        """One step of chi, tau, nu, lambda and the actor, on one batch."""
        self.trainer.train_one_step(self.sampler())
        return self.log.losses

    def policy(self, limits: Tensor) -> Policy:
        """The actor's mode, whatever the limits."""
        return MemorylessPolicy(lambda states: self.model.actor(states, True, False)[0])
