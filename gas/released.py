"""GAS with the settings of the authors' first release, as far as they are known.

Facts of that release, none of its code: segments at most 30 % shorter than what remains, cost
targets near the segment's own, no indicator, a Gaussian policy with an entropy of its own, costs
as signed terms of the policy's weight in place of the mask, half a budget near the limit. Its
batches from hand-set subsets of the data are not here, for their bounds are not known: D_q stands
in. How its signed terms enter is not known either; they multiply the weight here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from benchmarks.methods.algorithm import acting
from gas.algorithm import GAS, GASConfig, Goals, Request
from gas.segments import Segments

_LOG_STD = -5.0, 2.0
"""Bounds of the policy's log standard deviation."""


class _OfTask(NamedTuple):
    """What the release sets for a task."""

    step_cost_weight: float
    segment_cost_weight: float
    reward_target: str
    """Of published data, by limit."""
    more: Mapping[str, Any] = {}


_TASKS = {
    "BallRun": _OfTask(0.0, 1.0, "8:420 16:430 24:480 32:580 40:720 48:820 56:920 64:1100 72:1200"),
    "CarRun": _OfTask(0.0, 1.0, "4:570 8:570 12:570 28:570 32:570 36:570"),
    "DroneRun": _OfTask(
        0.0, 0.0, "14:400 28:420 42:450 56:480 70:520 84:550 98:600 112:620 126:640"
    ),
    "AntRun": _OfTask(
        0.1, 0.1, "15:600 30:650 45:690 105:750 120:800 135:820", {"narrowness": 0.2}
    ),
    "BallCircle": _OfTask(0.0, 1.0, "8:500 16:600 24:690 56:800 64:810 72:820"),
    "CarCircle": _OfTask(0.0, 0.0, "10:360 20:370 30:410 70:480 80:480 90:480"),
    "DroneCircle": _OfTask(
        0.0, 1.0, "10:600 20:650 30:700 40:750 50:790 60:830 70:830 80:850 90:870"
    ),
    "AntCircle": _OfTask(0.1, 0.1, "20:200 40:200 60:240 140:320 160:350 180:400"),
    "PointCircle2": _OfTask(
        0.0,
        0.0,
        "28:36 55:41 90:42 110:43 140:43 170:44 200:45 240:47 270:48",
        {"width": 512},
    ),
}


@dataclass(frozen=True)
class ReleasedConfig(GASConfig):
    """Options of the release; those of a task are in `ReleasedGAS.options_on`."""

    shortening: float = 0.3
    cost_relabelling: str = "narrow"
    indicator: bool = False
    mask: bool = False
    halve_below: float = acting(0.1)
    segment_cost_weight: float = 0.0
    """How much more a segment weighs that costs less than its goal, and less that costs more."""
    step_cost_weight: float = 0.0
    """The same of a first step that costs nothing, or something."""
    init_temperature: float = 0.1
    """Weight of the policy's entropy at the start; it is learned then."""
    temperature_rate: float = 1e-4


class ReleasedGAS(GAS):
    """Goal-Assisted Stitching with the settings of its first release."""

    name = "gas-released"
    config_class = ReleasedConfig
    policy_outputs: ClassVar[int] = 2
    config: ReleasedConfig

    def build(self) -> dict[str, Any]:
        """Those of GAS, the policy with a mean and a deviation; and the entropy's weight."""
        networks = super().build()
        self.log_temperature = torch.tensor(
            math.log(self.config.init_temperature), device=self.device, requires_grad=True
        )
        self.temperature_optimiser = torch.optim.Adam(
            [self.log_temperature], self.config.temperature_rate
        )
        return networks

    def parts(self) -> dict[str, Any]:
        """Networks, the entropy's weight, optimisers."""
        own = {
            "log_temperature": self.log_temperature,
            "temperature_optimiser": self.temperature_optimiser,
        }
        return super().parts() | own

    def update(self) -> dict[str, Tensor | float]:
        """A step of the networks, then of the entropy's weight: towards -1 a dimension."""
        losses = super().update()
        surplus = self._entropy + self.problem.action_dim
        self.temperature_optimiser.zero_grad(set_to_none=True)
        (self.log_temperature.exp() * surplus).sum().backward()
        self.temperature_optimiser.step()
        return losses | {"entropy": self._entropy}

    def policy_loss(
        self, segments: Segments, request: Request, goals: Goals, weight: Tensor
    ) -> Tensor:
        """-w log pi(a) - temperature x entropy, the goals and the temperature detached."""
        given = goals.detached
        mean, log_std = self.actor(*self.told(request, given)).chunk(2, dim=-1)
        policy = torch.distributions.Normal(mean, log_std.clamp(*_LOG_STD).exp())
        likelihood = policy.log_prob(segments.actions).sum(-1)
        entropy = policy.entropy().sum(-1).mean(-1)
        self._entropy = entropy.detach()
        if self.config.goals:
            likelihood = weight * self.cost_terms(segments, given) * likelihood
        temperature = self.log_temperature.detach().exp()
        loss: Tensor = -likelihood.mean(-1) - temperature * entropy
        return loss

    def cost_terms(self, segments: Segments, goals: Goals) -> Tensor:
        """1 + or - each weight, by the sign of what the segment and its first step cost [B]."""
        c = self.config
        cheap = (goals.cost - segments.costs).sign()
        free = 1.0 - 2.0 * (segments.first_costs > 0).float()
        return (1.0 + c.segment_cost_weight * cheap) * (1.0 + c.step_cost_weight * free)

    def action(self, request: Request, goals: Goals) -> Tensor:
        """The policy's mean action [B, a]."""
        mean: Tensor = self.actor(*self.told(request, goals))[:, : self.problem.action_dim]
        return mean.clamp(-1.0, 1.0)

    def answer(self, request: Request) -> Tensor:
        """As GAS's, with nothing asked or promised below 0 or above the data's largest."""
        request = request._replace(reward=request.reward.clamp(min=0.0))
        goals = self.goals(request)
        goals = Goals(goals.reward.clamp(0.0, 1.0), goals.cost.clamp(0.0, 1.0))
        return self.action(self.halved(request), goals)

    @classmethod
    def options_on(cls, task: str, source: str) -> Mapping[str, Any]:
        """The release's weights of a task, and its reward targets on published data."""
        if task not in _TASKS:
            return {}
        one = _TASKS[task]
        options = {
            "step_cost_weight": one.step_cost_weight,
            "segment_cost_weight": one.segment_cost_weight,
            **one.more,
        }
        return options | ({"reward_target": one.reward_target} if source == "dsrl" else {})
