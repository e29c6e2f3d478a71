"""A runner that waits for another process says for which, and since when."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks.runs.store import Run
from benchmarks.scheduling import scheduler
from benchmarks.scheduling.devices import DevicePool
from benchmarks.scheduling.progress import describe
from benchmarks.scheduling.scheduler import Scheduler
from tests.support.fake_jobs import launch, make_job


@pytest.mark.parametrize("recorded", [False, True])
def test_a_wait_is_told(recorded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "_QUIET_SECONDS", 0.0)
    jobs = [make_job(tmp_path, number) for number in range(2)]
    told: list[str] = []
    with Run.of(jobs[0]).locked(), Run.of(jobs[1]).locked():
        if recorded:
            Run.of(jobs[0]).begin_attempt()
        for event in Scheduler(DevicePool({"cpu": 1}), launch).run(jobs, lambda: bool(told)):
            assert event.phase == "waiting"
            told.append(describe(event))
    assert f"holds {Run.of(jobs[0]).folder / 'lock'}; 1 more jobs wait as well" in told[0]
    assert ("at work since " + time.strftime("%Y") in told[0]) == recorded


def test_nothing_is_told_while_something_runs(tmp_path: Path) -> None:
    job = make_job(tmp_path, 0, "sleep 0.3")
    phases = [event.phase for event in Scheduler(DevicePool({"cpu": 1}), launch).run([job])]
    assert phases == ["done"]
