"""Target returns of an episode, for the forms of GAS that are conditioned on a return."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.common.ranges import NotNegative, Share
from benchmarks.datasets.targets import (
    TARGET_MARGIN,
    TARGET_QUANTILE,
    listed_targets,
    parse_targets,
    reward_targets,
)
from benchmarks.methods.algorithm import Config, Policy, Problem, eval_only
from gas.stitching import SegmentLearner


@dataclass(frozen=True)
class TargetConfig(Config):
    """Options of the targets at the start of an episode; training does not depend on them."""

    reward_target: float | str | None = eval_only(None)
    """R-hat at the start of an episode: a number, or numbers by cost limit such as "8:420 16:430",
    interpolated linearly; None takes it from the dataset (`reward_targets`)."""
    target_quantile: Share = eval_only(TARGET_QUANTILE)
    """R-hat taken from the dataset is this quantile of the returns within the limit less margin."""
    margin: Share = eval_only(TARGET_MARGIN)
    """Fraction of the cost limit kept in reserve: C-hat starts at (1 - margin) times the limit."""
    target_factor: NotNegative = eval_only(1.0)
    """Factor of R-hat at the start."""

    def __post_init__(self) -> None:
        if isinstance(self.reward_target, str):
            parse_targets(self.reward_target)


def initial_targets(
    config: TargetConfig, problem: Problem, limits: Tensor
) -> tuple[Tensor, Tensor]:
    """R-hat and C-hat [B] at the start of an episode, for cost limits [B] on the CPU."""
    budgets, target = (1.0 - config.margin) * limits, config.reward_target
    if target is None:
        within = problem.returns, problem.costs, budgets
        targets = reward_targets(*within, config.target_quantile)
    elif isinstance(target, str):
        targets = listed_targets(parse_targets(target), limits)
    else:
        targets = torch.full_like(limits, target)
    return config.target_factor * targets, budgets


class TargetPolicy(Policy):
    """Tracks the target return, the target cost and the horizon that are left of each episode."""

    def __init__(self, gas: SegmentLearner, reward_targets: Tensor, limits: Tensor) -> None:
        self.gas = gas
        self.rewards_left = reward_targets.clone()
        self.costs_left = limits.clone()
        self.steps = torch.zeros_like(limits)

    @abstractmethod
    def actions(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """Actions [n, a] for unscaled observations; the networks are in evaluation mode."""

    @torch.no_grad()
    def act(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """`actions` with the networks in evaluation mode."""
        for network in self.gas.networks:
            network.eval()
        return self.actions(observations, env_ids)

    def time_left(self, env_ids: Tensor) -> Tensor:
        """Fraction of the horizon that is left [n]."""
        return 1.0 - self.steps[env_ids] / self.gas.problem.horizon

    def observe(self, rewards: Tensor, costs: Tensor, env_ids: Tensor) -> None:
        """R-hat -= r, C-hat -= c, and count the step."""
        self.rewards_left[env_ids] -= rewards
        self.costs_left[env_ids] -= costs
        self.steps[env_ids] += 1
