"""The main command end to end, with real simulators, real algorithms and small data."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from benchmarks.common.hardware import devices
from benchmarks.leaderboard import main as leaderboard
from benchmarks.methods.names import BUILT_IN
from benchmarks.results.files import read_details
from benchmarks.results.manifest import jobs_of, read_manifest
from benchmarks.run import main
from benchmarks.runs.provenance import commit
from benchmarks.runs.store import Run
from benchmarks.scheduling.local import WorkerProcess
from benchmarks.tasks.suites import PAPER, RIVALS
from benchmarks.tasks.tasks import TASKS
from tests.support.runs import command, evaluations, files, leave_blank, small
from tests.support.small_data import SmallData

pytestmark = pytest.mark.usefixtures("workers_here", "blank_boards")
BOTH = ("--algorithms", "gas", "bc-safe", *small("gas", "bc-safe"))


@pytest.fixture(scope="module")
def finished(small_data: SmallData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a run with two workers, processes of their own."""
    results = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        leave_blank(patch)
        arguments = command(small_data, results, *BOTH, "--workers", "2")
        assert main([*arguments, "--limits", "60"]) == 0
    return results


def test_a_run_ends_in_a_leaderboard(finished: Path) -> None:
    table = pd.read_csv(finished / "tight" / "leaderboard.csv")
    assert len(table) == 2 * 2 * 3  # algorithms, tasks, limits
    assert set(table["task"]) == {"BallRun", "BallCircle"}
    assert np.isfinite(table[["reward", "cost"]]).all(axis=None)
    assert sorted(table.loc[table["task"] == "BallRun", "limit"].unique()) == [8, 16, 24]
    assert set(pd.read_csv(finished / "custom" / "leaderboard.csv")["limit"]) == {60}
    assert (finished / "tight" / "leaderboard.md").read_text().count("BallCircle") >= 1
    assert (finished / "tight" / "pictures" / "frontier.png").is_file()


def test_each_leaderboard_keeps_the_protocol_of_its_own_suite(finished: Path) -> None:
    tight, custom = (
        tomllib.loads((finished / name / "protocol.toml").read_text())
        for name in ("tight", "custom")
    )
    assert (tight.pop("suite"), custom.pop("limits")) == (["tight"], ["60"])
    assert tight == custom
    assert (tight["algorithms"], tight["updates"]) == (["gas", "bc-safe"], 20)


def test_a_leaderboard_knows_how_its_results_were_made(finished: Path) -> None:
    rows = read_details(finished / "tight" / "trainings.json.gz")
    assert set(rows.frontiers) == {"BallRun", "BallCircle"}
    one = rows.trainings[rows.trainings["algorithm"] == "gas"].iloc[0]
    assert one["command"].startswith("python -m benchmarks.run --suite tight --tasks BallRun ")
    assert json.loads(one["versions"])["torch"]
    assert (one["status"], one["updates"]) == ("finished", 20)
    assert one["train_seconds"] >= one["update_seconds"] > 0
    assert one["evaluation_seconds"] > 0
    assert one["peak_memory_mb"] > 50
    assert json.loads(one["curve"])["updates"][-1] == 20
    head, _ = commit()
    assert one["commit"] == head


def test_a_conditioned_method_is_trained_once_for_all_suites(finished: Path) -> None:
    trainings = [path.parent.name for path in (finished / "runs").glob("*/training.json")]
    assert sum("BallRun-gas" in name for name in trainings) == 1
    assert sum("BallRun-bc-safe" in name for name in trainings) == 4


def test_nothing_is_computed_twice(
    finished: Path, small_data: SmallData, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.stat().st_mtime_ns for p in (finished / "runs").rglob("*.*")}
    report = (finished / "tight" / "leaderboard.md").read_bytes()
    arguments = command(small_data, finished, *BOTH)
    assert main(arguments) == 0
    assert {p: p.stat().st_mtime_ns for p in (finished / "runs").rglob("*.*")} == before
    assert (finished / "tight" / "leaderboard.md").read_bytes() == report
    assert " 0 to do" in capsys.readouterr().out


