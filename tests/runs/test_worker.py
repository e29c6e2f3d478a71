"""What a worker refuses: inputs that are no longer what the job was planned for."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks.common.errors import UserError
from benchmarks.datasets.trajectories import file_checksum
from benchmarks.methods.registry import configure, find_method
from benchmarks.runs.jobs import Job, Training
from benchmarks.runs.store import Run
from benchmarks.runs.worker import run_job
from benchmarks.tasks.tasks import TASKS
from tests.support.small_data import SmallData


@pytest.fixture
def job(small_data: SmallData, tmp_path: Path) -> Job:
    """Two updates of BC on BallRun."""
    data = small_data.folder / TASKS["BallRun"].dataset_file
    config, _ = configure(find_method("bc-all").cls, "quick", {})
    training = Training("bc-all", "", asdict(config), "BallRun", file_checksum(data), 0, None, 2)
    return Job(
        training=training,
        limits=(8.0,),
        episodes=1,
        method_spec="bc-all",
        data=str(data),
        source="small",
        results=str(tmp_path),
        stage="train",
    )


def refused(job: Job, words: str) -> None:
    with pytest.raises(UserError, match=words):
        run_job(job)
    run = Run.of(job)
    assert not run.trained
    failure = run.failure()
    assert failure is not None
    assert words in failure["reason"]


def test_a_job_as_planned_is_done_and_forgets_an_earlier_failure(job: Job) -> None:
    run = Run.of(job)
    run.record_failure("earlier", "")
    run_job(job)
    assert run.trained
    assert run.failure() is None


def test_data_that_changed_since_the_plan_are_refused(job: Job) -> None:
    refused(replace(job, training=replace(job.training, checksum="0" * 64)), "has changed since")


def test_a_plugin_that_changed_since_the_plan_is_refused(job: Job, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text("from baselines.bc import BCAll as Mine\n")
    code = find_method(f"{plugin}:Mine").code
    run_job(replace(job, method_spec=f"{plugin}:Mine", training=replace(job.training, code=code)))
    plugin.write_text("from baselines.bc import BCAll as Mine  # another\n")
    planned = replace(job.training, code=code, seed=1)
    refused(replace(job, method_spec=f"{plugin}:Mine", training=planned), "has changed since")


def test_data_of_another_task_are_refused(job: Job) -> None:
    refused(replace(job, training=replace(job.training, task="AntRun")), "AntRun needs 33 and 8")


def test_evaluation_needs_a_training(job: Job) -> None:
    with pytest.raises(UserError, match="run --stage train first"):
        run_job(replace(job, stage="evaluate"))
    failure = Run.of(job).failure()
    assert failure is not None
    assert failure["interrupted"], "once it is trained it can be evaluated"
