"""What behaviour policies see: turning about the circle's centre changes nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from benchmarks.datasets.generation.policies import load_snapshots, shipped_tasks, snapshot_path
from benchmarks.datasets.generation.ppo import (
    SHAPED_REWARDS,
    PPOConfig,
    PreferencePPO,
    circling_reward,
)
from benchmarks.datasets.generation.views import VIEWS, circling_ant, view_of
from benchmarks.simulators.vector import Lockstep, Steps
from benchmarks.tasks.tasks import TASKS

SEEDS = st.integers(0, 2**32 - 1)


def ants(seed, count=1):
    """Made-up observations of AntCircle, their attitudes true rotations."""
    rng = np.random.default_rng(seed)
    observations = rng.normal(size=(count, 34))
    observations[:, 6:10] = Rotation.random(count, random_state=seed).as_quat()
    return observations


def turned(observations, angle):
    """The same ants, the whole world turned by `angle` about the vertical axis."""
    turn, result = Rotation.from_euler("z", angle), observations.copy()
    for columns in (slice(0, 3), slice(3, 6), slice(10, 13)):
        result[:, columns] = turn.apply(observations[:, columns])
    result[:, 6:10] = (turn * Rotation.from_quat(observations[:, 6:10])).as_quat()
    return result


BOUNDS = slice(8, 11)
"""The columns that tell where the bounds lie."""


@given(SEEDS, st.floats(-10, 10))
def test_a_turned_world_looks_the_same_but_for_the_bounds(seed, angle):
    one, other = ants(seed), turned(ants(seed), angle)
    before, after = circling_ant(one), circling_ant(other)
    np.testing.assert_allclose(
        np.delete(before, BOUNDS, 1), np.delete(after, BOUNDS, 1), rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(after[:, 8], np.abs(other[:, 0]), atol=1e-12)


@given(SEEDS)
def test_the_bounds_look_alike_after_half_a_turn(seed):
    one = ants(seed)
    np.testing.assert_allclose(
        circling_ant(one), circling_ant(turned(one, np.pi)), rtol=0, atol=1e-9
    )


@given(SEEDS)
def test_both_signs_of_a_quaternion_look_alike(seed):
    one, other = ants(seed), ants(seed)
    other[:, 6:10] *= -1
    np.testing.assert_array_equal(circling_ant(one), circling_ant(other))


def test_on_the_positive_x_axis_nothing_is_turned():
    observations = ants(0)
    observations[:, :2] = [[0.5, 0.0]]
    seen = circling_ant(observations)[0]
    np.testing.assert_allclose(seen[:2], [0.5, observations[0, 2]])
    np.testing.assert_allclose(seen[2:5], observations[0, 3:6])
    np.testing.assert_allclose(seen[5:8], observations[0, 10:13])
    np.testing.assert_allclose(seen[8:11], [0.5, 1.0, 0.0])
    np.testing.assert_allclose(np.abs(seen[11:15]), np.abs(observations[0, 6:10]))
    np.testing.assert_allclose(seen[15:], observations[0, 13:33])


def test_an_ant_in_the_centre_has_finite_features_and_rows_stand_alone():
    observations = ants(0, 7).astype(np.float32)
    observations[3, :2] = 0.0
    seen = circling_ant(observations)
    assert np.isfinite(seen).all()
    assert seen.dtype == np.float32
    for row in range(7):
        np.testing.assert_array_equal(circling_ant(observations[row : row + 1])[0], seen[row])


def test_ants_start_facing_clockwise_wherever_they_stand():
    with Lockstep(TASKS["AntCircle"], 1) as simulators:
        seen = circling_ant(np.concatenate([simulators.reset([seed]) for seed in range(20)]))
    half = np.sqrt(0.5)
    np.testing.assert_allclose(seen[:, 11:15], [[0, 0, -half, half]] * 20, atol=1e-3)


@pytest.mark.parametrize("task", TASKS)
def test_policies_take_what_is_seen(task):
    observation = np.zeros((1, TASKS[task].observation_dim), dtype=np.float32)
    width = view_of(task)(observation).shape[1]
    assert (task in VIEWS) == (width != TASKS[task].observation_dim)
    ppo = PreferencePPO(TASKS[task], PPOConfig(), seed=0)
    assert len(ppo.snapshot().mean) == width
    if task in shipped_tasks():
        assert len(load_snapshots(snapshot_path(task))[-1].mean) == width


def test_circling_is_paid_clockwise_most_on_the_circle_and_falling_is_not():
    seen = np.zeros((5, 35))
    seen[:, 0] = np.array([3.0, 7.0, 9.0, 7.0, 7.0]) * 0.1  # the simulator's scale
    seen[:, 3] = np.array([-2.0, -2.0, -2.0, 2.0, -2.0]) * 0.3  # clockwise: against the angle
    own, fell = np.arange(5.0), np.array([False] * 4 + [True])
    rewards = circling_reward(seen, Steps(seen, own, own, fell, fell))
    np.testing.assert_allclose(rewards - own, [0.6, 1.4, 1.0, -1.4, -1.0])


def test_the_task_pays_what_the_practice_reward_is_said_to_mend():
    rng = np.random.default_rng(0)
    with Lockstep(TASKS["AntCircle"], 1) as simulators:
        simulators.reset([0])
        for _ in range(20):
            steps = simulators.step(rng.uniform(-1, 1, (1, 8)), np.array([0]))
            seen = circling_ant(steps.observations)[0].astype(float)
            distance, speed = seen[0] / 0.1, -seen[3] / 0.3
            circling = 0.1 * distance * speed / (1 + abs(distance - 7))
            # what is left is a hundredth of being alive, less the motors' work
            assert -0.05 < steps.rewards[0] - circling <= 0.01 + 1e-6


def test_practice_rewards_train_and_the_tasks_own_are_told(monkeypatch):
    task = TASKS["BallRun"]
    told = {}
    for scale in (1.0, 0.0):
        monkeypatch.setitem(SHAPED_REWARDS, "BallRun", lambda _, steps, s=scale: s * steps.rewards)
        ppo = PreferencePPO(task, PPOConfig(environments=2, epochs=1), seed=0)
        with Lockstep(task, 2) as simulators:
            told[scale] = ppo.iterate(simulators)
        assert (ppo.rewards.std[0] < 1e-2) == (scale == 0.0)
    assert told[1.0] == told[0.0]
    assert all(abs(reward) > 1 for _, reward, _ in told[1.0])
