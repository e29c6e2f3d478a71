"""GAS over levels of cost: a form of our own, for data whose cost has gaps.

The paper's goals are means over all segments like the one asked for. Where the data hold a safe
mode and a costly one and little between, a mean lies between the two, where nothing can be reached,
and the policy that is asked for it follows the costly mode. Here cost falls into levels instead:

- goals: for every level the chance that a segment of the data costs that much, and an expectile of
  the reward of those that do;
- a policy for every level, cloned from the segments at that level that earn most. It is not asked
  for a reward: a request for more than the level can give is what drew it to the costly mode;
- outcomes: the chance of every level given the action as well, by which a level is judged on what
  its action leads to in the data, not on what was asked of it.

At each step the levels within the budget that is left are candidates, if the data know them here;
those stay whose action keeps the budget about as likely as any candidate's does; and of these the
cheapest is taken that promises about as much reward as any. No reward target is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.methods.algorithm import Policy, acting
from benchmarks.methods.losses import expectile_weight
from gas.segments import Segments
from gas.stitching import BUDGETS, BudgetPolicy, Stitching, StitchingConfig

_MOST_WEIGHT = 3.0
"""A segment weighs at most e to this in the policy's loss."""


@dataclass(frozen=True)
class LevelsConfig(StitchingConfig):
    """Options of GAS over levels of cost."""

    cost_bins: int = 24
    """Bins ("levels") between no cost and the largest; the lower ones are narrower."""
    expectile: float = 0.9
    """Of the reward at a level that counts as what the level promises."""
    temperature: float = 1.0
    """How much more the better segments weigh in the policy's loss."""
    noise: float = 0.0
    """Standard deviation of noise on the states of training, in standard deviations of the data:
    networks sharper than that mistake states that closed-loop drift leads to."""
    known: float = acting(0.01)
    """A level whose chance at a state is less is not asked for."""
    agreement: float = acting(0.97)
    """A level is dropped if its action keeps the budget with less than this part of the best
    candidate's chance."""
    slack: float = acting(0.05)
    """Part of the reward that may be given up for a cheaper level."""
    margin: float = acting(0.1)
    """Part of the budget that is not asked for."""
    guidance: float = acting(0.0)
    """How far beyond its level's action the policy acts, away from the mean over the levels that
    the data hold there: 1 doubles the difference."""


class Goals(NamedTuple):
    """Of every level at a state, given the time left; [B, K] each."""

    chances: Tensor
    """Log-probability that a segment costs that much."""
    rewards: Tensor
    """The expectile of its reward, scaled."""


