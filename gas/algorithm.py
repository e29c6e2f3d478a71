"""Goal-Assisted Stitching (GAS; Liu, Li, Chen and Zhang, ICLR 2026, arXiv 2602.05323).

Two goal functions learn, by expectile regression over relabelled segments, the reward V^R and the
cost V^C that can be reached from a state within the time left, given what was asked for. A policy
is then regressed on the segments, weighted towards those that do better than the goal, and is told
the goals along with the request. One training serves every cost limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.algorithm import Policy
from benchmarks.data.targets import reward_targets
from benchmarks.errors import unknown_name
from benchmarks.losses import expectile_weight
from gas.segments import Segments, relabel_costs, relabel_rewards
from gas.stitching import BUDGETS, Stitching, StitchingConfig


@dataclass(frozen=True)
class GASConfig(StitchingConfig):
    """Options of GAS. Defaults are the paper's where it states them."""

    alpha: float = 0.8
    """Expectile of the goals and weight of the policy."""
    delta: float = 0.1
    """Reward targets are drawn within (1 - delta) R and (1 + delta) R."""
    cost_relabelling: str = "full"
    """"full": cost targets up to the largest cost (paper); "narrow": up to 30 % of it above the
    segment's own, less where less time is left (release)."""
    indicator: bool = True
    """Count a segment's reward as nothing in A^R where V^C exceeds the cost target."""
    mask: bool = True
    """Leave segments out of the policy loss where V^C exceeds the cost target."""
    reward_target: float | None = None
    """R-hat at the start of an episode; None takes it from the data (`reward_targets`)."""

    def __post_init__(self) -> None:
        if self.cost_relabelling not in (known := ("full", "narrow")):
            raise unknown_name("gas.cost_relabelling", self.cost_relabelling, known)


class Request(NamedTuple):
    """What the networks are asked, in scaled units: the first [B, o], the others [B]."""

    observations: Tensor
    reward: Tensor
    """R-hat."""
    cost: Tensor
    """C-hat."""
    steps: Tensor
    """t', the time left."""


class Goals(NamedTuple):
    """V^R and V^C [B]."""

    reward: Tensor
    cost: Tensor


class GAS(Stitching):
    """Goal-Assisted Stitching, in the paper's form."""

    name = "gas"
    config_class = GASConfig
    budgets: ClassVar = BUDGETS
    config: GASConfig

    def build(self) -> dict[str, nn.Module]:
        """V^R, V^C, and the policy, which is told both."""
        request = self.problem.observation_dim + 3  # with the two targets and the time left
        self.reward_goal = self.network(request, 1)
        self.cost_goal = self.network(request, 1)
        self.actor = self.network(request + 2, self.problem.action_dim)
        return {"reward_goal": self.reward_goal, "cost_goal": self.cost_goal, "actor": self.actor}

    def losses(self, segments: Segments) -> dict[str, Tensor]:
        """Those of both goals and the policy on relabelled segments."""
        segments = self.scaled(segments)
        request = self.request(segments)
        goals = self.goals(request)
        advantage = self.reward_advantage(segments, request, goals)
        weight = self.expectile_weight(advantage.detach())
        return {
            "reward_goal_loss": (weight * advantage.square()).mean(),
            "cost_goal_loss": (weight * (segments.costs - goals.cost).square()).mean(),
            "policy_loss": self.policy_loss(segments, request, goals, weight),
        }

    def request(self, segments: Segments) -> Request:
        """Transition-level relabelling: what each segment is taken for an answer to."""
        room = (1.0 - segments.costs).clamp(min=0.0)
        if self.config.cost_relabelling == "narrow":
            room = 0.3 * segments.steps.sqrt()
        return Request(
            segments.observations,
            relabel_rewards(segments.rewards, self.config.delta),
            relabel_costs(segments.costs, room),
            segments.steps,
        )

    def goals(self, request: Request) -> Goals:
        """V^R and V^C of a request [B]."""
        return Goals(self.reward_goal(*request).squeeze(1), self.cost_goal(*request).squeeze(1))

    def reward_advantage(self, segments: Segments, request: Request, goals: Goals) -> Tensor:
        """A^R = 1[V^C < C-hat] R - V^R [B]; without the indicator R - V^R."""
        reward = segments.rewards
        if self.config.indicator:
            reward = reward * (goals.cost.detach() < request.cost)
        return reward - goals.reward

    def expectile_weight(self, advantage: Tensor) -> Tensor:
        """|alpha - 1[A^R < 0]| [B], the weight of all three losses."""
        return expectile_weight(advantage, self.config.alpha)

    def policy_loss(
        self, segments: Segments, request: Request, goals: Goals, weight: Tensor
    ) -> Tensor:
        """1[V^C < C-hat] |alpha - 1[A^R < 0]| ||pi - a||^2, the goals detached."""
        given = goals.reward.detach(), goals.cost.detach()
        error = (torch.tanh(self.actor(*request, *given)) - segments.actions).square().sum(1)
        if self.config.mask:
            weight = weight * (given[1] < request.cost)
        return (weight * error).mean()

    def policy(self, limits: Tensor) -> Policy:
        """The learned policy, asked for the reward target that belongs to each limit."""
        limits = limits.to(self.device)
        if self.config.reward_target is None:
            returns, costs = self.problem.returns, self.problem.costs
            targets = reward_targets(returns, costs, limits.cpu()).to(self.device)
        else:
            targets = torch.full_like(limits, self.config.reward_target)
        return GASPolicy(self, targets, limits)


class GASPolicy(Policy):
    """Asks the goals at each step and acts on them; the targets shrink by what was received."""

    def __init__(self, gas: GAS, reward_targets: Tensor, limits: Tensor) -> None:
        self.gas = gas
        self.rewards_left = reward_targets.clone()
        self.costs_left = limits.clone()
        self.steps = torch.zeros_like(limits)

    @torch.no_grad()
    def act(self, observations: Tensor, rows: Tensor) -> Tensor:
        """The policy's mean for the request that is left."""
        gas = self.gas
        for network in gas.networks:
            network.eval()
        request = Request(
            gas.standardise(observations),
            self.rewards_left[rows] / gas.reward_scale,
            self.costs_left[rows].clamp(min=0.0) / gas.cost_scale,
            1.0 - self.steps[rows] / gas.problem.horizon,
        )
        return torch.tanh(gas.actor(*request, *gas.goals(request)))

    def observe(self, rewards: Tensor, costs: Tensor, rows: Tensor) -> None:
        """R-hat -= r, C-hat -= c, one step less."""
        self.rewards_left[rows] -= rewards
        self.costs_left[rows] -= costs
        self.steps[rows] += 1
