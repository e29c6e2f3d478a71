"""Goal-Assisted Stitching (GAS; Liu, Li, Chen and Zhang, ICLR 2026, arXiv 2602.05323).

Two goal functions, trained by expectile regression on relabelled segments, estimate the return V^R
and the cost return V^C that can be reached from a state in the time left, given a target return and
a target cost. The policy is trained by weighted behaviour cloning of the segments: those that do
better than the goals weigh more. It takes the targets and the goals as inputs. One training serves
every cost limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.common.ranges import Choices, Count, Expectile, NotNegative, Range, Share
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Policy, eval_only
from benchmarks.methods.losses import expectile_weight
from benchmarks.methods.networks import cosine_decay
from benchmarks.methods.standardiser import Standardiser
from gas.networks import ResidualMLP
from gas.pace import POINTS, at_time, paces, returns_left
from gas.reshaping import best_rows
from gas.segments import Segments, SegmentSampler, relabel_costs, relabel_rewards
from gas.stitching import BUDGETS, LearnerConfig, SegmentLearner
from gas.targets import TargetConfig, TargetPolicy, initial_targets


@dataclass(frozen=True)
class GASConfig(TargetConfig, LearnerConfig):
    """Options of GAS. Defaults are the paper's where it states them."""

    shortening: Share = 1.0
    """Segments cover at least (1 - shortening) of the rest of their episode; 1 is any length."""
    quantile: Expectile = 0.2
    """q: fraction of the trajectories in each bin of cost that make up D_q."""
    reshaping_bins: Count = 10
    """Bins of cost, with equally many trajectories, in the reshaping."""
    epsilon: Share = 0.5
    """Probability of sampling from D_q."""
    alpha: Expectile = 0.8
    """Expectile of the goals, and of the weights in the policy's loss."""
    delta: Share = 0.1
    """Target returns are sampled between (1 - delta) R and (1 + delta) R."""
    cost_relabelling: Annotated[str, Choices(("full", "narrow", "none"))] = "narrow"
    """Range of target costs above the segment's cost: "full" up to C_max (paper); "narrow" up to
    narrowness sqrt(time left) C_max more (release); "none" equal to the segment's cost."""
    narrowness: NotNegative = 0.3
    """See `cost_relabelling` (release: 0.3, and 0.2 on AntRun)."""
    goals: bool = True
    """Condition the policy on the goals and weight its loss by them. Without, the policy is cloned
    on the targets only."""
    indicator: bool = True
    """Set a segment's return to 0 in A^R if V^C exceeds the target cost."""
    mask: bool = True
    """Leave segments out of the policy's loss if V^C exceeds the target cost (paper)."""
    cost_filter: bool = True
    """Leave segments out of the policy's loss if they cost more than V^C (the sign of a term in the
    release; not in the paper)."""
    tightening: Annotated[int, Range(0, most=10_000)] = eval_only(2)
    """How many times the policy's target cost is lowered to V^C at each step, so that no more cost
    is asked for than the return takes (ours); 0 leaves it as it is."""
    pace: bool = eval_only(True)
    """Ask for no more return than the best trajectories within the limit still collect at that time
    (ours), so that the policy does not make up for lost return at the expense of the limit."""
    halve_below: Share = eval_only(0.0)
    """If the cost limit left is below this fraction of C_max, the policy, but not the goals, gets
    half of it as target cost (release: 0.1)."""


_NO_COST = 0.01
"""Cost up to which the cost filter counts a segment as free of cost (release)."""


class Conditioning(NamedTuple):
    """What the goals and the policy are conditioned on, scaled: [B, o], the others [B]."""

    observations: Tensor
    reward: Tensor
    """R-hat, the target return."""
    cost: Tensor
    """C-hat, the target cost."""
    steps: Tensor
    """t', the time left."""


class Goals(NamedTuple):
    """V^R and V^C [B]."""

    reward: Tensor
    cost: Tensor

    @property
    def detached(self) -> Goals:
        """The same values without gradients."""
        return Goals(self.reward.detach(), self.cost.detach())


