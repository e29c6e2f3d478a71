"""`python -m benchmarks.evaluate RUN ...`: stored policies at other limits, without training."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from benchmarks.common.errors import UserError, exit_status
from benchmarks.common.files import require_writable
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.methods.registry import Method, find_method, known_names
from benchmarks.runs.jobs import Job, Training, joined_code
from benchmarks.runs.provenance import command_line
from benchmarks.runs.store import Run, is_done
from benchmarks.scheduling import engines
from benchmarks.scheduling.progress import summarise, work_off
from benchmarks.simulators.simulator import require_simulators_of
from benchmarks.tasks.suites import Limit, parse_limit
from benchmarks.tasks.tasks import ALL_TASKS, Task


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.evaluate",
        description="Evaluate stored checkpoints at new cost limits; nothing is trained.",
    )
    p.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="folder of a run (results/runs/...), or a results folder for all that it holds",
    )
    p.add_argument("--limits", nargs="+", required=True, metavar="L", help="5%% or 25")
    p.add_argument("--episodes", type=int, default=10, help="evaluated at each limit")
    p.add_argument(
        "--algorithms",
        nargs="+",
        default=[],
        metavar="FILE.py:CLASS",
        help="plugin files of stored runs; no file is loaded that is not named here",
    )
    p.add_argument(
        "--tasks", nargs="+", default=[], metavar="TASK.toml", help="your own tasks of stored runs"
    )
    engines.add_options(p)
    p.set_defaults(stage="evaluate")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 if all went well, 1 if a job failed, 2 for wrong input, 130 for Ctrl-C."""
    given = sys.argv[1:] if arguments is None else arguments
    command = command_line(given, "benchmarks.evaluate")
    return exit_status(lambda: _run(parser().parse_args(arguments), command))


def _run(args: argparse.Namespace, command: str) -> int:
    engines.check(args)
    if args.episodes < 1:
        raise UserError(f"--episodes must be at least 1, not {args.episodes}")
    limits = [parse_limit(text) for text in args.limits]
    methods = [find_method(spec) for spec in args.algorithms]
    tasks = [resolve_task(spec) for spec in args.tasks]
    jobs = [
        _job(folder, limits, args.episodes, methods, tasks, command)
        for folder in dict.fromkeys(one for run in args.runs for one in _folders(run))
    ]
    stores = list(dict.fromkeys(Path(job.results) for job in jobs))
    for results in stores:
        require_writable(results)
    if args.engine != "local" and len(stores) > 1:
        raise UserError(
            f"--engine {args.engine} evaluates the runs of one results folder at a time: "
            f"leave out those of {stores[1]}"
        )
    used = {job.task: resolve_task(job.task) for job in jobs}
    require_simulators_of(used.values())
    left = [job for job in jobs if not is_done(job)]
    with engines.open_scheduler(args, stores[0]) as scheduler:
        lost, stopped = work_off(scheduler, left)
    for job in jobs:
        _print(job, used[job.task])
    summarise(lost, scheduler.halted, "the same command")
    return 130 if stopped else int(bool(lost or scheduler.halted))


def _folders(path: Path) -> list[Path]:
    """The run that a folder is, or the trained runs of a results folder."""
    if (path / "job.json").is_file():
        return [path.resolve()]
    found = [one.parent.resolve() for one in sorted(path.glob("runs/*/training.json"))]
    if not found:
        raise UserError(f"{path} is no run and holds none that is trained: name results/runs/...")
    return found


def _job(
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
        training,
        tuple(dict.fromkeys(limit.of(task) for limit in limits)),
        episodes,
        method.spec,
        "",
        "",
        str(results),
        "evaluate",
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


def _print(job: Job, task: Task) -> None:
    """Raw and normalised cost at each limit of a run."""
    run, training = Run.of(job), job.training
    trained = "" if training.limit is None else f", trained for {training.limit:g}"
    print(f"{training.task} {training.algorithm} seed {training.seed}{trained}")
    for limit in job.limits:
        if not run.evaluated(limit, job.episodes):
            print(f"  limit {limit:g}: not evaluated")
            continue
        episodes = run.episodes(limit, job.episodes)
        reward = sum(one.episode_return for one in episodes) / len(episodes)
        cost = sum(one.episode_cost for one in episodes) / len(episodes)
        safe = "safe" if cost <= limit else "not safe"
        print(f"  limit {limit:g}: return {reward:.2f}, cost {cost:.2f}, {safe}")


if __name__ == "__main__":
    sys.exit(main())
