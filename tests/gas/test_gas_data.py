"""What GAS learns from: its segments, their relabelled targets, and the best of them."""

import math
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmarks.common.errors import UserError
from benchmarks.methods.algorithm import Problem
from benchmarks.methods.registry import configure
from gas import GAS
from gas.reshaping import best_episodes, best_rows
from gas.segments import Segments, SegmentSampler, relabel_costs, relabel_rewards
from tests.support.gas_cases import HORIZON, QUICK, SMALL, built, made_up, some_data

shares = st.floats(0.0, 1.0, exclude_max=True, width=32)


def sampler_of(data, batch=64, shortening=1.0, preferred=(0,), epsilon=0.0):
    return SegmentSampler(
        data,
        batch,
        torch.device("cpu"),
        shortening=shortening,
        preferred=np.asarray(preferred),
        epsilon=epsilon,
    )


def remaining(data):
    return np.concatenate([np.arange(n, 0, -1) for n in data.lengths])


# Segments


@QUICK
@given(some_data, st.data(), st.floats(0.0, 1.0))
def test_segments_are_sums_over_steps_of_their_episode(data, draw, shortening):
    size = len(data.rewards)
    rows = draw.draw(arrays.arrays(np.int64, 8, elements=st.integers(0, size - 1)))
    share = draw.draw(arrays.arrays(np.float32, 8, elements=shares))
    segments = sampler_of(data, shortening=shortening).segments(
        torch.as_tensor(rows), torch.as_tensor(share)
    )
    ends = np.repeat(data.starts[1:], data.lengths)
    for i, row in enumerate(rows):
        m, left = int(segments.steps[i]), ends[row] - row
        assert max(1, math.ceil((1 - shortening) * left - 1e-4)) <= m <= left
        assert segments.rewards[i] == pytest.approx(data.rewards[row : row + m].sum(), abs=1e-4)
        assert segments.costs[i] == data.costs[row : row + m].sum()
        assert np.array_equal(segments.observations[i], data.observations[row])
        assert np.array_equal(segments.actions[i], data.actions[row])


@QUICK
@given(some_data)
def test_every_length_of_a_segment_is_as_likely(data):
    sampler, left = sampler_of(data, shortening=1.0), remaining(data)
    for row in range(0, len(left), 5):
        middles = (torch.arange(left[row]) + 0.5) / left[row]
        steps = sampler.segments(torch.full((left[row],), row), middles).steps
        assert sorted(steps.tolist()) == list(range(1, left[row] + 1))


@QUICK
@given(some_data, st.floats(0.0, 1.0))
def test_segments_reach_the_end_at_no_shortening(data, shortening):
    rows = torch.arange(len(data.rewards))
    whole = sampler_of(data, shortening=0.0).segments(rows, torch.rand(len(rows)))
    unshortened = sampler_of(data, shortening=shortening).segments(rows, torch.zeros(len(rows)))
    for segments in (whole, unshortened):
        assert segments.steps.tolist() == remaining(data).tolist()
        np.testing.assert_allclose(segments.rewards, data.to_go(data.rewards), atol=1e-4)
        np.testing.assert_allclose(segments.costs, data.to_go(data.costs))


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0])
def test_preferred_rows_are_drawn_with_probability_epsilon(epsilon):
    data, preferred = made_up([10] * 10), [3, 4, 57]
    torch.manual_seed(0)
    rows = sampler_of(data, 20_000, preferred=preferred, epsilon=epsilon)().observations[:, 0].int()
    counts = np.bincount(rows, minlength=100) / 20_000
    expected = np.full(100, (1 - epsilon) / 100)
    expected[preferred] += epsilon / 3
    np.testing.assert_allclose(counts, expected, atol=0.012 if epsilon else 0.003)
    assert (counts > 0).sum() == (3 if epsilon == 1 else 100)


def test_segments_drawn_are_of_every_length():
    torch.manual_seed(0)
    steps = sampler_of(made_up([HORIZON]), 20_000)().steps
    assert steps.min() == 1
    assert steps.max() == HORIZON
    # the row is uniform, then the length: m comes with the mean of 1/r over r >= m
    expected = [np.mean([(m <= r) / r for r in range(1, 13)]) for m in range(1, 13)]
    np.testing.assert_allclose(np.bincount(steps.int())[1:] / 20_000, expected, atol=0.01)


# Relabelling


@QUICK
@given(arrays.arrays(np.float32, 5, elements=st.floats(-1e3, 1e3, width=32)), st.floats(0.0, 0.9))
def test_relabelled_rewards_lie_around_the_segments_own(rewards, delta):
    own = torch.as_tensor(rewards)
    asked = relabel_rewards(own.expand(200, 5), delta)
    ends = torch.stack([own * (1 - delta), own * (1 + delta)])
    low, high = ends.amin(0), ends.amax(0)
    slack = 1e-5 * own.abs() + 1e-6
    assert (asked >= low - slack).all()
    assert (asked <= high + slack).all()
    width = high - low
    assert (asked.amax(0) >= high - 0.1 * width - slack).all()
    assert (asked.amin(0) <= low + 0.1 * width + slack).all()


