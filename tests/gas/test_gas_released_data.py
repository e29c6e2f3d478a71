"""What the released form of GAS draws: segments by the clock, quarters of each batch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.common.errors import UserError
from benchmarks.methods.algorithm import Problem
from benchmarks.tasks.tasks import TASKS
from gas import ReleasedConfig, ReleasedGAS
from gas.released_tasks import TASK_OPTIONS
from gas.reshaping import CostRange, cost_thirds, parse_ranges
from gas.segments import ClockedSampler
from tests.support.gas_cases import HORIZON, QUICK, made_up, some_data
from tests.support.gas_cases import built as build

CPU = torch.device("cpu")
SMALL = {"width": 16, "blocks": 1, "expansion": 1, "dropout": 0.0, "embedding": 4}


def sampler(data, batch=32, shortening=0.3, pools=()):
    return ClockedSampler(
        data, batch, CPU, horizon=HORIZON, shortening=shortening, pools=[*map(np.array, pools)]
    )


# Segments by the clock


def tabulated(values, step, time):
    """Sum of the segment at a step and a time, as the release's table has it."""
    length = len(values)
    if time <= step:
        return values[step:].sum()
    return values[step : step + length - time].sum() if time < length else 0.0


@QUICK
@given(some_data, st.integers(0, 15), st.sampled_from([0.25, 0.5, 1.0]))
def test_segments_are_those_of_a_table_by_step_and_time(data, sixteenth, shortening):
    rows = torch.arange(len(data.rewards))
    share = sixteenth / 16  # exact in any precision, as `shortening` is
    found = sampler(data, shortening=shortening).segments(rows, torch.full((len(rows),), share))
    for episode in range(len(data)):
        own = slice(*data.starts[episode : episode + 2])
        rewards, costs = data.rewards[own].astype(float), data.costs[own].astype(float)
        for step in range(len(rewards)):
            row = data.starts[episode] + step
            time = int(step + shortening * share * (HORIZON + 1 - step))
            assert found.steps[row] == HORIZON - time
            expected = [tabulated(values, step, time) for values in (rewards, costs)]
            got = [found.rewards[row].item(), found.costs[row].item()]
            assert got == pytest.approx(expected, abs=1e-5)
    assert torch.equal(found.first_costs, torch.as_tensor(data.costs))
    assert torch.equal(found.observations[:, 0], rows.float())


def test_an_episode_that_ended_early_keeps_its_clock():
    data = made_up([12, 4])
    rows, shares = torch.tensor([14, 14, 14]), torch.tensor([0.0, 0.34, 0.99])
    segments = sampler(data).segments(rows, shares)
    # step 2 of 4, 11 steps to the horizon and one more: times 2, 3 and 5
    assert (HORIZON - segments.steps).tolist() == [2, 3, 5]
    expected = [data.rewards[14:16].sum(), data.rewards[14], 0.0]
    assert segments.rewards.tolist() == pytest.approx(expected, abs=1e-6)


@QUICK
@given(some_data)
def test_extremes_of_segments_are_those_of_all_segments(data):
    sums = [
        data.rewards[a:b].astype(float).sum()
        for start, end in zip(data.starts, data.starts[1:], strict=False)
        for a in range(start, end)
        for b in range(a + 1, end + 1)
    ]
    assert data.sum_range(data.rewards) == pytest.approx((min(sums), max(sums)), abs=1e-9)
    problem = Problem.of(data, HORIZON)
    assert (problem.min_segment_return, problem.max_segment_return) == data.sum_range(data.rewards)
    assert Problem(**problem.state()).max_segment_return == problem.max_segment_return


# Quarters of the batch


def test_a_batch_takes_a_quarter_of_each_pool_and_the_rest_of_all():
    pools = [[0, 1, 2], [10, 11], [20]]
    rows = sampler(made_up([12, 12, 12]), batch=4003, pools=pools).rows()
    assert len(rows) == 4003
    first, quarters = rows[:1003], rows[1003:].view(3, 1000)
    assert set(first.tolist()) == set(range(36))
    for pool, quarter in zip(pools, quarters, strict=True):
        assert set(quarter.tolist()) == set(pool)
        for row in pool:
            assert abs((quarter == row).sum() - 1000 / len(pool)) < 100


def test_an_empty_pool_stands_for_all_transitions():
    quarters = sampler(made_up([12, 12]), batch=4000, pools=[[], [3], []]).rows().view(4, 1000)
    drawn = [set(quarter.tolist()) for quarter in quarters]
    assert drawn == [set(range(24)), set(range(24)), {3}, set(range(24))]


