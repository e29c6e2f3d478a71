"""Runners and workers as forks of the test: real processes that start in no time."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.run import main
from benchmarks.runs.jobs import ExitStatus, Job
from benchmarks.runs.worker import exit_status_of, run_job
from benchmarks.scheduling import scheduler
from benchmarks.scheduling.devices import DevicePool
from benchmarks.scheduling.protocol import OnMessage, ProcessExit, WorkItem
from benchmarks.scheduling.scheduler import Scheduler

FORK = multiprocessing.get_context("fork")


class ForkedWorker:
    """As `WorkerProcess`, without the imports."""

    def __init__(self, item: WorkItem, on_message: OnMessage, pids: Path) -> None:
        self.process = FORK.Process(target=_work, args=(item.worker_job, os.getpid(), pids))
        self.process.start()
        threading.Thread(target=self._wait, args=(on_message,), daemon=True).start()

    def _wait(self, on_message: OnMessage) -> None:
        self.process.join()
        on_message(ProcessExit(self.process.exitcode, ""))

    def stop(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.kill()


def end_with(parent: int) -> None:
    """End this process when its parent, however that ends, is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.01)
        os._exit(ExitStatus.STOPPED)

    threading.Thread(target=watch, daemon=True).start()


def _work(job: Job, parent: int, pids: Path) -> None:
    torch.set_num_threads(1)
    (pids / str(os.getpid())).touch()

    end_with(parent)
    try:
        run_job(job)
    except Exception as error:
        os._exit(exit_status_of(error))
    os._exit(ExitStatus.DONE)


def _run(jobs: Sequence[Job], pids: Path, tries: int, parent: int) -> None:
    end_with(parent)
    scheduler = Scheduler(
        DevicePool({"cpu": 2}),
        lambda item, on_message: ForkedWorker(item, on_message, pids),
        max_attempts=tries,
    )
    lost = [event for event in scheduler.run(jobs) if event.phase in ("failed", "interrupted")]
    for event in lost:
        print(event, file=sys.stderr, flush=True)
    os._exit(int(bool(lost)))


class Runner:
    """A process with a scheduler of two workers."""

    def __init__(self, jobs: Sequence[Job], pids: Path, tries: int = 3) -> None:
        pids.mkdir(exist_ok=True)
        self.pids = pids
        self.process = FORK.Process(target=_run, args=(jobs, pids, tries, os.getpid()))
        self.process.start()

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def workers(self) -> list[int]:
        """The workers that live."""
        found = []
        for path in self.pids.iterdir():
            try:
                stat = Path(f"/proc/{path.name}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if stat[0] != "Z" and int(stat[1]) == self.process.pid:
                found.append(int(path.name))
        return found

    def kill_someone(self, rng: random.Random) -> bool:
        """Kill -9 this runner, or one of its workers; whether there was one to kill."""
        victims = self.workers()
        if not self.alive or not victims:
            return False
        victim = self.process.pid if rng.random() < 0.3 else rng.choice(victims)
        assert victim is not None
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            return False
        if victim == self.process.pid:
            self.process.join()
        return True

    def wait(self, seconds: float = 600.0) -> int:
        """Its exit status."""
        self.process.join(seconds)
        assert not self.process.is_alive(), "it does not end"
        assert self.process.exitcode is not None
        return self.process.exitcode


class ForkedRun:
    """The command `run` as a process, whose output goes to a file.

    `patient`: it waits for ever for workers that are asked to stop.
    """

    def __init__(self, arguments: Sequence[str], output: Path, patient: bool = False) -> None:
        self.output = output
        given = arguments, output, patient
        self.process = FORK.Process(target=_run_command, args=given, daemon=True)
        self.process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def interrupt(self) -> None:
        """Ctrl-C."""
        os.kill(self.pid, signal.SIGINT)

    def wait(self, seconds: float = 60.0) -> tuple[int | None, str]:
        """Its exit status, None if it does not end, and what it has printed."""
        self.process.join(seconds)
        return self.process.exitcode, self.output.read_text()


def _run_command(arguments: Sequence[str], output: Path, patient: bool) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with output.open("w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        sys.stdout = sys.stderr = file
        if patient:
            scheduler.STOP_SECONDS = 1e6
        status = main(arguments)
    os._exit(status)
