"""Two leaderboards side by side, and variants of a method: differences and their intervals."""

import re

import numpy as np
import pytest

from benchmarks.common.errors import UserError
from benchmarks.leaderboard import main
from benchmarks.report.compare import (
    cell_differences,
    changed_options,
    difference,
    differences,
)
from benchmarks.report.details import Details, LeaderboardData
from benchmarks.report.frame import validate
from benchmarks.report.render.changes import comparison
from benchmarks.report.statistics import run_scores
from tests.support.leaderboard_cases import episodes_of, missing_of, run
from tests.support.synthetic_store import Plan, write_store


def scores(*runs):
    return run_scores(validate(episodes_of(*runs)))


def test_a_difference_is_that_of_the_means_over_shared_cells():
    before = scores(
        *(run("A", "T", 1.0, seed, [(0.1 * seed, 0.5)]) for seed in (0, 1, 2)),
        *(run("A", "T", 2.0, seed, [(0.9, 9.0)]) for seed in (0, 1)),  # not there afterwards
    )
    after = scores(*(run("A", "T", 1.0, seed, [(0.1 * seed + 0.5, 1.5)]) for seed in (0, 1, 2)))
    one = difference(before, after)
    assert (one.method, one.cells, one.of, one.changed) == ("A", 1, 2, 1)
    assert (one.reward.before, one.reward.after) == pytest.approx((0.1, 0.6))
    assert one.reward.difference == pytest.approx(0.5)
    assert (one.cost.before, one.cost.after) == pytest.approx((0.5, 1.5))
    assert one.cost.interval == pytest.approx((1.0, 1.0))
    assert (one.safe_cells.before, one.safe_cells.after) == (1.0, 0.0)
    # both means move by up to 0.1: the difference spans less than 0.3 to 0.7
    assert 0.3 < one.reward.interval.low < 0.45
    assert 0.55 < one.reward.interval.high < 0.7
    assert one.reward.clear


def test_the_interval_is_that_of_drawing_both_sides():
    generator = np.random.default_rng(1)
    values = generator.normal(0.5, 0.2, (2, 4))
    sides = [
        scores(*(run("A", "T", 1.0, seed, [(value, 0.5)]) for seed, value in enumerate(row)))
        for row in values
    ]
    draws = [row[generator.integers(4, size=(20_000, 4))].mean(axis=1) for row in values]
    truth = np.quantile(draws[1] - draws[0], [0.025, 0.975])
    assert difference(*sides).reward.interval == pytest.approx(tuple(truth), abs=0.01)


def test_what_is_the_same_has_no_interval_and_one_seed_has_none():
    runs = scores(*(run("A", "T", 1.0, seed, [(0.1 * seed, 0.5)]) for seed in (0, 1)))
    same = difference(runs, runs)
    assert (same.changed, same.reward.difference, same.reward.clear) == (0, 0.0, False)
    assert np.isnan(same.reward.interval).all()
    single = [scores(run("A", "T", 1.0, 0, [(reward, 0.5)])) for reward in (0.1, 0.2)]
    one = difference(*single)
    assert one.changed == 1
    assert np.isnan(one.reward.interval).all()
    assert cell_differences(runs, runs) == []
    assert [c.limit for c in cell_differences(*single)] == [1.0]


def test_methods_of_one_side_only_are_no_difference():
    before = scores(run("A", "T", 1.0, 0, [(0.1, 1)]), run("B", "T", 1.0, 0, [(0.1, 1)]))
    after = scores(run("B", "T", 1.0, 0, [(0.1, 1)]), run("C", "T", 1.0, 0, [(0.1, 1)]))
    assert [one.method for one in differences(before, after)] == ["B"]
    apart = difference(before[before["algorithm"] == "A"], after[after["algorithm"] == "C"])
    assert (apart.cells, apart.of) == (0, 2)
    assert np.isnan([apart.reward.difference, *apart.reward.interval]).all()


def test_options_that_differ():
    assert changed_options('{"a":1,"b":2,"c":3}', '{"a":1,"b":0}') == {"b": 2, "c": 3}


