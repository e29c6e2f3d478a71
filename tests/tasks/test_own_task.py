"""A task of one's own: a TOML file, a Gymnasium environment and an HDF5 file, and no fork."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from benchmarks.common.errors import UserError
from benchmarks.data import main as data_command
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.datasets.source import choose
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.leaderboard import main as leaderboard
from benchmarks.run import main
from benchmarks.runs.store import Run, is_done
from benchmarks.runs.worker import run_job
from benchmarks.tasks.tasks import ALL_TASKS
from tests.support.own_task import as_planned, command, edit, episodes, example, planned, refused
from tests.support.runs import files, leave_blank, small

# --- a run -----------------------------------------------------------------------------------


pytestmark = pytest.mark.usefixtures("blank_boards")


def arguments(toml: Path, results: Path) -> list[str]:
    return command(toml, results, *small("gas", "bc-safe"))


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example in mine/ and, run by two workers, its results in results/."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        leave_blank(patch)
        assert main(arguments(example(folder / "mine", data), folder / "results")) == 0
    return folder


def test_a_run_ends_in_a_leaderboard(finished: Path) -> None:
    folder = finished / "results" / "custom"
    table = pd.read_csv(folder / "leaderboard.csv")
    assert set(table["task"]) == {"Reach"}
    assert set(zip(table["algorithm"], table["limit"], strict=True)) == {
        *(("gas", 1.0), ("gas", 5.0), ("bc-safe", 1.0), ("bc-safe", 5.0))  # of a max_cost of 10
    }
    assert np.isfinite(table[["reward", "cost"]]).all(axis=None)
    report = (folder / "leaderboard.md").read_text()
    assert "Reach" in report
    assert "10%" in report


def test_rewards_are_scaled_by_the_datas_returns(finished: Path) -> None:
    returns = Trajectories.load(finished / "mine" / "reach.hdf5", "own").returns
    plan = json.loads((finished / "results" / "custom" / "plan.json").read_text())
    assert plan["ranges"] == {"Reach": [returns.min(), returns.max()]}


def test_the_task_file_has_the_last_word_on_the_scale(toml: Path) -> None:
    toml.write_text(toml.read_text() + "min_return = -3\nmax_return = 4.5\n")
    with h5py.File(toml.with_name("reach.hdf5"), "r+") as file:
        file.attrs.update(min_return=0.0, max_return=1.0)
    (one,) = choose("auto", [resolve_task(str(toml))])
    assert one.return_range() == (-3.0, 4.5)


def test_nothing_is_computed_twice_wherever_the_files_are(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.stat().st_mtime_ns for p in (finished / "results" / "runs").rglob("*.*")}
    assert main(arguments(finished / "mine" / "reach.toml", finished / "results")) == 0
    assert " 0 to do" in capsys.readouterr().out
    moved = shutil.copytree(finished / "mine", tmp_path / "elsewhere")
    assert main(arguments(moved / "reach.toml", finished / "results")) == 0
    assert " 0 to do" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in (finished / "results" / "runs").rglob("*.*")} == before


def test_the_leaderboard_needs_no_task_file(finished: Path, tmp_path: Path) -> None:
    alone = shutil.copytree(finished / "results", tmp_path / "results") / "custom"
    kept = files(alone)
    (alone / "leaderboard.md").unlink()
    hidden = (finished / "mine").rename(finished / "hidden")
    try:
        assert leaderboard([str(alone)]) == 0
    finally:
        hidden.rename(finished / "mine")
    assert files(alone) == kept


# --- identity --------------------------------------------------------------------------------


def keys(toml: Path) -> set[str]:
    return {job.training.key for job in planned(toml, Path("results"))}


CHANGES = {
    "name": ("reach.toml", '"Reach"', '"Reach2"'),
    "horizon": ("reach.toml", "horizon = 30", "horizon = 31"),
    "class": ("reach.toml", "reach.py:Reach", "reach.py:Other"),
    "code": ("reach.py", "0.1 * action", "0.2 * action"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_changes_a_result_makes_new_jobs(change: tuple[str, str, str], toml: Path) -> None:
    before = keys(toml)
    name, old, new = change
    edit(toml.with_name(name), old, new)
    assert len(before | keys(toml)) == 4


def test_other_data_make_new_jobs(toml: Path) -> None:
    before = keys(toml)
    episodes(39).save(toml.with_name("reach.hdf5"))
    assert len(before | keys(toml)) == 4


@pytest.mark.parametrize("change", ["max_cost = 11", "max_cost = 10\nmin_return = -3"])
def test_what_limits_and_scores_refer_to_is_no_part_of_a_training(change: str, toml: Path) -> None:
    before = keys(toml)
    edit(toml, "max_cost = 10", change)
    assert keys(toml) == before


def test_places_speed_and_looks_change_nothing(toml: Path) -> None:
    before = keys(toml)
    (toml.parent / "sub").mkdir()
    for name in ("reach.hdf5", "reach.py"):
        toml.with_name(name).rename(toml.parent / "sub" / f"other-{name}")
        edit(toml, f'"{name}', f'"sub/other-{name}')
    edit(toml, "max_cost = 10 ", "steps_per_second = 77\nmax_cost = 10.0  # as before")
    moved = toml.rename(toml.with_name("other.toml"))
    assert keys(moved) == before


def test_a_task_that_changes_while_it_is_trained_is_not_evaluated(
    toml: Path, tmp_path: Path
) -> None:
    job = planned(toml, tmp_path / "results", "train")[0]
    run_job(job)
    edit(toml.with_name("reach.py"), "0.1 * action", "0.2 * action")
    with pytest.raises(UserError, match=r"reach.toml has changed since the run was planned"):
        run_job(replace(job, stage="evaluate"))
    failure = Run(tmp_path / "results", job.training).failure()
    assert "has changed" in failure["reason"]
    edit(toml.with_name("reach.py"), "0.2 * action", "0.1 * action")
    run_job(replace(job, stage="evaluate"))
    assert is_done(replace(job, stage="evaluate"))


def test_nor_is_one_trained_that_changed_since_it_was_planned(toml: Path, tmp_path: Path) -> None:
    job = planned(toml, tmp_path / "results")[0]
    edit(toml, "horizon = 30", "horizon = 31")
    with pytest.raises(UserError, match=r"reach.toml has changed since the run was planned"):
        run_job(job)
    assert not Run(tmp_path / "results", job.training).trained


# --- MetaDrive -------------------------------------------------------------------------------


def test_metadrive_is_trained_and_not_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task, rng = ALL_TASKS["easysparse"], np.random.default_rng(0)
    ends = np.arange(1, 61) % 10 == 0
    Trajectories.from_arrays(
        rng.uniform(-1.0, 1.0, (60, task.observation_dim)),
        rng.uniform(-1.0, 1.0, (60, task.action_dim)),
        *(rng.random(60), rng.random(60), ends & False, ends),
    ).save(tmp_path / task.dataset_file)
    results = tmp_path / "results"
    arguments = as_planned("easysparse", results, "--data", str(tmp_path))
    assert "Use --stage train" in refused(arguments, results, capsys)
    for job in planned("easysparse", results, "train", str(tmp_path)):
        run_job(job)
    assert main([*arguments, "--stage", "train"]) == 0
    assert " 0 to do" in capsys.readouterr().out


def test_the_data_of_ones_own_task_can_be_looked_at(toml: Path, capsys) -> None:
    picture = toml.with_name("reach.svg")
    assert data_command(["inspect", str(toml), "--out", str(picture)]) == 0
    assert capsys.readouterr().out.startswith("Reach: ")
    assert picture.read_text().startswith("<?xml")
    assert data_command(["verify", str(toml.with_name("reach.hdf5")), "--task", str(toml)]) == 0
    assert "a whole data set. Reach: " in capsys.readouterr().out
