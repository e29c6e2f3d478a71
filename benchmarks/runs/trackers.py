"""Optional trackers of losses besides losses.csv: TensorBoard and Weights & Biases.

Their packages are imported only if their flags are given.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.common.errors import UserError
from benchmarks.methods.algorithm import TrainingProgress
from benchmarks.runs.jobs import Job

_PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb"}
"""The package of each tracker, which is also the name of the extra."""


def chosen(*, tensorboard: bool = False, wandb: str | None = None) -> tuple[str, ...]:
    """The trackers asked for, as `Job.trackers`; `UserError` if a package is missing.

    `wandb` is the project of Weights & Biases; None for no tracking there.
    """
    trackers: tuple[str, ...] = ("tensorboard",) if tensorboard else ()
    if wandb is not None:
        trackers += (f"wandb:{wandb}",)
    for tracker in trackers:
        package = _PACKAGES[tracker.partition(":")[0]]
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"--{package} needs the package {package}: pip install -e '.[{package}]'"
            )
    return trackers


@contextmanager
def open_trackers(
    job: Job, folder: Path, updates: int
) -> Iterator[Callable[[TrainingProgress], None]]:
    """Open the trackers of `job`, whose training is at `updates`; yield a logger to all of them."""
    with ExitStack() as stack:
        tracks: Sequence[Callable[[TrainingProgress], None]] = [
            stack.enter_context(
                _wandb(job, tracker.partition(":")[2])
                if tracker.startswith("wandb:")
                else _tensorboard(folder, updates)
            )
            for tracker in job.trackers
        ]

        def track(progress: TrainingProgress) -> None:
            for track_one in tracks:
                track_one(progress)

        yield track


@contextmanager
def _tensorboard(folder: Path, updates: int) -> Iterator[Callable[[TrainingProgress], None]]:
    writer_class = importlib.import_module("torch.utils.tensorboard").SummaryWriter
    # Drop what a killed attempt wrote after its last checkpoint: it is logged again.
    writer: Any = writer_class(str(folder / "tensorboard"), purge_step=updates + 1)

    def track(progress: TrainingProgress) -> None:
        for name, value in progress.losses.items():
            writer.add_scalar(name, value, progress.updates)

    try:
        yield track
    finally:
        writer.close()


@contextmanager
def _wandb(job: Job, project: str) -> Iterator[Callable[[TrainingProgress], None]]:
    training = job.training
    run: Any = importlib.import_module("wandb").init(
        project=project,
        id=training.key[:16],
        resume="allow",
        name=f"{training.task}-{training.algorithm}-{training.seed}",
        config={**asdict(training), "source": job.source},
    )
    try:
        yield lambda progress: run.log(dict(progress.losses), step=progress.updates)
    finally:
        run.finish()