def board(folder, name, shift=0.0, **more):
    """A leaderboard of two methods; `shift` raises gas's rewards."""

    def score(method, task, limit, seed, episode):
        raised = 100 * shift if method == "gas" else 0.0
        return 40.0 + seed + raised, 0.5 * limit

    plan = Plan(
        ("gas", "cdt"), {"BallRun": (80.0, 0.0, 100.0)}, (0.1, 0.2), (0, 1, 2), 2, score, **more
    )
    return write_store(plan, folder / name / "results" / name)


def test_compare_prints_what_changed(tmp_path, capsys):
    a = board(tmp_path, "a")
    b = board(
        *(tmp_path, "b", 0.1),
        config={"gas": {"alpha": 0.9, "new": 1}},
        budget="quick",
        commits={"gas": "f" * 40, "cdt": "f" * 40},
    )
    assert main(["--compare", str(a), str(b)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# a → b\n")
    for line in (
        "- budget: paper → quick",
        "- options of gas: alpha=0.9, new=1",
        f"- commit: 0123456789abcdef0123456789abcdef01234567 → {'f' * 40}",
    ):
        assert line in text.splitlines()
    assert re.search(r"^\| cdt \| 2 \| 0 \| 0\.41 → 0\.41 \| 0\.00 \|", text, re.M)
    row = re.search(
        r"^\| gas \| 2 \| 2 \| 0\.41 → 0\.51 \| \*\*\+0\.10 \[(.*?), (.*?)\]\*\*", text, re.M
    )
    assert float(row[1]) <= 0.1 <= float(row[2])
    assert len(re.findall(r"^\| gas \| BallRun \| (?:8|16) \| 0\.41 → 0\.51 ", text, re.M)) == 2
    assert main(["--compare", str(a), str(a)]) == 0
    assert "Every run that both have is the same." in capsys.readouterr().out


def test_ablation_prints_a_row_a_variant(tmp_path, capsys):
    base = board(tmp_path, "base")
    others = [
        board(tmp_path, f"v{alpha}", 0.1 * alpha, config={"gas": {"alpha": alpha}})
        for alpha in (10, 2)
    ]
    assert main(["--ablation", str(base), *map(str, others)]) == 0
    text = capsys.readouterr().out
    rows = re.findall(r"^\| gas \| (\S+) \| 2 \| 2 \| 0\.41 → (\S+) ", text, re.M)
    assert rows == [("alpha=2", "0.61"), ("alpha=10", "1.41")]
    assert "| cdt |" not in text
    assert main(["--ablation", str(base), *map(str, others), "--format", "latex"]) == 0
    text = capsys.readouterr().out
    assert r"gas & alpha=2 & 2 & 2 & 0.41 $\rightarrow$ 0.61 & \textbf{+0.20 {[}" in text
    assert main(["--ablation", str(base), str(others[0]), "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("gas,alpha=10,2,2,0.41 → 1.41,")


def test_mistakes_are_told_in_one_line(tmp_path, capsys):
    a, b = board(tmp_path, "a"), board(tmp_path, "b")
    for arguments, words in (
        (["--compare", str(a), str(tmp_path)], "has no readable plan.json"),
        (["--compare", str(a), str(b), "--ablation", str(a)], "two commands"),
        ([str(a), "--compare", str(a), str(b)], "take their own folders"),
        (["--ablation", str(a)], "at least one other"),
        (["--compare", str(a), str(b), "--format", "html"], "print one format, of markdown"),
        (["--ablation", str(a), str(b)], "no method of 'a' has other options"),
        ([str(a), "--format", "latx"], "did you mean latex?"),
        ([str(a), "--published", str(tmp_path / "none")], "no such folder"),
    ):
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1


def test_leaderboards_without_a_common_method_cannot_be_compared():
    rows = episodes_of(run("X", "T", 1.0, 0, [(0.1, 1)]))
    one, other = (
        LeaderboardData(name, "quick", rows.assign(algorithm=name), missing_of(), Details())
        for name in ("x", "y")
    )
    with pytest.raises(UserError, match="no method has results in both"):
        comparison(one, other)
