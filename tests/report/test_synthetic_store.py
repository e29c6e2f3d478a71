"""From a store whose truth is known: every figure in every table, by plain loops.

The ends of the intervals are in `test_intervals`, the tables as they are shown in `test_shown`.
"""

import math
from itertools import product

import numpy as np
import pytest

from benchmarks.leaderboard import main
from tests.support.known_store import (
    CELLS,
    EPISODES,
    METHODS,
    PLAN,
    SEEDS,
    TASKS,
    better,
    make,
    mean,
    runs,
    score,
    table,
)
from tests.support.marks import mostly_slow
from tests.support.synthetic_store import limits_of, seconds_of

pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("store"))
    assert main([str(folder), "--format", "csv", "--format", "markdown"]) == 0
    return folder


def cell_means(method, column):
    own = [[run[column] for run in runs(method, *cell)] for cell in CELLS]
    return [mean(values) for values in own if values]


def test_every_cell(folder):
    found = table(folder, "leaderboard").set_index(["algorithm", "task", "limit"])
    assert len(found) == len(METHODS) * len(CELLS)
    for (method, task, limit), row in found.iterrows():
        own = runs(method, task, limit)
        assert row["seeds"] == len(own)
        assert row["fraction"] == pytest.approx(limit / TASKS[task][0])
        if not own:
            assert (method, task, row["status"]) == ("broken", "CarRun", "failed")
            assert math.isnan(row["reward"])
            continue
        assert row["status"] == ("partial" if method == "broken" else "finished")
        rewards, costs = ([run[i] for run in own] for i in (3, 4))
        assert row["reward"] == pytest.approx(mean(rewards))
        assert row["cost"] == pytest.approx(mean(costs))
        assert row["reward_std"] == pytest.approx(np.std(rewards, ddof=1))
        assert row["cost_std"] == pytest.approx(np.std(costs, ddof=1))
        assert str(row["safe"]) == str(mean(costs) <= 1)
        assert row["episodes"] == EPISODES * len(own)
        low, high = TASKS[task][1:]
        assert row["mean_return"] == pytest.approx(low + mean(rewards) * (high - low))
        assert row["mean_cost"] == pytest.approx(mean(costs) * limit)


def test_every_figure_of_the_overall_table(folder):
    found = table(folder, "overall").set_index("algorithm")
    assert set(found.index) == set(METHODS)
    for method, row in found.iterrows():
        own = runs(method)
        rewards = sorted(run[3] for run in own)
        cut = len(own) // 4
        safe = [run for run in own if run[4] <= 1]
        gained = zip(cell_means(method, 3), cell_means(method, 4), strict=True)
        truth = {
            "safe_cells": mean(cost <= 1 for cost in cell_means(method, 4)),
            "safe_cell_reward": mean(reward for reward, cost in gained if cost <= 1),
            "reward": mean(cell_means(method, 3)),
            "iqm": mean(rewards[cut : len(rewards) - cut]),
            "cost": mean(cell_means(method, 4)),
            "safe_rate": len(safe) / len(own),
            "violation": mean(max(0.0, run[4] - 1) for run in own),
            "safe_runs": len(safe),
            "runs": len(own),
            "safe": sum(cost <= 1 for cost in cell_means(method, 4)),
            "cells": len(cell_means(method, 4)),
            "of": len(CELLS),
            "lost": 2 if method == "broken" else 0,  # in the cells that it has
            "fewest_seeds": 2 if method == "broken" else 3,
            "most_seeds": 2 if method == "broken" else 3,
        }
        for name, value in truth.items():
            assert row[name] == pytest.approx(value, nan_ok=True), (method, name)
    figures = ("safe_cells", "safe_cell_reward")
    order = [tuple(found.loc[name, key] for key in figures) for name in found.index]
    assert order == sorted(order, reverse=True)
    assert list(found["safe_rate"]) != sorted(found["safe_rate"], reverse=True)


def test_every_average_of_a_limit(folder):
    found = table(folder, "limits")
    assert len(found) == len(METHODS) * 2
    for row in found.itertuples():
        own = [runs(row.algorithm, task, round(row.fraction * TASKS[task][0], 9)) for task in TASKS]
        own = [cell for cell in own if cell]
        costs = [mean(run[4] for run in cell) for cell in own]
        assert math.isnan(row.limit)
        assert row.reward == pytest.approx(mean(mean(run[3] for run in cell) for cell in own))
        assert row.cost == pytest.approx(mean(costs))
        assert (row.safe, row.cells, row.of) == (sum(c <= 1 for c in costs), len(own), 2)
        assert row.lost == (1 if row.algorithm == "broken" else 0)


def test_every_probability_of_improvement(folder):
    found = table(folder, "comparison").set_index(["algorithm", "other"])
    assert len(found) == len(METHODS) * (len(METHODS) - 1)
    for (method, other), row in found.iterrows():
        shares = []
        for cell in CELLS:
            pairs = list(product(runs(method, *cell), runs(other, *cell)))
            shares += [mean(better(*pair) for pair in pairs)] if pairs else []
        assert row["probability"] == pytest.approx(mean(shares))
        assert (row["cells"], row["of"]) == (len(shares), len(CELLS))


def test_every_rank(folder):
    found = table(folder, "ranks").set_index("algorithm")
    ranks = {name: [] for name in METHODS}
    for cell in CELLS:
        means = {}
        for name in METHODS:
            own = runs(name, *cell)
            pair = (*cell, 0, mean(run[3] for run in own), mean(run[4] for run in own))
            means[name] = pair if own else None
        for name, own in means.items():
            if own is None:
                ranks[name].append(len(METHODS))
                continue
            others = [other for key, other in means.items() if key != name and other]
            ranks[name].append(1 + sum(1 - better(own, other) for other in others))
    for name, values in ranks.items():
        assert found.loc[name, "rank"] == pytest.approx(mean(values)), name
        assert found.loc[name, "cells"] == (2 if name == "broken" else 4)
        assert found.loc[name, "of"] == 4
    assert list(found["rank"]) == sorted(found["rank"])


