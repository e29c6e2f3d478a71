"""Windows, their probabilities and the relabelled trajectories, with osrl's as the oracle."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.osrl.adapter import import_osrl
from benchmarks.datasets.sequences import (
    Relabelled,
    SequenceSampler,
    cost_probabilities,
    fit_front,
    pareto_front,
    relabel_beyond_front,
    typical_trajectories,
)
from tests.support.baseline_cases import small_data

SCALE = 0.1
MORE = Relabelled(np.array([4, 4, 0]), np.array([50.0, 60.0, 70.0]), np.array([20.0, 3.5, 9.0]))


@pytest.fixture(scope="module")
def osrl():
    return import_osrl("common.dataset")


@pytest.fixture
def sequence_dataset(osrl, monkeypatch, capsys):
    """osrl's dataset of the small data, with the trajectories of MORE behind the data's own."""
    monkeypatch.setattr(osrl, "trange", lambda count, **_: range(count))
    data = small_data()
    flat = {k: getattr(data, k) for k in ("observations", "actions", "rewards", "costs")}
    ends = np.zeros(len(data.rewards), dtype=bool)
    ends[data.starts[1:] - 1] = True
    dataset = osrl.SequenceDataset(
        {**flat, "terminals": data.terminals, "timeouts": ends}, seq_len=5, reward_scale=SCALE
    )
    capsys.readouterr()
    for episode, target_return, target_cost in zip(*MORE, strict=True):
        trajectory = copy.deepcopy(dataset.dataset[episode])
        trajectory["returns"] += target_return - trajectory["returns"][0]
        trajectory["cost_returns"] += target_cost - trajectory["cost_returns"][0]
        dataset.dataset.append(trajectory)
    return dataset


def all_relabelled(returns, costs, seed=0, share=0.5, **options):
    options = {"degree": 2, "margin": 1.0, "max_decrease": 2.0, "beta": 1.0} | options
    return relabel_beyond_front(returns, costs, share, np.random.default_rng(seed), **options)


def test_windows_equal_osrls_items(sequence_dataset):
    data = small_data()
    sampler = SequenceSampler(data, 1, 5, reward_scale=SCALE, relabelled=MORE)
    lengths = [*data.lengths, *data.lengths[MORE.episodes]]
    pairs = torch.tensor([(e, t) for e, length in enumerate(lengths) for t in range(length)])
    windows = sampler.windows(*pairs.T)
    items = [sequence_dataset._SequenceDataset__prepare_sample(e, t) for e, t in pairs.tolist()]
    for name, ours, theirs in zip(windows._fields, windows, zip(*items, strict=True), strict=True):
        oracle = torch.as_tensor(np.stack(theirs)).to(ours.dtype)
        assert ours.shape == oracle.shape, name
        torch.testing.assert_close(ours, oracle, rtol=1e-5, atol=1e-5, msg=name)
    assert (windows.mask == 0).any()


def test_probabilities_equal_osrls(osrl, sequence_dataset):
    costs = np.concatenate([small_data().episode_costs, MORE.costs])
    for offset in (70.0, 10.0):
        oracle = osrl.compute_cost_sample_prob(sequence_dataset.dataset, lambda x, o=offset: o - x)
        np.testing.assert_allclose(cost_probabilities(costs, offset), oracle, rtol=1e-6)
    assert (cost_probabilities(costs, 10.0) == 0).any()


def test_probabilities_are_even_where_no_cost_is_below_the_offset():
    assert cost_probabilities(np.array([70.0, 80.0]), 70.0).tolist() == [0.5, 0.5]


def test_draws_follow_the_probabilities_and_cover_every_step():
    data = small_data()
    probabilities = cost_probabilities(data.episode_costs, 10.0)
    sampler = SequenceSampler(data, 50_000, 3, probabilities=probabilities)
    drawn = []
    sampler.windows = lambda trajectories, steps: drawn.append((trajectories, steps))
    torch.manual_seed(0)
    sampler()
    trajectories, steps = (column.numpy() for column in drawn[0])
    counts = np.bincount(trajectories, minlength=len(data))
    expected = 50_000 * probabilities
    assert (counts[probabilities == 0] == 0).all()
    assert (np.abs(counts - expected) <= 5 * np.sqrt(expected + 1e-9)).all()
    for episode in np.flatnonzero(probabilities):
        mine = np.bincount(steps[trajectories == episode])
        even = counts[episode] / data.lengths[episode]
        assert len(mine) == data.lengths[episode]
        assert (np.abs(mine - even) <= 5 * np.sqrt(even)).all()


def test_a_batch_has_the_shapes_it_states():
    batch = SequenceSampler(small_data(), 7, 5, relabelled=MORE)()
    assert batch.observations.shape == (7, 5, 3)
    assert batch.actions.shape == (7, 5, 2)
    assert batch.episode_cost.shape == (7,)
    for column in (batch.returns_to_go, batch.costs_to_go, batch.time_steps, batch.mask):
        assert column.shape == batch.costs.shape == (7, 5)


points = st.lists(st.tuples(st.integers(-6, 6), st.integers(0, 8)), min_size=1, max_size=40)


@given(points)
def test_pareto_front_against_brute_force(values):
    returns, costs = np.array(values, dtype=float).T

    def beaten(i):
        no_worse = (returns >= returns[i]) & (costs <= costs[i])
        return (no_worse & ((returns > returns[i]) | (costs < costs[i]))).any()

    expected = [i for i in range(len(values)) if not beaten(i)]
    assert pareto_front(returns, costs).tolist() == expected


def test_front_is_fitted_as_by_osrl_and_by_less_where_points_are_few():
    costs, returns = np.arange(8.0), np.array([0.0, 3, 5, 6, 8, 8.5, 8.7, 9])
    at = np.linspace(0, 7, 20)
    for degree in range(5):
        oracle = np.poly1d(np.polyfit(costs, returns, deg=degree))(at)
        np.testing.assert_allclose(fit_front(returns, costs, degree)(at), oracle, atol=1e-8)
    np.testing.assert_allclose(fit_front(returns[:2], costs[:2], 4)(at), 3 * at, atol=1e-9)
    repeated = fit_front(np.array([2.0, 2.0, 2.0]), np.array([5.0, 5.0, 5.0]), 4)
    assert repeated(at).tolist() == [2.0] * 20


def test_typical_trajectories_equal_osrls_filter(osrl):
    rng = np.random.default_rng(0)
    # whole numbers on a coarse grid fill some cells well and leave others nearly bare
    costs, returns = rng.integers(0, 12, 220).astype(float), rng.integers(0, 8, 220).astype(float)
    oracle = osrl.grid_filter(
        costs, returns, xbins=10, ybins=50, max_num_per_bin=10, min_num_per_bin=2
    )
    assert 50 < len(oracle) < 220
    assert typical_trajectories(returns, costs, rng).tolist() == sorted(oracle)


def test_typical_trajectories_of_a_crowd_and_of_strays():
    rng = np.random.default_rng(0)
    crowd = typical_trajectories(np.repeat([1.0, 9.0], [25, 4]), np.zeros(29), rng)
    assert len(crowd) == 10 + 4
    assert set(range(25, 29)) <= set(crowd.tolist())
    strays = np.arange(4.0)
    assert typical_trajectories(strays, strays, rng).tolist() == [0, 1, 2, 3]


@settings(deadline=None)
@given(points, st.integers(0, 4), st.sampled_from([0.0, 0.2, 1.0]))
def test_laws_of_relabelling(values, degree, share):
    returns, costs = np.array(values, dtype=float).T
    more = all_relabelled(returns, costs, share=share, degree=degree)
    assert len(more.episodes) <= share * len(values)
    assert (costs[more.episodes] <= more.costs).all()
    assert (more.costs >= costs.min()).all()
    assert (more.costs <= costs.max()).all()
    assert np.isfinite(more.returns).all()


def test_relabelled_returns_lie_between_the_front_and_the_largest():
    data = small_data(400, 1)
    returns, costs = data.returns, data.episode_costs
    more = all_relabelled(returns, costs, degree=1, margin=0.5)
    kept = typical_trajectories(returns, costs, np.random.default_rng(0))
    front = kept[pareto_front(returns[kept], costs[kept])]
    low = np.polyval(np.polyfit(costs[front], returns[front], 1), more.costs) + 0.5
    bounds = np.sort([low, np.full_like(low, returns.max())], axis=0)
    assert (bounds[0] - 1e-9 <= more.returns).all()
    assert (more.returns <= bounds[1] + 1e-9).all()
    assert len(more.costs) == len(kept) // 2
    spread = np.linspace(costs[kept].min(), costs[kept].max(), len(kept) // 2)
    np.testing.assert_allclose(more.costs, spread)


def test_sources_are_osrls_nearest_points_or_their_stand_ins(osrl):
    data = small_data(400, 1)
    returns, costs = data.returns, data.episode_costs
    more = all_relabelled(returns, costs, share=1.0, max_decrease=0.7)
    kept = typical_trajectories(returns, costs, np.random.default_rng(0))
    original = np.column_stack([costs, returns])[kept]
    first = set()
    for source, target_return, target_cost in zip(*more, strict=True):
        target = np.array([[target_cost, target_return]])
        (nearest,) = kept[osrl.get_nearest_point(original, target)]
        if nearest not in first:
            assert source == nearest
        assert costs[source] <= costs[nearest]
        assert returns[source] >= returns[nearest] - 0.7
        first.add(nearest)
    assert len(first) < len(more.episodes)
    assert len(set(more.episodes)) > len(first)


def test_relabelling_is_a_function_of_its_generator():
    data = small_data()
    before = np.random.get_state()[1].copy()
    one, same, other = (all_relabelled(data.returns, data.episode_costs, s) for s in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one.returns, other.returns)
    assert np.array_equal(np.random.get_state()[1], before)
