"""The measure of speed runs and writes what it prints; what it measures is no test's business."""

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.datasets.trajectories import Trajectories
from benchmarks.measures import training
from benchmarks.measures.loading import compare_loading
from benchmarks.measures.rollouts import compare_rollouts
from benchmarks.measures.stacks import compare_stacks
from benchmarks.measures.tables import table
from benchmarks.measures.timing import Comparison, compare, peak_mib
from benchmarks.speed import main
from benchmarks.tasks.tasks import find_task
from tests.support.baseline_cases import small_data


def test_sides_take_turns_after_a_warm_up() -> None:
    calls = []
    result = compare(
        "x",
        lambda amount: calls.append(("ours", amount)),
        lambda amount: calls.append(("theirs", amount)),
        rounds=2,
        seconds=1e-9,
    )
    assert [side for side, _ in calls] == ["ours"] * 2 + ["theirs"] * 2 + ["ours", "theirs"] * 2
    assert len(result.ours) == len(result.reference) == 2


def test_a_table_has_medians_the_ratio_and_its_spread() -> None:
    result = Comparison("cpq", [0.001, 0.002, 0.004], [0.004, 0.004, 0.004], ours_mib=12.3)
    record = result.record()
    assert (record["ours_ms"], record["reference_ms"], record["ratio"]) == (2.0, 4.0, 2.0)
    assert table([result]).splitlines()[-1] == "| cpq | 2 | 4 | 2.00 | 1.00 to 4.00 | 12 |  |"


@pytest.mark.parametrize("name", ["bc-all", "cdt", "gas"])
def test_updates_of_both_sides_run(name, monkeypatch) -> None:
    small = {"cdt": {"batch": 4, "embedding_dim": 16, "num_layers": 1, "num_heads": 2}}
    monkeypatch.setattr(
        training,
        "config_of",
        lambda method, *_: training.find_method(method).cls.config_class(
            **small.get(method, {"batch": 4})
        ),
    )
    (result,) = training.compare_training(
        [name], small_data(), find_task("BallRun"), budget="paper", batch=4, rounds=1,
        seconds=1e-9, memory=False,
    )  # fmt: skip
    assert min(*result.ours, *result.reference) > 0


def test_reading_and_batches_of_both_sides_run(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.measures.loading._WINDOWS", 8)
    path = tmp_path / "data.hdf5"
    small_data().save(path)
    results = compare_loading(path, rounds=1, seconds=1e-9)
    assert len(results) == 5
    assert Trajectories.load(path, "x").returns.shape == (30,)


def test_evaluations_of_both_sides_run() -> None:
    task = replace(find_task("BallRun"), horizon=4)
    rng = np.random.default_rng(0)
    shapes = (12, task.observation_dim), (12, task.action_dim), 12, 12
    ends = np.arange(12) % 4 == 3
    data = Trajectories.from_arrays(*(rng.random(shape) for shape in shapes), ends * 0, ends)
    results = compare_rollouts(["bc-all"], data, task, episodes=1, rounds=1, seconds=1e-9)
    assert len(results) == 2
    assert all(result.ours[0] > 0 for result in results)


def test_seeds_as_one_are_timed_beside_one_alone() -> None:
    results = compare_stacks(
        ["bc-all", "coptidice"], small_data(), find_task("BallRun"), budget="quick", seeds=[1, 2],
        cuda_graphs=[False], device="cpu", rounds=2, seconds=1e-9,
    )  # fmt: skip
    assert [one.name for one in results] == ["bc-all, 2 as one", "coptidice, 2 as one"]
    assert all(min(*one.ours, *one.reference) > 0 for one in results)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--stack-sizes", "0"], "--stack-sizes must be positive"),
        (["--cases", "cdt"], "unknown case 'cdt'"),
        (["--device", "cuda:77"], "device 'cuda:77' does not exist"),
    ],
)
def test_mistakes_in_timing_seeds_are_told(more, words, tmp_path, capsys) -> None:
    small_data().save(tmp_path / find_task("BallRun").dataset_file)
    arguments = ["stack", "--task", "BallRun", "--data", str(tmp_path), *more]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_mistakes_are_told_in_a_line(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("OSRL_BENCH_CACHE", str(tmp_path))
    assert main(["train", "--data", "generated", "--task", "BallRun"]) == 2
    assert "generate BallRun" in capsys.readouterr().err
    assert main(["data", "--rounds", "0"]) == 2
    assert "positive" in capsys.readouterr().err


def test_results_are_written_beside_the_table(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(
        "benchmarks.measures.measuring.compare", lambda kind, **_: [Comparison("x", [1.0], [2.0])]
    )
    assert main(["train", "--out", str(tmp_path / "a" / "train.json")]) == 0
    written = json.loads((tmp_path / "a" / "train.json").read_text())
    assert written["results"][0]["ratio"] == 2.0
    assert written["machine"]["torch"]
    assert "2.00" in capsys.readouterr().out


def _held(mib: int):
    """Work that holds so much memory at once."""
    return lambda amount: [np.ones(mib * 2**17).sum() for _ in range(amount)]


def test_the_memory_of_a_process_is_its_own_not_its_parents() -> None:
    large = np.ones(400 * 2**17)  # which the system counts for every child, too
    assert large.sum() > 0
    del large
    assert 50 < peak_mib(_held, 60) < 110