class GAS(SegmentLearner):
    """Goal-Assisted Stitching as in the paper, with two pieces of the authors' release."""

    name = "gas"
    config_class = GASConfig
    budgets: ClassVar = BUDGETS
    config: GASConfig

    # networks

    def build(self) -> None:
        """Scales of the data, then the networks and their optimiser."""
        self.reward_scale = max(float(self.problem.returns.abs().max()), 1e-6)
        self.standardise = Standardiser.of(self.problem, self.device)
        super().build()

    def network(self, inputs: int, outputs: int) -> ResidualMLP:
        """A network of the configured size."""
        c = self.config
        return ResidualMLP(
            inputs,
            outputs,
            width=c.width,
            blocks=c.blocks,
            expansion=c.expansion,
            dropout=c.dropout,
            draws=self.draws,
        ).to(self.device)

    def scaled(self, segments: Segments) -> Segments:
        """Segments as the networks take them: standardised states, sums and times of order one."""
        return Segments(
            self.standardise(segments.observations),
            segments.actions,
            segments.rewards / self.reward_scale,
            segments.costs / self.cost_scale,
            segments.steps / self.problem.horizon,
            segments.first_costs,
        )

    def build_networks(self) -> tuple[nn.Module, ...]:
        """V^R, V^C and the policy, which takes both as inputs."""
        inputs = self.problem.observation_dim + 3  # target return, target cost, time left
        self.reward_goal = self.network(inputs, 1)
        self.cost_goal = self.network(inputs, 1)
        self.actor = self.network(inputs + 2 * self.config.goals, self.problem.action_dim)
        self.returns_left = torch.zeros(len(self.problem.returns), POINTS, device=self.device)
        """Return-to-go of the trajectories over time [E, POINTS]."""
        return self.reward_goal, self.cost_goal, self.actor

    def parts(self) -> dict[str, Any]:
        """Networks, optimiser, and what the pace is made from."""
        return super().parts() | {"returns_left": self.returns_left}

    def goals(self, conditioning: Conditioning) -> Goals:
        """V^R and V^C [B]."""
        return Goals(
            self.reward_goal(*conditioning).squeeze(-1), self.cost_goal(*conditioning).squeeze(-1)
        )

    def action(self, conditioning: Conditioning, goals: Goals) -> Tensor:
        """The policy's action [B, a]."""
        inputs = (*conditioning, *goals) if self.config.goals else conditioning
        return torch.tanh(self.actor(*inputs))

    # losses

    def total_loss(self, segments: Segments) -> tuple[Tensor, dict[str, Tensor]]:
        """The losses of the goals and of the policy on relabelled segments."""
        segments = self.scaled(segments)
        conditioning = self.relabelled(segments)
        goals = self.goals(conditioning)
        value_loss, value_info = self.value_loss(segments, conditioning, goals)
        actor_loss, actor_info = self.actor_loss(segments, conditioning, goals)
        return value_loss + actor_loss, {**value_info, **actor_info}

    def relabelled(self, segments: Segments) -> Conditioning:
        """Sample relabelled targets for each segment (transition-level relabelling)."""
        width = (1.0 - segments.costs).clamp(min=0.0)
        if self.config.cost_relabelling == "narrow":
            width = self.config.narrowness * segments.steps.sqrt()
        elif self.config.cost_relabelling == "none":
            width = torch.zeros_like(width)
        return Conditioning(
            segments.observations,
            relabel_rewards(segments.rewards, self.config.delta, self.draws),
            relabel_costs(segments.costs, width, self.draws),
            segments.steps,
        )

    def value_loss(
        self, segments: Segments, conditioning: Conditioning, goals: Goals
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Expectile regression of V^R; regression of V^C with the same weights."""
        advantage = self.reward_advantage(segments, conditioning, goals)
        weight = self.expectile_weight(advantage.detach())
        reward_loss = (weight * advantage.square()).mean(-1)
        cost_loss = (weight * (segments.costs - goals.cost).square()).mean(-1)
        info = {"reward_goal_loss": reward_loss.detach(), "cost_goal_loss": cost_loss.detach()}
        return reward_loss + cost_loss, info

    def actor_loss(
        self, segments: Segments, conditioning: Conditioning, goals: Goals
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """1[V^C < C-hat] 1[C <= V^C] |alpha - 1[A^R < 0]| ||pi - a||^2, without gradients of V."""
        goals = goals.detached
        error = (self.action(conditioning, goals) - segments.actions).square().sum(-1)
        if self.config.goals:
            weight = self.expectile_weight(self.reward_advantage(segments, conditioning, goals))
            if self.config.mask:
                weight = weight * (goals.cost < conditioning.cost)
            if self.config.cost_filter:
                no_cost = _NO_COST / self.cost_scale
                weight = weight * (segments.costs <= goals.cost.clamp(min=no_cost))
            error = weight * error
        loss = error.mean(-1)
        return loss, {"actor_loss": loss.detach()}

    def reward_advantage(
        self, segments: Segments, conditioning: Conditioning, goals: Goals
    ) -> Tensor:
        """A^R = 1[V^C < C-hat] R - V^R [B]; R - V^R if the indicator is off."""
        reward = segments.rewards
        if self.config.indicator:
            reward = reward * (goals.cost.detach() < conditioning.cost)
        return reward - goals.reward

    def expectile_weight(self, advantage: Tensor) -> Tensor:
        """|alpha - 1[A^R < 0]| [B], the weight in all three losses."""
        return expectile_weight(advantage, self.config.alpha)

    # update

    def prepare(self, data: Trajectories) -> None:
        """Put the trajectories on the device, the indices of D_q, and returns over time."""
        c = self.config
        self.sampler = SegmentSampler(
            data,
            c.batch,
            self.device,
            shortening=c.shortening,
            preferred=best_rows(data, c.quantile, c.reshaping_bins),
            epsilon=c.epsilon,
        )
        self.returns_left.copy_(returns_left(data, self.problem.horizon))

    def learning_rate(self) -> float:
        """Linear warm-up, and a cosine decay to 0 at the planned end."""
        return super().learning_rate() * cosine_decay(self.updates / self.planned_updates)

    # policy

    def policy(self, limits: Tensor) -> Policy:
        """The learned policy, conditioned on a target return for each cost limit."""
        return GASPolicy(self, *self.initial(limits))

    def initial(self, limits: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Target returns and costs [B] at the start, and paces, of episodes with these limits."""
        targets, budgets = initial_targets(self.config, self.problem, limits.cpu())
        pace = None
        if self.config.pace:
            left, costs = self.returns_left.cpu(), self.problem.costs
            pace = paces(left, costs, budgets, targets).to(self.device)
        return targets.to(self.device), budgets.to(self.device), pace

    def eval_action(self, conditioning: Conditioning) -> Tensor:
        """The action in an episode [B, a]."""
        conditioning = self.tightened(conditioning)
        return self.action(self.with_halved_cost(conditioning), self.goals(conditioning))

    def tightened(self, conditioning: Conditioning) -> Conditioning:
        """Lower the target cost to V^C, the cost that the target return is expected to take.

        With narrow relabelling, the segments with a large target cost and little time left are
        those that cost much: the policy would spend there what is left of the cost limit.
        """
        for _ in range(self.config.tightening):
            expected = self.goals(conditioning).cost.clamp(min=0.0)
            lower = torch.minimum(conditioning.cost, expected)
            conditioning = conditioning._replace(cost=lower)
        return conditioning

    def with_halved_cost(self, conditioning: Conditioning) -> Conditioning:
        """Halve target costs below `halve_below`."""
        cost = conditioning.cost
        halved = torch.where(cost < self.config.halve_below, 0.5 * cost, cost)
        return conditioning._replace(cost=halved)


class GASPolicy(TargetPolicy):
    """Evaluates the goals at each step and acts on them."""

    gas: GAS

    def __init__(self, gas: GAS, targets: Tensor, budgets: Tensor, pace: Tensor | None) -> None:
        """`pace` [B, POINTS] is the most return to ask for over time; None asks for all of it."""
        super().__init__(gas, targets, budgets)
        self.pace = pace

    def target_returns(self, env_ids: Tensor) -> Tensor:
        """The target return that is left, at most the pace [n]."""
        left = self.rewards_left[env_ids]
        if self.pace is None:
            return left
        return torch.minimum(left, at_time(self.pace[env_ids], 1.0 - self.time_left(env_ids)))

    def actions(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """The policy's action for the targets that are left."""
        gas = self.gas
        return gas.eval_action(
            Conditioning(
                gas.standardise(observations),
                self.target_returns(env_ids) / gas.reward_scale,
                self.costs_left[env_ids].clamp(min=0.0) / gas.cost_scale,
                self.time_left(env_ids),
            )
        )
