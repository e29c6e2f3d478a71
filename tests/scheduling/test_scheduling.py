"""What runs when, and what is made of processes that end in other ways than they should."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from pathlib import Path

import pytest

from benchmarks.runs.jobs import ExitStatus
from benchmarks.runs.store import BusyError, Run
from benchmarks.scheduling.devices import DevicePool
from benchmarks.scheduling.local import WorkerProcess
from benchmarks.scheduling.progress import print_failures, show_progress
from benchmarks.scheduling.protocol import Event, ProcessExit, WorkItem
from benchmarks.scheduling.scheduler import Scheduler
from tests.support.fake_jobs import ends, launch, make_job, run, tries


def test_every_job_is_done_once(tmp_path: Path) -> None:
    jobs = [make_job(tmp_path, i) for i in range(7)]
    events = run(jobs, slots=3)
    assert sorted(event.job.training.seed for event in events) == list(range(7))
    assert {event.phase for event in events} == {"done"}
    assert [tries(job) for job in jobs] == [["both cpu cpu"]] * 7


FAULTS = {
    "exception": ("exit 1", "failed", "left no result"),
    "segmentation fault": (f"signal {signal.SIGSEGV:d}", "failed", "ended by SIGSEGV"),
    "abort": (f"signal {signal.SIGABRT:d}", "failed", "ended by SIGABRT"),
    "killed": (f"signal {signal.SIGKILL:d}", "interrupted", "SIGKILL (out of memory?)"),
    "terminated": (f"signal {signal.SIGTERM:d}", "interrupted", "ended by SIGTERM"),
    "out of memory": (f"exit {ExitStatus.OUT_OF_MEMORY:d}", "failed", "out of memory"),
    "full disk": (f"exit {ExitStatus.NO_SPACE:d}", "interrupted", "disk cannot be written"),
    "too slow": ("sleep 60", "failed", "took longer than 0.01 minutes"),
    "too slow and deaf": ("deaf sleep 60", "failed", "took longer than 0.01 minutes"),
    "nothing stored": ("exit 0", "failed", "status 0 and left no result"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_recorded_and_harms_no_other(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, phase, reason = FAULTS[fault]
    monkeypatch.setattr("benchmarks.scheduling.scheduler.STOP_SECONDS", 0.3)
    bad, good = make_job(tmp_path, 0, script), make_job(tmp_path, 1)
    slow = "sleep" in script
    jobs, timeout = ([bad], 0.6) if slow else ([bad, good], None)
    events = {e.job.training.seed: e for e in run(jobs, timeout=timeout) if e.phase != "retry"}
    assert slow or events[1].phase == "done"
    assert events[0].phase == phase
    assert reason in events[0].reason
    assert (failure := Run.of(bad).failure())
    assert reason in failure["reason"]
    assert failure["interrupted"] == (phase == "interrupted")
    assert ("last words" in failure["traceback"]) == script.startswith("signal")


def test_what_is_killed_is_tried_again_with_fewer_neighbours(tmp_path: Path) -> None:
    killed = make_job(tmp_path, 0, f"signal {signal.SIGKILL:d}")
    jobs = [killed, *(make_job(tmp_path, i, "sleep 0.2") for i in range(1, 4))]
    running: list[tuple[int, int | None]] = []

    def watching(item: WorkItem, on_message) -> WorkerProcess:
        there = len(scheduler._running)
        if item.job == killed:
            running.append((there, item.max_neighbours))
        return launch(item, on_message)

    scheduler = Scheduler(DevicePool({"cpu": 4}), watching)
    phases = [e.phase for e in ends(scheduler.run(jobs)) if e.job == killed]
    assert phases == ["retry", "retry", "interrupted"]
    (_, most), (some, fewer), (none, zero) = running
    assert most is None
    assert fewer is not None
    assert some <= fewer < 3
    assert none == zero == 0


def test_what_was_killed_once_succeeds_in_the_same_run(tmp_path: Path) -> None:
    job = make_job(tmp_path, 0, f"once signal {signal.SIGKILL:d}")
    assert [event.phase for event in run([job])] == ["retry", "done"]
    assert len(tries(job)) == 2
    assert Run.of(job).failure() is None


def test_the_loss_of_a_node_crowds_out_nobody(tmp_path: Path) -> None:
    lost = make_job(tmp_path, 0, f"once signal {signal.SIGKILL:d}")
    jobs = [lost, *(make_job(tmp_path, i, "sleep 0.2") for i in range(1, 4))]
    seen: list[int | None] = []

    def watching(item: WorkItem, on_message) -> WorkerProcess:
        seen.append(item.max_neighbours)
        return launch(item, on_message)

    scheduler = Scheduler(DevicePool({"cpu": 4}, one_machine=False), watching)
    assert len([e for e in ends(scheduler.run(jobs)) if e.phase == "done"]) == 4
    assert set(seen) == {None}


def test_a_full_disk_starts_nothing_new(tmp_path: Path) -> None:
    full = make_job(tmp_path, 0, f"exit {ExitStatus.NO_SPACE:d}")
    others = [make_job(tmp_path, i, "sleep 0.3") for i in range(1, 5)]
    scheduler = Scheduler(DevicePool({"cpu": 2}), launch)
    phases = [event.phase for event in ends(scheduler.run([full, *others]))]
    assert sorted(phases) == ["done", "interrupted"], "what runs may end, nothing is begun"
    assert scheduler.halt_reason


def test_stopping_ends_what_runs_and_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.scheduling.scheduler.STOP_SECONDS", 0.5)
    jobs = [make_job(tmp_path, i, "deaf sleep 60") for i in range(4)]
    started = all_of(tmp_path, 2)
    events = ends(Scheduler(DevicePool({"cpu": 2}), launch).run(jobs, started))
    assert [(event.phase, event.reason) for event in events] == [("interrupted", "stopped")] * 2
    assert not Run.of(jobs[2]).folder.exists()


def test_what_does_not_even_die_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a node that does not answer any more."""
    monkeypatch.setattr("benchmarks.scheduling.scheduler.STOP_SECONDS", 0.2)

    class Undead:
        def __init__(self, item: WorkItem, on_message) -> None:
            self.on_message, self.killed = on_message, 0
            attempts.append(self)

        def stop(self) -> None:
            pass

        def kill(self) -> None:
            self.killed += 1

    attempts: list[Undead] = []
    scheduler = Scheduler(DevicePool({"cpu": 2}), Undead)
    events = scheduler.run([make_job(tmp_path, i) for i in range(3)], lambda: len(attempts) == 2)
    phases = [event.phase for event in events]
    assert phases == ["interrupted"] * 2
    assert [attempt.killed for attempt in attempts] == [1, 1]


