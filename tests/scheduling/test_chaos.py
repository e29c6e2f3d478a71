"""Processes killed at random, two runners at once, a disk that is full: nothing is lost."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.common.errors import exit_status
from benchmarks.run import main
from benchmarks.runs.jobs import ExitStatus, Job
from benchmarks.runs.store import Run, is_done
from benchmarks.runs.training import StoppedError
from benchmarks.runs.worker import exit_status_of, run_job
from tests.support.forked import Runner
from tests.support.jobs import losses, make_job, same, stopping_after
from tests.support.runs import FAILING, children, command, evaluations, start, wait_for
from tests.support.small_data import SmallData

STAMPED = ("training.json", "checkpoint.pt", "evaluation-*.json")
"""Files that say that something is done, and are never written again."""


def stamps(results: Path) -> dict[str, int]:
    """The inode of each file that is never written again; a checkpoint may be until it counts."""
    found = {}
    for pattern in STAMPED:
        for path in results.glob(f"runs/*/{pattern}"):
            if pattern != "checkpoint.pt" or (path.parent / "training.json").exists():
                found[str(path)] = path.stat().st_ino
    return found


def small_jobs(small_data: SmallData, results: Path, count: int) -> list[Job]:
    """Trainings of a few methods with a seed each."""
    names = ("bc-all", "bc-safe", "gas", "cpq")
    jobs = [make_job(names[i % 4], small_data, results, limits=(40.0,)) for i in range(count)]
    return [
        replace(job, episodes=1, training=replace(job.training, seed=i, updates=40))
        for i, job in enumerate(jobs)
    ]


def equal(one: Job, other: Job) -> bool:
    """Whether two stores hold the same of a job, bit for bit."""
    runs = [Run.of(job) for job in (one, other)]
    return (
        same(runs[0].checkpoint(), runs[1].checkpoint())
        and losses(one) == losses(other)
        and runs[0].episodes(40.0, 1) == runs[1].episodes(40.0, 1)
    )


@pytest.mark.parametrize(("count", "kills"), [(4, 8), pytest.param(40, 50, marks=pytest.mark.slow)])
def test_chaos_changes_nothing(
    count: int, kills: int, small_data: SmallData, tmp_path: Path
) -> None:
    undisturbed, jobs = (
        small_jobs(small_data, tmp_path / name, count) for name in ("whole", "chaos")
    )
    for job in undisturbed:
        begin = time.monotonic()
        run_job(job)
    alone = time.monotonic() - begin  # of the last, by when all is imported, as it is for a fork
    results, rng = tmp_path / "chaos", random.Random(0)
    seen: dict[str, int] = {}
    runner, killed = Runner(jobs, tmp_path / "pids"), 0
    end = time.monotonic() + 1000
    while time.monotonic() < end:
        time.sleep(alone * rng.uniform(0.05, 0.5))  # some in each job, however fast the machine
        killed += killed < kills and runner.kill_someone(rng)
        now = stamps(results)
        assert seen.items() <= now.items(), "nothing that is done is lost, or done again"
        seen = now
        if not runner.alive:
            if all(map(is_done, jobs)):
                break
            runner = Runner(jobs, tmp_path / "pids")
    print(f"{killed} kills, {count} jobs of {alone:.2f} s")
    assert killed >= kills // 2
    assert all(map(is_done, jobs))
    assert all(map(equal, undisturbed, jobs))


def test_two_runners_share_the_work_without_a_duplicate(
    small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = tmp_path / "finished"
    finished.mkdir()

    def noted(name: str) -> None:
        """Have every worker, a fork of this process, note what it finishes, and who it is."""
        original = getattr(Run, name)

        def finish(run: Run, *given: Any) -> None:
            original(run, *given)
            (finished / f"{name}-{run.training.key}-{os.getpid()}").touch()

        monkeypatch.setattr(Run, name, finish)

    noted("finish_training")
    noted("finish_evaluations")
    jobs = small_jobs(small_data, tmp_path, 8)
    runners = [Runner(jobs, tmp_path / name) for name in ("one", "other")]
    assert [runner.wait() for runner in runners] == [0, 0]
    assert all(map(is_done, jobs))
    done = sorted(path.name.rsplit("-", 1)[0] for path in finished.iterdir())
    kinds = ("finish_evaluations", "finish_training")
    assert done == [
        f"{kind}-{key}" for kind in kinds for key in sorted(j.training.key for j in jobs)
    ]
    workers = {path.name.rsplit("-", 1)[1] for path in finished.iterdir()}
    for runner in runners:
        assert workers & {path.name for path in runner.pids.iterdir()}, "each did some of it"


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of half a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(options, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_full_and_then_has_room_again(
    small_data: SmallData, tmp_path: Path, small_disk: Path
) -> None:
    job = make_job("cpq", small_data, small_disk)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(420_000))
    with pytest.raises(OSError, match="No space left") as raised:
        run_job(job)
    assert exit_status_of(raised.value) is ExitStatus.NO_SPACE
    assert not Run(small_disk, job.training).trained
    ballast.unlink()
    run_job(job)
    whole = make_job("cpq", small_data, tmp_path / "whole")
    run_job(whole)
    stored = [Run.of(one).checkpoint() for one in (job, whole)]
    assert same(*stored)


def test_a_disk_that_has_become_read_only(small_data: SmallData, small_disk: Path) -> None:
    job = make_job("bc-all", small_data, small_disk)
    with pytest.raises(StoppedError):
        run_job(job, stop_requested=stopping_after(3))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OSError, match="Read-only file system") as raised:
        run_job(job)
    assert exit_status_of(raised.value) is ExitStatus.NO_SPACE
    assert not Run(small_disk, job.training).busy
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    run_job(job)


def test_a_read_only_folder_is_one_line_before_any_work(
    small_data: SmallData, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(small_data, small_disk / "results", "--algorithms", "bc-all")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: cannot write to {small_disk / 'results'} (Read-only file")
    assert error.count("\n") == 1


def test_a_disk_that_fails_a_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def full() -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "results/plan.json")

    assert exit_status(full) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "No space left on device: 'results/plan.json': free disk space" in error


@pytest.mark.slow
def test_fifty_kills_in_a_suite_of_forty_jobs(small_data: SmallData, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(FAILING)
    methods = ("--algorithms", "gas", "bc-all", f"{plugin}:Slow", "bc-safe", "coptidice")
    options = (*methods, "--seeds", "0", "1", "2", "3", "--limits", "60", "--updates", "40")
    options = (*options, "--checkpoint-seconds", "0.1", "--workers", "2")
    whole, results = tmp_path / "whole", tmp_path / "chaos"
    begin, rng = time.monotonic(), random.Random(1)
    first = start(command(small_data, whole, *options)[2:])
    output, _ = first.communicate(timeout=3000)
    each = 2 * (time.monotonic() - begin) / 40  # seconds that a job takes, on this machine
    assert first.returncode == 0, output
    assert "40 jobs" in output
    arguments = command(small_data, results, *options)[2:]
    runner, killed, seen, restarts = start(arguments), 0, dict[str, int](), 0
    while True:
        time.sleep(each * rng.uniform(0.05, 0.7))  # fifty before the work can be done
        if killed < 50 and runner.poll() is None and (workers := children(runner.pid)):
            victim = runner.pid if rng.random() < 0.3 else rng.choice(workers)
            os.kill(victim, signal.SIGKILL)
            killed += 1
            if victim == runner.pid:
                runner.wait()
        now = stamps(results)
        assert seen.items() <= now.items(), "nothing that is done is lost, or done again"
        seen = now
        if runner.poll() == 0:
            break
        if runner.poll() is not None:
            runner, restarts = start(arguments), restarts + 1
    print(f"{killed} kills, {restarts} restarts, {len(evaluations(results))} evaluations")
    assert killed == 50
    assert evaluations(results) == evaluations(whole)
    assert len(evaluations(results)) == 40
    wait_for(lambda: not list(results.glob("runs/*/resume.pt")))
