"""GAS as its authors first released it, literally: facts of that release, none of its code.

It differs from the paper in nearly every piece. The goals and the policy read whole numbers from
tables of embeddings and raw observations, and goals are in raw units. Segments follow the clock of
their episode. A quarter of each batch comes from all data, the others from three hand-set subsets
of good trajectories at high, middle and low cost. Cost enters the policy not as a mask but as
signed terms that are added to a segment's weight:

    L = -mean[(w - advc_w s - cs_w (2 c_t - 1)) l] - temperature * entropy,   w = |alpha - 1[A < 0]|

where l is the log-likelihood averaged over the action's components, s is 1 for a segment that cost
more than max(V^C, 0.01) and else -1, and c_t is the cost of its first step. With advc_w = 1 a cheap
segment weighs 1.8 or 1.2 and a costly one -0.2 or -0.8: it is repelled. A Gaussian likelihood with
negative weights has no lower bound, and trainings diverge; `bounded`, the default, keeps weights
from falling below 0. `gas-released@bounded=false` is the literal form.

Ours, for want of a fact or of use: batches are drawn with replacement; the reward table ends at the
largest return of a segment; on tasks that the release has no subsets for, they are thirds of the
cost up to 0.9 C_max with the return's 80 % quantile as floor; and on data other than the published
ones the reward target is the 95 % quantile of the returns within the limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.common.ranges import (
    AnyNumber,
    Expectile,
    LearningRate,
    NotNegative,
    Positive,
    Share,
    Width,
)
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Budget, Policy, eval_only
from benchmarks.methods.losses import expectile_weight
from gas.algorithm import Goals
from gas.released_tasks import TASK_OPTIONS
from gas.reshaping import cost_thirds, parse_ranges
from gas.segments import ClockedSampler, Segments, relabel_costs, relabel_rewards
from gas.stitching import LearnerConfig, SegmentLearner
from gas.tables import TableGoal, TablePolicy, TableSizes
from gas.targets import TargetConfig, TargetPolicy, initial_targets

_FREE = 0.01
"""Cost up to which a segment counts as cheap whatever its goal."""
_COVERED = 0.9
"""Part of C_max that the subsets of a task without hand-set ones cover (ours)."""
_FLOOR_QUANTILE = 0.8
"""Of the returns in each of those subsets, the least that is taken (ours)."""


@dataclass(frozen=True)
class ReleasedConfig(TargetConfig, LearnerConfig):
    """Options of the release; those that differ by task are in `ReleasedGAS.options_on`."""

    target_quantile: Share = eval_only(0.95)
    margin: Share = eval_only(0.0)
    embedding: Width = 128
    """Width of the observation and of each number before they are joined."""
    alpha: Expectile = 0.8
    """Expectile of the goals and weight of the policy."""
    shortening: Share = 0.3
    """Time t' goes up to t + shortening (T + 1 - t)."""
    delta: Share = 0.1
    """Reward targets are drawn within (1 - delta) R and (1 + delta) R, R the shifted return."""
    narrowness: NotNegative = 0.3
    """Cost targets go up to narrowness C_max sqrt((T + 1 - t') / (T + 1)) above the segment's."""
    subsets: str | None = None
    """Trajectories that give an equal part of each batch, besides all: "400:49-72 350:25-48" are
    those that return 400 or more at a cost of 49 to 72, and so on. None: thirds of the cost."""
    segment_cost_weight: AnyNumber = 0.0
    """advc_w: added to the weight of a segment that cost no more than its goal, else subtracted."""
    step_cost_weight: AnyNumber = 0.0
    """cs_w: added to the weight where the first step cost nothing, subtracted where it cost 1."""
    bounded: bool = True
    """Keep weights of the policy's loss from falling below 0, where it has no lower bound (ours);
    false is the literal release, which diverges."""
    init_temperature: Positive = 0.1
    """Weight of the policy's entropy at the start."""
    temperature_rate: LearningRate = 1e-4
    """Adam's rate for it."""
    halve_below: Share = eval_only(0.1)
    """With less budget left than this part of C_max + 1, the policy (not the goals) is told half
    of it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.subsets is not None:
            parse_ranges(self.subsets)


_QUICK = Budget.of(
    4_000, update_ms=15, batch=512, width=128, blocks=2, expansion=1, dropout=0.0, embedding=32
)


class Request(NamedTuple):
    """What the networks are asked, within their tables: observations [B, o], the others [B]."""

    observations: Tensor
    reward: Tensor
    """R-hat, shifted."""
    cost: Tensor
    """C-hat."""
    time: Tensor
    """t', steps since the episode began."""


