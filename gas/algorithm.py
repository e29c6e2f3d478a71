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

from benchmarks.common.errors import unknown_name
from benchmarks.methods.algorithm import Policy, acting
from benchmarks.methods.losses import expectile_weight
from gas.segments import Segments, relabel_costs, relabel_rewards
from gas.stitching import BUDGETS, Stitching, StitchingConfig
from gas.targets import TargetConfig, TargetPolicy, initial_targets


@dataclass(frozen=True)
class GASConfig(TargetConfig, StitchingConfig):
    """Options of GAS. Defaults are the paper's where it states them."""

    alpha: float = 0.8
    """Expectile of the goals and weight of the policy."""
    delta: float = 0.1
    """Reward targets are drawn within (1 - delta) R and (1 + delta) R."""
    cost_relabelling: str = "narrow"
    """"full": cost targets up to C_max (paper); "narrow": up to `narrowness` of it above the
    segment's own cost, less where less time is left (release); "none": the segment's own."""
    narrowness: float = 0.3
    """Of C_max (release; 0.2 on AntRun)."""
    goals: bool = True
    """Tell the policy the goals and weight it by them; without, it is cloned for the targets
    alone."""
    indicator: bool = True
    """Count a segment's reward as nothing in A^R where V^C exceeds the cost target."""
    mask: bool = True
    """Leave segments out of the policy loss where V^C exceeds the cost target (paper)."""
    cost_filter: bool = True
    """Leave segments out of the policy loss that cost more than V^C (the sign of a term in the
    release; not in the paper)."""
    tighten: bool = acting(True)
    """Ask for no more cost than the reward takes: at each step the policy is told the smaller of
    C-hat and V^C (ours)."""
    halve_below: float = acting(0.0)
    """With less budget left than this share of the largest cost, the policy (not the goals) is told
    half of it (release: 0.1)."""

    def __post_init__(self) -> None:
        if self.cost_relabelling not in (known := ("full", "narrow", "none")):
            raise unknown_name("gas.cost_relabelling", self.cost_relabelling, known)
        super().__post_init__()


_FREE = 0.01
"""Cost up to which the filter takes a segment for one that costs nothing (release)."""


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

    @property
    def detached(self) -> Goals:
        """The same as constants: a loss of the policy does not move them."""
        return Goals(self.reward.detach(), self.cost.detach())


class GAS(Stitching):
    """Goal-Assisted Stitching: the paper's form with two pieces of the authors' release."""

    name = "gas"
    config_class = GASConfig
    budgets: ClassVar = BUDGETS
    policy_outputs: ClassVar[int] = 1
    """The policy network's outputs for each component of an action."""
    config: GASConfig

    def build(self) -> dict[str, nn.Module]:
        """V^R, V^C, and the policy, which is told both."""
        request = self.problem.observation_dim + 3  # with the two targets and the time left
        self.reward_goal = self.network(request, 1)
        self.cost_goal = self.network(request, 1)
        told = request + 2 * self.config.goals
        self.actor = self.network(told, self.policy_outputs * self.problem.action_dim)
        return {"reward_goal": self.reward_goal, "cost_goal": self.cost_goal, "actor": self.actor}

    def losses(self, segments: Segments) -> dict[str, Tensor]:
        """Those of both goals and the policy on relabelled segments."""
        segments = self.scaled(segments)
        request = self.request(segments)
        goals = self.goals(request)
        advantage = self.reward_advantage(segments, request, goals)
        weight = self.expectile_weight(advantage.detach())
        return {
            "reward_goal_loss": (weight * advantage.square()).mean(-1),
            "cost_goal_loss": (weight * (segments.costs - goals.cost).square()).mean(-1),
            "policy_loss": self.policy_loss(segments, request, goals, weight),
        }

    def request(self, segments: Segments) -> Request:
        """Transition-level relabelling: what each segment is taken for an answer to."""
        room = (1.0 - segments.costs).clamp(min=0.0)
        if self.config.cost_relabelling == "narrow":
            room = self.config.narrowness * segments.steps.sqrt()
        elif self.config.cost_relabelling == "none":
            room = torch.zeros_like(room)
        return Request(
            segments.observations,
            relabel_rewards(segments.rewards, self.config.delta, self.draws),
            relabel_costs(segments.costs, room, self.draws),
            segments.steps,
        )

    def goals(self, request: Request) -> Goals:
        """V^R and V^C of a request [B]."""
        return Goals(self.reward_goal(*request).squeeze(-1), self.cost_goal(*request).squeeze(-1))

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
        """1[V^C < C-hat] 1[C <= V^C] |alpha - 1[A^R < 0]| ||pi - a||^2, the goals detached."""
        given = goals.detached
        error = (self.action(request, given) - segments.actions).square().sum(-1)
        if not self.config.goals:
            return error.mean(-1)
        if self.config.mask:
            weight = weight * (given.cost < request.cost)
        if self.config.cost_filter:
            weight = weight * (segments.costs <= given.cost.clamp(min=_FREE / self.cost_scale))
        return (weight * error).mean(-1)

    def told(self, request: Request, goals: Goals) -> tuple[Tensor, ...]:
        """What the policy network is given."""
        return (*request, *goals) if self.config.goals else tuple(request)

    def action(self, request: Request, goals: Goals) -> Tensor:
        """The policy's action for a request [B, a]."""
        return torch.tanh(self.actor(*self.told(request, goals)))

    def answer(self, request: Request) -> Tensor:
        """The action in an episode [B, a]: the policy is told the goals of the request."""
        request = self.tightened(request)
        return self.action(self.halved(request), self.goals(request))

    def tightened(self, request: Request) -> Request:
        """The request with C-hat lowered to V^C, the cost that its reward is expected to take.

        Near the end of an episode narrow relabelling has shown the policy a large C-hat only with
        segments that cost much: a budget that is left over would be spent there.
        """
        if not self.config.tighten:
            return request
        needed = self.goals(request).cost.clamp(min=0.0)
        return request._replace(cost=torch.minimum(request.cost, needed))

    def halved(self, request: Request) -> Request:
        """The request with half of what budget is left where that is little."""
        little = request.cost < self.config.halve_below
        return request._replace(cost=torch.where(little, 0.5 * request.cost, request.cost))

    def policy(self, limits: Tensor) -> Policy:
        """The learned policy, asked for the reward target that belongs to each limit."""
        targets, budgets = initial_targets(self.config, self.problem, limits.cpu())
        return GASPolicy(self, targets.to(self.device), budgets.to(self.device))


class GASPolicy(TargetPolicy):
    """Asks the goals at each step and acts on them."""

    gas: GAS

    def respond(self, observations: Tensor, rows: Tensor) -> Tensor:
        """The policy's mean for the request that is left."""
        gas = self.gas
        request = Request(
            gas.standardise(observations),
            self.rewards_left[rows] / gas.reward_scale,
            self.costs_left[rows].clamp(min=0.0) / gas.cost_scale,
            self.time_left(rows),
        )
        return gas.answer(request)
