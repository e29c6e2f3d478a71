"""The objective, advantages, targets and moments of the training of behaviour policies."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.datasets.generation.ppo import (
    PPOConfig,
    PreferencePPO,
    RunningMoments,
    discounted_sums,
)
from benchmarks.simulators.vector import Steps
from tests.support.behaviour_cases import SMALL, TASK, quick


class Scripted:
    """Stands for `Lockstep`: what the rows receive, step by step, is written down beforehand."""

    def __init__(self, rewards, costs, terminated, truncated):
        self.columns = rewards, costs, terminated, truncated
        self.t = 0

    def reset(self, seeds, rows=None):
        return np.zeros((len(seeds), TASK.observation_dim), dtype=np.float32)

    def step(self, actions, rows):
        assert np.abs(actions).max() <= 1.0
        observations = np.full((len(rows), TASK.observation_dim), 0.5, dtype=np.float32)
        self.t += 1
        return Steps(observations, *(column[self.t - 1] for column in self.columns))


def scripted(seed):
    rng = np.random.default_rng(seed)
    ends = rng.random((20, 4))
    terminated, truncated = ends < 0.1, (ends >= 0.1) & (ends < 0.2)
    return rng.normal(size=(20, 4)), rng.integers(0, 2, (20, 4)) * 1.0, terminated, truncated


def test_advantages_and_targets_follow_the_formula():
    """With a critic that says 3 everywhere, worked out by loops over an episode's rest."""
    config = replace(SMALL, gamma=0.9, gae_lambda=0.7)
    ppo = PreferencePPO(TASK, config, 0)
    torch.nn.init.zeros_(ppo.critic[-1].weight)
    torch.nn.init.constant_(ppo.critic[-1].bias, 3.0)
    rewards, costs, terminated, truncated = scripted(0)
    batch, _ = ppo._collect(Scripted(*scripted(0)), np.random.default_rng(0))
    w = (batch["observations"][:, -1].numpy().reshape(20, 4) + 1) / 2
    sigma = ppo.rewards.std[0]
    assert sigma == pytest.approx(rewards.std(), rel=0.01)
    for row in range(4):
        expected = np.zeros(20)
        for start in range(20):
            for t in range(start, 20):
                goal = (1 - w[t, row]) * rewards[t, row] / sigma - 2 * w[t, row] * costs[t, row]
                following = 0.0 if terminated[t, row] else 3.0
                expected[start] += (0.9 * 0.7) ** (t - start) * (goal + 0.9 * following - 3.0)
                if terminated[t, row] or truncated[t, row]:
                    break
        ours = batch["advantage"].numpy().reshape(20, 4)[:, row]
        np.testing.assert_allclose(ours, expected, atol=1e-5)
        target = batch["target"].numpy().reshape(20, 4)[:, row]
        np.testing.assert_allclose(target, expected + 3.0, atol=1e-5)


def test_episodes_are_told_with_their_preference_return_and_cost():
    ppo = PreferencePPO(TASK, SMALL, 0)
    rewards, costs, terminated, truncated = scripted(1)
    batch, episodes = ppo._collect(Scripted(*scripted(1)), np.random.default_rng(0))
    w = (batch["observations"][:, -1].double().numpy().reshape(20, 4) + 1) / 2
    ended = terminated | truncated
    expected, starts = [], [0] * 4
    for t, row in zip(*ended.nonzero(), strict=True):
        steps = slice(starts[row], t + 1)
        assert np.ptp(w[steps, row]) == 0  # one preference an episode
        expected.append((w[t, row], rewards[steps, row].sum(), costs[steps, row].sum()))
        starts[row] = t + 1
    np.testing.assert_allclose(episodes, expected, atol=1e-6)
    assert len(np.unique(w)) > 4  # and a new one after it


