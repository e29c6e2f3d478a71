"""Trainings that are broken off and taken up again end as those that are not, bit for bit."""

from __future__ import annotations

import errno
import itertools
import json
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.methods.algorithm import Budget
from benchmarks.methods.names import BUILT_IN
from benchmarks.runs.jobs import ExitStatus
from benchmarks.runs.store import BusyError, Run
from benchmarks.runs.training import StoppedError
from benchmarks.runs.worker import exit_status_of, run_job
from tests.support.jobs import UPDATES, losses, make_job, same, stopping_after
from tests.support.marks import mostly_slow
from tests.support.small_data import SmallData


@pytest.fixture
def saved_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint is written after each update, however long that takes."""
    monkeypatch.setattr("benchmarks.runs.training._PAUSE_FACTOR", 0)


@pytest.fixture
def logged_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The losses of every second update are written down."""
    monkeypatch.setattr("benchmarks.runs.training.LOG_EVERY", 2)


@pytest.mark.usefixtures("logged_often")
@pytest.mark.parametrize(
    "name",
    mostly_slow(BUILT_IN, "gas", "gas-released", "cdt", "bear-lag", "o3srl", "presa", "ccac"),
)
def test_every_method_ends_the_same_however_often_it_is_stopped(
    name: str, small_data: SmallData, tmp_path: Path
) -> None:
    whole, broken = (
        make_job(name, small_data, tmp_path / one, limits=(40.0,), episodes=1)
        for one in ("whole", "broken")
    )
    run_job(whole)
    attempts = 0
    while not Run.of(broken).trained:
        attempts += 1
        try:
            run_job(broken, stop_requested=stopping_after(attempts % 2))
        except StoppedError:
            assert (failure := Run.of(broken).failure())
            assert failure["interrupted"]
    run_job(broken)
    assert attempts >= 3
    assert same(Run.of(whole).checkpoint(), Run.of(broken).checkpoint())
    assert losses(whole) == losses(broken)
    assert [row[0] for row in losses(broken)] == ["updates", "2", "4", "6", "7"]
    for limit in whole.limits:
        assert Run.of(whole).episodes(limit, 1) == Run.of(broken).episodes(limit, 1)
    assert Run.of(broken).failure() is None
    assert not (Run.of(broken).folder / "resume.pt").exists()


class Killed(BaseException):
    """As SIGKILL: no handler runs."""


@pytest.mark.usefixtures("saved_always")
def test_a_killed_training_goes_on_from_its_last_checkpoint(
    small_data: SmallData, tmp_path: Path
) -> None:
    job = make_job("bc-all", small_data, tmp_path)
    seen: list[int] = []

    def tell(**event: Any) -> None:
        seen.append(round(event["done"] * UPDATES))
        if len(seen) == 4:
            raise Killed

    with pytest.raises(Killed):
        run_job(job, tell)
    assert seen == [1, 2, 3, 4]
    assert (saved := Run.of(job).saved_progress())
    assert saved["algorithm"]["updates"] == 3
    seen.append(0)
    run_job(replace(job, stage="train"), tell)
    assert seen[5:] == [4, 5, 6, 7]


def test_checkpoints_come_by_the_clock_and_not_too_often(
    small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    keep = Run.save_progress
    monkeypatch.setattr(
        Run, "save_progress", lambda run, state: [written.append(1), keep(run, state)]
    )
    run_job(make_job("bc-all", small_data, tmp_path, stage="train", checkpoint_seconds=60.0))
    assert written == []
    slow = make_job("bc-safe", small_data, tmp_path, stage="train", checkpoint_seconds=0.0)
    monkeypatch.setattr("benchmarks.runs.training._PAUSE_FACTOR", 10**6)
    run_job(slow)
    assert written == [1], "one that took long is not soon followed by another"


def test_jumps_of_the_clock_change_no_training(
    small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, whole = (make_job("bc-all", small_data, tmp_path / one) for one in ("job", "whole"))
    run_job(whole)
    years = itertools.cycle([0.0, 4e9, 1e9, -1.0])
    monkeypatch.setattr(time, "time", lambda: next(years))
    monkeypatch.setattr(Run, "save_progress", None)  # none is due within a minute
    run_job(replace(job, checkpoint_seconds=60.0))
    assert same(Run.of(whole).checkpoint(), Run.of(job).checkpoint())
    summary = Run.of(job).training_summary()
    times = [summary["seconds"], summary["update_seconds"], Run.of(job).evaluation_seconds(8.0, 2)]
    assert all(0 < seconds < 60 for seconds in times)


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "pickle"])
def test_a_checkpoint_that_cannot_be_used_is_as_good_as_none(
    damage: str, small_data: SmallData, tmp_path: Path
) -> None:
    job, whole = (
        make_job("bc-all", small_data, tmp_path / one, stage="train") for one in ("job", "whole")
    )
    with pytest.raises(StoppedError):
        run_job(job, stop_requested=stopping_after(3))
    path = Run.of(job).folder / "resume.pt"
    if damage == "other":
        torch.save({"algorithm": {"updates": 3}}, path)
    elif damage == "pickle":
        torch.save({"algorithm": Budget.of(3)}, path)  # an object of a class: not to be loaded
    else:
        path.write_bytes(path.read_bytes()[: 200 if damage == "cut" else 0])
    run_job(job)
    run_job(whole)
    assert same(Run.of(job).checkpoint(), Run.of(whole).checkpoint())
    assert losses(job) == losses(whole)


