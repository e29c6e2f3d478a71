"""Goal-Assisted Stitching (GAS; Liu, Li, Chen and Zhang, ICLR 2026, arXiv 2602.05323).

Two goal functions learn, by expectile regression over relabelled segments, the reward V^R and the
cost V^C that can be reached from a state within the time left, given what was asked for. A policy
is then regressed on the segments, weighted towards those that do better than the goal, and is told
the goals along with the request. One training serves every cost limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.algorithm import Algorithm, Budget, Config, Policy, Problem
from benchmarks.data.targets import reward_targets
from benchmarks.data.trajectories import Trajectories
from benchmarks.errors import unknown_name
from gas.networks import ResidualMLP
from gas.reshaping import best_rows
from gas.segments import Segments, SegmentSampler, relabel_costs, relabel_rewards


@dataclass(frozen=True)
class GASConfig(Config):
    """Options of GAS. Defaults are the paper's where it states them."""

    batch: int = 2048
    alpha: float = 0.8
    """Expectile of the goals and weight of the policy."""
    delta: float = 0.1
    """Reward targets are drawn within (1 - delta) R and (1 + delta) R."""
    shortening: float = 1.0
    """Segments cover at least (1 - shortening) of the rest of their episode; 1 is any length."""
    cost_relabelling: str = "full"
    """"full": cost targets up to the largest cost (paper); "narrow": up to 30 % of it above the
    segment's own, less where less time is left (release)."""
    indicator: bool = True
    """Count a segment's reward as nothing in A^R where V^C exceeds the cost target."""
    mask: bool = True
    """Leave segments out of the policy loss where V^C exceeds the cost target."""
    quantile: float = 0.2
    """q: share of the trajectories at each level of cost that make up D_q."""
    levels: int = 10
    """Levels of cost in the reshaping."""
    epsilon: float = 0.5
    """Probability of drawing from D_q."""
    width: int = 256
    blocks: int = 3
    expansion: int = 4
    dropout: float = 0.05
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup: int = 500
    """Updates in which the learning rate rises; it falls along a cosine after."""
    max_grad_norm: float = 0.25
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


class GAS(Algorithm):
    """Goal-Assisted Stitching, in the paper's form."""

    name = "gas"
    conditions_on_limit = True
    config_class = GASConfig
    budgets: ClassVar = {
        "quick": Budget.of(
            4_000, update_ms=20, batch=512, width=128, blocks=2, expansion=1, dropout=0.0
        ),
        "standard": Budget.of(40_000, update_ms=170, batch=1024, width=256, blocks=3, expansion=1),
        "paper": Budget.of(400_000, update_ms=920),
    }
    config: GASConfig

    def __init__(
        self,
        problem: Problem,
        config: GASConfig | None = None,
        *,
        limit: float | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        c = config or GASConfig()
        super().__init__(problem, c, limit=limit, seed=seed, device=device)
        request = problem.observation_dim + 3  # with the two targets and the time left

        def network(inputs: int, outputs: int) -> ResidualMLP:
            return ResidualMLP(
                inputs,
                outputs,
                width=c.width,
                blocks=c.blocks,
                expansion=c.expansion,
                dropout=c.dropout,
            ).to(self.device)

        with self.random():
            self.reward_goal = network(request, 1)
            self.cost_goal = network(request, 1)
            self.actor = network(request + 2, problem.action_dim)
        self.networks = (self.reward_goal, self.cost_goal, self.actor)
        self.optimiser = torch.optim.AdamW(
            [p for n in self.networks for p in n.parameters()],
            lr=c.learning_rate,
            weight_decay=c.weight_decay,
            fused=True,
        )
        self.reward_scale = max(float(problem.returns.abs().max()), 1e-6)
        self.cost_scale = max(float(problem.costs.max()), 1.0)
        """C_max, the largest episode cost in the data."""
        self._mean = problem.observation_mean.to(self.device)
        self._std = problem.observation_std.to(self.device) + 1e-6

    def prepare(self, data: Trajectories) -> None:
        """Put the segments, and those of D_q, on the device."""
        c = self.config
        self.sampler = SegmentSampler(
            data,
            c.batch,
            self.device,
            shortening=c.shortening,
            preferred=best_rows(data, c.quantile, c.levels),
            epsilon=c.epsilon,
        )

    def update(self) -> dict[str, Tensor | float]:
        """One step of both goals and the policy on one batch of relabelled segments."""
        for network in self.networks:
            network.train()
        segments = self.scaled(self.sampler())
        request = self.request(segments)
        goals = self.goals(request)
        advantage = self.reward_advantage(segments, request, goals)
        weight = self.expectile_weight(advantage.detach())
        losses = {
            "reward_goal_loss": (weight * advantage.square()).mean(),
            "cost_goal_loss": (weight * (segments.costs - goals.cost).square()).mean(),
            "policy_loss": self.policy_loss(segments, request, goals, weight),
        }
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        for network in self.networks:
            nn.utils.clip_grad_norm_(network.parameters(), self.config.max_grad_norm)
        self.optimiser.param_groups[0]["lr"] = self.learning_rate()
        self.optimiser.step()
        return {name: loss.detach() for name, loss in losses.items()}

    def scaled(self, segments: Segments) -> Segments:
        """Segments in the networks' units: standardised states, sums and times of order one."""
        return Segments(
            self.standardise(segments.observations),
            segments.actions,
            segments.rewards / self.reward_scale,
            segments.costs / self.cost_scale,
            segments.steps / self.problem.horizon,
        )

    def standardise(self, observations: Tensor) -> Tensor:
        """Observations with the data's mean 0 and standard deviation 1 [B, o]."""
        return (observations - self._mean) / self._std

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
        return (self.config.alpha - (advantage < 0).float()).abs()

    def policy_loss(
        self, segments: Segments, request: Request, goals: Goals, weight: Tensor
    ) -> Tensor:
        """1[V^C < C-hat] |alpha - 1[A^R < 0]| ||pi - a||^2, the goals detached."""
        given = goals.reward.detach(), goals.cost.detach()
        error = (torch.tanh(self.actor(*request, *given)) - segments.actions).square().sum(1)
        if self.config.mask:
            weight = weight * (given[1] < request.cost)
        return (weight * error).mean()

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine to zero at the planned end."""
        rise = min((self.updates + 1) / max(self.config.warmup, 1), 1.0)
        fall = 0.5 * (1.0 + math.cos(math.pi * min(self.updates / self.planned_updates, 1.0)))
        return self.config.learning_rate * rise * fall

    def policy(self, limits: Tensor) -> Policy:
        """The learned policy, asked for the reward target that belongs to each limit."""
        limits = limits.to(self.device)
        if self.config.reward_target is None:
            returns, costs = self.problem.returns, self.problem.costs
            targets = reward_targets(returns, costs, limits.cpu()).to(self.device)
        else:
            targets = torch.full_like(limits, self.config.reward_target)
        return GASPolicy(self, targets, limits)

    def parts(self) -> dict[str, Any]:
        """Networks and optimiser."""
        return {
            "reward_goal": self.reward_goal,
            "cost_goal": self.cost_goal,
            "actor": self.actor,
            "optimiser": self.optimiser,
        }


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
