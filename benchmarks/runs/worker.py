"""One process, one job: `python -m benchmarks.runs.worker`, the job as a line on standard input.

Progress goes to standard output, a JSON object a line. The standard input stays open for as long
as whoever started this process lives: when it closes, or at SIGTERM, the process saves what it has
and ends. Its exit status is an `ExitStatus`.
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

from benchmarks.common.errors import UserError, disk_refuses
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.methods.algorithm import Algorithm
from benchmarks.runs import provenance
from benchmarks.runs.evaluation import evaluate
from benchmarks.runs.jobs import ExitStatus, Job
from benchmarks.runs.store import BusyError, Run, open_jobs
from benchmarks.runs.training import StoppedError, find_class, train

GRACE = 4.0
"""Seconds that a process which was asked to stop has left to save what it has."""


def run_job(
    job: Job,
    tell: Callable[..., None] = lambda **_: None,
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Train and evaluate what of `job` is not done yet; a failure is recorded and raised.

    Raises `BusyError` if another process works on the same run. Soon after `stopping()` holds it
    raises `StoppedError`, with all that is done saved.
    """
    if job.stacked_seeds:
        _train_together(job, tell, stopping)
        return
    run = Run.of(job)
    with run.held():
        try:
            run.begin()
            algorithm = None
            if job.stage != "evaluate" and not run.trained:
                (algorithm,) = train([job], tell, stopping)
            if job.stage != "train" and (limits := open_jobs(job)):
                if stopping():
                    raise StoppedError
                _evaluate(job, run, algorithm, limits, tell)
        except StoppedError:
            run.fail("stopped", "", interrupted=True)
            raise
        except UserError as error:
            # what waits for its training has not failed
            run.fail(str(error), "", interrupted=job.stage == "evaluate" and not run.trained)
            raise
        except Exception as error:
            interrupted = ending_of(error) is not ExitStatus.FAILED
            run.fail(said(error), traceback.format_exc(), interrupted=interrupted)
            raise


def _train_together(job: Job, tell: Callable[..., None], stopping: Callable[[], bool]) -> None:
    """Train several seeds as one. What fails so has not failed: each is to be tried alone."""
    runs = [(one, Run.of(one)) for one in job.per_seed]
    with ExitStack() as locks:
        for _, run in runs:
            locks.enter_context(run.held())
        open_ones = [(one, run) for one, run in runs if not run.trained]
        try:
            for _, run in open_ones:
                run.begin()
            if open_ones:
                train([one for one, _ in open_ones], tell, stopping)
        except Exception as error:
            text = "" if isinstance(error, StoppedError) else traceback.format_exc()
            for _, run in open_ones:
                if not run.trained:
                    run.fail(said(error), text, interrupted=True)
            raise


def _evaluate(
    job: Job,
    run: Run,
    algorithm: Algorithm | None,
    limits: list[float],
    tell: Callable[..., None],
) -> None:
    task = resolve_task(job.task)
    if algorithm is None:
        if not run.trained:
            raise UserError("there is no trained policy to evaluate: run the stage train first")
        algorithm = find_class(job, task).from_state(run.checkpoint(), job.device)
    algorithm.config = replace(algorithm.config, **job.eval_options)
    tell(phase="evaluate", done=0.0)
    start = time.perf_counter()
    if not job.training.code.endswith(task.code):  # a training may take hours
        raise UserError(f"{job.task_file} has changed since the run was planned: start it again")
    episodes = evaluate(
        algorithm,
        task,
        limits,
        job.episodes,
        seed=job.training.seed,
        processes=job.simulator_processes,
    )
    provenance.keep(run.folder, "evaluation", job.device, job.command)
    run.finish_evaluations(episodes, time.perf_counter() - start)


def said(error: BaseException) -> str:
    """An error in a line."""
    text = str(error)
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def ending_of(error: Exception) -> ExitStatus:
    """What the process exits with for an error that ended its job."""
    if isinstance(error, StoppedError):
        return ExitStatus.STOPPED
    if isinstance(error, BusyError):
        return ExitStatus.BUSY
    if disk_refuses(error):
        return ExitStatus.NO_SPACE
    exhausted = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
    # torch has no class of its own for the machine's memory
    if exhausted or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error)):
        return ExitStatus.OUT_OF_MEMORY
    return ExitStatus.FAILED


class _Stop:
    """Whether this process was asked to stop; at the latest `GRACE` later it ends."""

    def __init__(self) -> None:
        self.asked, self.training = threading.Event(), True

    def __call__(self, *_: object) -> None:
        if self.asked.is_set():
            return
        self.asked.set()
        if not self.training:
            os._exit(ExitStatus.STOPPED)  # there is nothing to save
        timer = threading.Timer(GRACE, os._exit, (ExitStatus.STOPPED,))
        timer.daemon = True
        timer.start()

    def with_parent(self) -> None:
        """Wait until the standard input closes: nobody waits for the result any more."""
        sys.stdin.read()
        self()


def main() -> int:
    """Read a job, do it, and return what to exit with; a failure is recorded in the store."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the runner, which decides
    job = Job.from_json(sys.stdin.readline())
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=stop.with_parent, daemon=True).start()
    torch.set_num_threads(1)
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no progress

    def tell(**event: Any) -> None:
        stop.training = event["phase"] == "train"
        try:
            channel.write(json.dumps(event) + "\n")
        except OSError:
            stop()  # the runner is gone

    try:
        run_job(job, tell, stop.asked.is_set)
    except Exception as error:
        tell(phase="failed", reason=said(error))
        return ending_of(error)
    return ExitStatus.DONE


if __name__ == "__main__":
    sys.exit(main())
