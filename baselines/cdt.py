"""Constrained Decision Transformer (CDT; Liu and others, ICML 2023, arXiv 2302.07351), by osrl.

A transformer reads the return-to-go, cost-to-go, state and action of the last steps of an episode
and predicts the next action. At evaluation it is conditioned on a target return and a cost limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from torch import Tensor

from baselines.osrl.cdt_acting import CDTPolicy
from baselines.osrl.transformer import QUICK, TransformerAlgorithm, TransformerConfig
from benchmarks.common.ranges import NotNegative, Positive, Range, Share
from benchmarks.datasets.sequences import SequenceSampler, cost_probabilities, relabel_beyond_front
from benchmarks.datasets.targets import TARGET_MARGIN, TARGET_QUANTILE, reward_targets
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Budget, Policy, eval_only


@dataclass(frozen=True)
class CDTConfig(TransformerConfig):
    """Options of CDT; defaults are osrl's, except where osrl has a setting for each task.

    Those are `deg`, `max_rew_decrease` and the largest target return, which osrl sets a little
    above the largest return in the dataset; here it is the largest return in the dataset.
    """

    cost_sample: bool = True
    """Sample trajectories in proportion to max(`cost_sample_offset` - cost return, 0); else
    uniformly."""
    cost_sample_offset: NotNegative = 70.0
    augment_percent: Annotated[float, Range(0, most=100)] = 0.2
    """Number of relabelled trajectories, as a fraction of the dataset's; 0 turns it off."""
    deg: Annotated[int, Range(0, 20)] = 2
    """Degree of the polynomial through the Pareto front (osrl: 0 to 4, by task)."""
    min_reward: NotNegative = 1.0
    """Smallest distance of a relabelled return above the front."""
    max_rew_decrease: NotNegative = 0.15
    """How far the return of a relabelled trajectory may be below that of the trajectory nearest to
    the target, as a fraction of the largest absolute return (osrl: 0.08 to 0.33, by task)."""
    beta: Positive = 1.0
    """Relabelled trajectories are sampled with weight 1 / (distance + beta)."""
    target_quantile: Share = eval_only(TARGET_QUANTILE)
    """The target return is this quantile of the returns within the limit less the margin, by the
    same rule and with the same values as in GAS (osrl: set by hand for each task)."""
    margin: Share = eval_only(TARGET_MARGIN)
    """Fraction of the cost limit kept in reserve (osrl: none)."""


_QUICK = Budget.of(800, update_ms=38, **QUICK)


class CDT(TransformerAlgorithm):
    """CDT as osrl trains it; one training serves every limit."""

    name = "cdt"
    trains_per_limit = False
    config_class = CDTConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(6_000),
        "paper": Budget.of(100_000, update_ms=4_500),
    }
    config: CDTConfig

    # update; the losses are in `baselines.osrl.cdt_training`

    def prepare(self, data: Trajectories) -> None:
        """Relabel trajectories and put all context windows on the device."""
        c = self.config
        self.check_lengths(data)
        relabelled = relabel_beyond_front(
            data.returns,
            data.episode_costs,
            c.augment_percent,
            np.random.default_rng(int(torch.randint(2**62, ()))),
            degree=c.deg,
            margin=c.min_reward,
            max_decrease=c.max_rew_decrease * float(np.abs(data.returns).max()),
            beta=c.beta,
        )
        costs = np.concatenate([data.episode_costs, relabelled.costs])
        weights = cost_probabilities(costs, c.cost_sample_offset) if c.cost_sample else None
        self.sampler = SequenceSampler(
            data,
            c.batch,
            c.seq_len,
            self.device,
            reward_scale=c.reward_scale,
            relabelled=relabelled,
            probabilities=weights,
        )

    # policy

    def policy(self, limits: Tensor) -> Policy:
        """The learned policy, conditioned on each cost limit and a return found within it."""
        problem, c = self.problem, self.config
        budgets = (1.0 - c.margin) * limits.to(self.device)
        targets = reward_targets(problem.returns, problem.costs, budgets.cpu(), c.target_quantile)
        return CDTPolicy(
            self.model,
            targets.to(self.device),
            budgets,
            length=self.config.seq_len,
            reward_scale=self.config.reward_scale,
        )
