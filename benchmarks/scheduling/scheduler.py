"""Decides which jobs run when, and what the exit of a process means; the same for every engine."""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.runs.jobs import ExitStatus, Job
from benchmarks.runs.store import Run, is_done
from benchmarks.scheduling.devices import DevicePool
from benchmarks.scheduling.protocol import Event, Launch, ProcessExit, WorkerHandle, WorkItem

STOP_SECONDS = 4.3
"""Time between asking a process to stop and killing it."""
_KILL_SECONDS = 0.4
"""Time between killing a process and giving up on its exit message."""
_EXTERNAL_SIGNALS = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
"""Signals from outside: they interrupt a job, they do not fail it."""
_QUIET_SECONDS = 3.0
"""Time that a wait for other processes takes before it is told."""
_TELL_AGAIN_SECONDS = 600.0
"""Time until it is told again."""
_POLL_SECONDS = 1.0
"""Time until a run that another process has locked is checked again."""


class Scheduler:
    """Runs jobs in order, as many at a time as `devices` has room for, in processes of `launch`.

    A process that is killed or runs out of memory gets `max_attempts` attempts, each with fewer
    neighbours on its device. A process that runs for longer than `timeout` seconds has failed.
    Leaving the loop over `run` early, or an exception, kills every process.
    """

    def __init__(
        self,
        devices: DevicePool,
        launch: Launch,
        *,
        timeout: float | None = None,
        max_attempts: int = 3,
    ) -> None:
        self.devices, self.launch = devices, launch
        self.timeout, self.max_attempts = timeout, max_attempts
        self.halt_reason = ""
        """Why no more jobs are started; empty while they are."""
        self._messages: queue.Queue[tuple[WorkItem, dict[str, Any] | ProcessExit]] = queue.Queue()
        self._running: dict[WorkItem, WorkerHandle] = {}
        self._waiting: list[WorkItem] = []
        self._tell_at = float("inf")
        """When to say what this runner waits for, by the monotonic clock."""
        self._old_failures: dict[str, Any] = {}

    def run(
        self, jobs: Sequence[Job], stop_requested: Callable[[], bool] = lambda: False
    ) -> Iterator[Event]:
        """Run all `jobs`; once `stop_requested()` holds, start no more and stop those that run."""
        self._waiting = [self._first_item(job) for job in jobs]
        self._tell_at = time.monotonic() + _QUIET_SECONDS
        # Failures from before this run are retried; failures of other runners during it are not.
        self._old_failures = {job.training.key: Run.of(job).failure() for job in jobs}
        try:
            while self._waiting or self._running:
                if stop_requested():
                    for item in self._running:
                        self._stop(item)
                elif not self.halt_reason:
                    yield from self._start()
                yield from self._tell_waiting()
                if not self._running and (stop_requested() or self.halt_reason):
                    return
                self._enforce_deadlines()
                yield from self._handle_messages()
        finally:
            for handle in self._running.values():
                handle.kill()
            self._running.clear()

    def _first_item(self, job: Job) -> WorkItem:
        """The first part of `job`: GPUs train, and evaluate only jobs of the stage "evaluate"."""
        trains = job.stage != "evaluate" and not Run.of(job).trained
        needs_gpu = bool(self.devices.gpus) and (trains or job.stage == "evaluate")
        split = (needs_gpu or (trains and job.seeds_per_job > 1)) and job.stage == "both"
        return WorkItem(job, "train" if split else job.stage, needs_gpu)

    def _start(self) -> Iterator[Event]:
        """Start waiting items, in order, while there is room; report jobs that others finished."""
        now = time.monotonic()
        for item in list(self._waiting):
            if not self.devices.has_free_slot(list(self._running)):
                return
            if item.not_before > now:
                continue
            if item not in self._waiting or item.job.training.key in self._running_keys():
                continue  # just started in a stack, or its training runs for another evaluation
            stack = self._find_stackable(item, now)
            item.stacked_jobs = tuple(other.job for other in stack)
            device = self.devices.choose(item, list(self._running))
            if device is None:
                continue
            outcome = self._outcome_elsewhere(item)
            if outcome is None and Run.of(item.job).busy:
                item.not_before = now + _POLL_SECONDS
                continue
            self._waiting.remove(item)
            if outcome is not None:
                item.stacked_jobs = ()
                yield outcome
                continue
            for other in stack:
                self._waiting.remove(other)
            item.device = device
            if self.timeout is not None:
                item.deadline = now + self.timeout
            self._running[item] = self.launch(item, self._message_handler(item))

    def _tell_waiting(self) -> Iterator[Event]:
        """Say what this runner waits for while all jobs that are left run elsewhere."""
        now = time.monotonic()
        if self._running or not self._waiting:
            self._tell_at = now + _QUIET_SECONDS
        elif now >= self._tell_at:
            self._tell_at = now + _TELL_AGAIN_SECONDS
            job, others = self._waiting[0].job, len(self._waiting) - 1
            more = f"; {others} more jobs wait as well" if others else ""
            yield Event(job, "waiting", 0.0, f"{Run.of(job).holder()}{more}")

    def _running_keys(self) -> set[str]:
        """The keys of the trainings that processes work on."""
        return {job.training.key for item in self._running for job in item.jobs}

    def _find_stackable(self, item: WorkItem, now: float) -> list[WorkItem]:
        """Waiting items that differ from `item` in their seed only and may train in its stack."""

        def may_stack(candidate: WorkItem) -> bool:
            return (
                candidate.stage == "train"
                and not candidate.train_alone
                and candidate.not_before <= now
            )

        job, by_seed = item.job, dict[int, WorkItem]()
        if not may_stack(item) or job.seeds_per_job == 1:
            return []
        busy = self._running_keys()
        for candidate in self._waiting:
            training = candidate.job.training
            if len(by_seed) + 1 == job.seeds_per_job:
                break
            if (
                may_stack(candidate)
                and replace(training, seed=job.training.seed) == job.training
                and training.seed not in (job.training.seed, *by_seed)
                and training.key not in busy
                and self._outcome_elsewhere(candidate) is None
                and not Run.of(candidate.job).busy
            ):
                by_seed[training.seed] = candidate
        return list(by_seed.values())

    def _message_handler(self, item: WorkItem) -> Callable[[dict[str, Any] | ProcessExit], None]:
        return lambda message: self._messages.put((item, message))

    def _outcome_elsewhere(self, item: WorkItem) -> Event | None:
        """The outcome, if another runner on the same store finished this job."""
        if is_done(item.job):
            return Event(item.job, "done", 1.0, "by another runner")
        failure = Run.of(item.job).failure()
        old = self._old_failures.get(item.job.training.key)
        if failure is None or failure["interrupted"] or failure == old:
            return None
        return Event(item.job, "failed", 1.0, f"{failure['reason']} (another runner)")

    def _stop(self, item: WorkItem) -> None:
        if item.kill_at == float("inf"):
            item.kill_at = time.monotonic() + STOP_SECONDS
            self._running[item].stop()

    def _enforce_deadlines(self) -> None:
        """Stop processes whose timeout expired, and kill those that did not stop in time."""
        now = time.monotonic()
        for item, handle in self._running.items():
            if now >= item.deadline and not item.timed_out:
                item.timed_out = True
                self._stop(item)
            if now >= item.kill_at and not item.killed:
                handle.kill()
                item.killed = True
            elif now >= item.kill_at + _KILL_SECONDS:  # its node or its disk does not answer
                self._messages.put((item, ProcessExit(-signal.SIGKILL, "")))

    def _handle_messages(self) -> Iterator[Event]:
        """Wait briefly for messages and turn all that have arrived into events."""
        try:
            item, message = self._messages.get(timeout=0.1)
        except queue.Empty:
            return
        while True:
            if item not in self._running:
                pass  # already given up
            elif isinstance(message, ProcessExit):
                del self._running[item]
                yield from self._handle_exit(item, message)
            elif message["phase"] == "failed":
                item.failure_reason = message["reason"]
            else:
                if "memory" in message:
                    item.gpu_memory = max(item.gpu_memory, message["memory"])
                    self.devices.estimates.observe(item.worker_job, item.gpu_memory)
                for job in item.jobs:
                    yield Event(job, message["phase"], message["done"], "")
            try:
                item, message = self._messages.get_nowait()
            except queue.Empty:
                return

    def _handle_exit(self, item: WorkItem, exited: ProcessExit) -> Iterator[Event]:
        """Map a process exit to job events; record failures that the process could not record."""
        if item.stacked_jobs:
            yield from self._handle_stack_exit(item, exited)
            return
        job, status = item.job, exited.status
        if status == ExitStatus.DONE and is_done(item.worker_job):
            if is_done(job):
                yield Event(job, "done", 1.0, "")
            else:
                self._waiting.insert(0, WorkItem(job, "evaluate", False))
            return
        if item.timed_out:
            minutes = (self.timeout or 0.0) / 60
            yield self._fail(item, f"took longer than {minutes:g} minutes", exited.stderr_tail)
        elif status == ExitStatus.BUSY:
            self._requeue(item, pause=_POLL_SECONDS)
        elif item.kill_at < float("inf"):
            yield self._fail(item, "stopped", "", interrupted=True)
        elif status == ExitStatus.NO_SPACE:
            self.halt_reason = item.failure_reason or "the disk cannot be written"
            yield self._fail(item, self.halt_reason, exited.stderr_tail, interrupted=True)
        elif (
            status in (ExitStatus.OUT_OF_MEMORY, ExitStatus.STOPPED) or -status in _EXTERNAL_SIGNALS
        ):
            yield self._retry_or_fail(item, exited)
        elif status < 0:
            yield self._fail(item, f"ended by {_signal_name(status)}", exited.stderr_tail)
        else:
            failure = Run.of(job).failure()
            if failure is None:
                reason = (
                    item.failure_reason
                    or f"the worker exited with status {status} and left no result"
                )
                yield self._fail(item, reason, exited.stderr_tail)
            else:
                phase = "interrupted" if failure["interrupted"] else "failed"
                yield Event(job, phase, 1.0, failure["reason"])

    def _handle_stack_exit(self, item: WorkItem, exited: ProcessExit) -> Iterator[Event]:
        """Go on with the trained jobs of a stack; retry each of the others alone."""
        reason = item.failure_reason or f"the stacked training exited with status {exited.status}"
        if exited.status == ExitStatus.NO_SPACE:
            self.halt_reason = item.failure_reason or "the disk cannot be written"
        if exited.status == ExitStatus.OUT_OF_MEMORY:
            self.devices.estimates.raise_after_failure(item.worker_job)
        stopped = item.kill_at < float("inf") and not item.timed_out
        for job in item.jobs:
            single = WorkItem(job, item.stage, item.needs_gpu, train_alone=True)
            if Run.of(job).trained:
                yield from self._handle_exit(single, ProcessExit(ExitStatus.DONE, ""))
            elif stopped or self.halt_reason:
                why = "stopped" if stopped else self.halt_reason
                yield self._fail(single, why, exited.stderr_tail, interrupted=True)
            elif exited.status == ExitStatus.BUSY:
                self._requeue(single, pause=_POLL_SECONDS)
            else:
                self._requeue(single)
                yield Event(job, "retry", 0.0, reason)

    def _retry_or_fail(self, item: WorkItem, exited: ProcessExit) -> Event:
        """Retry what was killed or ran out of memory, with fewer neighbours; at last, fail it."""
        out_of_memory = exited.status == ExitStatus.OUT_OF_MEMORY
        if out_of_memory:
            reason = item.failure_reason or "out of memory"
            self.devices.estimates.raise_after_failure(item.worker_job)
        elif exited.status == ExitStatus.STOPPED:
            reason = "stopped from outside"
        else:
            hint = " (out of memory?)" if -exited.status == signal.SIGKILL else ""
            reason = f"ended by {_signal_name(exited.status)}{hint}"
        neighbours = sum(other.device == item.device for other in self._running)
        if item.failed_attempts + 1 < self.max_attempts:
            item.failed_attempts += 1
            if self.devices.one_machine:
                last = item.failed_attempts + 1 == self.max_attempts
                item.max_neighbours = 0 if last else neighbours // 2
            self._requeue(item)
            return Event(item.job, "retry", 0.0, reason)
        return self._fail(item, reason, exited.stderr_tail, interrupted=not out_of_memory)

    def _requeue(self, item: WorkItem, pause: float = 0.0) -> None:
        """Append a fresh copy of `item` to the queue; the items before it may start first."""
        fresh = WorkItem(
            item.job,
            item.stage,
            item.needs_gpu,
            item.failed_attempts,
            item.max_neighbours,
            time.monotonic() + pause,
            train_alone=item.train_alone,
        )
        self._waiting.append(fresh)

    @staticmethod
    def _fail(item: WorkItem, reason: str, traceback: str, *, interrupted: bool = False) -> Event:
        run = Run.of(item.job)
        recorded = run.failure() or {"traceback": ""}
        run.record_failure(reason, recorded["traceback"] or traceback, interrupted=interrupted)
        return Event(item.job, "interrupted" if interrupted else "failed", 1.0, reason)


def _signal_name(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
