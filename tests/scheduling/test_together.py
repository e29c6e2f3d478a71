"""Seeds trained as one in a run: which jobs that joins, and what becomes of them when it fails."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.run import main
from benchmarks.runs.jobs import ExitStatus, Job
from benchmarks.runs.store import Run
from benchmarks.runs.training import StoppedError
from benchmarks.runs.worker import exit_status_of, run_job
from benchmarks.scheduling.devices import GIB, DevicePool, MemoryEstimates
from benchmarks.scheduling.protocol import Event, OnMessage, ProcessExit, WorkItem
from benchmarks.scheduling.scheduler import Scheduler
from tests.support.fake_jobs import make_job as fake_job
from tests.support.jobs import make_job as real_job
from tests.support.runs import command, small
from tests.support.small_data import SmallData


class Launched:
    """Processes that end at once: what `ends` says of an item is its status, 0 if it succeeds."""

    def __init__(self, ends: Callable[[WorkItem], int] = lambda item: 0) -> None:
        self.ends, self.items = ends, list[WorkItem]()

    def __call__(self, item: WorkItem, on_message: OnMessage) -> Launched:
        self.items.append(item)
        status = self.ends(item)
        for job in item.jobs if status == 0 else ():
            folder = Run.of(job).folder
            folder.mkdir(parents=True, exist_ok=True)
            if item.stage != "evaluate":
                (folder / "training.json").write_text("{}")
            if item.stage != "train":
                for limit in job.limits:
                    (folder / f"evaluation-{limit:.10g}x{job.episodes}.json").write_text("{}")
        on_message(ProcessExit(status, "last words"))
        return self

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    @property
    def trained(self) -> list[tuple[int, ...]]:
        """The seeds of every process that trained."""
        return [
            tuple(job.training.seed for job in item.jobs)
            for item in self.items
            if item.stage != "evaluate"
        ]


def run(jobs: list[Job], launched: Launched, places: DevicePool | None = None) -> list[Event]:
    events = list(Scheduler(places or DevicePool({"cpu": 1}), launched).run(jobs))
    return [event for event in events if event.phase not in ("train", "evaluate")]


def jobs_of(folder: Path, seeds: int, together: int, **changes: object) -> list[Job]:
    return [fake_job(folder, seed, seeds_per_job=together, **changes) for seed in range(seeds)]


def test_so_many_seeds_are_trained_as_one_and_each_is_evaluated(tmp_path: Path) -> None:
    launched = Launched()
    events = run(jobs_of(tmp_path, 5, together=2), launched)
    assert launched.trained == [(0, 1), (2, 3), (4,)]
    assert sorted(p.job.training.seed for p in launched.items if p.stage == "evaluate") == [
        *range(5)
    ]
    assert [(event.phase, event.reason) for event in events] == [("done", "")] * 5


def test_only_what_differs_in_the_seed_alone_is_joined(tmp_path: Path) -> None:
    first, second = jobs_of(tmp_path, 2, together=4)
    other_task = replace(second, training=replace(second.training, task="CarRun"))
    other_limit = replace(second, training=replace(second.training, limit=8.0))
    other_options = replace(second, training=replace(second.training, config={"batch": 2}))
    same_seed = replace(first, eval_options={"target_factor": 2.0})
    launched = Launched()
    run([first, same_seed, other_task, other_limit, other_options, second], launched)
    assert launched.trained[0] == (0, 1)
    assert sorted(launched.trained[1:]) == [(0,), (1,), (1,), (1,)]


def test_by_default_each_is_alone(tmp_path: Path) -> None:
    launched = Launched()
    run([fake_job(tmp_path, seed) for seed in range(3)], launched)
    assert launched.trained == [(0,), (1,), (2,)]


def test_what_is_trained_already_or_by_another_is_left_out(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, 4, together=4)
    Launched()(WorkItem(jobs[1], "train", False), lambda _: None)
    Run.of(jobs[2]).folder.mkdir(parents=True, exist_ok=True)
    launched = Launched()
    with Run.of(jobs[2]).locked():
        scheduler = Scheduler(DevicePool({"cpu": 1}), launched)
        running = scheduler.run(jobs)
        while len(launched.trained) < 1:
            next(running)
    assert launched.trained == [(0, 3)]
    list(running)
    assert launched.trained == [(0, 3), (1,), (2,)]


FAULTS = [
    int(ExitStatus.FAILED),
    int(ExitStatus.OUT_OF_MEMORY),
    int(ExitStatus.BUSY),
    -int(signal.SIGKILL),
    -int(signal.SIGSEGV),
]


@pytest.mark.parametrize("status", FAULTS)
def test_seeds_that_fail_as_one_are_tried_alone(
    status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.scheduling.scheduler._POLL_SECONDS", 0.01)
    launched = Launched(lambda item: status if item.stacked_jobs else 0)
    events = run(jobs_of(tmp_path, 3, together=3), launched)
    assert launched.trained == [(0, 1, 2), (0,), (1,), (2,)]
    again = [event for event in events if event.phase == "retry"]
    assert len(again) == (0 if status == ExitStatus.BUSY else 3)
    assert [event.phase for event in events if event not in again] == ["done"] * 3


def test_one_bad_seed_fails_alone(tmp_path: Path) -> None:
    launched = Launched(lambda p: int(any(job.training.seed == 1 for job in p.jobs)))
    events = run(jobs_of(tmp_path, 3, together=3), launched)
    last = {event.job.training.seed: event.phase for event in events}
    assert last == {0: "done", 1: "failed", 2: "done"}


def test_a_full_disk_halts_and_blames_nobody(tmp_path: Path) -> None:
    launched = Launched(lambda item: int(ExitStatus.NO_SPACE))
    events = run(jobs_of(tmp_path, 3, together=2), launched)
    assert [event.phase for event in events] == ["interrupted"] * 2
    assert launched.trained == [(0, 1)]


def test_what_several_take_of_a_gpu_is_not_expected_of_one(tmp_path: Path) -> None:
    estimates = MemoryEstimates(initial=GIB)
    jobs = jobs_of(tmp_path, 2, together=2)
    pair = WorkItem(jobs[0], "train", True, stacked_jobs=(jobs[1],)).worker_job
    estimates.observe(pair, 10 * GIB)
    assert estimates.of(pair) == 11 * GIB
    assert estimates.of(jobs[0]) == GIB


def last_losses(file: Path) -> list[float]:
    return [float(number) for number in file.read_text().splitlines()[-1].split(",")[2:]]


def test_a_run_with_seeds_together_gives_what_one_without_gives(
    small_data: SmallData, tmp_path: Path, workers_here: list[Job]
) -> None:
    names = ("gas", "bc-safe", "cdt")
    more = ("--algorithms", *names, "--seeds", "0", "1", "--workers", "1", *small(*names))
    for name, together in (("alone", "1"), ("together", "3")):
        more = (*more, "--seeds-per-job", together, "--stage", "train")
        assert main(command(small_data, tmp_path / name, *more, tasks=("BallRun",))) == 0
    stacked = [job for job in workers_here if job.stacked_seeds]
    assert {job.stacked_seeds for job in stacked} == {(1,)}
    asked = sorted(job.training.algorithm for job in stacked)
    assert asked == ["bc-safe"] * 3 + ["gas"], "one for each limit, one for all"
    alone = list((tmp_path / "alone" / "runs").glob("*/losses.csv"))
    assert len(alone) == 2 * (1 + 3 + 1)
    for path in alone:
        folder = tmp_path / "together" / "runs" / path.parent.name
        assert last_losses(folder / "losses.csv") == pytest.approx(
            last_losses(path), rel=1e-3, abs=1e-4
        )
        for name in ("training.json", "provenance-training.json", "checkpoint.pt"):
            assert (folder / name).exists()


def test_a_stopped_stack_goes_on_where_it_was(small_data: SmallData, tmp_path: Path) -> None:
    """As one, or each alone, and also where a crash has lost one seed's last checkpoint."""
    base = real_job("gas", small_data, tmp_path / "whole", stage="train", stacked_seeds=(1, 2))
    run_job(base)
    for way in ("as one", "alone", "one behind"):
        job = replace(base, results=str(tmp_path / way))
        asked = iter([False] * 3 + [True] * 1000)
        with pytest.raises(StoppedError):
            run_job(replace(job, checkpoint_seconds=0.0), stop_requested=lambda: next(asked))  # noqa: B023
        runs = [Run.of(one) for one in job.per_seed]
        saved = [run.saved_progress() for run in runs]
        assert len({one["algorithm"]["updates"] for one in saved if one}) == 1
        assert all(run.failure()["interrupted"] for run in runs)
        if way == "one behind":
            (runs[1].folder / "resume.pt").unlink()
        for one in job.per_seed if way == "alone" else [job]:
            run_job(one)
        for one in job.per_seed:
            losses = (Run.of(one).folder / "losses.csv").read_text().splitlines()
            whole = Run.of(replace(one, results=base.results)).folder / "losses.csv"
            for row, expected in zip(losses[1:], whole.read_text().splitlines()[1:], strict=True):
                numbers = [float(x) for x in row.split(",")[2:]]
                wanted = [float(x) for x in expected.split(",")[2:]]
                assert numbers == pytest.approx(wanted, rel=1e-3, abs=1e-5)


def test_a_stack_that_another_process_disturbs_is_busy(
    small_data: SmallData, tmp_path: Path
) -> None:
    job = real_job("gas", small_data, tmp_path, stage="train", stacked_seeds=(1,))
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with Run.of(job.per_seed[1]).locked():
            held.set()
            release.wait(60)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(60)
    try:
        with pytest.raises(Exception, match="another process works on") as caught:
            run_job(job)
        assert exit_status_of(caught.value) == ExitStatus.BUSY
        assert not Run.of(job).busy
    finally:
        release.set()
        other.join()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds-per-job", "0"], "--seeds-per-job must be at least 1"),
        (["--seeds-per-job", "2", "--engine", "slurm"], "slurm"),
    ],
)
def test_wrong_numbers_are_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--suite", "tight", *arguments]) == 2
    assert words in capsys.readouterr().err
