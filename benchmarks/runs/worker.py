"""The worker process `python -m benchmarks.runs.worker`: runs one job, given on standard input.

Progress goes to standard output, one JSON object per line, the last of which is the process's exit
status (an `ExitStatus`): an exit status without this word is that of foreign code. The parent keeps
standard input open for as long as it lives: when it closes, or at SIGTERM, the process saves its
progress and exits. Simulators are closed after the word, as nothing depends on it any more.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any, NoReturn

import torch

from benchmarks.common.errors import UserError, is_disk_error
from benchmarks.common.locks import NoLocksError
from benchmarks.common.program import as_program
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.methods.algorithm import Algorithm
from benchmarks.runs import provenance
from benchmarks.runs.evaluation import evaluate
from benchmarks.runs.jobs import ExitStatus, Job
from benchmarks.runs.log import log
from benchmarks.runs.store import BusyError, Run, pending_limits
from benchmarks.runs.training import StoppedError, train, trained_algorithm
from benchmarks.simulators.vector import Lockstep

EXIT = "exit"
"""The phase of the last message."""
GRACE_SECONDS = 4.0
"""Time that a process has to save its progress after a request to stop."""


def run_job(
    job: Job,
    report: Callable[..., None] = lambda **_: None,
    stop_requested: Callable[[], bool] = lambda: False,
    leftovers: ExitStack | None = None,
) -> None:
    """Run the unfinished stages of `job`; record a failure and raise it.

    Raises `BusyError` if another process works on the same run. Soon after `stop_requested()` holds
    it saves the progress and raises `StoppedError`. The simulators are closed at the end, or when
    the caller closes `leftovers`.
    """
    if job.stacked_seeds:
        _train_stacked(job, report, stop_requested)
        return
    if leftovers is None:
        with ExitStack() as own:
            run_job(job, report, stop_requested, own)
        return
    run = Run.of(job)
    with run.locked():
        try:
            run.begin_attempt()
            log(run.folder, f"process {os.getpid()} starts on {job.device} ({job.stage})")
            algorithm = None
            if job.stage != "evaluate" and not run.trained:
                (algorithm,) = train([job], report, stop_requested)
            if job.stage != "train" and (limits := pending_limits(job)):
                if stop_requested():
                    raise StoppedError
                _evaluate(job, run, algorithm, limits, report, leftovers)
        except StoppedError:
            log(run.folder, "stopped; the progress is saved")
            run.record_failure("stopped", "", interrupted=True)
            raise
        except UserError as error:
            # An evaluation whose training is not done yet has not failed.
            waiting = job.stage == "evaluate" and not run.trained
            log(run.folder, f"failed: {error}")
            run.record_failure(str(error), "", interrupted=waiting)
            raise
        except BaseException as error:  # sys.exit in a plugin or a simulator is one as well
            interrupted = exit_status_of(error) is not ExitStatus.FAILED
            log(run.folder, f"failed: {error_line(error)}\n{traceback.format_exc()}")
            run.record_failure(error_line(error), traceback.format_exc(), interrupted=interrupted)
            raise


def _train_stacked(
    job: Job, report: Callable[..., None], stop_requested: Callable[[], bool]
) -> None:
    """Train several seeds as one stack; a failure interrupts them, as each is retried alone."""
    runs = [(single, Run.of(single)) for single in job.per_seed]
    with ExitStack() as locks:
        for _, run in runs:
            locks.enter_context(run.locked())
        untrained = [(single, run) for single, run in runs if not run.trained]
        try:
            for single, run in untrained:
                run.begin_attempt()
                log(run.folder, f"process {os.getpid()} starts on {single.device}, seeds as one")
            if untrained:
                train([single for single, _ in untrained], report, stop_requested)
        except BaseException as error:
            text = "" if isinstance(error, StoppedError) else traceback.format_exc()
            for _, run in untrained:
                if not run.trained:
                    log(run.folder, f"interrupted: {error_line(error)}\n{text}")
                    run.record_failure(error_line(error), text, interrupted=True)
            raise


def _evaluate(
    job: Job,
    run: Run,
    algorithm: Algorithm | None,
    limits: list[float],
    report: Callable[..., None],
    leftovers: ExitStack,
) -> None:
    task = resolve_task(job.task)
    if algorithm is None:
        if not run.trained:
            raise UserError("there is no trained policy to evaluate: run --stage train first")
        algorithm = trained_algorithm(job, task, job.device)
    algorithm.config = replace(algorithm.config, **job.eval_options)
    report(phase="evaluate", done=0.0)
    start = time.perf_counter()
    if not job.training.code.endswith(task.code):  # edited during a long training
        raise UserError(
            f"{job.task_file} has changed since the run was planned: start the run again"
        )
    simulators = Lockstep(task, len(limits) * job.episodes, job.simulator_processes)
    leftovers.callback(_close, simulators)
    episodes = evaluate(
        algorithm,
        task,
        limits,
        job.episodes,
        seed=job.training.seed,
        simulators=simulators,
    )
    provenance.record(run.folder, "evaluation", job.device, job.command)
    seconds = time.perf_counter() - start
    run.finish_evaluations(episodes, seconds)
    at = ", ".join(f"{limit:g}" for limit in limits)
    log(run.folder, f"evaluated at the limits {at}: {len(episodes)} episodes, {seconds:.1f} s")


def _close(simulators: Lockstep) -> None:
    """Close simulators whose episodes are stored; what goes wrong now changes no result."""
    try:
        simulators.close()
    except BaseException:
        traceback.print_exc()


def error_line(error: BaseException) -> str:
    """One line about an error: its message, and its type unless it is a `UserError`."""
    if isinstance(error, SystemExit):
        return f"sys.exit({error.code!r}) in the code of a plugin, a simulator or a library"
    text = str(error)
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def exit_status_of(error: BaseException) -> ExitStatus:
    """The exit status of the process for an error that ended its job."""
    if isinstance(error, StoppedError):
        return ExitStatus.STOPPED
    if isinstance(error, BusyError):
        return ExitStatus.BUSY
    if is_disk_error(error) or isinstance(error, NoLocksError):
        return ExitStatus.NO_SPACE
    out_of_memory = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
    # torch raises a plain RuntimeError where the machine's memory is exhausted.
    if out_of_memory or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error)):
        return ExitStatus.OUT_OF_MEMORY
    return ExitStatus.FAILED


class _Channel:
    """Where messages to the parent go: each is written at once, so a signal may come in between."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, **event: Any) -> None:
        """Send a message; `OSError` if the parent has exited."""
        os.write(self._descriptor, f"{json.dumps(event)}\n".encode())

    def exit(self, status: int) -> NoReturn:
        """Say the exit status and exit at once."""
        with suppress(OSError):
            self.send(phase=EXIT, status=int(status))
        os._exit(status)