def test_a_subset_is_whole_trajectories_between_its_bounds():
    data = made_up([2, 3, 4, 5])
    object.__setattr__(data, "returns", np.array([5.0, 5.0, 4.9, 9.0]))
    object.__setattr__(data, "episode_costs", np.array([2.0, 8.0, 4.0, 8.1]))
    assert CostRange(5.0, 2.0, 8.0).rows(data).tolist() == [0, 1, 2, 3, 4]
    assert CostRange(4.9, 2.1, 9.0).rows(data).tolist() == list(range(2, 14))
    assert CostRange(np.inf, 0.0, 9.0).rows(data).tolist() == []


def test_thirds_of_the_cost_have_the_best_fifth_of_each():
    returns = np.array([1, 2, 3, 4, 5, 6, 10, 20, 99, 500], dtype=float)
    costs = np.array([0, 1, 24, 2, 3, 4, 24.5, 48, 60, 73], dtype=float)
    low, middle, high = cost_thirds(returns, costs, 72.0, 0.8)
    assert low == (5.0, 0.0, 24.0)
    assert (middle.floor, middle.high) == (18.0, 48.0)
    assert (high.floor, high.high) == (99.0, 72.0)
    assert 24.0 < middle.low < 24.001
    assert 48.0 < high.low < 48.001
    assert cost_thirds(returns[:2], costs[:2], 72.0, 0.8)[2].floor == np.inf


def test_where_costs_are_whole_the_thirds_are_the_ranges_of_the_release():
    for name in ("BallRun", "CarRun", "DroneRun", "CarCircle", "DroneCircle", "BallCircle"):
        task, costs = TASKS[name], np.arange(200.0)
        thirds = cost_thirds(costs, costs, 0.9 * task.max_cost, 0.8)
        listed = parse_ranges(TASK_OPTIONS[name]["subsets"])[::-1]
        whole = [(np.ceil(one.low), one.high) for one in thirds]
        assert whole == [(one.low, one.high) for one in listed], name


def test_a_form_of_a_task_draws_from_its_subsets():
    data = made_up([12] * 6)
    order = np.argsort(data.episode_costs)
    texts = [
        f"{data.returns[e] - 0.01}:{data.episode_costs[e]}-{data.episode_costs[e]}"
        for e in order[[0, 2, 5]]
    ]
    gas = build(ReleasedConfig(32, **SMALL, subsets=" ".join(texts)), data, cls=ReleasedGAS)
    quarters = gas.sampler.rows(gas.draws).view(4, 8)
    for episode, quarter in zip(order[[0, 2, 5]], quarters[1:], strict=True):
        costs = data.episode_costs[quarter // 12]
        assert (costs == data.episode_costs[episode]).all()


def test_a_form_of_no_task_draws_from_thirds_up_to_nine_tenths_of_the_cost():
    data = made_up([12] * 30)
    largest = float(data.episode_costs.max())
    gas = build(ReleasedConfig(4000, **SMALL), data, cls=ReleasedGAS)
    quarters = gas.sampler.rows(gas.draws).view(4, 1000)
    cheap, middle, high = (data.episode_costs[quarter // 12] for quarter in quarters[1:])
    assert data.episode_costs.min() > 0.3 * largest  # so that the first quarter comes from all
    assert set(cheap) == set(data.episode_costs)
    assert ((middle > 0.3 * largest) & (middle <= 0.6 * largest)).all()
    assert ((high > 0.6 * largest) & (high <= 0.9 * largest)).all()
    members = data.returns[
        (data.episode_costs > 0.6 * largest) & (data.episode_costs <= 0.9 * largest)
    ]
    assert data.returns[quarters[3] // 12].min() >= np.quantile(members, 0.8) - 1e-9


@pytest.mark.parametrize("text", ["", "400", "400:5", "a:1-2", "1:2-nan", "1:2-3 4", "1:-2"])
def test_what_is_no_list_of_subsets_is_refused_in_one_line(text):
    with pytest.raises(UserError, match="are not of the form") as raised:
        ReleasedConfig(subsets=text)
    assert "\n" not in str(raised.value)


def test_floors_may_be_negative():
    assert parse_ranges("-4.5:0-2.5 3:3-9") == [(-4.5, 0.0, 2.5), (3.0, 3.0, 9.0)]