def test_relabelled_costs_fill_the_room_above_the_segments_own():
    torch.manual_seed(0)
    own, width = torch.tensor([0.0, 3.0, 7.0]), torch.tensor([10.0, 4.0, 0.0])
    asked = relabel_costs(own.expand(2000, 3), width)
    assert (asked >= own).all()
    assert (asked <= own + width).all()
    np.testing.assert_allclose(asked.mean(0), own + width / 2, atol=0.2)
    np.testing.assert_allclose(asked.amax(0), own + width, atol=0.05)


@pytest.mark.parametrize("rule", ["full", "narrow"])
@QUICK
@given(st.data())
def test_cost_targets_of_a_request(rule, draw):
    gas = built(cost_relabelling=rule)
    fractions = arrays.arrays(np.float32, 6, elements=st.floats(0.0, 1.0, width=32))
    costs, share = (torch.as_tensor(draw.draw(fractions)) for _ in range(2))
    steps = (share * HORIZON).ceil().clamp(min=1.0)
    raw = Segments(
        torch.zeros(6, 2), torch.zeros(6, 2), costs, costs * gas.cost_scale, steps, costs
    )
    scaled = gas.scaled(raw)
    many = Segments(*(part.repeat(300, *[1] * (part.dim() - 1)) for part in scaled))
    asked = gas.relabelled(many).cost.reshape(300, 6) * gas.cost_scale
    top = torch.full((6,), gas.cost_scale)  # C_max
    if rule == "narrow":  # release: up to 0.3 C_max sqrt(time left) above
        top = raw.costs + 0.3 * gas.cost_scale * (steps / HORIZON).sqrt()
    assert (asked >= raw.costs - 1e-4).all()
    assert (asked <= top + 1e-4).all()
    room = top - raw.costs
    assert (asked.amax(0) >= top - 0.1 * room - 1e-4).all()
    assert (asked.amin(0) <= raw.costs + 0.1 * room + 1e-4).all()


def test_largest_cost_is_the_tasks_or_else_the_datas():
    data = made_up([12, 3, 7])
    assert built(data=data).cost_scale == data.episode_costs.max()
    assert GAS(Problem.of(data, HORIZON, 5.0), SMALL).cost_scale == 5.0
    assert built(data=data).reward_scale == pytest.approx(np.abs(data.returns).max())


def test_unknown_relabelling_is_refused():
    with pytest.raises(UserError, match=r"'narow'.*did you mean narrow\?"):
        configure(GAS, "quick", {"cost_relabelling": "narow"})


# Reshaping

levels_of_cost = st.lists(
    st.tuples(st.integers(-50, 50), st.integers(0, 12)), min_size=1, max_size=40
)
EXACT = [0.05, 0.1, 0.2, 0.25, 0.5, 1.0]


def brute_force(returns, costs, quantile, levels):
    edges = {np.quantile(costs, k / levels) for k in range(1, levels)}
    members = {}
    for e, cost in enumerate(costs):
        members.setdefault(sum(edge < cost for edge in edges), []).append(e)
    chosen = []
    for own in members.values():
        ranked = sorted(returns[e] for e in own)
        least = ranked[math.ceil((1 - quantile) * (len(own) - 1) - 1e-9)]
        chosen.append([e for e in own if returns[e] >= least])
    return list(members.values()), chosen


@QUICK
@given(levels_of_cost, st.sampled_from(EXACT), st.integers(1, 12))
def test_best_episodes_are_the_top_of_each_level(episodes, quantile, levels):
    returns, costs = np.array(episodes, dtype=np.float64).T
    members, chosen = brute_force(returns, costs, quantile, levels)
    found = best_episodes(returns, costs, quantile, levels)
    assert found.tolist() == sorted(chain(*chosen))
    assert len(members) <= levels
    assert all(chosen)
    for own, best in zip(members, chosen, strict=True):
        assert len(best) >= quantile * (len(own) - 1)
        worst = min(returns[best])
        assert sum(returns[own] > worst) <= quantile * (len(own) - 1)
    # equal costs are never split: of two such, the one with the greater return comes first
    for e in found:
        alike = np.flatnonzero((costs == costs[e]) & (returns >= returns[e]))
        assert set(alike) <= set(found)


def test_levels_of_cost_are_of_equal_count():
    costs = np.random.default_rng(0).permutation(100).astype(float)
    found = best_episodes(np.zeros(100), costs, 0.2, 10)
    assert len(found) == 100  # equal returns are all in the top
    returns = np.arange(100.0)
    found = best_episodes(returns, costs, 0.2, 10)
    assert np.bincount((costs[found] // 10).astype(int)).tolist() == [2] * 10


@QUICK
@given(some_data, st.sampled_from(EXACT), st.integers(1, 12))
def test_best_rows_are_those_of_the_best_episodes(data, quantile, levels):
    episodes = best_episodes(data.returns, data.episode_costs, quantile, levels)
    rows = [row for e in episodes for row in range(data.starts[e], data.starts[e + 1])]
    assert best_rows(data, quantile, levels).tolist() == rows


def test_gas_prefers_the_best_rows():
    data = made_up([12, 3, 7, 12, 1, 9])
    gas = built(data=data, quantile=0.1, reshaping_bins=2, epsilon=1.0)
    best = best_rows(data, 0.1, 2)
    assert 0 < len(best) < len(data.rewards)
    drawn = torch.cat([gas.sampler().observations[:, 0] for _ in range(20)])
    assert set(drawn.int().tolist()) == set(best.tolist())
