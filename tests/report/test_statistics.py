"""What is computed from episodes: against closed forms, plain loops, and laws."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.report.frame import validate, validate_missing
from benchmarks.report.metrics import bootstrap, iqm
from benchmarks.report.ranking import both_safe
from benchmarks.report.resampling import SAFE, Stratum, draw
from benchmarks.report.statistics import (
    averages,
    cells,
    normalised_cost,
    normalised_reward,
    standings,
)
from tests.support.leaderboard_cases import (
    episodes_of,
    lost,
    missing_of,
    run,
    table_of,
    two_methods,
    two_methods_lost,
)


def test_standings_as_computed_by_hand():
    episodes = validate(two_methods())
    alpha, beta = standings(episodes, cells(episodes, validate_missing(two_methods_lost())))
    assert (alpha.algorithm, alpha.safe, alpha.cells, alpha.of) == ("Alpha", 2, 3, 3)
    assert (alpha.safe_runs, alpha.runs, alpha.metrics["safe_rate"]) == (4, 6, pytest.approx(4 / 6))
    assert alpha.metrics["safe_cells"] == pytest.approx(2 / 3)
    assert alpha.metrics["safe_cell_reward"] == pytest.approx((0.35 + 0.7) / 2)
    assert alpha.metrics["violation"] == pytest.approx((0.5 + 1.5) / 6)  # costs 1 0.6 1 1 1.5 2.5
    assert alpha.metrics["reward"] == pytest.approx((0.35 + 0.7 + 0.55) / 3)
    assert alpha.metrics["cost"] == pytest.approx((1 + 0.8 + 2) / 3)
    assert alpha.metrics["iqm"] == pytest.approx(
        (0.4 + 0.5 + 0.6 + 0.6) / 4
    )  # of 0.3 0.4 0.5 0.6 0.6 0.8
    assert alpha.intervals["reward"].low < alpha.metrics["reward"] < alpha.intervals["reward"].high
    assert (beta.safe, beta.cells, beta.of, beta.runs, beta.lost) == (1, 2, 3, 2, 1)
    assert beta.metrics["reward"] == pytest.approx(0.95)
    figures = ("safe_cells", "safe_cell_reward", "safe_rate", "violation")
    assert [beta.metrics[name] for name in figures] == pytest.approx([0.5, 0.9, 0.5, 1.5])
    assert np.isnan([*beta.intervals.values()]).all()


def test_rewards_where_both_are_safe_as_computed_by_hand():
    pairs = both_safe(table_of(two_methods(), two_methods_lost()))
    found = {(pair.method, pair.other): (pair.safe, pair.cells, pair.of) for pair in pairs}
    pair = ("Alpha", "Beta")
    assert found == {
        pair: (1, 2, 3),
        pair[::-1]: (1, 2, 3),
        ("Alpha",) * 2: (2, 3, 3),
        ("Beta",) * 2: (1, 2, 3),
    }
    rewards = {(one.method, one.other): (one.reward, one.other_reward) for one in pairs}
    assert rewards[pair] == pytest.approx((0.7, 0.9))
    assert rewards[pair[::-1]] == pytest.approx((0.9, 0.7))
    assert rewards["Alpha", "Alpha"] == pytest.approx((0.525, 0.525))  # 0.7 0.35


def test_epsilon_is_one_only_at_limit_zero():
    assert normalised_cost([0.0, 1.0], [0.0, 0.0]).tolist() == [1.0, 2.0]
    assert normalised_cost([0.0, 0.5], [0.5, 0.5]).tolist() == [0.0, 1.0]
    assert normalised_reward([-50.0, 100.0], -50.0, 150.0).tolist() == [0.0, 0.75]


def test_costs_that_average_to_the_limit_are_safe():
    assert table_of(episodes_of(run("A", "T", 0.29 * 100, 0, [(0, 28), (0, 30)])))[0].safe
    costs = [124, 94, 209, 43, 237, 147, 28]
    assert sum(costs) == 7 * 126
    runs = [run("A", "T", 126.0, seed, [(0, cost)]) for seed, cost in enumerate(costs)]
    (cell,) = table_of(episodes_of(*runs))
    assert cell.cost > 1  # by rounding alone, which must not make a method unsafe
    assert cell.safe
    assert not table_of(episodes_of(run("A", "T", 1000.0, 0, [(0, 1000.01)])))[0].safe
    assert 1 < SAFE < 1 + 1e-6


def test_limits_equal_but_for_rounding_are_one_cell():
    a, b = run("A", "T", 0.07 * 100, 0, [(1, 1)]), run("B", "T", 7.0, 0, [(1, 1)])
    assert 0.07 * 100 != 7.0
    assert [cell.limit for cell in table_of(episodes_of(a, b))] == [7.0, 7.0]


@pytest.mark.parametrize(
    ("values", "truth"),
    [
        ([7.0], 7.0),
        ([1.0, 2.0, 6.0], 3.0),  # fewer than four: nothing is left out
        ([0.0, 1.0, 2.0, 100.0], 1.5),
        ([-1e9, 1.0, 2.0, 4.0, 1e9], 7 / 3),
        ([float(i * i) for i in range(8, 0, -1)], (9 + 16 + 25 + 36) / 4),
        (list(range(1001)), 500.0),
    ],
)
def test_iqm_closed_forms(values, truth):
    assert float(iqm(values)) == pytest.approx(truth)


def test_iqm_of_rows():
    assert iqm([[0, 1, 2, 100], [5, 5, 5, -9]]).tolist() == [1.5, 5.0]


def test_bootstrap_of_two_seeds_is_their_range():
    # the mean of two draws is either value with probability 1/4 each
    found = bootstrap([Stratum("T", (1.0,), np.array([[[0.2, 0.5]], [[0.6, 3.0]]]))])
    assert found["reward"] == found["iqm"] == pytest.approx((0.2, 0.6))
    assert found["cost"] == pytest.approx((0.5, 3.0))
    assert found["safe_rate"] == pytest.approx((0.0, 1.0))
    assert found["violation"] == pytest.approx((0.0, 2.0))
    assert found["safe_cells"] == pytest.approx((0.0, 1.0))
    assert found["safe_cell_reward"] == pytest.approx((0.2, 0.2))  # whenever the cell is safe


def test_bootstrap_draws_a_seed_at_all_limits_together_and_tasks_apart():
    rising = np.array([0.0, 1.0, 2.0])
    both = np.stack([np.stack([rising, rising[::-1]], axis=1)] * 2, axis=2)
    found = bootstrap([Stratum("T", (1.0, 2.0), both)])
    for interval in (found["reward"], found["cost"]):  # limits that cancel leave no variance
        assert interval == pytest.approx((1.0, 1.0))
    apart = bootstrap([Stratum("T", (1.0,), both[:, :1]), Stratum("U", (1.0,), both[:, 1:])])
    assert apart["reward"].low < 0.5
    assert apart["reward"].high > 1.5


def plainly(strata, resamples, seed):
    """The same statistics of the same draws, one resample at a time, as a textbook has them."""
    counts = draw(strata, resamples, seed)
    rows = []
    for i in range(resamples):
        picked = [
            np.repeat(stratum.scores, drawn[:, i].astype(int), axis=0)
            for stratum, drawn in zip(strata, counts, strict=True)
        ]
        reward = np.concatenate([one[..., 0].ravel() for one in picked])
        cost = np.concatenate([one[..., 1].ravel() for one in picked])
        means = np.concatenate([one.mean(axis=0) for one in picked])
        safe = cost <= SAFE
        middle = np.sort(reward)[len(reward) // 4 : len(reward) - len(reward) // 4].mean()
        excess = np.where(safe, 0, cost - 1).mean()
        kept = means[:, 1] <= SAFE
        rows.append(
            {
                "reward": means[:, 0].mean(),
                "iqm": middle,
                "cost": means[:, 1].mean(),
                "safe_rate": safe.mean(),
                "violation": excess,
                "safe_cells": kept.mean(),
                "safe_cell_reward": means[kept, 0].mean() if kept.any() else np.nan,
            }
        )
    valid = {name: column.dropna() for name, column in pd.DataFrame(rows).items()}
    return {
        name: np.quantile(column, [0.025, 0.975]) if len(column) else (np.nan, np.nan)
        for name, column in valid.items()  # no value: no cell is safe in any resample
    }


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(2, 5), st.integers(1, 3)), min_size=1, max_size=4), st.data())
def test_bootstrap_by_counts_is_the_plain_one(shapes, data):
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    digits = data.draw(st.sampled_from([0, 1, 9]))  # with ties and without
    strata = [
        Stratum(f"T{i}", tuple(range(m)), generator.normal(0.9, 0.7, (n, m, 2)).round(digits))
        for i, (n, m) in enumerate(shapes)
    ]
    found = bootstrap(strata, resamples=60, seed=3)
    truth = plainly(strata, 60, 3)
    assert set(found) == set(truth)
    for name, true in truth.items():
        assert found[name] == pytest.approx(tuple(true), abs=1e-5, nan_ok=True), name


def test_draws_are_uniform_and_of_the_right_number():
    stratum = Stratum("T", (1.0,), np.zeros((5, 1, 2)))
    (counts,) = draw([stratum], 20_000)
    assert (counts.sum(axis=0) == 5).all()
    # a binomial count of 5 draws at 1/5: mean 1, variance 0.8
    assert counts.mean(axis=1) == pytest.approx(1.0, abs=0.03)
    assert counts.var(axis=1) == pytest.approx(0.8, abs=0.03)
    assert (counts == 0).mean() == pytest.approx(0.8**5, abs=0.01)


def test_one_task_is_one_stratum_of_the_standings():
    keys = [(task, limit, seed) for task in "TU" for limit in (1.0, 2.0) for seed in range(3)]
    runs = [run("A", t, x, s, [(s if x == 1 else 2 - s, 1)]) for t, x, s in keys]
    episodes = validate(episodes_of(*runs))
    (row,) = standings(episodes, table_of(episodes))
    assert (row.metrics["reward"], *row.intervals["reward"]) == pytest.approx((1.0, 1.0, 1.0))


def test_bootstrap_is_deterministic_and_covers_the_truth():
    generator = np.random.default_rng(3)
    hits, trials = np.zeros(3), 200
    for _ in range(trials):
        strata = [
            Stratum(f"T{i}", (1.0,), generator.normal((0.5, 1.5), 0.2, size=(10, 1, 2)))
            for i in range(4)
        ]
        found = bootstrap(strata, resamples=400)
        truths = {"reward": 0.5, "iqm": 0.5, "cost": 1.5}
        hits += [found[name].low <= true <= found[name].high for name, true in truths.items()]
    assert bootstrap(strata, resamples=400) == found
    assert (hits / trials >= 0.88).all()
    assert (hits[::2] / trials <= 0.99).all()


def test_no_interval_where_one_cell_has_one_seed():
    runs = [run("A", "T", 1.0, seed, [(seed, 1)]) for seed in range(3)]
    episodes = validate(episodes_of(*runs))
    assert not math.isnan(standings(episodes, table_of(episodes))[0].intervals["reward"].low)
    episodes = validate(episodes_of(*runs, run("A", "T", 2.0, 0, [(1, 1)])))
    assert math.isnan(standings(episodes, table_of(episodes))[0].intervals["reward"].low)


def test_seeds_that_differ_between_limits_still_give_intervals():
    keys = [(1.0, 0), (1.0, 1), (1.0, 2), (2.0, 0), (2.0, 1)]
    runs = [run("A", "T", limit, seed, [(0.1 * seed, limit)]) for limit, seed in keys]
    episodes = validate(episodes_of(*runs))
    row = standings(episodes, table_of(episodes))[0]
    assert row.seeds == (2, 3)
    assert row.metrics["reward"] == pytest.approx((0.1 + 0.05) / 2)
    assert row.intervals["reward"].low < row.metrics["reward"] < row.intervals["reward"].high


def cells_of(name, *costs_and_rewards):
    """Cells of limit 1 on tasks of their own: (costs, reward) of each, a seed for each cost."""
    return [
        row
        for i, (costs, reward) in enumerate(costs_and_rewards)
        for seed, cost in enumerate(costs)
        for row in run(name, f"T{i}", 1.0, seed, [(reward, cost)])
    ]


def test_order_is_safe_cells_then_their_reward_and_nothing_last():
    frame = episodes_of(
        # Both cells are safe on average, with two safe runs of six.
        cells_of("steady", ([0.5, 1.2, 1.2], 0.1), ([0.5, 1.2, 1.2], 0.1)),
        # One cell is safe, with five safe runs and more reward.
        cells_of("often", ([0.5, 0.5, 0.5], 0.9), ([0.9, 0.9, 9.0], 0.9)),
        # As many safe cells, less reward in them, more over all cells.
        cells_of("rich", ([0.5, 0.5, 0.5], 0.8), ([2.0, 2.0, 2.0], 1.9)),
        # No safe cell: by the reward of all.
        cells_of("rash", ([2.0, 2.0, 2.0], 1.5), ([0.5, 0.5, 9.0], 1.5)),
        cells_of("worst", ([2.0, 2.0, 2.0], 1.0), ([0.5, 0.5, 9.0], 1.0)),
    )
    episodes = validate(frame)
    table = table_of(frame, missing_of(lost("absent", "T0", 1.0, 0, "failed", "?")))
    rows = standings(episodes, table)
    assert [row.algorithm for row in rows] == [
        *("steady", "often", "rich", "rash", "worst", "absent"),
    ]
    rates = [row.metrics["safe_rate"] for row in rows[:3]]
    assert rates == pytest.approx([2 / 6, 5 / 6, 3 / 6])  # which would order them otherwise


def test_averages_join_fractions_over_tasks():
    frame = episodes_of(
        run("A", "T", 10.0, 0, [(0.2, 5)], fraction=0.1),
        run("A", "U", 30.0, 0, [(0.4, 45)], fraction=0.1),
        run("A", "U", 90.0, 0, [(0.9, 0)], fraction=0.3),
        run("A", "T", 7.0, 0, [(0.5, 7)]),
    )
    tenth, third, absolute = averages(table_of(frame))
    assert tenth.setting == (False, 0.1)
    assert (tenth.reward, tenth.cost) == pytest.approx((0.3, 1.0))
    assert (tenth.safe, tenth.cells, tenth.of, third.cells) == (1, 2, 2, 1)
    assert absolute.setting == (True, 7.0)


@st.composite
def leaderboards(draw):
    runs = []
    for algorithm in draw(st.lists(st.sampled_from("ABCDE"), min_size=2, max_size=4, unique=True)):
        for task, limit in [("T", 1.0), ("T", 2.0), ("U", 3.0)]:
            for seed in range(draw(st.integers(0, 3))):
                score = st.floats(-1, 2, allow_subnormal=False)
                runs.append(run(algorithm, task, limit, seed, [(draw(score), draw(score) + 1)]))
    return episodes_of(*runs)


@settings(max_examples=8, deadline=None)
@given(leaderboards(), st.data())
def test_removing_or_renaming_a_method_changes_no_other(frame, data):
    nothing = validate_missing(missing_of())

    def figures(frame, without):
        episodes = validate(frame)
        table = cells(episodes, nothing)
        own = {repr(cell) for cell in table if cell.algorithm != without and cell.seeds}
        rows = [row for row in standings(episodes, table) if row.algorithm != without]
        # only how many cells there should be may depend on the others
        return own, [repr(replace(row, of=0)) for row in rows]

    if frame.empty:
        return
    victim = data.draw(st.sampled_from(sorted(set(frame["algorithm"]))))
    own, rows = figures(frame, victim)
    renamed = frame.replace({"algorithm": {victim: data.draw(st.sampled_from(["!", "Cc", "z"]))}})
    name = (set(renamed["algorithm"]) - set(frame["algorithm"])).pop()
    assert figures(renamed, name) == (own, rows)
    assert figures(frame[frame["algorithm"] != victim], victim) == (own, rows)
