"""GAS over levels of cost: our own form, for datasets whose cost returns have gaps.

The paper's goals are means over all similar segments. If a dataset has a safe mode and a costly
mode and little between them, that mean lies between the modes, where no policy can be, and the
policy conditioned on it follows the costly mode. Here cost is divided into levels instead:

- goals: the probability of each level of segment cost, and an expectile of the return of the
  segments at that level;
- a policy for each level, cloned from the segments at that level with weights that favour high
  returns. It has no target return: a target above what the level can reach led to the costly mode;
- outcomes: the probability of each level given the action as well. They judge a level by what its
  action leads to in the dataset.

At each step, the candidates are the levels within the cost limit left whose probability at the
state is high enough. Candidates are kept if their action keeps the limit with nearly the highest
probability of all candidates, and of these the cheapest with nearly the highest goal return acts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.common.ranges import Count, Expectile, NotNegative, Share
from benchmarks.methods.algorithm import Policy, eval_only
from benchmarks.methods.losses import expectile_loss
from gas.segments import Segments
from gas.stitching import BUDGETS, BudgetPolicy, Stitching, StitchingConfig

_MAX_EXPONENT = 3.0
"""Weights in the policy's loss are at most e to this power, before they are normalised."""


@dataclass(frozen=True)
class LevelsConfig(StitchingConfig):
    """Options of GAS over levels of cost."""

    cost_bins: Count = 24
    """Number of levels between no cost and the largest; lower levels are narrower."""
    expectile: Expectile = 0.9
    """Expectile estimating each level's return."""
    temperature: NotNegative = 1.0
    """Inverse temperature of the weights in the policy's loss; 0 weighs all segments equally."""
    known: Share = eval_only(0.01)
    """Smallest probability of a level at a state that makes it a candidate."""
    agreement: Share = eval_only(0.97)
    """A candidate is dropped if the probability that its action keeps the limit is below this
    fraction of the best candidate's."""
    slack: Share = eval_only(0.05)
    """Fraction of the return that may be given up for a cheaper level."""
    margin: Share = eval_only(0.1)
    """Fraction of the cost limit left that is kept in reserve."""


class Goals(NamedTuple):
    """For every level at a state, given the time left; [B, K] each."""

    log_chances: Tensor
    """Log-probability that a segment's cost is at the level."""
    rewards: Tensor
    """Expectile of the return of the segments at the level, scaled."""


