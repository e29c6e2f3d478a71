"""`python -m benchmarks.evaluate RUN ...`: stored policies at other limits, without training."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.errors import UserError, exit_status
from benchmarks.common.files import require_writable
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.methods.registry import find_method
from benchmarks.runs.jobs import Job
from benchmarks.runs.provenance import command_line
from benchmarks.runs.store import Run, is_done
from benchmarks.runs.stored import evaluation_job, stored_runs
from benchmarks.scheduling import engines
from benchmarks.scheduling.progress import print_failures, run_jobs
from benchmarks.simulators.simulator import require_simulators_of
from benchmarks.tasks.suites import parse_limit
from benchmarks.tasks.tasks import Task


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
        evaluation_job(folder, limits, args.episodes, methods, tasks, command)
        for folder in dict.fromkeys(one for run in args.runs for one in stored_runs(run))
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
        lost, stopped = run_jobs(scheduler, left)
    for job in jobs:
        _print(job, used[job.task])
    print_failures(lost, scheduler.halt_reason, "the same command")
    return 130 if stopped else int(bool(lost or scheduler.halt_reason))


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
