"""The pace: how much return is asked for over time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Problem
from benchmarks.methods.stacking import Stack
from gas import GAS
from gas.pace import POINTS, at_time, paces, returns_left
from tests.support.gas_cases import HORIZON, QUICK, SMALL, built, made_up


def of_rewards(*episodes: list[float]) -> Trajectories:
    """Trajectories with these rewards and no costs."""
    rewards = np.concatenate(episodes)
    ends = np.zeros(len(rewards))
    ends[np.cumsum([len(one) for one in episodes]) - 1] = 1
    columns = np.zeros((len(rewards), 2)), np.zeros((len(rewards), 1)), rewards, 0.0 * rewards
    return Trajectories.from_arrays(*columns, 0.0 * ends, ends)


def test_the_return_left_is_what_is_still_to_come() -> None:
    horizon = 64  # one point a step
    late, short = [0.0] * 32 + [1.0] * 32, [-2.0] * 16
    left = returns_left(of_rewards(late, short), horizon)
    assert left.shape == (2, POINTS)
    assert left[0].tolist() == [32.0] * 33 + list(range(31, -1, -1))
    assert left[1].tolist() == [*range(-32, 0, 2), *[0.0] * 49]


def test_a_pace_is_that_of_the_best_tenth_within_the_target_cost() -> None:
    shapes = torch.linspace(1.0, 0.0, POINTS) ** torch.arange(1, 5)[:, None]
    left = shapes * torch.tensor([10.0, 20.0, 30.0, 40.0])[:, None]
    costs, targets = torch.tensor([2.0, 0.0, 1.0, 8.0]), torch.tensor([30.0, 20.0, 40.0])
    made = paces(left, costs, torch.tensor([5.0, 0.5, 9.0]), targets)
    torch.testing.assert_close(made, left[[2, 1, 3]])
    # none is within: the cheapest one
    torch.testing.assert_close(paces(left, costs, torch.tensor([-1.0]), targets[1:2]), left[[1]])


returns = st.lists(st.integers(-50, 50), min_size=3, max_size=3)


@QUICK
@given(st.lists(returns, min_size=1, max_size=8), st.integers(-60, 60), st.integers(-1, 3))
def test_a_pace_runs_from_the_target_to_nothing(rows, target, budget) -> None:
    points = torch.linspace(0.0, 2.0, POINTS)
    corners = torch.tensor(rows).float()
    corners[:, 2] = 0.0
    index = points.floor().long().clamp(max=1)
    left = torch.lerp(corners[:, index], corners[:, index + 1], points - index)
    costs = torch.arange(len(rows)).float()
    (pace,) = paces(left, costs, torch.tensor([float(budget)]), torch.tensor([float(target)]))
    assert float(pace[0]) == pytest.approx(target, abs=1e-3)
    assert float(pace[-1]) == pytest.approx(0.0, abs=1e-3)
    seen = at_time(pace.repeat(POINTS, 1), torch.linspace(0.0, 1.0, POINTS))
    torch.testing.assert_close(seen, pace, atol=1e-3, rtol=0.0)
    between = at_time(pace.repeat(3, 1), torch.tensor([0.1, 0.111, 0.12])).tolist()
    assert min(pace[6:9]) - 1e-3 <= min(between)
    assert max(between) <= max(pace[6:9]) + 1e-3


def following(**options: object) -> tuple[GAS, Trajectories]:
    """GAS that was shown three trajectories, the best of which earns late."""
    data = made_up([HORIZON] * 3)
    gas = GAS(Problem.of(data, HORIZON), replace(SMALL, margin=0.0, **options))
    gas.prepare(data)
    return gas, data


def test_lost_return_is_not_made_up_for_and_gained_return_is_not_asked_for_again() -> None:
    gas, _ = following()
    row = torch.tensor([0])
    slow, fast = (gas.policy(torch.tensor([99.0])) for _ in range(2))
    target = float(slow.rewards_left[0])
    assert float(slow.target_returns(row)[0]) == pytest.approx(target)
    asked = []
    for _ in range(HORIZON - 1):
        slow.observe(torch.zeros(1), torch.zeros(1), row)
        asked.append(float(slow.target_returns(row)[0]))
        assert float(slow.rewards_left[0]) == pytest.approx(target)
    pace = [float(at_time(slow.pace, torch.tensor([t / HORIZON]))) for t in range(1, HORIZON)]
    np.testing.assert_allclose(asked, np.minimum(pace, target), rtol=1e-6)
    assert asked[-1] < target
    fast.observe(torch.tensor([target]), torch.zeros(1), row)
    assert float(fast.target_returns(row)[0]) == pytest.approx(0.0, abs=1e-5)


def test_without_a_pace_the_whole_rest_is_asked_for() -> None:
    gas, _ = following(pace=False)
    policy, row = gas.policy(torch.tensor([99.0])), torch.tensor([0])
    target = policy.rewards_left.clone()
    policy.observe(torch.zeros(1), torch.zeros(1), row)
    assert torch.equal(policy.target_returns(row), target)


def test_the_policy_is_asked_for_the_pace() -> None:
    gas, _ = following()
    policy, row = gas.policy(torch.tensor([99.0])), torch.tensor([0])
    asked = []
    gas.eval_action = lambda conditioning: asked.append(conditioning.reward) or torch.zeros(1, 1)
    observation = torch.zeros(1, gas.problem.observation_dim)
    for _ in range(HORIZON - 1):
        policy.act(observation, row)
        expected = policy.target_returns(row) / gas.reward_scale
        torch.testing.assert_close(asked[-1], expected)
        policy.observe(torch.zeros(1), torch.zeros(1), row)
    assert not torch.equal(asked[-1], policy.rewards_left / gas.reward_scale)


def test_checkpoints_and_stacks_keep_the_pace() -> None:
    data = made_up([12, 5, 8])
    expected = returns_left(data, HORIZON)
    alone = built(data=data)
    list(alone.fit(data, 1))
    torch.testing.assert_close(alone.returns_left, expected)
    torch.testing.assert_close(GAS.from_state(alone.state()).returns_left, expected)
    seeds = [built(data=data), built(data=data)]
    list(Stack(seeds).fit(data, 1))
    for one in seeds:
        torch.testing.assert_close(one.returns_left, expected)
