"""Trainings: begun, or taken up where a checkpoint left them, and brought to their end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.common.errors import UserError
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import LOG_EVERY, Algorithm, Problem, Progress
from benchmarks.methods.registry import find_method
from benchmarks.methods.stacking import Stack
from benchmarks.runs import provenance
from benchmarks.runs.jobs import Job, joined_code
from benchmarks.runs.store import Run
from benchmarks.runs.trackers import open_trackers
from benchmarks.tasks.tasks import Task

_SHARE = 20
"""Checkpoints take at most one part in so many of the time."""


class StoppedError(Exception):
    """The training was asked to stop, and is saved as it was."""


def find_class(job: Job, task: Task) -> type[Algorithm]:
    """The class of a job's method; `UserError` if the user's own code is not what was planned."""
    method = find_method(job.method_spec)
    if joined_code(method.code, task.code) != job.training.code:
        changed = " or ".join(filter(None, [job.method_spec, job.task_file]))
        raise UserError(f"{changed} has changed since the run was planned: start it again")
    return method.cls


def train(
    jobs: Sequence[Job], tell: Callable[..., None], stopping: Callable[[], bool]
) -> list[Algorithm]:
    """Train each to the end, with a checkpoint every `checkpoint_seconds`.

    A training that was killed goes on from its last checkpoint and ends as it would have without:
    on a CPU bit for bit. Several jobs, which differ in their seeds, are trained as one. Raises
    `StoppedError`, with everything saved, once `stopping()` holds.
    """
    since = time.perf_counter()
    task, data = _load(jobs[0])
    attempts = [_Attempt(job, task, data) for job in jobs]
    stages = dict[int, list[_Attempt]]()
    for attempt in attempts:  # killed while it saved one after another: the others lag behind
        stages.setdefault(attempt.algorithm.updates, []).append(attempt)
    for stage in stages.values():
        _train(stage, data, tell, stopping, since)
        since = time.perf_counter()
    return [attempt.algorithm for attempt in attempts]


class _Attempt:
    """A training as far as it is: anew, or from its last checkpoint."""

    def __init__(self, job: Job, task: Task, data: Trajectories) -> None:
        self.job, self.run, training = job, Run.of(job), job.training
        cls = find_class(job, task)
        frontier = provenance.data_frontier(data.episode_costs, data.returns)
        provenance.keep(
            self.run.folder, "training", job.device, job.command, data_frontier=frontier
        )
        self.algorithm, before = _resumed(cls, self.run, job) or (
            cls(
                Problem.of(data, task.horizon, task.max_cost),
                cls.config_class(**training.config),
                limit=training.limit,
                seed=training.seed,
                device=job.device,
            ),
            {"seconds": 0.0, "update_seconds": 0.0, "losses": []},
        )
        self.seconds, self.update_seconds = before["seconds"], before["update_seconds"]
        self.rows: list[str] = list(before["losses"])

    def save(self, seconds: float, update_seconds: float) -> None:
        """Keep what a process that takes it up again needs."""
        progress = {"losses": self.rows, **self._times(seconds, update_seconds)}
        self.run.save_progress({"algorithm": self.algorithm.state(), **progress})

    def finish(self, seconds: float, update_seconds: float) -> None:
        """Keep the trained method."""
        device = self.job.device
        peak = {"peak_memory_mb": provenance.peak_memory(device)}
        provenance.keep(self.run.folder, "training", device, self.job.command, **peak)
        where = {"device": device, "torch": torch.__version__}
        times = self._times(seconds, update_seconds)
        self.run.finish_training(self.algorithm.state(), {**times, **where})

    def _times(self, seconds: float, update_seconds: float) -> dict[str, float]:
        """In all, with what was spent since this attempt began."""
        return {
            "seconds": self.seconds + seconds,
            "update_seconds": self.update_seconds + update_seconds,
        }


def _train(
    attempts: Sequence[_Attempt],
    data: Trajectories,
    tell: Callable[..., None],
    stopping: Callable[[], bool],
    since: float,
) -> None:
    """Bring those that are equally far to the end; each counts its share of the time `since`."""
    first, share = attempts[0].job, 1 / len(attempts)
    clock, updates = _CheckpointClock(first.checkpoint_seconds), first.training.updates
    with ExitStack() as files:
        logs = [files.enter_context(_tracking(attempt)) for attempt in attempts]
        for progress in _fit(attempts, data, lambda: clock.due() or stopping()):
            reached, spent = progress[0].updates, share * progress[0].seconds
            ended = reached == updates
            for one, log, attempt in zip(progress, logs, attempts, strict=True):
                if ended or reached % LOG_EVERY == 0:
                    log(one, attempt.update_seconds + spent)
            tell(phase="train", done=reached / updates, **_memory(first.device))
            stop = not ended and stopping()  # asked once: nobody stops unsaved
            if stop or (not ended and clock.due()):
                with clock.writing():
                    for attempt in attempts:
                        attempt.save(share * (time.perf_counter() - since), spent)
            if stop:
                raise StoppedError
    for attempt in attempts:
        attempt.finish(share * (time.perf_counter() - since), spent)


def _fit(
    attempts: Sequence[_Attempt], data: Trajectories, due: Callable[[], bool]
) -> Iterator[Sequence[Progress]]:
    job, algorithms = attempts[0].job, [one.algorithm for one in attempts]
    trained = Stack(algorithms) if len(algorithms) > 1 else algorithms[0]
    if job.compiled:
        trained.compile()
    for progress in trained.fit(data, job.training.updates, LOG_EVERY, due):
        yield [progress] if isinstance(progress, Progress) else progress


def _load(job: Job) -> tuple[Task, Trajectories]:
    """The task and the data of a job, if they are what was planned and fit each other."""
    task = resolve_task(job.task)
    find_class(job, task)
    data = Trajectories.load(Path(job.data), job.source)
    if data.checksum != job.training.checksum:
        raise UserError(f"{job.data} has changed since the run was planned: start it again")
    widths = data.observations.shape[1], data.actions.shape[1]
    if widths != (task.observation_dim, task.action_dim):
        raise UserError(
            f"{job.data}: observations and actions are {widths[0]} and {widths[1]} wide, "
            f"{task.name} needs {task.observation_dim} and {task.action_dim}"
        )
    return task, data


def _resumed(cls: type[Algorithm], run: Run, job: Job) -> tuple[Algorithm, dict[str, Any]] | None:
    """The method as the last checkpoint has it, and what was spent; None to begin anew."""
    saved = run.saved_progress()
    if saved is None:
        return None
    try:
        algorithm = cls.from_state(saved["algorithm"], job.device)
        if algorithm.updates < job.training.updates:
            return algorithm, {key: saved[key] for key in ("seconds", "update_seconds", "losses")}
    except (KeyError, TypeError, ValueError, RuntimeError):
        pass  # of a version of the method that is gone: its work cannot be used
    return None


class _CheckpointClock:
    """When the next checkpoint is due: not too often where writing takes long."""

    def __init__(self, seconds: float) -> None:
        self.pause = seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        return time.monotonic() - self._last >= self.pause

    @contextmanager
    def writing(self) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self._last = time.monotonic()
        self.pause = max(self.pause, _SHARE * (self._last - begin))


@contextmanager
def _tracking(attempt: _Attempt) -> Iterator[Callable[[Progress, float], None]]:
    """What writes the losses down: into losses.csv, `rows` (its lines) and the trackers."""
    folder, rows, updates = attempt.run.folder, attempt.rows, attempt.algorithm.updates
    with (folder / "losses.csv").open("w", buffering=1) as file:
        file.writelines(rows)  # what was written after the checkpoint will come again
        with open_trackers(attempt.job, folder, updates) as track:

            def log(progress: Progress, seconds: float) -> None:
                if not rows:
                    rows.append(",".join(["updates", "seconds", *progress.losses]) + "\n")
                    file.write(rows[0])
                values = [progress.updates, f"{seconds:.2f}", *progress.losses.values()]
                rows.append(",".join(map(str, values)) + "\n")
                file.write(rows[-1])
                track(progress)

            yield log


def _memory(device: str) -> dict[str, int]:
    """Bytes that this process has taken on its GPU at most, for the scheduler's estimates."""
    if not device.startswith("cuda"):
        return {}
    context = 500 * 2**20  # what CUDA itself takes in each process
    return {"memory": torch.cuda.max_memory_reserved() + context}
