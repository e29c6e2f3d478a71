"""B2R (NeurIPS 2025, arXiv 2509.25727): CDT on data relabelled to one boundary.

Only trajectories within the limit are kept, and their cost-to-go is shifted so that all of them
start at the limit: the transformer learns to spend all of it at most. Each limit is a training of
its own.

Differs from the authors' code: the transformer is CDT's, with its embedding of the time step where
theirs has rotary embeddings, and AdamW where theirs has LAMB; the target return is taken from the
dataset by the rule of GAS and CDT here, where theirs is set by hand for each task and limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from baselines.osrl.cdt_acting import CDTPolicy
from baselines.osrl.transformer import QUICK, TransformerAlgorithm, TransformerConfig
from benchmarks.common.ranges import Count, Share, Updates
from benchmarks.datasets.sequences import Relabelled, SequenceSampler
from benchmarks.datasets.targets import TARGET_QUANTILE, reward_targets
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Budget, Policy, eval_only
from benchmarks.methods.limits import within_limit
from benchmarks.methods.standardiser import Standardiser


@dataclass(frozen=True)
class B2RConfig(TransformerConfig):
    """Options of B2R; those of the transformer are CDT's but for the first two."""

    seq_len: Count = 3
    """Context length in steps (authors' code)."""
    lr_warmup_steps: Updates = 5_000
    """Updates over which the learning rate rises (authors' code)."""
    target_quantile: Share = eval_only(TARGET_QUANTILE)
    """The target return is this quantile of the returns within the limit."""


_QUICK = Budget.of(800, update_ms=15, **QUICK)


class B2R(TransformerAlgorithm):
    """CDT on trajectories within the limit, all with the limit as cost-to-go at their start."""

    name = "b2r"
    trains_per_limit = True
    config_class = B2RConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(6_000),
        "paper": Budget.of(100_000, update_ms=1_500),
    }
    config: B2RConfig

    def build(self) -> None:
        """The transformer, and the scale of observations."""
        super().build()
        self.scaled = Standardiser.of(self.problem, self.device)

    # update

    def prepare(self, data: Trajectories) -> None:
        """Relabel the trajectories within the limit; raises `UserError` if there is none."""
        assert self.limit is not None
        self.check_lengths(data)
        safe = data.select(within_limit(data, self.limit, self.name))
        observations = self.scaled(torch.as_tensor(safe.observations, device=self.device))
        scaled = replace(safe, observations=observations.cpu().numpy())
        count, budget = len(safe), np.full(len(safe), self.limit)
        self.sampler = SequenceSampler(
            scaled,
            self.config.batch,
            self.config.seq_len,
            self.device,
            reward_scale=self.config.reward_scale,
            relabelled=Relabelled(np.arange(count), safe.returns, budget),
            probabilities=np.repeat([0.0, 1.0], count),  # the relabelled ones only
        )

    # policy

    def policy(self, limits: Tensor) -> Policy:
        """The transformer, given each limit and a return found within it."""
        problem, c = self.problem, self.config
        targets = reward_targets(problem.returns, problem.costs, limits.cpu(), c.target_quantile)
        return B2RPolicy(self, targets.to(self.device), limits.to(self.device))


class B2RPolicy(CDTPolicy):
    """CDT's acting on standardised observations, with a cost-to-go of at least 0."""

    def __init__(self, b2r: B2R, reward_targets: Tensor, limits: Tensor) -> None:
        c = b2r.config
        given = {"length": c.seq_len, "reward_scale": c.reward_scale}
        super().__init__(b2r.model, reward_targets, limits, **given)  # type: ignore[arg-type]
        self.b2r = b2r

    def act(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """As CDT acts."""
        return super().act(self.b2r.scaled(observations), env_ids)

    def observe(self, rewards: Tensor, costs: Tensor, env_ids: Tensor) -> None:
        """Subtract what was received; the cost-to-go stays at 0 once the limit is spent."""
        super().observe(rewards, costs, env_ids)
        self.costs_to_go.clamp_(min=0.0)
