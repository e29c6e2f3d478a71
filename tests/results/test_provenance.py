"""What is written down of how a result was made, and what the report says of it."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.common.errors import UserError
from benchmarks.report.details import Details, mixtures, thin_curve
from benchmarks.report.frame import TRAININGS, validate, validate_trainings
from benchmarks.report.resources import resource_usage
from benchmarks.results.files import read_details
from benchmarks.runs import provenance
from tests.support.leaderboard_cases import episodes_of, run


def git(folder, *words):
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    """A repository with a file of code and a result."""
    (tmp_path / "gas").mkdir()
    (tmp_path / "gas" / "a.py").write_text("1")
    (tmp_path / "result.csv").write_text("1")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_the_commit_and_whether_the_code_differs_from_it(checkout):
    head, dirty = provenance.commit(checkout)
    assert len(head) == 40
    assert dirty is False
    (checkout / "result.csv").write_text("2")  # results are not code
    assert provenance.commit(checkout) == (head, False)
    (checkout / "gas" / "new.py").write_text("")
    assert provenance.commit(checkout) == (head, True)
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "second")
    again, dirty = provenance.commit(checkout)
    assert again != head
    assert dirty is False


def test_an_installed_copy_has_no_commit_of_the_repository_around_it(checkout, tmp_path):
    assert provenance.commit(checkout / "gas") == ("", None)
    bare = tmp_path.parent / "no-repository"
    bare.mkdir(exist_ok=True)
    assert provenance.commit(bare) == ("", None)


def test_a_command_line_can_be_typed_again_and_hides_the_home(monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/home/of"))
    words = ["--data", "/home/of/my data", "--option", "gas.alpha=0.9", "/home/of", "/home/office"]
    assert provenance.command_line(words) == (
        "python -m benchmarks.run --data ~'/my data' --option gas.alpha=0.9 ~ /home/office"
    )


def test_a_command_line_does_not_tell_where_the_results_lie():
    words = ["--suite", "tight", "--results", "/scratch/mine", "--name", "a", "--results=/other"]
    expected = "python -m benchmarks.run --suite tight --name a"
    assert provenance.command_line(words) == expected
    assert provenance.command_line([*words, "--results"]) == expected


def test_versions_and_device_are_told():
    found = provenance.versions()
    assert found["numpy"] == np.__version__
    assert {"python", "torch"} <= set(found)
    assert provenance.device_name("cpu").startswith("cpu")
    assert 10 < provenance.peak_memory("cpu") < 1e6


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-9, 9)), min_size=1, max_size=30))
def test_the_frontier_gives_the_best_return_within_any_cost(pairs):
    cost, value = np.array(pairs, dtype=float).T
    frontier = provenance.data_frontier(cost, value)
    xs, ys = zip(*frontier, strict=True)
    assert list(xs) == sorted(set(xs))
    assert list(ys) == sorted(set(ys))
    for limit in range(10):
        within = [y for x, y in frontier if x <= limit]
        assert (max(within) if within else None) == max(
            (v for c, v in pairs if c <= limit), default=None
        )


def test_a_stage_taken_up_again_keeps_its_facts_and_every_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "commit", lambda: ("a" * 40, False))
    provenance.record(tmp_path, "training", "cpu", "first", data_frontier=[(0.0, 1.0)])
    monkeypatch.setattr(provenance, "commit", lambda: ("b" * 40, True))
    provenance.record(tmp_path, "training", "cpu", "second", peak_memory_mb=5.0)
    provenance.record(tmp_path, "training", "cpu", "second")
    found = provenance.read_record(tmp_path, "training")
    assert found["commits"] == ["a" * 40, "b" * 40]
    assert (found["commit"], found["dirty"], found["command"]) == ("b" * 40, True, "second")
    assert (found["peak_memory_mb"], found["data_frontier"]) == (5.0, [[0.0, 1.0]])
    assert "numpy" in found["versions"]


def test_a_damaged_record_costs_no_result(tmp_path):
    (tmp_path / "provenance-training.json").write_text("{")
    assert provenance.read_record(tmp_path, "training") == {}
    provenance.record(tmp_path, "training", "cpu", "again")
    assert provenance.read_record(tmp_path, "training")["command"] == "again"


def training(**columns):
    known = dict.fromkeys(TRAININGS, "") | {
        **{"algorithm": "A", "task": "T", "seed": 0, "train_limit": None, "key": "k"},
        **{"updates": 10, "config": "{}", "status": "finished", "commit": "a" * 40, "dirty": "no"},
        **dict.fromkeys(("train_seconds", "update_seconds"), 2.0),
        **dict.fromkeys(("evaluation_seconds", "peak_memory_mb")),
        "versions": '{"torch":"2"}',
    }
    return known | columns


def trainings(*rows):
    keyed = [training(**{"key": str(i)} | row) for i, row in enumerate(rows)]
    return validate_trainings(pd.DataFrame(keyed))


EPISODES = validate(episodes_of(run("A", "T", 1.0, 0, [(1, 1)])))


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ([{}, {"seed": 1}], []),
        ([{}, {"algorithm": "B", "commit": "b" * 40}], ["mixes commits: aaaaaaaaaaaa (A) and"]),
        ([{"commit": f"{'a' * 40} {'b' * 40}"}], ["mixes commits: aaaaaaaaaaaa (A) and bbbbbb"]),
        ([{"dirty": "yes"}], ["made by code that differed from its commit: A"]),
        ([{}, {"versions": '{"torch":"3"}'}], ["mixes versions of torch: 2 (A) and 3 (A)"]),
        ([{"device": "x"}, {"device": "y"}], ["mixes devices, so that run times do not compare"]),
        ([{}, {"updates": 20}], ["mixes numbers of updates of A: 10, 20"]),
        ([{}, {"config": '{"a":1}'}], ["mixes 2 sets of options of A on T"]),
        ([{}, {"config": '{"a":1}', "task": "U"}], []),  # a method may have options on a task
        ([{"commit": ""}], ["commit and packages were not recorded"]),
        ([{}, {"commit": ""}], ["mixes trainings with and without a recorded commit"]),
        ([{"commit": "b" * 40, "status": "failed"}, {}], []),  # what made no result is not in it
    ],
)
def test_the_report_says_what_a_table_mixes(rows, lines):
    found = mixtures(trainings(*rows), EPISODES)
    assert len(found) == len(lines)
    for line, start in zip(found, lines, strict=True):
        assert line.startswith(start)


def test_mixed_budgets_are_told():
    rows = [*run("A", "T", 1.0, 0, [(1, 1)]), *run("B", "T", 1.0, 0, [(1, 1)], budget="paper")]
    (line,) = mixtures(trainings({}), validate(episodes_of(rows)))
    assert line == "mixes budgets: paper (B) and quick (A)"


def test_details_come_back_equal_and_other_files_are_refused(tmp_path):
    path = tmp_path / "trainings.json.gz"
    one = Details(trainings({}, {"train_limit": 8.0, "reason": "é"}), {"T": [(0.0, 1.5)]})
    path.write_bytes(one.to_bytes())
    back = read_details(path)
    pd.testing.assert_frame_equal(back.trainings, one.trainings)
    assert (back.frontiers, back.to_bytes()) == (one.frontiers, one.to_bytes())
    for content in (b"", b"x", one.to_bytes()[:-9]):
        path.write_bytes(content)
        with pytest.raises(UserError, match="not a file of a leaderboard"):
            read_details(path)
    with pytest.raises(UserError, match="status 'done' of a training"):
        trainings({"status": "done"})


@given(st.integers(0, 500))
def test_a_thinned_curve_is_short_and_ends_where_the_training_did(length):
    found = json.loads(thin_curve(["updates", "loss"], [[str(i), "nan"] for i in range(length)]))
    assert len(found["updates"]) == len(found["loss"]) <= 40
    assert found["updates"][-1:] == [length - 1] * (length > 0)
    assert set(found["loss"]) <= {None}
    assert found["updates"] == sorted(found["updates"])


def test_words_of_a_curve():
    rows = [["100000", "0.123456"], ["200000", "oops"], ["300000", "inf"]]
    assert json.loads(thin_curve(["updates", "x"], rows)) == {
        "updates": [100000.0, 200000.0, 300000.0],
        "x": [0.1235, None, None],
    }


def test_costs_count_each_training_once_and_only_finished_ones():
    frame = trainings(
        {"update_seconds": 2.0, "device": "x", "peak_memory_mb": 5.0},
        {"update_seconds": 6.0, "updates": 30, "device": "x", "train_seconds": 4.0},
        {"status": "failed", "update_seconds": 99.0, "peak_memory_mb": 99.0},
    )
    (one,) = resource_usage(frame)
    assert (one.trainings, one.of, one.updates) == (2, 3, (10, 30))
    assert one.updates_per_second == pytest.approx(40 / 8)
    assert (one.train_seconds, one.peak_memory_mb, one.devices) == (3.0, 5.0, ("x",))
    (nothing,) = resource_usage(trainings({"status": "missing"}))
    assert np.isnan([nothing.train_seconds, nothing.updates_per_second]).all()
