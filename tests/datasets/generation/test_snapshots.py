"""Snapshots of behaviour policies: they act as the actor, alone or in a stack, and fit a file."""

import numpy as np
import pytest
import torch

from benchmarks.datasets.generation.policies import (
    ACTION_STEP,
    Snapshot,
    load_snapshots,
    save_snapshots,
)
from benchmarks.datasets.generation.ppo import (
    PreferencePPO,
)
from tests.support.behaviour_cases import SMALL, TASK, arrays, same


@pytest.fixture(scope="module")
def trained():
    """A policy that is not at its start, and observations some of which are far out."""
    ppo = PreferencePPO(TASK, SMALL, 0)
    rng = np.random.default_rng(0)
    scale = np.array([1e-3, 1.0, 50.0, 1e5, 1.0, 1.0, 1.0])
    ppo.observations.update(rng.normal(2 * scale, scale, (500, 7)))
    with torch.no_grad():
        for parameter in ppo.actor.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    observations = rng.normal(2 * scale, 4 * scale, (9, 7)).astype(np.float32)
    observations[0] *= 100  # beyond the clip
    return ppo, observations, rng.random(9)


def test_a_snapshot_acts_as_the_actor_it_was_taken_of(trained):
    ppo, observations, w = trained
    with torch.no_grad():
        mean = ppo.actor(ppo._inputs(observations, w)).numpy()
    assert (np.abs(mean) > 1).any()
    assert (np.abs(mean) < 1).any()
    snapshot, silence = ppo.snapshot(), np.zeros((9, 2))
    actions = snapshot.act(observations, w, silence)
    assert actions.dtype == np.float32
    near = ACTION_STEP / 2 + 2e-5  # of single precision
    np.testing.assert_allclose(actions, mean.clip(-1, 1), rtol=0, atol=near)
    np.testing.assert_array_equal(actions % ACTION_STEP, 0.0)
    noise = np.random.default_rng(1).normal(size=(9, 2))
    noisy = (mean + ppo.log_std.exp().detach().numpy() * noise).clip(-1, 1)
    np.testing.assert_allclose(snapshot.act(observations, w, noise), noisy, rtol=0, atol=near)
    assert np.abs(snapshot.act(observations, 1 - w, silence) - actions).max() > 0.01


def test_a_snapshot_is_a_copy(trained):
    ppo, observations, w = trained
    snapshot = ppo.snapshot()
    before = snapshot.act(observations, w, np.zeros((9, 2)))
    with torch.no_grad():
        for parameter in ppo.actor.parameters():
            parameter.add_(1.0)
        after = snapshot.act(observations, w, np.zeros((9, 2)))
        for parameter in ppo.actor.parameters():
            parameter.sub_(1.0)
    np.testing.assert_array_equal(before, after)


def test_a_row_of_a_stack_is_its_policy_alone(trained):
    ppo, observations, w = trained
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(9, 2))
    policies = []
    for _ in range(9):
        weights, biases, *rest = ppo.snapshot()
        weights = [(x + 0.1 * rng.normal(size=x.shape)).astype(np.float32) for x in weights]
        policies.append(Snapshot(weights, biases, *rest))
    stack = Snapshot.stack(policies)
    together = stack.act(observations, w, noise)
    for i, policy in enumerate(policies):
        row = slice(i, i + 1)
        alone = policy.act(observations[row], w[row], noise[row])
        np.testing.assert_array_equal(alone, together[row])
        shared = policy.act(observations, w, noise)
        np.testing.assert_array_equal(shared[row], together[row])
    some = np.array([7, 2, 3])
    part = stack.rows(some).act(observations[some], w[some], noise[some])
    np.testing.assert_array_equal(part, together[some])


def test_a_file_of_snapshots_is_exact_within_half_precision(trained, uninterrupted, tmp_path):
    ppo, observations, w = trained
    snapshots = [*uninterrupted[1], ppo.snapshot()]  # eleven: their order is not that of names
    path = tmp_path / "new" / "BallRun.npz"
    save_snapshots(path, snapshots)
    assert list(path.parent.iterdir()) == [path]
    loaded = load_snapshots(path)
    for ours, theirs in zip(loaded, snapshots, strict=True):
        halves = Snapshot(
            [x.astype(np.float16) for x in theirs.weights],
            [x.astype(np.float16) for x in theirs.biases],
            theirs.log_std.astype(np.float16),
            theirs.mean,  # beyond half precision's range
            theirs.std,
        )
        assert same([ours], [halves])
        assert {x.dtype for x in arrays([ours])} == {np.dtype(np.float64)}
        silence = np.zeros((9, 2))
        actions = [one.act(observations, w, silence) for one in (ours, theirs)]
        np.testing.assert_allclose(*actions, atol=0.02)
    again = tmp_path / "again.npz"
    save_snapshots(again, loaded)
    assert same(load_snapshots(again), loaded)
