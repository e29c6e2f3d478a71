"""From a store whose truth is known: every figure in every table, by plain loops."""

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest

from benchmarks.leaderboard.__main__ import main
from benchmarks.leaderboard.published import COLUMNS

from .synthetic_store import COMMIT, Plan, limits_of, seconds_of, write_store

METHODS = ("calm", "rash", "odd|name", "broken")
TASKS = {"BallRun": (80.0, 0.0, 100.0), "CarRun": (40.0, -50.0, 150.0)}
SEEDS, EPISODES = (0, 1, 2), 2


def score(method, task, limit, seed, episode):
    """Returns and costs that differ in everything they may depend on."""
    rank = METHODS.index(method)
    reward = 40 + 17 * rank + 9 * seed + 3 * episode + limit + 5 * (task == "CarRun")
    share = (0.4, 1.6, 0.7, 0.9)[rank] + 0.25 * seed + 0.1 * episode - 0.004 * limit
    return float(reward), float(share * limit)


PLAN = Plan(
    METHODS,
    TASKS,
    (0.1, 0.2),
    SEEDS,
    EPISODES,
    score,
    one_for_all=("calm",),
    failed={("broken", "CarRun", seed): "Traceback\n  <b>planted</b>" for seed in SEEDS},
    unrun=[("broken", "BallRun", 2)],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    folder = write_store(PLAN, root / "results" / "synthetic")
    published = folder.parent / "published"
    published.mkdir()
    rows = [
        ["Paper", "Calm", "BallRun", "10% 20%", 2, 3, "dsrl", 0.5, 0.5, "as ours", "table 1"],
        ["Paper", "calm", "CarRun", "4 8", 2, 3, "dsrl", 0.6, 0.7, "as ours", "table 1"],
        ["Paper", "calm", "BallRun", "10% 30%", 2, 3, "dsrl", 0.5, 0.5, "others", "table 2"],
        ["Paper", "broken", "BallRun", "10% 20%", 2, 3, "dsrl", 0.5, 0.5, "as ours", "table 1"],
    ]
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(published / "paper.csv", index=False)
    assert main([str(folder), "--format", "csv", "--format", "markdown"]) == 0
    return folder


def table(folder, name):
    path = folder / "leaderboard.csv" if name == "leaderboard" else folder / f"tables/{name}.csv"
    return pd.read_csv(path)


def runs(method, task=None, limit=None):
    """(task, limit, seed, reward, cost) of the runs that are there, by hand."""
    found = []
    for name, (_, low, high) in TASKS.items():
        for own in limits_of(PLAN, name):
            for seed in SEEDS:
                gone = method == "broken" and (name == "CarRun" or seed == 2)
                if gone or task not in (None, name) or limit not in (None, own):
                    continue
                scores = [score(method, name, own, seed, k) for k in range(EPISODES)]
                reward = sum((r - low) / (high - low) for r, _ in scores) / EPISODES
                cost = sum(c / own for _, c in scores) / EPISODES
                found.append((name, own, seed, reward, cost))
    return found


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else math.nan


CELLS = [(task, limit) for task in TASKS for limit in limits_of(PLAN, task)]


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
        truth = {
            "reward": mean(cell_means(method, 3)),
            "iqm": mean(rewards[cut : len(rewards) - cut]),
            "cost": mean(cell_means(method, 4)),
            "safe_rate": len(safe) / len(own),
            "violation": mean(max(0.0, run[4] - 1) for run in own),
            "safe_reward": mean(run[3] for run in safe),
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
    rates = [found.loc[name, "safe_rate"] for name in found.index]
    assert rates == sorted(rates, reverse=True)


def statistics_of(drawn):
    rewards = sorted(run[3] for run in drawn)
    cut = len(rewards) // 4
    safe = [run[3] for run in drawn if run[4] <= 1]
    return {
        "reward": mean(run[3] for run in drawn),
        "iqm": mean(rewards[cut : len(rewards) - cut]),
        "cost": mean(run[4] for run in drawn),
        "safe_rate": len(safe) / len(drawn),
        "violation": mean(max(0.0, run[4] - 1) for run in drawn),
        "safe_reward": mean(safe),
    }


def test_every_interval_lies_where_all_possible_resamples_put_it(folder):
    found = table(folder, "overall").set_index("algorithm")
    for method in ("calm", "rash", "odd|name"):
        own = {(task, seed): [] for task in TASKS for seed in SEEDS}
        for run in runs(method):
            own[run[0], run[2]].append(run)
        values = []
        for one, other in product(product(SEEDS, repeat=3), repeat=2):  # 27 draws a task
            drawn = [run for seed in one for run in own["BallRun", seed]]
            drawn += [run for seed in other for run in own["CarRun", seed]]
            values.append(statistics_of(drawn))
        every = pd.DataFrame(values)
        for name in every:
            known = every[name].dropna()
            if known.empty:  # never a safe run
                assert math.isnan(found.loc[method, f"{name}_low"])
                continue
            for side, (low, high) in {"low": (2.2, 2.8), "high": (97.2, 97.8)}.items():
                bounds = np.percentile(known, [low, high])
                value = found.loc[method, f"{name}_{side}"]
                assert bounds[0] - 1e-9 <= value <= bounds[1] + 1e-9, (method, name, side)


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


def better(one, other):
    """1, 0 or a half by the rule as it is written."""
    (_, _, _, reward, cost), (_, _, _, other_reward, other_cost) = one, other
    if (cost <= 1) != (other_cost <= 1):
        return float(cost <= 1)
    mine, theirs = (reward, other_reward) if cost <= 1 else (other_cost, cost)
    return 1.0 if mine > theirs else 0.0 if mine < theirs else 0.5


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
        assert 0 <= row["low"] <= row["probability"] <= row["high"] <= 1
        back = found.loc[(other, method)]
        assert (row["low"], row["high"]) == pytest.approx((1 - back["high"], 1 - back["low"]))


def test_the_interval_of_an_improvement_is_that_of_drawing_both(folder):
    found = table(folder, "comparison").set_index(["algorithm", "other"])
    generator = np.random.default_rng(5)
    values = []
    for _ in range(3000):
        total = 0.0
        for task in TASKS:
            mine, theirs = generator.integers(3, size=(2, 3))
            for limit in limits_of(PLAN, task):
                ours, others = runs_at(("odd|name", task, limit)), runs_at(("rash", task, limit))
                total += mean(better(ours[i], others[j]) for i in mine for j in theirs)
        values.append(total / len(CELLS))
    row = found.loc[("odd|name", "rash")]
    assert (row["low"], row["high"]) == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.02)


_KNOWN: dict = {}


def runs_at(key):
    return _KNOWN.setdefault(key, runs(*key))


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
        assert row.low - 1e-9 <= row.share <= row.high + 1e-9
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
        assert row["reward_low"] <= row["reward"] <= row["reward_high"]
    assert found.loc["BallRun", ["published_reward", "published_cost"]].tolist() == [0.5, 0.5]
    assert found.loc["CarRun", ["published_reward", "published_cost"]].tolist() == [0.6, 0.7]
    text = (folder / "leaderboard.md").read_text()
    assert "other limits: theirs 10% 30%, of which not all are run here" in text
    assert "other numbers of seeds: theirs 3, ours 2" in text


def numbers(text):
    return text.replace("*", "").replace("✓", "").replace("✗", "").split()


def test_markdown_shows_the_same_figures(folder):
    lines = (folder / "leaderboard.md").read_text().splitlines()
    overall = table(folder, "overall").set_index("algorithm")
    row = next(line for line in lines if line.startswith("| calm | "))
    one = overall.loc["calm"]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2] == f"{one['reward']:.2f} [{one['reward_low']:.2f}, {one['reward_high']:.2f}]"
    assert cells[3] == f"{one['iqm']:.2f} [{one['iqm_low']:.2f}, {one['iqm_high']:.2f}]"
    assert cells[4] == f"{one['cost']:.2f} [{one['cost_low']:.2f}, {one['cost_high']:.2f}]"
    assert cells[1].endswith(f"({one['safe_runs']:.0f}/{one['runs']:.0f})")
    board = table(folder, "leaderboard").set_index(["task", "algorithm", "limit"])
    start = lines.index("## BallRun")
    row = next(line for line in lines[start:] if line.startswith("| rash"))
    first = board.loc[("BallRun", "rash", 8.0)]
    assert numbers(row.split("|")[2]) == [
        *(f"{first['reward']:.2f}", "±", f"{first['reward_std']:.2f}", "/"),
        *(f"{first['cost']:.2f}", "±", f"{first['cost_std']:.2f}"),
    ]
    costs = next(line for line in lines if line.startswith("| calm | 6 |"))
    assert "29.0 s" in costs  # 10, 20 and 30 seconds and 4 more each, and 5 beside the updates
    assert "502 MB" in costs
    assert any(f"| {COMMIT[:12]} | 34 | python 3.11.0, torch 2.13.0 |" in line for line in lines)
    assert "> **Attention:**" not in "\n".join(lines)