class ReleasedGAS(SegmentLearner):
    """Goal-Assisted Stitching as first released."""

    name = "gas-released"
    config_class = ReleasedConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(10_000),
        "paper": Budget.of(400_000, update_ms=800),
    }
    config: ReleasedConfig

    def build_networks(self) -> tuple[nn.Module, ...]:
        """V^R, V^C and the policy, and the entropy's weight."""
        problem, c = self.problem, self.config
        self.shift = math.ceil(max(-problem.min_segment_return, 0.0))
        """REWARD_MIN: added to every return, so that none is negative."""
        self.reward_top = math.ceil(max(problem.max_segment_return, 0.0)) + self.shift
        """REWARD_MAX - 1: the last row of the reward table."""
        cost, reward = math.floor(self.cost_scale) + 1, self.reward_top + 1
        rows = problem.horizon + 1, cost, reward
        sizes = TableSizes(c.embedding, c.width, c.blocks, c.expansion, c.dropout)
        states = problem.observation_dim
        self.reward_goal = TableGoal(states, rows, sizes, self.draws).to(self.device)
        self.cost_goal = TableGoal(states, rows, sizes, self.draws).to(self.device)
        told = *rows, cost, reward
        actor = TablePolicy(states, problem.action_dim, told, sizes, self.draws)
        self.actor = actor.to(self.device)
        self.log_temperature = torch.tensor(
            math.log(c.init_temperature), device=self.device, requires_grad=True
        )
        self.temperature_optimiser = torch.optim.Adam(
            [self.log_temperature], c.temperature_rate, fused=True
        )
        return self.reward_goal, self.cost_goal, self.actor

    def parts(self) -> dict[str, Any]:
        """Networks, the entropy's weight, optimisers."""
        return super().parts() | {"log_temperature": self.log_temperature}

    def prepare(self, data: Trajectories) -> None:
        """Put the trajectories on the device, and which of them are in the subsets."""
        c = self.config
        if c.subsets is not None:
            ranges = parse_ranges(c.subsets)
        else:
            covered = _COVERED * self.cost_scale
            ranges = cost_thirds(data.returns, data.episode_costs, covered, _FLOOR_QUANTILE)
        self.sampler = ClockedSampler(
            data,
            c.batch,
            self.device,
            horizon=self.problem.horizon,
            shortening=c.shortening,
            pools=[one.rows(data) for one in ranges],
        )

    def update(self) -> dict[str, Tensor | float]:
        """A step of the networks and of the entropy's weight."""
        self.temperature_optimiser.zero_grad(set_to_none=True)
        losses = super().update()
        self.temperature_optimiser.step()
        return losses

    def total_loss(self, segments: Segments) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of `losses`, and each by name."""
        losses = self.losses(segments)
        info = {name: loss.detach() for name, loss in losses.items()}
        return torch.stack(list(losses.values())).sum(0), info

    def losses(self, segments: Segments) -> dict[str, Tensor]:
        """Those of both goals, the policy and the entropy's weight, on relabelled segments.

        Dropout is at work in the goals that are learned and in the V^C that a segment's cost is
        compared with. Weights, and the goals that the policy is told, come from a second pass
        without it.
        """
        segments = segments._replace(rewards=segments.rewards + self.shift)
        request = self.relabelled(segments)
        goals = self.goals(request)
        told = goals.detached
        if self.config.dropout:
            with torch.no_grad():
                told = self.goals(request, noisy=False)
        advantage = segments.rewards - goals.reward
        own_weight = self.expectile_weight(advantage.detach())
        weight = self.expectile_weight(segments.rewards - told.reward)
        net = self.net_weight(segments, goals.detached, weight)
        return {
            "reward_goal_loss": (own_weight * advantage.square()).mean(-1),
            "cost_goal_loss": (weight * (segments.costs - goals.cost).square()).mean(-1),
            **self.policy_losses(segments.actions, request, told, net),
        }

    def relabelled(self, segments: Segments) -> Request:
        """What segments of shifted rewards are taken for an answer to."""
        c, horizon = self.config, self.problem.horizon
        left = ((segments.steps + 1) / (horizon + 1)).clamp(min=0.0)
        room = c.narrowness * self.cost_scale * left.sqrt()
        return self.request(
            segments.observations,
            relabel_rewards(segments.rewards, c.delta, self.draws),
            relabel_costs(segments.costs, room, self.draws),
            horizon - segments.steps,
        )

    def request(self, observations: Tensor, reward: Tensor, cost: Tensor, time: Tensor) -> Request:
        """A request within the tables."""
        return Request(
            observations,
            reward.clamp(0.0, self.reward_top),
            cost.clamp(0.0, self.cost_scale),
            time.clamp(0, self.problem.horizon),
        )

    def goals(self, request: Request, noisy: bool = True) -> Goals:
        """V^R, shifted, and V^C of a request [B]; without `noisy` as in evaluation."""
        observations, reward, cost, time = request
        asked = observations, time, cost, reward
        return Goals(self.reward_goal(*asked, noisy=noisy), self.cost_goal(*asked, noisy=noisy))

    def expectile_weight(self, advantage: Tensor) -> Tensor:
        """|alpha - 1[A^R < 0]| [B]."""
        return expectile_weight(advantage, self.config.alpha)

    def net_weight(self, segments: Segments, goals: Goals, weight: Tensor) -> Tensor:
        """What multiplies the log-likelihood: `weight` and the signed terms of cost [B]."""
        c = self.config
        costly = 2.0 * (segments.costs > goals.cost.clamp(min=_FREE)).float() - 1.0
        step = 2.0 * segments.first_costs - 1.0
        net = weight - c.segment_cost_weight * costly - c.step_cost_weight * step
        return net.clamp(min=0.0) if c.bounded else net

    def policy_losses(
        self, actions: Tensor, request: Request, goals: Goals, weight: Tensor
    ) -> dict[str, Tensor]:
        """-weight log pi(a) - temperature x entropy, and what moves the temperature.

        Both are means over an action's components. The entropy is compared with minus their number,
        as a sum would be: it stays above that, so that the temperature only falls.
        """
        mean, log_std = self.distribution(request, goals)
        z = (actions - mean) / log_std.exp()
        likelihood = (-0.5 * z.square() - log_std - 0.5 * math.log(2.0 * math.pi)).mean(-1)
        entropy = log_std.mean((-2, -1)) + 0.5 * math.log(2.0 * math.pi * math.e)
        temperature = self.log_temperature.exp()
        return {
            "policy_loss": -(weight * likelihood).mean(-1) - temperature.detach() * entropy,
            "temperature_loss": temperature * (entropy.detach() + self.problem.action_dim),
        }

    def distribution(self, request: Request, goals: Goals) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of the policy, told the goals within their tables."""
        observations, reward, cost, time = request
        promised = goals.cost.clamp(0.0, self.cost_scale), goals.reward.clamp(0.0, self.reward_top)
        told: tuple[Tensor, Tensor] = self.actor(observations, time, cost, reward, *promised)
        return told

    def answer(self, request: Request) -> Tensor:
        """The action in an episode [B, a]: the mean, within the bounds."""
        mean, _ = self.distribution(self.halved(request), self.goals(request))
        return mean.clamp(-1.0, 1.0)

    def halved(self, request: Request) -> Request:
        """The request with half of what budget is left where that is little."""
        little = request.cost < self.config.halve_below * (self.cost_scale + 1.0)
        return request._replace(cost=torch.where(little, 0.5 * request.cost, request.cost))

    def policy(self, limits: Tensor) -> Policy:
        """The learned policy, asked for the reward target that belongs to each limit."""
        targets, budgets = initial_targets(self.config, self.problem, limits.cpu())
        return ReleasedPolicy(self, targets.to(self.device), budgets.to(self.device))

    @classmethod
    def options_on(cls, task: str, source: str) -> Mapping[str, Any]:
        """The release's settings of a task, and its reward targets on published data."""
        if task not in TASK_OPTIONS:
            return {}
        options = dict(TASK_OPTIONS[task])
        if source != "dsrl":
            del options["reward_target"]
        return options


class ReleasedPolicy(TargetPolicy):
    """Asks the goals at each step and acts on them."""

    gas: ReleasedGAS

    def actions(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """The policy's mean for the request that is left."""
        gas = self.gas
        shifted = self.rewards_left[env_ids] + gas.shift
        return gas.answer(
            gas.request(observations, shifted, self.costs_left[env_ids], self.steps[env_ids])
        )
