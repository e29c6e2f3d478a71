"""Recommendations: the probability that a new training keeps the limit, against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.report.frame import validate, validate_missing
from benchmarks.report.recommendation import keeps_limit, prospects
from benchmarks.report.statistics import cells, run_scores
from tests.support.leaderboard_cases import episodes_of, lost, missing_of, run

COSTS = st.lists(st.floats(0.0, 5.0), min_size=2, max_size=6).filter(lambda c: np.std(c) > 1e-3)


def assessed(frame, missing=None, trainings=None):
    episodes = validate(frame)
    table = cells(episodes, validate_missing(missing_of() if missing is None else missing))
    empty = episodes.iloc[:0].assign(train_seconds=[], train_limit=[])
    found = prospects(run_scores(episodes), table, empty if trainings is None else trainings)
    return {prospect.method: prospect for prospect in found}


@given(COSTS)
def test_it_is_the_predictive_distribution_of_the_next_training(costs):
    values = np.array(costs)
    n, scale = len(values), np.std(values, ddof=1) * math.sqrt(1 + 1 / len(values))
    expected = stats.t(df=n - 1, loc=values.mean(), scale=scale).cdf(1.0)
    assert keeps_limit(values) == pytest.approx(expected, abs=1e-6)


@given(COSTS, st.floats(0.01, 1.0))
def test_cheaper_trainings_are_likelier_to_keep_the_limit(costs, less):
    values = np.array(costs)
    assert keeps_limit(values - less) > keeps_limit(values)


def test_equal_costs_are_certain_and_one_seed_tells_nothing():
    assert keeps_limit(np.array([1.0, 1.0, 1.0])) == 1.0
    assert keeps_limit(np.array([1.2, 1.2])) == 0.0
    assert math.isnan(keeps_limit(np.array([0.1])))


def test_cells_are_averaged_and_the_worst_run_is_named():
    found = assessed(
        episodes_of(
            run("Alpha", "BallRun", 10.0, 0, [(50, 4), (70, 6)]),
            run("Alpha", "BallRun", 10.0, 1, [(80, 7)]),
            run("Alpha", "AntRun", 20.0, 0, [(50, 30)]),
            run("Alpha", "AntRun", 20.0, 1, [(70, 10)]),
        )
    )["Alpha"]
    expected = [keeps_limit(np.array(costs)) for costs in ([0.5, 0.7], [1.5, 0.5])]
    assert found.probability == pytest.approx(np.mean(expected))
    assert (found.worst_task, found.worst_cost) == ("AntRun", pytest.approx(1.5))
    assert (found.safe_runs, found.runs, found.cells, found.of) == (3, 4, 2, 2)
    assert found.reward == pytest.approx((0.7 + 0.55) / 2)
    assert found.interval.low < found.reward < found.interval.high


def test_a_method_is_recommended_only_with_all_cells_and_enough_seeds():
    safe = [run("Whole", "BallRun", 10.0, seed, [(50, 2 + seed)]) for seed in range(3)]
    gap = [run("Gap", "BallRun", 10.0, seed, [(60, 2 + seed)]) for seed in range(3)]
    other = [run("Whole", "AntRun", 20.0, seed, [(50, 2 + seed)]) for seed in range(3)]
    one = [
        run("Single", task, limit, 0, [(9, 0)])
        for task, limit in (("BallRun", 10.0), ("AntRun", 20.0))
    ]
    absent = missing_of(lost("Gap", "AntRun", 20.0, 0, "failed", "out of memory"))
    found = assessed(episodes_of(*safe, *other, *gap, *one), absent)
    assert found["Whole"].recommended(0.9)
    assert not found["Whole"].recommended(0.9999)
    assert not found["Gap"].recommended(0.9)
    assert found["Gap"].probability > 0.9
    assert not found["Single"].recommended(0.5)