class _StopRequest:
    """A request to stop this process, which exits at most `GRACE_SECONDS` later."""

    def __init__(self, channel: _Channel) -> None:
        self.received, self.training, self._channel = threading.Event(), True, channel

    def __call__(self, *_: object) -> None:
        if self.received.is_set():
            return
        self.received.set()
        if not self.training:
            self._channel.exit(ExitStatus.STOPPED)  # an evaluation has no progress to save
        timer = threading.Timer(GRACE_SECONDS, self._channel.exit, (ExitStatus.STOPPED,))
        timer.daemon = True
        timer.start()

    def wait_for_parent(self) -> None:
        """Stop when standard input closes, which means that the parent has exited."""
        sys.stdin.read()
        self()


def main() -> int:
    """Read a job and run it; return the exit status. A failure is recorded in the store."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the runner handles Ctrl-C
    job = Job.from_json(sys.stdin.readline())
    channel = _Channel(os.dup(sys.stdout.fileno()))
    stop = _StopRequest(channel)
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=stop.wait_for_parent, daemon=True).start()
    torch.set_num_threads(1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # output of libraries is not progress

    def report(**event: Any) -> None:
        stop.training = event["phase"] == "train"
        try:
            channel.send(**event)
        except OSError:
            stop()  # the runner has exited

    status, leftovers = ExitStatus.DONE, ExitStack()
    atexit.register(leftovers.close)
    try:
        run_job(job, report, stop.received.is_set, leftovers)
    except BaseException as error:
        report(phase="failed", reason=error_line(error))
        status = exit_status_of(error)
    report(phase=EXIT, status=int(status))
    return status


if __name__ == "__main__":
    as_program(main)
