"""Reward targets of an episode, for the forms of GAS that are asked for a reward."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.datasets.targets import (
    TARGET_MARGIN,
    TARGET_QUANTILE,
    listed_targets,
    parse_targets,
    reward_targets,
)
from benchmarks.methods.algorithm import Config, Problem, acting
from gas.stitching import BudgetPolicy, SegmentLearner


@dataclass(frozen=True)
class TargetConfig(Config):
    """Options of what an episode starts with; none changes the training."""

    reward_target: float | str | None = acting(None)
    """R-hat at the start of an episode: a number, or numbers by limit such as "8:420 16:430", on
    lines between them; None takes it from the data (`reward_targets`)."""
    target_quantile: float = acting(TARGET_QUANTILE)
    """Of the returns within the limit, less the margin, where R-hat is taken from the data."""
    margin: float = acting(TARGET_MARGIN)
    """Part of the limit that is not asked for, so that C-hat at the start is less than it."""
    target_factor: float = acting(1.0)
    """What R-hat at the start is multiplied by."""

    def __post_init__(self) -> None:
        if isinstance(self.reward_target, str):
            parse_targets(self.reward_target)


def initial_targets(
    config: TargetConfig, problem: Problem, limits: Tensor
) -> tuple[Tensor, Tensor]:
    """R-hat and C-hat at the start of an episode [B], for cost limits [B] on a CPU."""
    budgets, asked = (1.0 - config.margin) * limits, config.reward_target
    if asked is None:
        within = problem.returns, problem.costs, budgets
        targets = reward_targets(*within, config.target_quantile)
    elif isinstance(asked, str):
        targets = listed_targets(parse_targets(asked), limits)
    else:
        targets = torch.full_like(limits, asked)
    return config.target_factor * targets, budgets


class TargetPolicy(BudgetPolicy):
    """Asks for a reward within the budget; both targets shrink by what was received."""

    def __init__(self, gas: SegmentLearner, reward_targets: Tensor, limits: Tensor) -> None:
        super().__init__(gas, limits)
        self.rewards_left = reward_targets.clone()

    def observe(self, rewards: Tensor, costs: Tensor, rows: Tensor) -> None:
        """R-hat -= r, C-hat -= c, one step less."""
        self.rewards_left[rows] -= rewards
        super().observe(rewards, costs, rows)