def test_evaluations_of_a_group_are_kept_together_through_a_crash(
    small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, job = (make_job("gas", small_data, tmp_path / one) for one in ("whole", "job"))
    run_job(whole)

    def write(path: Path, content: bytes | str) -> None:
        if path.name == "evaluation-40x2.json":
            raise Killed
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    with monkeypatch.context() as patch:
        patch.setattr("benchmarks.runs.store.write_atomic", write)
        with pytest.raises(Killed):
            run_job(job)
    first = Run.of(job).folder / "evaluation-8x2.json"
    before = first.read_bytes()
    monkeypatch.setattr("benchmarks.runs.worker.evaluate", None)  # nothing is evaluated any more
    run_job(job)
    assert first.read_bytes() == before
    for limit in job.limits:
        assert Run.of(whole).episodes(limit, 2) == Run.of(job).episodes(limit, 2)


def test_half_written_files_are_cleared_away(small_data: SmallData, tmp_path: Path) -> None:
    job = make_job("bc-all", small_data, tmp_path)
    folder = Run.of(job).folder
    folder.mkdir(parents=True)
    (folder / ".resume.pt.123.part").write_bytes(b"half")
    run_job(job)
    left = {path.name for path in folder.iterdir()}
    assert not [name for name in left if name.startswith(".")]
    assert "resume.pt" not in left
    assert {"checkpoint.pt", "training.json", "evaluation-8x2.json", "losses.csv"} < left


def test_two_processes_never_work_on_one_run(small_data: SmallData, tmp_path: Path) -> None:
    job = make_job("bc-all", small_data, tmp_path, stage="train")
    run = Run.of(job)
    assert not run.busy
    with run.locked():
        assert run.busy
        with pytest.raises(BusyError):
            run_job(job)
    assert not run.busy
    assert run.failure() is None
    assert not run.trained
    run_job(job)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
@pytest.mark.usefixtures("saved_always")
def test_a_full_disk_is_no_failure_of_the_method_and_loses_nothing(
    number: int, small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job("bc-all", small_data, tmp_path, stage="train")
    keep, written = Run.save_progress, []

    def full(run: Run, state: Any) -> None:
        written.append(state["algorithm"]["updates"])
        if len(written) == 3:
            raise OSError(number, "no more")
        keep(run, state)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_progress", full)
        with pytest.raises(OSError, match="no more") as raised:
            run_job(job)
    assert exit_status_of(raised.value) is ExitStatus.NO_SPACE
    assert (failure := Run.of(job).failure())
    assert failure["interrupted"]
    assert (saved := Run.of(job).saved_progress())
    assert saved["algorithm"]["updates"] == 2
    run_job(job)
    assert Run.of(job).trained


def test_errors_are_told_apart() -> None:
    assert exit_status_of(MemoryError()) is ExitStatus.OUT_OF_MEMORY
    assert (
        exit_status_of(torch.cuda.OutOfMemoryError("CUDA out of memory"))
        is ExitStatus.OUT_OF_MEMORY
    )
    allocator = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")
    assert exit_status_of(allocator) is ExitStatus.OUT_OF_MEMORY
    assert exit_status_of(RuntimeError("shapes")) is ExitStatus.FAILED
    assert exit_status_of(OSError(errno.ENOENT, "no file")) is ExitStatus.FAILED
    assert exit_status_of(FloatingPointError("loss not finite")) is ExitStatus.FAILED


def test_a_store_that_was_moved_goes_on(small_data: SmallData, tmp_path: Path) -> None:
    job = make_job("bc-all", small_data, tmp_path / "one", stage="train")
    with pytest.raises(StoppedError):
        run_job(job, stop_requested=stopping_after(4))
    shutil.move(tmp_path / "one", tmp_path / "other")
    moved = replace(job, results=str(tmp_path / "other"))
    run_job(moved)
    summary = Run.of(moved).training_summary()
    assert summary["update_seconds"] <= summary["seconds"]
    stored = json.loads((Run.of(moved).folder / "job.json").read_text())
    assert stored == asdict(job.training)
