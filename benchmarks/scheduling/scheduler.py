"""What runs when, and what it means when a process ends: the same for every engine."""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.runs.jobs import ExitStatus, Job
from benchmarks.runs.store import Run, is_done
from benchmarks.scheduling.devices import Places
from benchmarks.scheduling.protocol import Attempt, Ended, Event, Launch, Piece

STOP_SECONDS = 4.3
"""From asking a process to stop until it is killed."""
_GONE = 0.4
"""From killing a process until it is given up."""
_OTHERS_FAULT = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
"""Signals that end a job from outside: it is interrupted, not failed."""
_POLL = 1.0
"""Seconds until a run that another process works on is looked at again."""


class Scheduler:
    """Runs jobs in order, as many at a time as `places` has room for, by what `launch` starts.

    A process that is killed or runs out of memory is tried `tries` times in all, beside ever fewer
    neighbours. One that runs for longer than `timeout` seconds has failed. Leaving the loop over
    `run` early, or an exception, ends every process.
    """

    def __init__(
        self, places: Places, launch: Launch, *, timeout: float | None = None, tries: int = 3
    ) -> None:
        self.places, self.launch, self.timeout, self.tries = places, launch, timeout, tries
        self.halted = ""
        """Why no more jobs are started, if so."""
        self._heard: queue.Queue[tuple[Piece, dict[str, Any] | Ended]] = queue.Queue()
        self._running: dict[Piece, Attempt] = {}
        self._waiting: list[Piece] = []
        self._old_failures: dict[str, Any] = {}

    def run(
        self, jobs: Sequence[Job], stopping: Callable[[], bool] = lambda: False
    ) -> Iterator[Event]:
        """Do all `jobs`; once `stopping()` holds, start no more and stop those that run."""
        self._waiting = [self._first_piece(job) for job in jobs]
        # what failed before is to be tried again; what fails meanwhile elsewhere is not
        self._old_failures = {job.training.key: Run.of(job).failure() for job in jobs}
        try:
            while self._waiting or self._running:
                if stopping():
                    for piece in self._running:
                        self._stop(piece)
                elif not self.halted:
                    yield from self._start()
                if not self._running and (stopping() or self.halted):
                    return
                self._enforce()
                yield from self._listen()
        finally:
            for attempt in self._running.values():
                attempt.kill()
            self._running.clear()

    def _first_piece(self, job: Job) -> Piece:
        """GPUs train; they evaluate only where nothing else is asked of them."""
        trains = job.stage != "evaluate" and not Run.of(job).trained
        on_gpu = bool(self.places.gpus) and (trains or job.stage == "evaluate")
        split = (on_gpu or (trains and job.seeds_per_job > 1)) and job.stage == "both"
        return Piece(job, "train" if split else job.stage, on_gpu)

    def _start(self) -> Iterator[Event]:
        """Start what there is room for, in order; tell of jobs that others have ended."""
        now = time.monotonic()
        for piece in list(self._waiting):
            if not self.places.room(list(self._running)):
                return
            if piece.not_before > now:
                continue
            if piece not in self._waiting or piece.job.training.key in self._at_work():
                continue  # begun with another seed, or another evaluation of the same training
            beside = self._companions(piece, now)
            piece.others = tuple(one.job for one in beside)
            place = self.places.choose(piece, list(self._running))
            if place is None:
                continue
            ended = self._ended_elsewhere(piece)
            if ended is None and Run.of(piece.job).busy:
                piece.not_before = now + _POLL
                continue
            self._waiting.remove(piece)
            if ended is not None:
                piece.others = ()
                yield ended
                continue
            for one in beside:
                self._waiting.remove(one)
            piece.place = place
            if self.timeout is not None:
                piece.deadline = now + self.timeout
            self._running[piece] = self.launch(piece, self._hear(piece))

    def _at_work(self) -> set[str]:
        """The keys of the trainings that processes work on."""
        return {job.training.key for piece in self._running for job in piece.jobs}

    def _companions(self, piece: Piece, now: float) -> list[Piece]:
        """What waits to train the same with other seeds, and may be trained as one with it."""

        def may(one: Piece) -> bool:
            return one.stage == "train" and not one.alone and one.not_before <= now

        job, found = piece.job, dict[int, Piece]()
        if not may(piece) or job.seeds_per_job == 1:
            return []
        busy = self._at_work()
        for one in self._waiting:
            seed, training = one.job.training.seed, one.job.training
            if len(found) + 1 == job.seeds_per_job:
                break
            if (
                may(one)
                and replace(training, seed=job.training.seed) == job.training
                and seed not in (job.training.seed, *found)
                and training.key not in busy
                and self._ended_elsewhere(one) is None
                and not Run.of(one.job).busy
            ):
                found[seed] = one
        return list(found.values())

    def _hear(self, piece: Piece) -> Callable[[dict[str, Any] | Ended], None]:
        return lambda message: self._heard.put((piece, message))

    def _ended_elsewhere(self, piece: Piece) -> Event | None:
        """What another runner on the same results has made of a job, if it has ended it."""
        if is_done(piece.job):
            return Event(piece.job, "done", 1.0, "by another runner")
        failure = Run.of(piece.job).failure()
        old = self._old_failures.get(piece.job.training.key)
        if failure is None or failure["interrupted"] or failure == old:
            return None
        return Event(piece.job, "failed", 1.0, f"{failure['reason']} (another runner)")

    def _stop(self, piece: Piece) -> None:
        if piece.kill_at == float("inf"):
            piece.kill_at = time.monotonic() + STOP_SECONDS
            self._running[piece].stop()

    def _enforce(self) -> None:
        """Stop what ran for too long, and kill what does not stop."""
        now = time.monotonic()
        for piece, attempt in self._running.items():
            if now >= piece.deadline and not piece.timed_out:
                piece.timed_out = True
                self._stop(piece)
            if now >= piece.kill_at and not piece.killed:
                attempt.kill()
                piece.killed = True
            elif now >= piece.kill_at + _GONE:  # on a node or a disk that does not answer
                self._heard.put((piece, Ended(-signal.SIGKILL, "")))

    def _listen(self) -> Iterator[Event]:
        """Events of the next moments."""
        try:
            piece, message = self._heard.get(timeout=0.1)
        except queue.Empty:
            return
        while True:
            if piece not in self._running:
                pass  # given up already
            elif isinstance(message, Ended):
                del self._running[piece]
                yield from self._outcome(piece, message)
            elif message["phase"] == "failed":
                piece.said = message["reason"]
            else:
                if "memory" in message:
                    piece.memory = max(piece.memory, message["memory"])
                    self.places.estimates.see(piece.work, piece.memory)
                for job in piece.jobs:
                    yield Event(job, message["phase"], message["done"], "")
            try:
                piece, message = self._heard.get_nowait()
            except queue.Empty:
                return

    def _outcome(self, piece: Piece, ended: Ended) -> Iterator[Event]:
        """What an ended process means for its job; what it could not record is recorded here."""
        if piece.others:
            yield from self._outcome_of_several(piece, ended)
            return
        job, status = piece.job, ended.status
        if status == ExitStatus.DONE and is_done(piece.work):
            if is_done(job):
                yield Event(job, "done", 1.0, "")
            else:
                self._waiting.insert(0, Piece(job, "evaluate", False))
            return
        if piece.timed_out:
            minutes = (self.timeout or 0.0) / 60
            yield self._fail(piece, f"took longer than {minutes:g} minutes", ended.tail)
        elif status == ExitStatus.BUSY:
            self._again(piece, pause=_POLL)
        elif piece.kill_at < float("inf"):
            yield self._fail(piece, "stopped", "", interrupted=True)
        elif status == ExitStatus.NO_SPACE:
            self.halted = piece.said or "the disk cannot be written"
            yield self._fail(piece, self.halted, ended.tail, interrupted=True)
        elif status in (ExitStatus.OUT_OF_MEMORY, ExitStatus.STOPPED) or -status in _OTHERS_FAULT:
            yield self._ended_from_outside(piece, ended)
        elif status < 0:
            yield self._fail(piece, f"ended by {_signal(status)}", ended.tail)
        else:
            failure = Run.of(job).failure()
            if failure is None:
                reason = piece.said or f"the worker ended with status {status} and left no result"
                yield self._fail(piece, reason, ended.tail)
            else:
                phase = "interrupted" if failure["interrupted"] else "failed"
                yield Event(job, phase, 1.0, failure["reason"])

    def _outcome_of_several(self, piece: Piece, ended: Ended) -> Iterator[Event]:
        """What is trained goes on; what is not, whatever the reason, is tried alone."""
        reason = piece.said or f"as one of several seeds it ended with status {ended.status}"
        if ended.status == ExitStatus.NO_SPACE:
            self.halted = piece.said or "the disk cannot be written"
        if ended.status == ExitStatus.OUT_OF_MEMORY:
            self.places.estimates.fell_short(piece.work)
        stopped = piece.kill_at < float("inf") and not piece.timed_out
        for job in piece.jobs:
            own = Piece(job, piece.stage, piece.gpu, alone=True)
            if Run.of(job).trained:
                yield from self._outcome(own, Ended(ExitStatus.DONE, ""))
            elif stopped or self.halted:
                why = "stopped" if stopped else self.halted
                yield self._fail(own, why, ended.tail, interrupted=True)
            elif ended.status == ExitStatus.BUSY:
                self._again(own, pause=_POLL)
            else:
                self._again(own)
                yield Event(job, "again", 0.0, reason)

    def _ended_from_outside(self, piece: Piece, ended: Ended) -> Event:
        """Killed, or out of memory: try again beside fewer others, then give it up."""
        exhausted = ended.status == ExitStatus.OUT_OF_MEMORY
        if exhausted:
            reason = piece.said or "out of memory"
            self.places.estimates.fell_short(piece.work)
        elif ended.status == ExitStatus.STOPPED:
            reason = "stopped from outside"
        else:
            hint = " (out of memory?)" if -ended.status == signal.SIGKILL else ""
            reason = f"ended by {_signal(ended.status)}{hint}"
        others = sum(one.place == piece.place for one in self._running)
        if piece.tries + 1 < self.tries:
            piece.tries += 1
            if self.places.one_machine:
                piece.neighbours = others // 2 if piece.tries + 1 < self.tries else 0
            self._again(piece)
            return Event(piece.job, "again", 0.0, reason)
        return self._fail(piece, reason, ended.tail, interrupted=not exhausted)

    def _again(self, piece: Piece, pause: float = 0.0) -> None:
        """Put a piece back behind the others, which may start before it."""
        not_before = time.monotonic() + pause
        fresh = Piece(
            piece.job,
            piece.stage,
            piece.gpu,
            piece.tries,
            piece.neighbours,
            not_before,
            alone=piece.alone,
        )
        self._waiting.append(fresh)

    @staticmethod
    def _fail(piece: Piece, reason: str, tail: str, *, interrupted: bool = False) -> Event:
        run = Run.of(piece.job)
        known = run.failure() or {"traceback": ""}
        run.fail(reason, known["traceback"] or tail, interrupted=interrupted)
        return Event(piece.job, "interrupted" if interrupted else "failed", 1.0, reason)


def _signal(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
