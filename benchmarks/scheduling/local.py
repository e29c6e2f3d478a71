"""Jobs on this machine: a slot is a process of one thread on a device."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.jobs import Job
from benchmarks.store import Run, is_done

_ENVIRONMENT = {
    # one thread a process: two beside another job are many times slower than one
    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "TORCH")},
    # keep large buffers instead of asking the system for them at each update
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
}
_OTHERS_FAULT = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
"""Signals that end a job from outside: it is interrupted, not failed."""


class Event(NamedTuple):
    """Something that happened to a job: "train", "evaluate", "done", "failed", "interrupted"."""

    job: Job
    phase: str
    share: float
    """Part of the phase that is done."""
    reason: str


@dataclass
class _Worker:
    job: Job
    process: subprocess.Popen[str]
    slot: str


class LocalScheduler:
    """Runs jobs in order on `slots`, a list with the device of each process at a time.

    Iterating over `run` yields events. Leaving the loop early, or an exception, ends the workers.
    """

    def __init__(self, slots: Sequence[str]) -> None:
        self.slots = list(slots)
        self._events: queue.Queue[tuple[_Worker, dict[str, Any] | None]] = queue.Queue()
        self._workers: list[_Worker] = []

    def run(
        self, jobs: Sequence[Job], stopping: Callable[[], bool] = lambda: False
    ) -> Iterator[Event]:
        """Do all `jobs`; once `stopping()` holds, start no more and end those that run."""
        waiting = deque(jobs)
        free = deque(self.slots)
        try:
            while (waiting and not stopping()) or self._workers:
                while waiting and free and not stopping():
                    slot = free.popleft()
                    self._start(replace(waiting.popleft(), device=slot), slot)
                if stopping():
                    for worker in self._workers:
                        worker.process.terminate()
                try:
                    worker, message = self._events.get(timeout=0.2)
                except queue.Empty:
                    continue
                if message is not None:
                    if message["phase"] != "failed":
                        yield Event(worker.job, message["phase"], message["done"], "")
                    continue
                self._workers.remove(worker)
                free.append(worker.slot)
                yield _outcome(worker)
        finally:
            for worker in self._workers:
                worker.process.kill()
            self._workers.clear()

    def _start(self, job: Job, slot: str) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **_ENVIRONMENT},
            start_new_session=True,  # Ctrl-C is the runner's to pass on
        )
        worker = _Worker(job, process, slot)
        self._workers.append(worker)
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()

    def _listen(self, worker: _Worker) -> None:
        assert worker.process.stdin is not None
        assert worker.process.stdout is not None
        try:
            worker.process.stdin.write(worker.job.to_json() + "\n")
            worker.process.stdin.flush()
        except BrokenPipeError:
            pass  # it died at once; its exit status says why
        for line in worker.process.stdout:
            try:
                self._events.put((worker, json.loads(line)))
            except ValueError:
                continue
        worker.process.wait()
        self._events.put((worker, None))


def _outcome(worker: _Worker) -> Event:
    """What an ended worker left behind; a death that it could not record is recorded here."""
    job, code = worker.job, worker.process.returncode
    if code == 0 and is_done(job):
        return Event(job, "done", 1.0, "")
    run = Run(Path(job.results), job.training)
    if code < 0:
        name = signal.Signals(-code).name
        interrupted = -code in _OTHERS_FAULT
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        reason = f"ended by {name}{hint}"
        run.fail(reason, "", interrupted=interrupted)
        return Event(job, "interrupted" if interrupted else "failed", 1.0, reason)
    failure = run.failure()
    if failure is None:
        reason = f"the worker ended with status {code} and left no result"
        run.fail(reason, "")
        return Event(job, "failed", 1.0, reason)
    return Event(job, "failed", 1.0, failure["reason"])
