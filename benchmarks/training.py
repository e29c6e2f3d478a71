"""One training: begun, or taken up where a checkpoint left it, and brought to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks import provenance
from benchmarks.algorithm import LOG_EVERY, Algorithm, Problem, Progress
from benchmarks.data.own_task import resolve_task
from benchmarks.data.trajectories import Trajectories
from benchmarks.errors import UserError
from benchmarks.jobs import Job, joined_code
from benchmarks.registry import find_method
from benchmarks.store import Run
from benchmarks.tasks import Task
from benchmarks.trackers import open_trackers

_SHARE = 20
"""Checkpoints take at most one part in so many of the time."""


class StoppedError(Exception):
    """The training was asked to stop, and is saved as it was."""


def find_class(job: Job, task: Task) -> type[Algorithm]:
    """The class of a job's method; `UserError` if the user's own code is not what was planned."""
    method = find_method(job.method)
    if joined_code(method.code, task.code) != job.training.code:
        changed = " or ".join(filter(None, [job.method, job.task_file]))
        raise UserError(f"{changed} has changed since the run was planned: start it again")
    return method.cls


def train(job: Job, run: Run, tell: Callable[..., None], stopping: Callable[[], bool]) -> Algorithm:
    """Train to the end, with a checkpoint every `job.checkpoint_seconds`.

    A training that was killed goes on from its last checkpoint and ends as it would have without:
    on a CPU bit for bit. Raises `StoppedError`, with everything saved, once `stopping()` holds.
    """
    start, training = time.perf_counter(), job.training
    task = resolve_task(job.task)
    cls = find_class(job, task)
    data = _load(job, task)
    frontier = provenance.data_frontier(data.episode_costs, data.returns)
    provenance.keep(run.folder, "training", job.device, job.command, data_frontier=frontier)
    algorithm, before = _resumed(cls, run, job) or (
        cls(
            Problem.of(data, task.horizon),
            cls.config_class(**training.config),
            limit=training.limit,
            seed=training.seed,
            device=job.device,
        ),
        {"seconds": 0.0, "update_seconds": 0.0, "losses": []},
    )
    clock = _CheckpointClock(job.checkpoint_seconds)
    update_seconds, rows = before["update_seconds"], list(before["losses"])

    def spent() -> float:
        return float(before["seconds"] + time.perf_counter() - start)

    with _tracking(run.folder, job, algorithm.updates, rows) as log:
        for progress in algorithm.fit(
            data, training.updates, LOG_EVERY, due=lambda: clock.due() or stopping()
        ):
            update_seconds = before["update_seconds"] + progress.seconds
            ended = progress.updates == training.updates
            if ended or progress.updates % LOG_EVERY == 0:
                log(progress, update_seconds)
            tell(phase="train", done=progress.updates / training.updates, **_memory(job.device))
            stop = not ended and stopping()  # asked once: nobody stops unsaved
            if stop or (not ended and clock.due()):
                with clock.writing():
                    run.save_progress(
                        {
                            "algorithm": algorithm.state(),
                            "seconds": spent(),
                            "update_seconds": update_seconds,
                            "losses": rows,
                        }
                    )
            if stop:
                raise StoppedError
    peak = {"peak_memory_mb": provenance.peak_memory(job.device)}
    provenance.keep(run.folder, "training", job.device, job.command, **peak)
    summary = {
        "seconds": spent(),
        "update_seconds": update_seconds,
        "device": job.device,
        "torch": torch.__version__,
    }
    run.finish_training(algorithm.state(), summary)
    return algorithm


def _load(job: Job, task: Task) -> Trajectories:
    """The data of a job, if they are what was planned and fit the task."""
    data = Trajectories.load(Path(job.data), job.source)
    if data.checksum != job.training.checksum:
        raise UserError(f"{job.data} has changed since the run was planned: start it again")
    widths = data.observations.shape[1], data.actions.shape[1]
    if widths != (task.observation_dim, task.action_dim):
        raise UserError(
            f"{job.data}: observations and actions are {widths[0]} and {widths[1]} wide, "
            f"{task.name} needs {task.observation_dim} and {task.action_dim}"
        )
    return data


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
def _tracking(
    folder: Path, job: Job, updates: int, rows: list[str]
) -> Iterator[Callable[[Progress, float], None]]:
    """What writes the losses down: into losses.csv, `rows` (its lines) and the trackers."""
    with (folder / "losses.csv").open("w", buffering=1) as file:
        file.writelines(rows)  # what was written after the checkpoint will come again
        with open_trackers(job, folder, updates) as track:

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