class LevelGAS(Stitching):
    """GAS with goals and a policy for every level of cost."""

    name = "gas-levels"
    config_class = LevelsConfig
    budgets: ClassVar = BUDGETS
    config: LevelsConfig

    def build(self) -> dict[str, nn.Module]:
        """Goals of a state, outcomes of a state and an action, and the policy."""
        states, actions = self.problem.observation_dim + 1, self.problem.action_dim
        self.edges = level_edges(self.cost_scale, self.config.cost_bins).to(self.device)
        count = len(self.edges)
        # level k as k + 1 ones: neighbours are alike, yet each has a column of its own
        self.codes = torch.ones(count, count, device=self.device).tril()
        self.goal = self.network(states, 2 * count)
        self.outcome = self.network(states + actions, count)
        self.actor = self.network(states + count, actions)
        return {"goal": self.goal, "outcome": self.outcome, "actor": self.actor}

    def level(self, costs: Tensor) -> Tensor:
        """The lowest level whose edge costs [B] do not exceed."""
        return torch.searchsorted(self.edges, costs.contiguous()).clamp(max=len(self.edges) - 1)

    def losses(self, segments: Segments) -> dict[str, Tensor]:
        """Cross-entropies of level, expectile regression of reward, weighted cloning."""
        level, scaled = self.level(segments.costs), self.blurred(self.scaled(segments))
        goals = self.goals(scaled.observations, scaled.steps)
        advantage = scaled.rewards - _at(goals.rewards, level)
        asymmetry = expectile_weight(advantage.detach(), self.config.expectile)
        outcomes = self.outcomes(scaled.observations, scaled.actions, scaled.steps)
        error = (self.actions(scaled.observations, scaled.steps, level) - scaled.actions).square()
        weight = self.cloning_weight(advantage.detach())
        return {
            "chance_loss": -_at(goals.chances, level).mean(-1),
            "reward_loss": (asymmetry * advantage.square()).mean(-1),
            "outcome_loss": -_at(outcomes, level).mean(-1),
            "policy_loss": (weight * error.sum(-1)).mean(-1),
        }

    def blurred(self, scaled: Segments) -> Segments:
        """Scaled segments with noise on their states."""
        if not self.config.noise:
            return scaled
        states = scaled.observations
        noise = self.config.noise * self.draws.normal_like(states)
        return scaled._replace(observations=states + noise)

    def cloning_weight(self, advantage: Tensor) -> Tensor:
        """exp(temperature A / mean |A|), bounded, mean 1 [B]."""
        scale = advantage.abs().mean(-1, keepdim=True) + 1e-6
        weight = (self.config.temperature * advantage / scale).clamp(max=_MOST_WEIGHT).exp()
        weight /= weight.mean(-1, keepdim=True)
        return weight

    def goals(self, observations: Tensor, steps: Tensor) -> Goals:
        """What the data hold at standardised states with these shares of the horizon left [B]."""
        chances, rewards = self.goal(observations, steps).chunk(2, dim=-1)
        return Goals(chances.log_softmax(-1), rewards)

    def outcomes(self, observations: Tensor, actions: Tensor, steps: Tensor) -> Tensor:
        """Log-probability of every level after an action [B, K]."""
        logits: Tensor = self.outcome(observations, actions, steps)
        return logits.log_softmax(-1)

    def actions(self, observations: Tensor, steps: Tensor, level: Tensor) -> Tensor:
        """The policy's action for a level at each state [B, a]."""
        return torch.tanh(self.actor(observations, steps, self.codes[level]))

    def choose(self, observations: Tensor, steps: Tensor, budgets: Tensor) -> tuple[Tensor, Tensor]:
        """Levels and their actions for standardised states, `budgets` [B] in units of cost."""
        c, budget = self.config, budgets.clamp(min=0.0)[:, None]
        goals = self.goals(observations, steps)
        known = goals.chances.exp() >= c.known
        allowed = known & (self.edges <= (1.0 - c.margin) * budget)
        cheapest = functional.one_hot(known.int().argmax(1), len(self.edges)).bool()
        allowed = torch.where(allowed.any(1, keepdim=True), allowed, cheapest)
        row, level = allowed.nonzero(as_tuple=True)
        actions = self.actions(observations[row], steps[row], level)
        chances = self.outcomes(observations[row], actions, steps[row]).exp()
        keeping = torch.full_like(goals.rewards, -1.0)
        keeping[row, level] = (chances * (self.edges <= budget[row])).sum(1)
        allowed &= keeping >= c.agreement * keeping.amax(1, keepdim=True)
        best = goals.rewards.masked_fill(~allowed, -torch.inf).amax(1, keepdim=True)
        chosen = (allowed & (goals.rewards >= best - c.slack * best.abs())).int().argmax(1)
        place = torch.zeros_like(allowed, dtype=torch.long)
        place[row, level] = torch.arange(len(row), device=row.device)
        acted = actions[place.gather(1, chosen[:, None]).squeeze(1)]
        if c.guidance:
            mean = self.mean_action(observations, steps, goals.chances.exp())
            acted = (acted + c.guidance * (acted - mean)).clamp(-1.0, 1.0)
        return chosen, acted

    def mean_action(self, observations: Tensor, steps: Tensor, chances: Tensor) -> Tensor:
        """The mean of all levels' actions by the chance of each [B, a]."""
        rows, count = chances.shape
        level = torch.arange(count, device=chances.device).repeat(rows)
        states = observations.repeat_interleave(count, 0), steps.repeat_interleave(count)
        every = self.actions(*states, level).view(rows, count, -1)
        return (chances[:, :, None] * every).sum(1)

    def policy(self, limits: Tensor) -> Policy:
        """The learned policy with a budget for each limit."""
        return LevelPolicy(self, limits.to(self.device))


class LevelPolicy(BudgetPolicy):
    """Chooses a level anew at each step."""

    gas: LevelGAS

    def respond(self, observations: Tensor, rows: Tensor) -> Tensor:
        """The action of the chosen level."""
        states, left = self.gas.standardise(observations), self.time_left(rows)
        return self.gas.choose(states, left, self.costs_left[rows])[1]


def _at(values: Tensor, level: Tensor) -> Tensor:
    """Of values [..., B, K] those at each level [..., B]."""
    return values.gather(-1, level[..., None]).squeeze(-1)


def level_edges(largest: float, count: int) -> Tensor:
    """Upper edges of `count` levels: 0, then rising as a square to `largest`.

    Levels that no episode can cost, such as those between whole numbers, stay empty and unasked.
    """
    return largest * torch.linspace(0.0, 1.0, count, dtype=torch.float64).square().float()
