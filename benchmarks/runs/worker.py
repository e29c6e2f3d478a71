"""The worker process `python -m benchmarks.runs.worker`: runs one job, given on standard input.

Progress goes to standard output, one JSON object per line. The parent keeps standard input open for
as long as it lives: when it closes, or at SIGTERM, the process saves its progress and exits. Its
exit status is an `ExitStatus`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch

from benchmarks.common.errors import UserError, is_disk_error
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.methods.algorithm import Algorithm
from benchmarks.runs import provenance
from benchmarks.runs.evaluation import evaluate
from benchmarks.runs.jobs import ExitStatus, Job
from benchmarks.runs.store import BusyError, Run, pending_limits
from benchmarks.runs.training import StoppedError, find_class, train

GRACE_SECONDS = 4.0
"""Time that a process has to save its progress after a request to stop."""


def run_job(
    job: Job,
    report: Callable[..., None] = lambda **_: None,
    stop_requested: Callable[[], bool] = lambda: False,
) -> None:
    """Run the unfinished stages of `job`; record a failure and raise it.

    Raises `BusyError` if another process works on the same run. Soon after `stop_requested()` holds
    it saves the progress and raises `StoppedError`.
    """
    if job.stacked_seeds:
        _train_stacked(job, report, stop_requested)
        return
    run = Run.of(job)
    with run.locked():
        try:
            run.begin_attempt()
            algorithm = None
            if job.stage != "evaluate" and not run.trained:
                (algorithm,) = train([job], report, stop_requested)
            if job.stage != "train" and (limits := pending_limits(job)):
                if stop_requested():
                    raise StoppedError
                _evaluate(job, run, algorithm, limits, report)
        except StoppedError:
            run.record_failure("stopped", "", interrupted=True)
            raise
        except UserError as error:
            # An evaluation whose training is not done yet has not failed.
            waiting = job.stage == "evaluate" and not run.trained
            run.record_failure(str(error), "", interrupted=waiting)
            raise
        except Exception as error:
            interrupted = exit_status_of(error) is not ExitStatus.FAILED
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
            for _, run in untrained:
                run.begin_attempt()
            if untrained:
                train([single for single, _ in untrained], report, stop_requested)
        except Exception as error:
            text = "" if isinstance(error, StoppedError) else traceback.format_exc()
            for _, run in untrained:
                if not run.trained:
                    run.record_failure(error_line(error), text, interrupted=True)
            raise


def _evaluate(
    job: Job,
    run: Run,
    algorithm: Algorithm | None,
    limits: list[float],
    report: Callable[..., None],
) -> None:
    task = resolve_task(job.task)
    if algorithm is None:
        if not run.trained:
            raise UserError("there is no trained policy to evaluate: run --stage train first")
        algorithm = find_class(job, task).from_state(run.checkpoint(), job.device)
    algorithm.config = replace(algorithm.config, **job.eval_options)
    report(phase="evaluate", done=0.0)
    start = time.perf_counter()
    if not job.training.code.endswith(task.code):  # edited during a long training
        raise UserError(
            f"{job.task_file} has changed since the run was planned: start the run again"
        )
    episodes = evaluate(
        algorithm,
        task,
        limits,
        job.episodes,
        seed=job.training.seed,
        processes=job.simulator_processes,
    )
    provenance.record(run.folder, "evaluation", job.device, job.command)
    run.finish_evaluations(episodes, time.perf_counter() - start)


def error_line(error: BaseException) -> str:
    """One line about an error: its message, and its type unless it is a `UserError`."""
    text = str(error)
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def exit_status_of(error: Exception) -> ExitStatus:
    """The exit status of the process for an error that ended its job."""
    if isinstance(error, StoppedError):
        return ExitStatus.STOPPED
    if isinstance(error, BusyError):
        return ExitStatus.BUSY
    if is_disk_error(error):
        return ExitStatus.NO_SPACE
    out_of_memory = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
    # torch raises a plain RuntimeError where the machine's memory is exhausted.
    if out_of_memory or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error)):
        return ExitStatus.OUT_OF_MEMORY
    return ExitStatus.FAILED


class _StopRequest:
    """A request to stop this process, which exits at most `GRACE_SECONDS` later."""

    def __init__(self) -> None:
        self.received, self.training = threading.Event(), True

    def __call__(self, *_: object) -> None:
        if self.received.is_set():
            return
        self.received.set()
        if not self.training:
            os._exit(ExitStatus.STOPPED)  # an evaluation has no progress to save
        timer = threading.Timer(GRACE_SECONDS, os._exit, (ExitStatus.STOPPED,))
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
    stop = _StopRequest()
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=stop.wait_for_parent, daemon=True).start()
    torch.set_num_threads(1)
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # output of libraries is not progress

    def report(**event: Any) -> None:
        stop.training = event["phase"] == "train"
        try:
            channel.write(json.dumps(event) + "\n")
        except OSError:
            stop()  # the runner has exited

    try:
        run_job(job, report, stop.received.is_set)
    except Exception as error:
        report(phase="failed", reason=error_line(error))
        return exit_status_of(error)
    return ExitStatus.DONE


if __name__ == "__main__":
    sys.exit(main())
