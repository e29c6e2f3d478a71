"""Faults of one's own task, environment and data: one line each, before any work."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from benchmarks.common.errors import UserError
from benchmarks.run import main
from benchmarks.runs.store import Run
from benchmarks.runs.worker import run_job
from tests.support.own_task import as_planned, command, edit, planned, refused


def of_task_file(old: str, new: str):
    return lambda toml: edit(toml, old, new)


def of_code(old: str, new: str):
    return lambda toml: edit(toml.with_name("reach.py"), old, new)


def of_data(**columns):
    """Replace columns of the data file, or leave them out."""

    def change(toml: Path) -> None:
        with h5py.File(toml.with_name("reach.hdf5"), "r+") as file:
            for name, values in columns.items():
                old = file[name][()]
                del file[name]
                if values is not None:
                    file[name] = values(old)

    return change


CONSTRUCTOR = "    def __init__(self):\n        raise OSError('no\\nlicence')\n\n    def step"
FAULTS = {
    "no task file": (lambda toml: toml.unlink(), "reach.toml: not a readable task file"),
    "broken TOML": (of_task_file("horizon = 30", "horizon ="), "line 4"),
    "not UTF-8": (lambda toml: toml.write_bytes(b"name = '\xff'"), "utf-8"),
    "unknown entry": (of_task_file("horizon", "horizn"), "did you mean horizon?"),
    "missing entries": (
        lambda toml: toml.write_text("name = 'Reach'"),
        "needs simulator, data, horizon, max_cost",
    ),
    "truth for a number": (
        of_task_file("horizon = 30", "horizon = true"),
        "True is not of type int",
    ),
    "half a step": (of_task_file("horizon = 30", "horizon = 30.5"), "30.5 is not of type int"),
    "text for a number": (
        of_task_file("max_cost = 10", "max_cost = '10'"),
        "'10' is not of type float",
    ),
    "number for text": (of_task_file('name = "Reach"', "name = 3"), "name = 3 is not of type str"),
    "NaN": (of_task_file("max_cost = 10", "max_cost = nan"), "max_cost = nan is not of type float"),
    "infinity": (
        of_task_file("max_cost = 10", "max_cost = inf"),
        "max_cost = inf is not of type float",
    ),
    "too large": (of_task_file("max_cost = 10", f"max_cost = {10**400}"), "is not of type float"),
    "horizon 0": (of_task_file("horizon = 30", "horizon = 0"), "horizon must be at least 1, not 0"),
    "max_cost 0": (
        of_task_file("max_cost = 10", "max_cost = 0"),
        "max_cost must be above 0, not",
    ),
    "a DSRL name": (of_task_file('"Reach"', '"AntRun"'), "'AntRun' must be a plain word, not a"),
    "a path as name": (of_task_file('"Reach"', '"../Reach"'), "'../Reach' must be a plain word"),
    "returns": (of_task_file("max_cost", "min_return = 3\nmax_return = 2\nmax_cost"), "below"),
    "no data": (lambda toml: toml.with_name("reach.hdf5").unlink(), "reach.hdf5: no such data"),
    "not HDF5": (
        lambda toml: toml.with_name("reach.hdf5").write_bytes(b"words" * 1000),
        "not HDF5",
    ),
    "a column too few": (of_data(costs=None), "it lacks costs"),
    "NaN in the data": (of_data(rewards=lambda old: old * np.nan), "rewards holds NaN"),
    "actions unscaled": (of_data(actions=lambda old: 2 * old), "scale them to [-1, 1]"),
    "horizon too short": (of_task_file("horizon = 30", "horizon = 9"), "longest episode is 30"),
    "no simulator file": (
        lambda toml: toml.with_name("reach.py").unlink(),
        "reach.py does not exist",
    ),
    "no class named": (of_task_file("reach.py:Reach", "reach.py"), "reach.py:ClassName"),
    "no such class": (of_task_file("reach.py:Reach", "reach.py:Rech"), "no attribute 'Rech'"),
    "no environment": (of_task_file("reach.py:Reach", "reach.py:GOAL"), "not callable"),
    "no such id": (of_task_file("reach.py:Reach", "Reach-v9"), "Reach-v9 cannot be made"),
    "no such module": (of_task_file("reach.py:Reach", "nowhere:Reach-v9"), "nowhere"),
    "not Python": (of_code("class Reach(", "clas Reach("), "cannot be made (SyntaxError"),
    "a constructor": (of_code("    def step", CONSTRUCTOR), "(OSError: no licence)"),
    "an exit": (of_code("GOAL = ", "raise SystemExit(0)\nGOAL = "), "(SystemExit: 0)"),
    "observations' width": (
        of_data(observations=lambda old: old[:, :1], next_observations=lambda old: old[:, :1]),
        "the data's observations are 1 wide, those of",
    ),
    "actions' width": (
        of_data(actions=lambda old: old[:, :1]),
        "the data's actions are 1 wide, those of",
    ),
    "discrete actions": (
        of_code("Box(-2.0, 2.0, (2,), np.float32)  # how", "Discrete(2)  # how"),
        "are Discrete(2)",
    ),
    "unbounded actions": (
        of_code("Box(-2.0, 2.0, (2,), np.float32)  # how", "Box(-2.0, np.inf, (2,))  # how"),
        "must be bounded",
    ),
    "no cost": (of_code('"cost"', '"costs"'), 'step must return info["cost"]'),
    "an old reset": (of_code(".astype(np.float32), {}", ".astype(np.float32)"), "of shape ()"),
    "an old step": (of_code("self.steps >= 30, info", "info"), "first step (ValueError"),
    "a step that fails": (of_code("0.1 * action", "0.1 / 0"), "first step (ZeroDivisionError: "),
    "undeclared width": (
        of_code("observation = self.place", "observation = self.place[:1]"),
        "returned an observation of shape (1,), not of the declared shape (2,)",
    ),
}


@pytest.mark.parametrize(("spoil", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_told_in_one_line_before_any_work(
    spoil, said: str, toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(toml)
    results = tmp_path / "results"
    error = refused(command(toml, results), results, capsys)
    assert said in error
    assert "reach." in error  # the file that is to be mended


@pytest.mark.parametrize("other", ["BallRun", "twin"])
def test_tasks_that_do_not_go_together(
    other: str, toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if other == "twin":
        other = str(shutil.copytree(toml.parent, tmp_path / "twin") / "reach.toml")
    results = tmp_path / "results"
    error = refused(command(toml, results, "--tasks", str(toml), other), results, capsys)
    assert "run it apart from the others" in error or "two of the tasks are called 'Reach'" in error


def test_a_task_named_twice_is_one(toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice = str(toml), str(toml.parent / ".." / toml.parent.name / toml.name)
    assert main(["--tasks", *twice, "--limits", "5", "--dry-run"]) == 0
    assert "tasks: Reach\n" in capsys.readouterr().out


LATE = {
    "a late fault": (of_code("0.1 * action", "0.1 / (5 - self.steps)"), "ZeroDivisionError"),
    "no cost later": (
        of_code(
            "        observation =",
            "        info = {} if self.steps > 4 else info\n        observation =",
        ),
        'reach.py:Reach: step must return info["cost"]',
    ),
}


@pytest.mark.parametrize(("spoil", "said"), LATE.values(), ids=LATE.keys())
def test_what_shows_in_an_evaluation_only_is_that_jobs_failure(
    spoil, said: str, toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(toml)
    results = tmp_path / "results"
    for job in planned(toml, results):  # what a worker does
        with pytest.raises((UserError, ZeroDivisionError)):
            run_job(job)
        run = Run(results, job.training)
        assert run.trained
        assert said in run.failure()["reason"]
        assert "\n" not in run.failure()["reason"]
    assert main(as_planned(toml, results)) == 1
    assert "2 jobs failed in an earlier run" in capsys.readouterr().out
    missing = pd.read_csv(results / "custom" / "missing.csv")
    assert list(missing["status"]) == ["failed"] * 2
    assert all(said in reason for reason in missing["reason"])


def test_training_needs_no_simulator(
    toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_code("    def step", CONSTRUCTOR)(toml)
    results = tmp_path / "results"
    for job in planned(toml, results, "train"):
        run_job(job)
    assert main(as_planned(toml, results, "--stage", "train")) == 0
    assert " 0 to do" in capsys.readouterr().out
    assert main(as_planned(toml, results)) == 2
    assert "no licence" in capsys.readouterr().err
