"""GAS acting: the targets it starts from and what becomes of them in an episode."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.cdt import CDT
from benchmarks.datasets.targets import TARGET_QUANTILE, reward_targets
from benchmarks.methods.algorithm import Problem
from gas import GAS
from gas.algorithm import Conditioning, Goals
from tests.support.gas_cases import (
    HORIZON,
    QUICK,
    SMALL,
    built,
    check_episodes_alone,
    made_up,
    trained,
)


def cdt(**options):
    """A small CDT."""
    small = {"batch": 4, "embedding_dim": 8, "num_layers": 1, "num_heads": 1}
    return CDT(Problem.of(made_up([12, 5, 8]), HORIZON), CDT.config_class(**small, **options))


episodes_with_costs = st.lists(
    st.tuples(st.integers(-100, 100), st.integers(0, 20)), min_size=1, max_size=30
)
limits_asked = st.lists(st.integers(-1, 21), min_size=1, max_size=4)


@QUICK
@given(episodes_with_costs, limits_asked)
def test_reward_targets_are_a_quantile_of_what_keeps_the_limit(episodes, limits):
    returns, costs = torch.tensor(episodes, dtype=torch.float32).T
    targets = reward_targets(returns, costs, torch.tensor(limits, dtype=torch.float32))
    for limit, target in zip(limits, targets.tolist(), strict=True):
        within = sorted(r for r, c in episodes if c <= limit)
        if not within:
            least = min(c for _, c in episodes)
            assert target in [r for r, c in episodes if c == least]
            continue
        at = TARGET_QUANTILE * (len(within) - 1)
        low, high = within[math.floor(at)], within[math.ceil(at)]
        assert target == pytest.approx(low + (at - math.floor(at)) * (high - low), abs=1e-3)
        assert within[0] <= target <= within[-1]
    alone = [reward_targets(returns, costs, torch.tensor([float(one)])) for one in limits]
    assert torch.equal(torch.cat(alone), targets)


@QUICK
@given(episodes_with_costs, st.integers(0, 20), st.integers(0, 20))
def test_a_looser_limit_asks_for_no_less_if_it_lets_in_nothing_worse(episodes, one, other):
    returns, costs = torch.tensor(episodes, dtype=torch.float32).T
    tight, loose = sorted((one, other))
    targets = reward_targets(returns, costs, torch.tensor([tight, loose], dtype=torch.float32))
    let_in = (costs > tight) & (costs <= loose)
    if (costs <= tight).any() and (returns[let_in] >= targets[0]).all():
        assert targets[1] >= targets[0] - 1e-4


def test_a_looser_limit_may_ask_for_less():
    # a quantile, not the maximum: many poor episodes that cost more pull it down
    returns, costs = torch.tensor([10.0] + [0.0] * 99), torch.tensor([0.0] + [5.0] * 99)
    targets = reward_targets(returns, costs, torch.tensor([0.0, 5.0]))
    assert targets.tolist() == [10.0, 0.0]


@QUICK
@given(episodes_with_costs, st.floats(0.0, 0.9), st.floats(0.0, 1.0))
def test_margin_and_quantile_say_what_is_asked_for(episodes, margin, quantile):
    limits = torch.tensor([1.0, 7.0, 20.0])
    returns, costs = torch.tensor(episodes, dtype=torch.float32).T
    for made in (partial(built, pace=False), cdt):
        method = made(margin=margin, target_quantile=quantile)
        method.problem = replace(method.problem, returns=returns, costs=costs)
        policy = method.policy(limits)
        budgets = (1.0 - margin) * limits
        targets = reward_targets(returns, costs, budgets, quantile)
        asked = (
            (policy.rewards_left, policy.costs_left)
            if made is not cdt
            else (policy.returns_to_go / policy.reward_scale, policy.costs_to_go)
        )
        torch.testing.assert_close(asked, (targets, budgets))


class Recorded(GAS):
    """Keeps what its networks are asked; its goals and actions are functions of the request."""

    def goals(self, request):
        self.asked = request
        return Goals(request.reward * 2.0, request.cost - 1.0)


def recorded(**options):
    gas = Recorded(Problem.of(made_up([12, 5, 8]), HORIZON), replace(SMALL, **options))
    gas.actor = lambda observations, reward, cost, steps, goal, cost_goal: torch.stack(
        [observations[:, 1] + reward + steps, cost + goal - cost_goal], dim=1
    )
    return gas


@QUICK
@given(st.data())
def test_targets_shrink_by_what_was_received(draw):
    gas = recorded(margin=0.0, tightening=0, pace=False)
    limits = [0.0, 2.0, 9.0]
    policy = gas.policy(torch.tensor(limits))
    targets = reward_targets(gas.problem.returns, gas.problem.costs, torch.tensor(limits)).numpy()
    got, spent, steps = np.zeros(3), np.zeros(3), np.zeros(3)
    values = st.lists(st.integers(-3, 3), min_size=3, max_size=3)
    for _ in range(draw.draw(st.integers(1, 5))):
        rows = draw.draw(
            st.permutations(range(3)).flatmap(lambda p: st.sampled_from([p, p[:2], p[:1]]))
        )
        observations = torch.tensor(draw.draw(values))[:, None].repeat(1, 2)[: len(rows)].float()
        acted = policy.act(observations, torch.tensor(rows))
        asked = gas.asked
        scaled = (observations - gas.problem.observation_mean) / gas.problem.observation_std
        np.testing.assert_allclose(asked.observations, scaled, rtol=1e-4)
        reward = (targets - got)[rows] / gas.reward_scale
        cost = np.maximum(limits - spent, 0.0)[rows] / gas.cost_scale
        left = ((HORIZON - steps) / HORIZON)[rows]
        np.testing.assert_allclose(asked.reward, reward, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(asked.cost, cost, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(asked.steps, left, rtol=1e-5)
        first = np.tanh(scaled[:, 1].numpy() + reward + left)
        second = np.tanh(cost + 2.0 * reward - (cost - 1.0))
        np.testing.assert_allclose(acted, np.stack([first, second], 1), atol=1e-4)
        rewards, costs = (np.array(draw.draw(values), dtype=float) for _ in range(2))
        costs = np.abs(costs)
        policy.observe(
            *(torch.tensor(x[rows]).float() for x in (rewards, costs)), torch.tensor(rows)
        )
        got[rows] += rewards[rows]
        spent[rows] += costs[rows]
        steps[rows] += 1


def test_an_exceeded_limit_is_remembered():
    gas, row = recorded(margin=0.0, tightening=0, pace=False), torch.tensor([0])
    policy = gas.policy(torch.tensor([3.0]))
    for cost, left in [(5.0, 0.0), (-4.0, 2.0)]:  # a refund counts against what was overspent
        policy.observe(torch.zeros(1), torch.tensor([cost]), row)
        policy.act(torch.zeros(1, 2), row)
        assert gas.asked.cost.item() * gas.cost_scale == pytest.approx(left)


@pytest.mark.parametrize("times", [0, 1, 2])
def test_no_more_cost_is_asked_for_than_the_return_takes(times):
    gas = built(tightening=times)
    halves = torch.full((4,), 0.5)
    conditioning = Conditioning(torch.zeros(4, 2), torch.ones(4), halves, torch.ones(4))
    offset, passed = torch.tensor([-0.7, -0.2, 0.0, 0.4]), []
    gas.goals = lambda conditioning: Goals(conditioning.cost, conditioning.cost + offset)
    gas.action = lambda conditioning, _: passed.append(conditioning) or torch.zeros(4, 2)
    gas.eval_action(conditioning)
    target_cost = [[0.5] * 4, [0.0, 0.3, 0.5, 0.5], [0.0, 0.1, 0.5, 0.5]][times]
    torch.testing.assert_close(passed[0].cost, torch.tensor(target_cost))
    assert torch.equal(passed[0].reward, conditioning.reward)


def test_policies_share_nothing():
    gas, limits = recorded(margin=0.0, tightening=0, pace=False), torch.tensor([3.0, 4.0])
    one, other = gas.policy(limits), gas.policy(limits)
    one.observe(torch.ones(2), torch.ones(2), torch.arange(2))
    assert limits.tolist() == [3.0, 4.0]
    assert other.costs_left.tolist() == [3.0, 4.0]
    assert other.steps.tolist() == [0.0, 0.0]
    assert torch.equal(other.rewards_left, one.rewards_left + 1.0)


def test_the_option_overrides_the_reward_target():
    policy = recorded(reward_target=-7.5).policy(torch.tensor([1.0, 30.0]))
    assert policy.rewards_left.tolist() == [-7.5, -7.5]


def test_acting_ignores_the_other_episodes():
    check_episodes_alone(trained(built(), 20))


def test_dropout_is_for_training_only():
    gas = trained(built(dropout=0.5), 3)
    observations, rows = torch.randn(8, 2), torch.arange(8)
    acted = [gas.policy(torch.full((8,), 5.0)).act(observations, rows) for _ in range(2)]
    assert torch.equal(*acted)
    trained(gas, 4)
    assert all(network.training for network in gas.networks)
