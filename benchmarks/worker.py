"""One process, one job: `python -m benchmarks.worker`, with the job as a line on standard input.

Progress goes to standard output, a JSON object a line. The standard input stays open for as long
as whoever started this process lives: when it closes, the process ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from benchmarks import provenance
from benchmarks.algorithm import Algorithm, Problem
from benchmarks.data.own_task import resolve_task
from benchmarks.data.trajectories import Trajectories
from benchmarks.errors import UserError
from benchmarks.jobs import Job, joined_code
from benchmarks.registry import find_method
from benchmarks.rollout import evaluate
from benchmarks.store import Run, open_jobs


def run_job(job: Job, tell: Any = lambda **_: None) -> None:
    """Train and evaluate what of `job` is not done yet; a failure is recorded and raised."""
    run = Run(Path(job.results), job.training)
    with run.lock():
        try:
            algorithm = None
            if job.stage != "evaluate" and not run.trained:
                algorithm = _train(job, run, tell)
            if job.stage != "train" and (limits := open_jobs(job)):
                _evaluate(job, run, algorithm, limits, tell)
        except UserError as error:
            run.fail(str(error), "")
            raise
        except Exception as error:
            run.fail(f"{type(error).__name__}: {error}", traceback.format_exc())
            raise
        run.forget_failure()


def _train(job: Job, run: Run, tell: Any) -> Algorithm:
    start = time.perf_counter()
    training = job.training
    method = find_method(job.method)
    task = resolve_task(job.task)
    if joined_code(method.code, task.code) != training.code:
        changed = " or ".join(filter(None, [job.method, job.task_file]))
        raise UserError(f"{changed} has changed since the run was planned: start it again")
    cls = method.cls
    data = Trajectories.load(Path(job.data), job.source)
    if data.checksum != training.checksum:
        raise UserError(f"{job.data} has changed since the run was planned: start it again")
    widths = data.observations.shape[1], data.actions.shape[1]
    if widths != (task.observation_dim, task.action_dim):
        raise UserError(
            f"{job.data}: observations and actions are {widths[0]} and {widths[1]} wide, "
            f"{task.name} needs {task.observation_dim} and {task.action_dim}"
        )
    run.begin(job)
    frontier = provenance.data_frontier(data.episode_costs, data.returns)
    provenance.keep(run.folder, "training", job.device, job.command, data_frontier=frontier)
    algorithm = cls(
        Problem.of(data, task.horizon),
        cls.config_class(**training.config),
        limit=training.limit,
        seed=training.seed,
        device=job.device,
    )
    progress = None
    with (run.folder / "losses.csv").open("w", buffering=1) as log:
        for progress in algorithm.fit(data, training.updates):
            if log.tell() == 0:
                log.write(",".join(["updates", "seconds", *progress.losses]) + "\n")
            values = [progress.updates, f"{progress.seconds:.2f}"]
            log.write(",".join(map(str, [*values, *progress.losses.values()])) + "\n")
            tell(phase="train", done=progress.updates / training.updates)
    peak = {"peak_memory_mb": provenance.peak_memory(job.device)}
    provenance.keep(run.folder, "training", job.device, job.command, **peak)
    summary = {
        "seconds": time.perf_counter() - start,
        "update_seconds": progress.seconds if progress else 0.0,
        "device": job.device,
        "torch": torch.__version__,
    }
    run.finish_training(algorithm.state(), summary)
    return algorithm


def _evaluate(
    job: Job, run: Run, algorithm: Algorithm | None, limits: list[float], tell: Any
) -> None:
    if algorithm is None:
        if not run.trained:
            raise UserError("there is no trained policy to evaluate: run the stage train first")
        algorithm = find_method(job.method).cls.from_state(run.checkpoint(), job.device)
    tell(phase="evaluate", done=0.0)
    start = time.perf_counter()
    task = resolve_task(job.task)
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
    seconds = time.perf_counter() - start
    provenance.keep(run.folder, "evaluation", job.device, job.command)
    for limit in limits:
        own = [episode for episode in episodes if episode.limit == limit]
        run.finish_evaluation(limit, own, seconds / len(limits))


def _end_with_parent() -> None:
    """End this process when its standard input closes: nobody waits for its result."""
    sys.stdin.read()
    os._exit(1)


def main() -> int:
    """Read a job, do it, and exit 0, or 1 with the failure recorded."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the runner, which decides
    job = Job.from_json(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no progress

    def tell(**event: Any) -> None:
        channel.write(json.dumps(event) + "\n")

    try:
        run_job(job, tell)
    except UserError as error:
        tell(phase="failed", reason=str(error))
        return 1
    except Exception as error:
        tell(phase="failed", reason=f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
