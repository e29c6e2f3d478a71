"""Stored runs, and jobs that evaluate them at other limits without training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from benchmarks.common.errors import UserError
from benchmarks.methods.algorithm import eval_options
from benchmarks.methods.names import known_names
from benchmarks.methods.registry import Method, find_method
from benchmarks.runs.jobs import Job, Training, joined_code
from benchmarks.runs.store import Run
from benchmarks.tasks.suites import Limit
from benchmarks.tasks.tasks import ALL_TASKS, Task


def stored_runs(path: Path) -> list[Path]:
    """The folder itself if it is a run, else the trained runs in a results folder."""
    if (path / "job.json").is_file():
        return [path.absolute()]  # links are kept: the store may lie on another disk
    folders = [file.parent.absolute() for file in sorted(path.glob("runs/*/training.json"))]
    if not folders:
        raise UserError(f"{path} is not a run and holds no trained run: name results/runs/...")
    return folders


def evaluation_job(
    folder: Path,
    limits: Sequence[Limit],
    episodes: int,
    methods: Sequence[Method],
    tasks: Sequence[Task],
    command: str,
) -> Job:
    """The evaluation of one stored run.

    A results folder may refer to code by a built-in or installed name only. Files with code are
    loaded only if the user names them and they equal those of the training.
    """
    training = _training(folder)
    results = folder.parent.parent
    run = Run(results, training)
    if run.folder != folder:
        raise UserError(f"{folder}: its job.json belongs to {run.folder}: rename the folder back")
    if not run.trained:
        raise UserError(f"{folder} is not trained yet: run `python -m benchmarks.run` first")
    task = next((task for task in tasks if task.name == training.task), None)
    task = task or ALL_TASKS.get(training.task)
    if task is None:
        raise UserError(f"{folder}: {training.task!r} is a user's task: give --tasks FILE.toml")
    method = next(
        (candidate for candidate in methods if candidate.cls.name == training.algorithm), None
    )
    if method is None and training.algorithm in known_names() and training.code == task.code:
        method = find_method(training.algorithm)
    if method is None:
        raise UserError(
            f"{folder}: {training.algorithm!r} is from a plugin: give --algorithms FILE.py:CLASS"
        )
    if joined_code(method.code, task.code) != training.code:
        raise UserError(
            f"{folder}: the files of {training.algorithm!r} have changed since the training: "
            "restore them or train again"
        )
    try:
        config = method.cls.config_class(**training.config)
    except (TypeError, ValueError):
        raise UserError(
            f"{folder}/job.json: {training.algorithm!r} has other options now: train again"
        ) from None
    return Job(
        training=training,
        limits=tuple(dict.fromkeys(limit.of(task) for limit in limits)),
        episodes=episodes,
        method_spec=method.spec,
        data="",
        source="",
        results=str(results),
        stage="evaluate",
        core_seconds=task.simulation_seconds(len(limits) * episodes),
        eval_options=eval_options(config),
        task_file=task.file,
        command=command,
    )


def _training(folder: Path) -> Training:
    """The contents of a run's job.json; `UserError` if it is damaged."""
    types: dict[str, Any] = {
        **dict.fromkeys(("algorithm", "code", "task", "checksum"), str),
        **{"seed": int, "updates": int, "config": dict, "limit": (float, int, type(None))},
    }
    try:
        stored = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        values = {field.name: stored[field.name] for field in fields(Training)}
        wrong = [name for name, value in values.items() if not isinstance(value, types[name])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}/job.json cannot be read ({error}): train again") from None
    if wrong:
        raise UserError(f"{folder}/job.json: {', '.join(wrong)} of the wrong type: train again")
    return Training(**values)