class LevelGAS(Stitching):
    """GAS with goals and a policy for every level of cost."""

    name = "gas-levels"
    config_class = LevelsConfig
    budgets: ClassVar = BUDGETS
    config: LevelsConfig

    # networks

    def build_networks(self) -> tuple[nn.Module, ...]:
        """Goals of a state, outcomes of a state and an action, and the policy of a level."""
        states, actions = self.problem.observation_dim + 1, self.problem.action_dim
        self.edges = level_edges(self.cost_scale, self.config.cost_bins).to(self.device)
        count = len(self.edges)
        # level k is encoded by k + 1 ones: neighbours are similar, yet each has its own column
        self.codes = torch.ones(count, count, device=self.device).tril()
        self.goal = self.network(states, 2 * count)
        self.outcome = self.network(states + actions, count)
        self.actor = self.network(states + count, actions)
        return self.goal, self.outcome, self.actor

    def level(self, costs: Tensor) -> Tensor:
        """The lowest level whose upper edge is at least the cost [B]."""
        return torch.searchsorted(self.edges, costs.contiguous()).clamp(max=len(self.edges) - 1)

    def goals(self, observations: Tensor, steps: Tensor) -> Goals:
        """Goals at standardised states [B, o] with `steps` [B], the fraction of time left."""
        log_chances, rewards = self.goal(observations, steps).chunk(2, dim=-1)
        return Goals(log_chances.log_softmax(-1), rewards)

    def outcomes(self, observations: Tensor, actions: Tensor, steps: Tensor) -> Tensor:
        """Log-probability of every level after an action [B, K]."""
        logits: Tensor = self.outcome(observations, actions, steps)
        return logits.log_softmax(-1)

    def actions(self, observations: Tensor, steps: Tensor, level: Tensor) -> Tensor:
        """The policy's action for a level [B] at each state [B, a]."""
        return torch.tanh(self.actor(observations, steps, self.codes[level]))

    # losses

    def total_loss(self, segments: Segments) -> tuple[Tensor, dict[str, Tensor]]:
        """The losses of goals, outcomes and policy."""
        level, scaled = self.level(segments.costs), self.scaled(segments)
        goals = self.goals(scaled.observations, scaled.steps)
        value_loss, value_info = self.value_loss(scaled, level, goals)
        outcome_loss, outcome_info = self.outcome_loss(scaled, level)
        actor_loss, actor_info = self.actor_loss(scaled, level, goals)
        info = {**value_info, **outcome_info, **actor_info}
        return value_loss + outcome_loss + actor_loss, info

    def value_loss(
        self, scaled: Segments, level: Tensor, goals: Goals
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the level, and expectile regression of its return."""
        chance_loss = -_at(goals.log_chances, level).mean(-1)
        advantage = scaled.rewards - _at(goals.rewards, level)
        reward_loss = expectile_loss(advantage, self.config.expectile)
        info = {"chance_loss": chance_loss.detach(), "reward_loss": reward_loss.detach()}
        return chance_loss + reward_loss, info

    def outcome_loss(self, scaled: Segments, level: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the level given the action."""
        log_chances = self.outcomes(scaled.observations, scaled.actions, scaled.steps)
        loss = -_at(log_chances, level).mean(-1)
        return loss, {"outcome_loss": loss.detach()}

    def actor_loss(
        self, scaled: Segments, level: Tensor, goals: Goals
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Behaviour cloning weighted by exp(advantage)."""
        advantage = (scaled.rewards - _at(goals.rewards, level)).detach()
        error = (self.actions(scaled.observations, scaled.steps, level) - scaled.actions).square()
        loss = (self.cloning_weight(advantage) * error.sum(-1)).mean(-1)
        return loss, {"actor_loss": loss.detach()}

    def cloning_weight(self, advantage: Tensor) -> Tensor:
        """exp(temperature A / mean |A|), bounded and normalised to mean 1 [B]."""
        scale = advantage.abs().mean(-1, keepdim=True) + 1e-6
        weight = (self.config.temperature * advantage / scale).clamp(max=_MAX_EXPONENT).exp()
        weight /= weight.mean(-1, keepdim=True)
        return weight

    # policy

    def choose(self, observations: Tensor, steps: Tensor, budgets: Tensor) -> tuple[Tensor, Tensor]:
        """A level [B] and its action [B, a] for standardised states.

        `budgets` [B] is the cost limit left, in units of cost.
        """
        c, budget = self.config, budgets.clamp(min=0.0)[:, None]
        goals = self.goals(observations, steps)
        likely = goals.log_chances.exp() >= c.known
        candidates = likely & (self.edges <= (1.0 - c.margin) * budget)
        cheapest = functional.one_hot(likely.int().argmax(1), len(self.edges)).bool()
        candidates = torch.where(candidates.any(1, keepdim=True), candidates, cheapest)
        row, level = candidates.nonzero(as_tuple=True)
        actions = self.actions(observations[row], steps[row], level)
        chances = self.outcomes(observations[row], actions, steps[row]).exp()
        safe_chance = torch.full_like(goals.rewards, -1.0)
        safe_chance[row, level] = (chances * (self.edges <= budget[row])).sum(1)
        candidates &= safe_chance >= c.agreement * safe_chance.amax(1, keepdim=True)
        best = goals.rewards.masked_fill(~candidates, -torch.inf).amax(1, keepdim=True)
        chosen = (candidates & (goals.rewards >= best - c.slack * best.abs())).int().argmax(1)
        index = torch.zeros_like(candidates, dtype=torch.long)
        index[row, level] = torch.arange(len(row), device=row.device)
        return chosen, actions[index.gather(1, chosen[:, None]).squeeze(1)]

    def policy(self, limits: Tensor) -> Policy:
        """The learned policy for each cost limit."""
        return LevelPolicy(self, limits.to(self.device))


class LevelPolicy(BudgetPolicy):
    """Chooses a level at each step."""

    gas: LevelGAS

    def actions(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """The action of the chosen level."""
        states, steps = self.gas.standardise(observations), self.time_left(env_ids)
        return self.gas.choose(states, steps, self.costs_left[env_ids])[1]


def _at(values: Tensor, level: Tensor) -> Tensor:
    """The entries of `values` [..., B, K] at `level` [..., B]."""
    return values.gather(-1, level[..., None]).squeeze(-1)


def level_edges(largest: float, count: int) -> Tensor:
    """Upper edges of `count` levels: 0, then quadratically spaced up to `largest`.

    Levels that no episode can have, such as those between whole numbers, stay empty and are never
    candidates.
    """
    return largest * torch.linspace(0.0, 1.0, count, dtype=torch.float64).square().float()
