"""Stored runs and the jobs that evaluate them anew, without training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from benchmarks.common.errors import UserError
from benchmarks.methods.names import known_names
from benchmarks.methods.registry import Method, find_method
from benchmarks.runs.jobs import Job, Training, joined_code
from benchmarks.runs.store import Run
from benchmarks.tasks.suites import Limit
from benchmarks.tasks.tasks import ALL_TASKS, Task


def stored_runs(path: Path) -> list[Path]:
    """The run that a folder is, or the trained runs of a results folder."""
    if (path / "job.json").is_file():
        return [path.resolve()]
    found = [one.parent.resolve() for one in sorted(path.glob("runs/*/training.json"))]
    if not found:
        raise UserError(f"{path} is no run and holds none that is trained: name results/runs/...")
    return found


def evaluation_job(
    folder: Path,
    limits: Sequence[Limit],
    episodes: int,
    methods: Sequence[Method],
    tasks: Sequence[Task],
    command: str,
) -> Job:
    """The evaluation of one stored run.

    What lies in a results folder names code at most by a built-in or installed name: files are
    loaded only where the user names them, and only if they are those that were trained.
    """
    training = _training(folder)
    results = folder.parent.parent
    run = Run(results, training)
    if run.folder != folder:
        raise UserError(f"{folder}: job.json does not belong to this folder, which is {run.folder}")
    if not run.trained:
        raise UserError(f"{folder} is not trained yet: run `python -m benchmarks.run` first")
    task = next((one for one in tasks if one.name == training.task), None)
    task = task or ALL_TASKS.get(training.task)
    if task is None:
        raise UserError(f"{folder}: {training.task!r} is a task of your own: --tasks FILE.toml")
    method = next((one for one in methods if one.cls.name == training.algorithm), None)
    if method is None and training.algorithm in known_names() and training.code == task.code:
        method = find_method(training.algorithm)
    if method is None:
        raise UserError(
            f"{folder}: {training.algorithm!r} is of a plugin file: --algorithms FILE.py:CLASS"
        )
    if joined_code(method.code, task.code) != training.code:
        raise UserError(f"{folder}: the files of {training.algorithm!r} are not those trained with")
    return Job(
        training=training,
        limits=tuple(dict.fromkeys(limit.of(task) for limit in limits)),
        episodes=episodes,
        method_spec=method.spec,
        data="",
        source="",
        results=str(results),
        stage="evaluate",
        core_seconds=len(limits) * episodes * task.horizon / task.steps_per_second,
        task_file=task.file,
        command=command,
    )


def _training(folder: Path) -> Training:
    """What a run's job.json says; `UserError` where it does not say it as it should."""
    kinds: dict[str, Any] = {
        **dict.fromkeys(("algorithm", "code", "task", "checksum"), str),
        **{"seed": int, "updates": int, "config": dict, "limit": (float, int, type(None))},
    }
    try:
        stored = json.loads((folder / "job.json").read_text())
        known = {field.name: stored[field.name] for field in fields(Training)}
        wrong = [name for name, value in known.items() if not isinstance(value, kinds[name])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}/job.json cannot be read ({error})") from None
    if wrong:
        raise UserError(f"{folder}/job.json: {', '.join(wrong)} of the wrong kind")
    return Training(**known)