def test_the_goal_weighs_reward_against_cost():
    ppo = PreferencePPO(TASK, SMALL, 0)
    rng = np.random.default_rng(0)
    reward, cost = 5 * rng.normal(size=1000), rng.random(1000)
    ppo.rewards.update(reward[:, None])
    seeking, safe = (ppo.objective(np.full(1000, w), reward, cost) for w in (0.0, 1.0))
    np.testing.assert_allclose(seeking, reward / reward.std(), rtol=1e-4)
    np.testing.assert_array_equal(safe, -2.0 * cost)
    np.testing.assert_allclose(
        ppo.objective(np.full(1000, 0.25), reward, cost), 0.75 * seeking + 0.25 * safe
    )


class Bandit(Scripted):
    """The first action is the reward, and a cost where it is positive."""

    def __init__(self):
        self.t = 0

    def step(self, actions, rows):
        self.t += 1
        first = actions[:, 0].astype(float)
        none = np.zeros(len(rows), dtype=bool)
        return Steps(self.reset(rows), first, (first > 0) * 1.0, none, none | (self.t % 20 == 0))


def test_one_policy_learns_to_seek_reward_or_to_avoid_cost():
    ppo = PreferencePPO(TASK, replace(SMALL, environments=16, epochs=6, minibatch=160), 0)
    for _ in range(15):
        ppo.iterate(Bandit())
    observations = np.zeros((2, TASK.observation_dim), dtype=np.float32)
    actions = ppo.snapshot().act(observations, np.array([0.0, 1.0]), np.zeros((2, 2)))
    assert actions[0, 0] > 0.3
    assert actions[1, 0] < 0.0


@quick
@given(st.integers(1, 8), st.integers(1, 3), st.integers(0, 999), st.floats(0.0, 1.0))
def test_discounted_sums_equal_those_of_a_loop(steps, rows, seed, discount):
    rng = np.random.default_rng(seed)
    values, ended = rng.normal(size=(steps, rows)), rng.random((steps, rows)) < 0.3
    sums = discounted_sums(values, discount, ended)
    for row in range(rows):
        for start in range(steps):
            expected = 0.0
            for t in range(start, steps):
                expected += discount ** (t - start) * values[t, row]
                if ended[t, row]:
                    break
            assert sums[start, row] == pytest.approx(expected, abs=1e-12)


@quick
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(0, 999))
def test_running_moments_are_those_of_all_rows(sizes, seed):
    """Together with what they start from: mean 0 and variance 1, of a weight of 0.0001 rows."""
    rng = np.random.default_rng(seed)
    chunks = [rng.normal(rng.uniform(-50, 50), rng.uniform(0.1, 9), (n, 3)) for n in sizes]
    moments = RunningMoments(3)
    for chunk in chunks:
        moments.update(chunk)
    rows = np.concatenate(chunks)
    weight = len(rows) + 1e-4
    mean = rows.sum(0) / weight
    variance = (((rows - mean) ** 2).sum(0) + 1e-4 * (1 + mean**2)) / weight
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-9)
    np.testing.assert_allclose(moments.variance, variance, rtol=1e-9)
    assert moments.count == pytest.approx(weight)


def test_running_moments_forget_what_they_start_from():
    rows = np.random.default_rng(0).normal(3.0, 2.0, (2000, 2))
    moments = RunningMoments(2)
    for chunk in np.split(rows, 20):
        moments.update(chunk)
    np.testing.assert_allclose(moments.mean, rows.mean(0), atol=1e-5)
    np.testing.assert_allclose(moments.std, rows.std(0), atol=1e-5)


def test_a_constant_column_has_a_positive_deviation():
    moments = RunningMoments(1)
    for _ in range(1000):
        moments.update(np.full((1000, 1), 7.0))
    assert 0 < moments.std[0] < 1e-3


def test_a_negative_weight_seeks_cost_at_preference_zero_only():
    ppo = PreferencePPO(TASK, PPOConfig(least_weight=-0.25), seed=0)
    preferences = np.array([0.0, 0.2, 1.0])
    price = ppo.objective(preferences, np.zeros(3), np.ones(3))
    np.testing.assert_allclose(price, [0.5, 0.0, -2.0], atol=1e-12)
