"""Batches of transitions and reward targets, against the data that they come from."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.datasets.sampling import TransitionSampler
from benchmarks.datasets.targets import reward_targets
from benchmarks.datasets.trajectories import Trajectories

quick = settings(deadline=None, max_examples=50)  # a busy machine is no failure
lengths = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def trajectories(lengths, seed=0):
    """Episodes in which every observation is another, half of them ended by the task."""
    rng, size = np.random.default_rng(seed), sum(lengths)
    ends = np.zeros(size, dtype=bool)
    ends[np.cumsum(lengths) - 1] = True
    terminals = ends & (rng.random(size) < 0.5)
    observations = rng.normal(size=(size, 3))
    observations[:, 0] = np.arange(size)
    return Trajectories.from_arrays(
        observations,
        rng.normal(size=(size, 2)),
        rng.normal(size=size),
        rng.integers(0, 2, size),
        terminals,
        ends & ~terminals,
    )


@quick
@given(lengths, st.integers(0, 99), st.floats(0.01, 100.0))
def test_samples_are_rows_of_the_data(lengths, seed, scale):
    data = trajectories(lengths, seed)
    torch.manual_seed(seed)
    batch = TransitionSampler(data, 32, reward_scale=scale)()
    rows = batch.observations[:, 0].long().numpy()
    scaled = data.rewards * np.float32(scale)
    expected = (data.observations, data.next_observations, data.actions, scaled, data.costs)
    for ours, column in zip(batch, expected, strict=False):
        assert ours.dtype == torch.float32
        np.testing.assert_array_equal(ours.numpy(), column[rows])
    first, last = set(data.starts[:-1]), set(data.starts[1:] - 1)
    assert batch.initial.tolist() == [float(row in first) for row in rows]
    assert batch.done.tolist() == [float(row in last) for row in rows]  # terminal or not
    assert batch.terminal.tolist() == data.terminals[rows].tolist()


def test_every_row_is_drawn_equally_often():
    data = trajectories([1, 9, 2, 8])
    torch.manual_seed(0)
    sampler = TransitionSampler(data, 5000)
    rows = torch.cat([sampler().observations[:, 0] for _ in range(4)]).long()
    counts = np.bincount(rows.numpy(), minlength=20)
    assert len(counts) == 20
    expected = 20_000 / 20
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < 43.8  # 99.9 % quantile for 19 degrees of freedom


def test_batches_follow_torchs_generator():
    data = trajectories([7, 5, 9])

    def draw(seed):
        torch.manual_seed(seed)
        sampler = TransitionSampler(data, 8)
        return torch.stack([sampler().observations for _ in range(3)])

    first = draw(1)
    np.random.seed(0)  # and no other
    assert torch.equal(draw(1), first)
    assert not torch.equal(draw(2), first)
    assert not torch.equal(first[0], first[1])


def test_a_batch_may_be_larger_than_the_data():
    batch = TransitionSampler(trajectories([1]), 6)()
    assert batch.rewards.shape == batch.costs.shape == batch.done.shape == batch.initial.shape
    assert batch.observations.shape == (6, 3)
    assert batch.actions.shape == (6, 2)
    assert torch.equal(batch.done, torch.ones(6))
    assert torch.equal(batch.initial, torch.ones(6))


def test_the_data_are_left_as_they_are():
    data = trajectories([4, 4])
    before = data.rewards.copy()
    TransitionSampler(data, 4, reward_scale=0.1)
    np.testing.assert_array_equal(data.rewards, before)


def test_reward_targets_are_quantiles_of_what_keeps_the_limit():
    rng = np.random.default_rng(0)
    returns, costs = rng.normal(size=300), rng.integers(5, 50, 300).astype(float)
    limits = [7.0, 20.0, 49.0]
    targets = reward_targets(*(torch.tensor(column) for column in (returns, costs, limits)))
    expected = [np.quantile(returns[costs <= limit], 0.95) for limit in limits]
    assert targets.tolist() == pytest.approx(expected, rel=1e-6)


def test_without_a_trajectory_that_keeps_the_limit_the_least_costly_one_counts():
    returns, costs = torch.tensor([9.0, 4.0, 7.0]), torch.tensor([30.0, 10.0, 20.0])
    assert reward_targets(returns, costs, torch.tensor([0.0, 10.0])).tolist() == [4.0, 4.0]