def figures(folder):
    """Every figure of every table as text, by method, without ranks, which are relative."""
    found = {}
    for name in ("leaderboard", "overall", "limits", "comparison", "costs", "profiles"):
        for row in table(folder, name).to_dict("records"):
            row.pop("of") if name == "comparison" else None
            found.setdefault(row["algorithm"], []).append((name, row.pop("other", ""), repr(row)))
    return found


@pytest.mark.parametrize("change", ["removed", "renamed"])
def test_removing_or_renaming_a_method_changes_no_other_number(folder, tmp_path, change):
    def renamed(method, *rest):
        return score("rash" if method == "aaa" else method, *rest)

    names = [name for name in METHODS if name != "rash"] + ["aaa"] * (change == "renamed")
    plan = Plan(**{**PLAN.__dict__, "methods": names, "score": renamed})
    other = write_store(plan, tmp_path / "results" / "synthetic")
    assert main([str(other), "--format", "csv"]) == 0
    before, after = figures(folder), figures(other)
    for name in ("calm", "odd|name", "broken"):
        both = [[r for r in rows[name] if r[1] not in ("rash", "aaa")] for rows in (before, after)]
        ours, theirs = map(set, both)
        assert ours == theirs
        assert len(ours) > 120
    if change == "renamed":
        # its own too, but for what it is called and how long that makes its trainings
        for kind in ("overall", "comparison", "profiles"):
            old = {r[1:] for r in before["rash"] if r[0] == kind}
            new = {r[1:] for r in after["aaa"] if r[0] == kind}
            assert {repr(one).replace("'rash'", "'aaa'") for one in old} == set(map(repr, new))