def all_of(results: Path, count: int):
    """Whether so many jobs have begun."""
    return lambda: len(list(results.glob("runs/*/tries"))) >= count


def test_jumps_of_the_clock_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    years = itertools.cycle([0.0, 4e9, 1e9, -1.0])
    monkeypatch.setattr(time, "time", lambda: next(years))
    jobs = [make_job(tmp_path, i, "sleep 0.1") for i in range(4)]
    assert [event.phase for event in run(jobs, timeout=30.0)] == ["done"] * 4


def test_leaving_the_loop_ends_the_processes(tmp_path: Path) -> None:
    scheduler = Scheduler(DevicePool({"cpu": 2}), launch)
    jobs = [make_job(tmp_path, 0), make_job(tmp_path, 1, "sleep 60")]
    events = scheduler.run(jobs)
    assert next(events).job == jobs[0]
    (process,) = [attempt._process for attempt in scheduler._running.values()]
    events.close()
    assert process.wait(timeout=60) == -signal.SIGKILL


class Gone:
    """A process that has ended."""

    def stop(self) -> None: ...

    def kill(self) -> None: ...


def test_two_schedulers_share_the_work(tmp_path: Path) -> None:
    # long enough for the other to begin before one has done all, on a busy machine too
    jobs = [make_job(tmp_path, i, "sleep 0.4") for i in range(12)]
    found: dict[str, list[Event]] = {}

    def locked(item: WorkItem, on_message):
        """As a worker does: keep the run locked while the process lives."""
        held = Run.of(item.job).locked()
        try:
            held.__enter__()
        except BusyError:  # the other was first, or looks whether it is locked
            on_message(ProcessExit(ExitStatus.BUSY, ""))
            return Gone()

        def free(message) -> None:
            if isinstance(message, ProcessExit):
                held.__exit__(None, None, None)
            on_message(message)

        return launch(item, free)

    def work(name: str) -> None:
        found[name] = ends(Scheduler(DevicePool({"cpu": 1}), locked).run(jobs))

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(found) == ["one", "other"]
    assert [len(tries(job)) for job in jobs] == [1] * 12
    for events in found.values():
        assert len(events) == 12
        assert {event.phase for event in events} == {"done"}
        assert 2 <= sum(event.reason == "" for event in events) <= 10


def test_what_failed_elsewhere_meanwhile_is_not_repeated(tmp_path: Path) -> None:
    jobs = [make_job(tmp_path, 0, "sleep 0.1"), make_job(tmp_path, 1), make_job(tmp_path, 2)]
    Run.of(jobs[2]).record_failure("long ago", "")
    events = Scheduler(DevicePool({"cpu": 1}), launch).run(jobs)
    first = next(events)
    Run.of(jobs[1]).record_failure("a fault", "")
    later = ends(events)
    assert [event.phase for event in (first, *later)] == ["done", "failed", "done"]
    assert "a fault" in later[0].reason
    assert not (Run.of(jobs[1]).folder / "tries").exists()


def test_the_summary_says_what_failed_and_where_to_read_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = make_job(tmp_path, 0, "exit 1"), make_job(tmp_path, 1)
    lost = show_progress(Scheduler(DevicePool({"cpu": 2}), launch).run([bad, good]), [bad, good], 2)
    print_failures(lost, "", "--retry-failed")
    captured = capsys.readouterr()
    assert "seed 1: done" in captured.out
    error = captured.err
    assert "1 jobs failed" in error
    assert str(Run.of(bad).folder) in error
    assert "--retry-failed runs them again" in error
    assert "no more jobs" not in error