def test_every_reward_where_both_are_safe(folder):
    found = table(folder, "both-safe").set_index(["algorithm", "other"])
    assert len(found) == len(METHODS) ** 2
    for (method, other), row in found.iterrows():
        rewards, both = [], 0
        for cell in CELLS:
            pair = [runs(name, *cell) for name in (method, other)]
            both += all(pair)
            if all(own and mean(run[4] for run in own) <= 1 for own in pair):
                rewards.append([mean(run[3] for run in own) for own in pair])
        assert (row["safe"], row["cells"], row["of"]) == (len(rewards), both, len(CELLS))
        for i, name in enumerate(("reward", "other_reward")):
            truth = mean([one[i] for one in rewards]) if rewards else math.nan
            assert row[name] == pytest.approx(truth, nan_ok=True), (method, other)


def test_every_share_of_the_profiles(folder):
    found = table(folder, "profiles")
    assert len(found) == len(METHODS) * 2 * 61
    for row in found.itertuples():
        own = runs(row.algorithm)
        if row.score == "reward":
            truth = mean(run[3] > row.threshold for run in own)
        else:
            truth = mean(run[4] <= row.threshold + 1e-9 for run in own)
        assert row.share == pytest.approx(truth)
    rates = table(folder, "overall").set_index("algorithm")["safe_rate"]
    at_one = found[(found["score"] == "cost") & (found["threshold"] == 1)]
    assert dict(zip(at_one["algorithm"], at_one["share"], strict=True)) == pytest.approx(
        dict(rates)
    )


def test_every_cost_of_a_method(folder):
    found = table(folder, "costs").set_index("algorithm")
    for method, row in found.iterrows():
        each = 1 if method == "calm" else 2  # trainings a task and seed
        assert row["of"] == each * len(TASKS) * len(SEEDS)
        assert row["trainings"] == (4 if method == "broken" else row["of"])
        seeds = SEEDS[:2] if method == "broken" else SEEDS
        seconds = [seconds_of(method, seed) for seed in seeds]
        assert row["train_seconds"] == pytest.approx(mean(seconds) + 5)
        assert row["updates_per_second"] == pytest.approx(1000 / mean(seconds))
        assert row["evaluation_seconds"] == pytest.approx(2.5 * (2 if method == "calm" else 1))
        assert row["peak_memory_mb"] == 500 + max(seeds)
        assert (row["fewest_updates"], row["most_updates"]) == (1000, 1000)
        assert row["devices"] == "cpu: some make"


def test_every_published_number_beside_ours(folder):
    found = table(folder, "published").set_index("task")
    assert list(found.index) == ["BallRun", "CarRun"]
    for task, row in found.iterrows():
        cells = [runs("calm", task, limit) for limit in limits_of(PLAN, task)]
        assert row["algorithm"] == "calm"
        assert row["reward"] == pytest.approx(mean(mean(r[3] for r in cell) for cell in cells))
        assert row["cost"] == pytest.approx(mean(mean(r[4] for r in cell) for cell in cells))
        assert row["limits"] == {"BallRun": "10% 20%", "CarRun": "4 8"}[task]
        assert tuple(row[["paper", "source", "protocol"]]) == ("Paper", "table 1", "as ours")
    assert found.loc["BallRun", ["published_reward", "published_cost"]].tolist() == [0.5, 0.5]
    assert found.loc["CarRun", ["published_reward", "published_cost"]].tolist() == [0.6, 0.7]
    text = (folder / "leaderboard.md").read_text()
    assert "other limits: theirs 10% 30%, of which not all are run here" in text
    assert "other numbers of seeds: theirs 3, ours 2" in text


def figures(folder):
    """Every figure of every table as text, by method, without ranks, which are relative."""
    found = {}
    names = (
        *("leaderboard", "overall", "limits", "comparison", "both-safe", "costs", "profiles"),
        "published",
    )
    for name in names:
        for row in table(folder, name).to_dict("records"):
            row.pop("of") if name == "comparison" else None
            found.setdefault(row["algorithm"], []).append((name, row.pop("other", ""), repr(row)))
    return found


@pytest.mark.parametrize("called", [None, *mostly_slow(["aaa", "zzz", "CALM"], "zzz")])
def test_removing_or_renaming_a_method_changes_no_other_number(folder, tmp_path, called):
    def renamed(method, *rest):
        return score("rash" if method == called else method, *rest)

    names = [name for name in METHODS if name != "rash"] + ([called] if called else [])
    other = make(tmp_path, methods=names, score=renamed)
    assert main([str(other), "--format", "csv"]) == 0
    before, after = figures(folder), figures(other)
    for name in ("calm", "odd|name", "broken"):
        both = [[r for r in rows[name] if r[1] not in ("rash", called)] for rows in (before, after)]
        ours, theirs = map(set, both)
        assert ours == theirs
        assert len(ours) > 120
    if called:
        # its own too, but for what it is called and how long that makes its trainings
        for kind in ("overall", "comparison", "profiles"):
            old = {r[1:] for r in before["rash"] if r[0] == kind}
            new = {r[1:] for r in after[called] if r[0] == kind}
            assert {repr(one).replace("'rash'", f"'{called}'") for one in old} == set(
                map(repr, new)
            )
