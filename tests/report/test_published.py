"""Numbers from papers: the tables kept here, and when one may stand beside a result of ours."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.common.errors import UserError
from benchmarks.report.frame import validate
from benchmarks.report.published import (
    AVERAGES,
    COLUMNS,
    Figure,
    Incomparable,
    compare_published,
)
from benchmarks.results.files import read_published
from benchmarks.tasks.suites import Limit
from benchmarks.tasks.tasks import TASKS
from tests.support.leaderboard_cases import episodes_of, run

FOLDER = Path(__file__).parents[2] / "results" / "published"
FIGURE = Figure(
    *("Paper", "GAS", "BallRun", (Limit(0.1, True), Limit(0.2, True)), 2, 3, "dsrl"),
    *(0.5, 0.25, "as ours", "table 1"),
)


def ours(task="BallRun", seeds=(0, 1, 2), episodes=2, limits=(8.0, 16.0), **columns):
    """Runs of gas: rewards 0.1, 0.2, 0.3 by seed and 0.4 more at the looser limit."""
    facts = {"source": "dsrl", "budget": "paper"} | columns
    return [
        row
        for i, limit in enumerate(limits)
        for seed in seeds
        for row in run(
            *("gas", task, limit, seed, [(10 + 10 * seed + 40 * i, limit / 2)] * episodes),
            fraction=limit / TASKS[task].max_cost,
            **facts,
        )
    ]


def compared(figure, *rows):
    return compare_published([figure], validate(episodes_of(*rows)))


def test_every_row_kept_here_has_a_source_and_a_protocol():
    figures = read_published(FOLDER)
    assert len(figures) == 176 + 287
    more = {"B2R", "CARL", "CoPDT", "LSPC", "O3SRL", "PLS", "TraC"}
    assert {figure.paper for figure in figures} == {"CAPS", "DSRL", "GAS"} | more
    for figure in figures:
        assert figure.source
        assert figure.protocol
        assert figure.task in TASKS or figure.task in AVERAGES
        assert figure.data == "dsrl"
    tight = [f for f in figures if f.paper == "GAS" and f.limits[0] == Limit(0.1, True)]
    assert {f.method: (f.reward, f.cost) for f in tight}["GAS"] == (0.66, 0.67)
    caps = [f for f in figures if f.method == "CAPS-IQL-2" and f.limits]
    assert {f.task: f.limits for f in caps}["CarCircle1"] == tuple(
        Limit(cost, False) for cost in (20.0, 40.0, 80.0)
    )
    assert {f.task: f.limits for f in caps}["CarRun"][0] == Limit(10.0, False)


def test_a_row_with_our_protocol_stands_beside_ours():
    (match,), apart = compared(FIGURE, ours())
    assert not apart
    assert (match.method, match.theirs) == ("gas", FIGURE)
    assert match.reward == pytest.approx((0.2 + 0.6) / 2)
    assert match.cost == pytest.approx(0.5)
    # all three seeds alike with probability 1/27 each: the ends of the interval
    assert match.intervals["reward"] == pytest.approx((0.3, 0.5))


def test_only_the_limits_of_the_row_count():
    rows = [*ours(), *ours(limits=(64.0,), episodes=5)]
    (match,), _ = compared(FIGURE, rows)
    assert match.reward == pytest.approx(0.4)
    absolute = replace(FIGURE, limits=(Limit(16.0, False),))
    (match,), _ = compared(absolute, rows)
    assert match.reward == pytest.approx(0.6)


def test_a_mean_over_tasks_needs_them_all():
    average = replace(FIGURE, task="average-bullet", limits=(Limit(0.1, True),))
    rows = [ours(task, limits=(TASKS[task].limit(0.1),)) for task in AVERAGES["average-bullet"]]
    assert len(rows) == 8
    (match,), _ = compared(average, *rows)
    assert match.cost == pytest.approx(0.5)
    assert not compared(average, *rows[1:])[0]


@pytest.mark.parametrize(
    ("change", "rows", "reason"),
    [
        ({"method": "CAPS"}, ours(), "no such method in this table"),
        ({}, ours(source="generated"), "other data: theirs dsrl, ours generated"),
        ({"limits": ()}, ours(), "the paper does not tell the limits task by task"),
        ({"seeds": 0}, ours(), "the source does not tell seeds and episodes"),
        ({"episodes": 0}, ours(), "the source does not tell seeds and episodes"),
        ({"task": "CarRun"}, ours(), "not run here: CarRun"),
        ({"limits": (Limit(0.3, True),)}, ours(), "other limits: theirs 30%"),
        ({"limits": (Limit(10.0, False),)}, ours(), "other limits: theirs 10, of which"),
        ({"seeds": 5}, ours(), "other numbers of seeds: theirs 5, ours 3"),
        ({}, ours()[2:], "other numbers of seeds: theirs 3, ours 2 to 3"),
        ({"episodes": 20}, ours(), "other numbers of episodes a limit: theirs 20, ours 2"),
        ({}, ours(budget="quick"), "other budget: ours is quick, not paper"),
    ],
)
def test_a_row_with_another_protocol_stands_apart_with_the_reason(change, rows, reason):
    matches, apart = compared(replace(FIGURE, **change), rows)
    assert matches == []
    (one,) = apart
    assert one.reason.startswith(reason)


def test_rows_apart_for_the_same_reason_are_told_together():
    figures = [replace(FIGURE, method=m, task=t) for m in ("A", "B") for t in ("BallRun", "CarRun")]
    _, apart = compare_published(figures, validate(episodes_of(ours())))
    assert apart == [
        Incomparable(
            *("Paper", ("A", "B"), "as ours", "table 1", ("BallRun", "CarRun")),
            "no such method in this table",
        )
    ]


def test_no_results_match_nothing():
    matches, apart = compare_published([FIGURE], validate(pd.DataFrame()))
    assert (matches, len(apart)) == ([], 1)


ROW = ["P", "m", "BallRun", "10%", "2", "3", "dsrl", "0.5", "0.5", "p", "s"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,2\n", "columns are not paper, method"),
        (",".join(COLUMNS) + "\n" + ",".join([*ROW[:7], "much", *ROW[8:]]) + "\n", "much"),
        (",".join(COLUMNS) + "\n" + ",".join([*ROW[:7], "nan", *ROW[8:]]) + "\n", "no finite"),
        (",".join(COLUMNS) + "\n" + ",".join([*ROW[:3], "10%x", *ROW[4:]]) + "\n", "10%x"),
        (b"\xff\xfe\x00", "not a table"),
    ],
)
def test_a_table_that_is_none_is_refused_in_one_line(tmp_path, content, words):
    path = tmp_path / "x.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=words) as error:
        read_published(tmp_path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert read_published(tmp_path / "none") == []
