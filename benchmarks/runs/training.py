"""Training of jobs: from the start or from the last checkpoint, to the end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.common.errors import UserError
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import LOG_EVERY, Algorithm, Problem, TrainingProgress
from benchmarks.methods.registry import find_method
from benchmarks.methods.stacking import Stack
from benchmarks.runs import provenance
from benchmarks.runs.interim import InterimEvaluations
from benchmarks.runs.jobs import Job, joined_code
from benchmarks.runs.log import log
from benchmarks.runs.store import Run
from benchmarks.runs.trackers import open_trackers
from benchmarks.tasks.tasks import Task

_PAUSE_FACTOR = 20
"""Minimum time between two checkpoints, as a multiple of the time that writing one takes."""


class StoppedError(Exception):
    """The training stopped on request, with its progress saved."""


def find_class(job: Job, task: Task) -> type[Algorithm]:
    """The class of a job's method; `UserError` if a user's code has changed since the plan."""
    method = find_method(job.method_spec)
    if joined_code(method.code, task.code) != job.training.code:
        changed = " or ".join(filter(None, [job.method_spec, job.task_file]))
        raise UserError(f"{changed} has changed since the run was planned: start the run again")
    return method.cls


def trained_algorithm(job: Job, task: Task, device: str = "cpu") -> Algorithm:
    """The trained method of a job, from its checkpoint."""
    return find_class(job, task).from_state(Run.of(job).checkpoint(), device)


def train(
    jobs: Sequence[Job], report: Callable[..., None], stop_requested: Callable[[], bool]
) -> list[Algorithm]:
    """Train every job to the end, with a checkpoint every `checkpoint_seconds`.

    A killed training resumes from its last checkpoint; on a CPU its result equals that of an
    uninterrupted one bit for bit. Several jobs, which differ in their seeds only, are trained as
    one stack. Once `stop_requested()` holds, it saves the progress and raises `StoppedError`.
    """
    start = time.perf_counter()
    task, data = _load(jobs[0])
    attempts = [_Attempt(job, task, data) for job in jobs]
    # Checkpoints of a stack are written one by one; a kill in between leaves them uneven.
    by_updates = dict[int, list[_Attempt]]()
    for attempt in attempts:
        by_updates.setdefault(attempt.algorithm.updates, []).append(attempt)
    for group in by_updates.values():
        _train(group, data, report, stop_requested, start)
        start = time.perf_counter()
    return [attempt.algorithm for attempt in attempts]


class _Attempt:
    """A fresh or resumed training attempt."""

    def __init__(self, job: Job, task: Task, data: Trajectories) -> None:
        self.job, self.run, training = job, Run.of(job), job.training
        cls = find_class(job, task)
        frontier = provenance.data_frontier(data.episode_costs, data.returns)
        provenance.record(
            self.run.folder, "training", job.device, job.command, data_frontier=frontier
        )
        self.algorithm, progress = _load_checkpoint(cls, self.run, job) or (
            cls(
                Problem.of(data, task.horizon, task.max_cost),
                cls.config_class(**training.config),
                limit=training.limit,
                seed=training.seed,
                device=job.device,
            ),
            {"seconds": 0.0, "update_seconds": 0.0, "losses": []},
        )
        self.seconds, self.update_seconds = progress["seconds"], progress["update_seconds"]
        self.loss_lines: list[str] = list(progress["losses"])
        done, total = self.algorithm.updates, training.updates
        log(self.run.folder, f"trains from {done} to {total} updates" if done else "trains")
        self.interim = InterimEvaluations(job, task, self.run.folder, self.algorithm.updates)

    def save(self, seconds: float, update_seconds: float) -> None:
        """Write the checkpoint that a later process resumes from."""
        progress = {"losses": self.loss_lines, **self._times(seconds, update_seconds)}
        self.run.save_progress({"algorithm": self.algorithm.state(), **progress})

    def finish(self, seconds: float, update_seconds: float) -> None:
        """Store the trained method."""
        device = self.job.device
        peak = {"peak_memory_mb": provenance.peak_memory(device)}
        provenance.record(self.run.folder, "training", device, self.job.command, **peak)
        made_by = {"device": device, "torch": torch.__version__}
        times = self._times(seconds, update_seconds)
        self.run.finish_training(self.algorithm.state(), {**times, **made_by})
        log(self.run.folder, f"trained: {self.algorithm.updates} updates, {times['seconds']:.1f} s")

    def _times(self, seconds: float, update_seconds: float) -> dict[str, float]:
        """Total times: earlier attempts and the seconds of this one."""
        return {
            "seconds": self.seconds + seconds,
            "update_seconds": self.update_seconds + update_seconds,
        }


def _train(
    attempts: Sequence[_Attempt],
    data: Trajectories,
    report: Callable[..., None],
    stop_requested: Callable[[], bool],
    start: float,
) -> None:
    """Finish attempts that share an update count; split the time since `start` evenly."""
    first, share = attempts[0].job, 1 / len(attempts)
    clock, updates = _CheckpointClock(first.checkpoint_seconds), first.training.updates
    with ExitStack() as files:
        opened = [files.enter_context(_open_log(attempt)) for attempt in attempts]
        logs, tracks = [log for log, _ in opened], [track for _, track in opened]
        for progress in _fit(attempts, data, lambda: clock.due() or stop_requested()):
            done, spent = progress[0].updates, share * progress[0].seconds
            finished = done == updates
            for record, log, attempt in zip(progress, logs, attempts, strict=True):
                if finished or done % LOG_EVERY == 0:
                    log(record, attempt.update_seconds + spent)
            start += _evaluate_due(attempts, tracks, done)
            report(phase="train", done=done / updates, **_gpu_memory(first.device))
            # Ask once: a request between two calls would stop without saving.
            stop = not finished and stop_requested()
            if stop or (not finished and clock.due()):
                with clock.writing():
                    for attempt in attempts:
                        attempt.save(share * (time.perf_counter() - start), spent)
            if stop:
                raise StoppedError
    for attempt in attempts:
        attempt.finish(share * (time.perf_counter() - start), spent)


def _evaluate_due(
    attempts: Sequence[_Attempt], tracks: Sequence[Callable[..., None]], updates: int
) -> float:
    """Make the evaluations that are due after this many updates; how long they took."""
    start = time.perf_counter()
    for attempt, track in zip(attempts, tracks, strict=True):
        if attempt.interim.due(updates):
            track(attempt.interim.evaluate(attempt.algorithm, updates))
    return time.perf_counter() - start


def _fit(
    attempts: Sequence[_Attempt], data: Trajectories, due: Callable[[], bool]
) -> Iterator[Sequence[TrainingProgress]]:
    """Update the methods, as one stack where they are several; yield the progress of each."""
    job, algorithms = attempts[0].job, [attempt.algorithm for attempt in attempts]
    for algorithm in algorithms:
        algorithm.cuda_graphs = job.cuda_graphs
    trained = Stack(algorithms) if len(algorithms) > 1 else algorithms[0]
    every = math.gcd(LOG_EVERY, job.evaluate_every)  # gcd(n, 0) is n
    for progress in trained.fit(data, job.training.updates, every, due):
        yield [progress] if isinstance(progress, TrainingProgress) else progress


def _load(job: Job) -> tuple[Task, Trajectories]:
    """The task and data of a job; `UserError` if they have changed or do not fit each other."""
    task = resolve_task(job.task)
    find_class(job, task)
    data = Trajectories.load(Path(job.data), job.source)
    if data.checksum != job.training.checksum:
        raise UserError(f"{job.data} has changed since the run was planned: start the run again")
    widths = data.observations.shape[1], data.actions.shape[1]
    if widths != (task.observation_dim, task.action_dim):
        raise UserError(
            f"{job.data}: observations and actions are {widths[0]} and {widths[1]} wide, "
            f"{task.name} needs {task.observation_dim} and {task.action_dim}"
        )
    return task, data


def _load_checkpoint(
    cls: type[Algorithm], run: Run, job: Job
) -> tuple[Algorithm, dict[str, Any]] | None:
    """The method of the last checkpoint with its times and losses; None to start afresh."""
    saved = run.saved_progress()
    if saved is None:
        return None
    try:
        algorithm = cls.from_state(saved["algorithm"], job.device)
        if algorithm.updates < job.training.updates:
            return algorithm, {key: saved[key] for key in ("seconds", "update_seconds", "losses")}
    except (KeyError, TypeError, ValueError, RuntimeError):
        pass  # written by another version of the method, which cannot be resumed
    return None


class _CheckpointClock:
    """Tells when the next checkpoint is due; less often where writing takes long."""

    def __init__(self, seconds: float) -> None:
        self.pause = seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        return time.monotonic() - self._last >= self.pause

    @contextmanager
    def writing(self) -> Iterator[None]:
        start = time.monotonic()
        yield
        self._last = time.monotonic()
        self.pause = max(self.pause, _PAUSE_FACTOR * (self._last - start))


@contextmanager
def _open_log(
    attempt: _Attempt,
) -> Iterator[tuple[Callable[[TrainingProgress, float], None], Callable[[TrainingProgress], None]]]:
    """Open the loggers of an attempt.

    The first logs losses to losses.csv, the attempt's `loss_lines` and the trackers, the second
    other figures to the trackers alone.
    """
    folder, lines = attempt.run.folder, attempt.loss_lines
    with (folder / "losses.csv").open("w", buffering=1, encoding="utf-8") as file:
        file.writelines(lines)  # without lines from after the checkpoint: they are logged again
        with open_trackers(attempt.job, folder, attempt.algorithm.updates) as track:

            def log(progress: TrainingProgress, seconds: float) -> None:
                if not lines:
                    lines.append(",".join(["updates", "seconds", *progress.losses]) + "\n")
                    file.write(lines[0])
                values = [progress.updates, f"{seconds:.2f}", *progress.losses.values()]
                lines.append(",".join(map(str, values)) + "\n")
                file.write(lines[-1])
                track(progress)

            yield log, track


def _gpu_memory(device: str) -> dict[str, int]:
    """Peak memory of this process on its GPU in bytes, for the scheduler's estimates."""
    if not device.startswith("cuda"):
        return {}
    context = 500 * 2**20  # of CUDA itself in each process
    return {"memory": torch.cuda.max_memory_reserved() + context}