def test_what_a_leaderboard_keeps_is_not_run_again_where_its_store_is_gone(
    finished: Path, small_data: SmallData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a clone: one task is kept, the other is run, and the tables hold both."""
    shutil.copytree(finished / "tight", tmp_path / "tight")
    kept = tmp_path / "tight" / "episodes.csv.gz"
    whole = pd.read_csv(kept)
    circle = whole[whole["task"] == "BallCircle"]
    circle.to_csv(kept, index=False)
    arguments = command(small_data, tmp_path, *BOTH)
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "4 jobs are not run, their results are kept" in out
    assert f"(delete to run them): {tmp_path / 'tight'}\n" in out
    assert "8 jobs: 4 kept, 4 to do" in out
    assert {path.name[:8] for path in (tmp_path / "runs").glob("*/")} == {"BallRun-"}
    again = pd.read_csv(kept)
    assert len(again) == len(whole)
    same = again[again["task"] == "BallCircle"].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, circle.reset_index(drop=True), check_like=True)


def test_what_failed_since_is_run_again_although_it_is_kept(
    finished: Path, small_data: SmallData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tight"
    shutil.copytree(finished / "tight", folder)
    one = jobs_of(read_manifest(folder), tmp_path)[0]
    Run.of(one).record_failure("later", "Traceback of later")
    arguments = command(small_data, tmp_path, *BOTH)
    assert main(arguments) == 1
    assert "1 jobs failed in an earlier run" in capsys.readouterr().out
    assert main([*arguments, "--retry-failed"]) == 0
    assert len(evaluations(tmp_path)) == len(one.limits)  # that job and no other
    assert pd.read_csv(folder / "missing.csv").empty


def test_one_worker_gives_what_two_give(
    finished: Path, small_data: SmallData, tmp_path: Path
) -> None:
    arguments = command(small_data, tmp_path, *BOTH, "--workers", "1", tasks=("BallRun",))
    assert main([*arguments, "--limits", "60"]) == 0
    alone = evaluations(tmp_path)
    assert len(alone) == 8
    assert alone.items() <= evaluations(finished).items()


@pytest.mark.slow
def test_nor_does_any_wrapped_method_depend_on_the_workers(
    small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("cdt", "cpq", "coptidice", "bc-all")
    methods = ("--algorithms", *names, *small(*names), "--tasks", "BallRun", "--limits", "60")
    for workers in ("1", "2"):
        arguments = command(small_data, tmp_path / workers, *methods, "--workers", workers)
        assert main([*arguments[2:], "--updates", "8", "--name", "all"]) == 0
        monkeypatch.setattr("benchmarks.scheduling.engines.WorkerProcess", WorkerProcess)
    assert len(evaluations(tmp_path / "1")) == 4
    assert evaluations(tmp_path / "1") == evaluations(tmp_path / "2")


def test_training_and_evaluation_may_be_separate(
    finished: Path, small_data: SmallData, tmp_path: Path
) -> None:
    options = ("--algorithms", "gas", *small("gas"), "--limits", "60")
    arguments = command(small_data, tmp_path, *options, tasks=("BallRun",))
    assert main([*arguments, "--stage", "train"]) == 0
    assert evaluations(tmp_path) == {}
    assert main([*arguments, "--stage", "evaluate"]) == 0
    stored = evaluations(finished).items()
    both = {name: one for name, one in stored if name.startswith("BallRun-gas-")}
    assert evaluations(tmp_path) == both


def test_the_leaderboard_is_rebuilt_from_the_store_and_from_its_folder_alone(
    finished: Path, tmp_path: Path
) -> None:
    folder = finished / "tight"
    kept = files(folder)
    (folder / "leaderboard.md").unlink()
    assert leaderboard([str(folder)]) == 0
    assert files(folder) == kept
    alone = tmp_path / "tight"
    shutil.copytree(folder, alone)
    (alone / "leaderboard.csv").unlink()
    assert leaderboard([str(alone)]) == 0
    assert files(alone) == kept


WRONG = {
    "task": ["--tasks", "BalRun"],
    "algorithm": ["--algorithms", "gass"],
    "plugin": ["--algorithms", "nowhere.py:Method"],
    "suite": ["--suite", "tigth"],
    "limit": ["--limits", "ten"],
    "negative limit": ["--limits=-5%"],
    "budget": ["--budget", "quik"],
    "device": ["--device", "cuda:99"],
    "device name": ["--device", "gpu"],
    "data": ["--data", "generatd"],
    "option": ["--option", "gas.alhpa=0.5"],
    "option value": ["--option", "gas.alpha=half"],
    "option form": ["--option", "alpha"],
    "workers": ["--workers", "0"],
    "timeout": ["--timeout", "0"],
    "checkpoints": ["--checkpoint-seconds", "-1"],
    "episodes": ["--episodes", "0"],
    "name": ["--name", "../elsewhere"],
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_wrong_input_is_one_line_and_writes_nothing(
    wrong: list[str], small_data: SmallData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(small_data, tmp_path, "--algorithms", "gas"), *wrong]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_evaluate_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "give --suite" in capsys.readouterr().err


def test_a_results_folder_that_cannot_be_written(
    small_data: SmallData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    arguments = command(small_data, tmp_path / "file" / "results", "--algorithms", "gas")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "cannot write to" in error
    assert error.count("\n") == 1


def test_missing_data_are_named_with_the_remedy(
    small_data: SmallData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = ("BallRun", "AntRun", "CarRun")
    arguments = command(small_data, tmp_path, "--algorithms", "bc-all", tasks=tasks)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "AntRun, CarRun" in error
    assert "--skip-missing" in error
    assert error.count("\n") == 1
    assert main([*arguments, "--skip-missing"]) == 0
    assert set(pd.read_csv(tmp_path / "tight" / "leaderboard.csv")["task"]) == {"BallRun"}


def damage_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def damage_rewards(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["rewards"][5] = np.nan


@pytest.mark.parametrize(
    ("damage", "word"), [(damage_header, "damaged"), (damage_rewards, "NaN")], ids=["cut", "nan"]
)
def test_a_damaged_file_is_named_and_the_others_run(
    damage, word: str, small_data: SmallData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(small_data.folder, folder)
    damage(folder / TASKS["BallCircle"].dataset_file)
    small = SmallData(folder, small_data.tasks)
    results = tmp_path / "results"
    status = main([*command(small, results, "--algorithms", "bc-all"), "--skip-missing"])
    assert status == 1
    error = capsys.readouterr().err
    assert word in error
    assert "Traceback" not in error
    table = pd.read_csv(results / "tight" / "leaderboard.csv")
    assert np.isfinite(table.loc[table["task"] == "BallRun", "reward"]).all()


def test_a_dry_run_lists_all_tasks_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSRL_BENCH_CACHE", str(tmp_path / "cache"))
    arguments = ["--suite", "tight", "--dry-run", "--data", "generated"]
    assert main([*arguments, "--results", str(tmp_path / "results")]) == 0
    output = capsys.readouterr().out
    assert all(name in output for name in TASKS)
    assert "of which about" in output  # the time to make data
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "planned"),
    [
        (["paper", "bcrl", "gas"], [*PAPER, "bcrl"]),
        (["all"], BUILT_IN),
        (["cdt", "all"], BUILT_IN),
        ([], RIVALS),
    ],
)
def test_groups_of_methods_are_planned(
    given: list[str], planned: Iterable[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    algorithms = ["--algorithms", *given] if given else []
    arguments = ["--limits", "10%", "--tasks", "BallRun", "--dry-run", "--data", "generated"]
    assert main([*arguments, *algorithms, "--results", str(tmp_path)]) == 0
    lines = [
        line.split() for line in capsys.readouterr().out.splitlines() if " trainings (" in line
    ]
    assert {words[0] for words in lines} == set(planned)
    assert len(lines) == len(set(planned))


def test_auto_is_the_cpu_without_a_gpu() -> None:
    assert devices("auto") in (["cpu"], devices("cuda") if devices("auto") != ["cpu"] else ["cpu"])
