"""`python -m benchmarks.run`: train, evaluate, and rank, in one command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from benchmarks import registry, trackers
from benchmarks.collect import write_manifest
from benchmarks.data.own_task import resolve_task
from benchmarks.data.source import Network, choose, obtain, usable
from benchmarks.envs import check_simulator, require_simulators
from benchmarks.errors import UserError, exit_status
from benchmarks.files import require_writable
from benchmarks.interrupts import two_steps
from benchmarks.jobs import Job
from benchmarks.leaderboard.__main__ import rebuild
from benchmarks.machine import devices
from benchmarks.plan import Request
from benchmarks.progress import follow, summarise
from benchmarks.provenance import command_line
from benchmarks.scheduling import engines
from benchmarks.scheduling.places import Places
from benchmarks.store import Run, is_done
from benchmarks.suites import SUITES, Limit, find_suite, parse_limit
from benchmarks.tasks import TASKS, Task

BUDGETS = {
    "quick": "minutes on a CPU",
    "standard": "hours on a CPU, minutes on a GPU",
    "paper": "the papers' own numbers of updates",
}
SEEDS = {"quick": 1, "standard": 3, "paper": 5}
RIVALS = ("gas", "cdt", "cpq", "coptidice", "bc-all", "bc-safe")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description="Train, evaluate in the simulators, and rank offline safe RL methods.",
    )
    p.add_argument("--suite", action="append", default=[], help=f"one of {', '.join(SUITES)}")
    p.add_argument(
        "--limits", nargs="+", default=[], metavar="L", help="cost limits of your own: 5%% or 25"
    )
    p.add_argument(
        "--tasks",
        nargs="+",
        default=list(TASKS),
        metavar="TASK",
        help="any task of DSRL, or a task file of your own: path/to/task.toml; default: the twelve",
    )
    p.add_argument(
        "--algorithms",
        nargs="+",
        default=list(RIVALS),
        metavar="NAME",
        help=f"from {', '.join(registry.BUILT_IN)}, a plugin's name, path/to/file.py:Class, or all",
    )
    p.add_argument(
        "--budget",
        default="auto",
        help="; ".join(f"{name}: {what}" for name, what in BUDGETS.items())
        + "; default: paper with a GPU, quick without",
    )
    p.add_argument(
        "--data",
        default="auto",
        help="generated, dsrl, a folder of DSRL files, or auto: dsrl where every file is at hand "
        "or within reach, otherwise generated",
    )
    Network.add_options(p)
    p.add_argument("--seeds", nargs="+", type=int, help="default: as many as the budget has")
    p.add_argument("--episodes", type=int, default=10, help="evaluated at each limit")
    p.add_argument(
        "--option", action="append", default=[], metavar="NAME.OPTION=VALUE", help="overrules"
    )
    p.add_argument("--updates", type=int, help="of every method, in place of the budget's")
    p.add_argument("--stage", choices=("both", "train", "evaluate"), default="both")
    engines.add_options(p)
    p.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=Job.checkpoint_seconds,
        metavar="S",
        help="between two checkpoints of a training; a killed one goes on from the last",
    )
    trackers.add_options(p)
    p.add_argument("--results", type=Path, default=Path("results"))
    p.add_argument("--name", help="folder of the leaderboard in --results; default: the suite's")
    p.add_argument("--skip-missing", action="store_true", help="leave out tasks without data")
    p.add_argument("--retry-failed", action="store_true", help="run failed jobs again")
    p.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 if all went well, 1 if a job failed, 2 for wrong input, 130 for Ctrl-C."""
    command = command_line(sys.argv[1:] if arguments is None else arguments)
    return exit_status(lambda: _run(parser().parse_args(arguments), command))


def _run(args: argparse.Namespace, command: str) -> int:
    engines.check(args)
    if not args.checkpoint_seconds >= 0:
        raise UserError(f"--checkpoint-seconds must not be {args.checkpoint_seconds:g}")
    tracked = trackers.chosen(args)
    slots, budget = engines.slots(args), _budget(args.budget, args.device)
    suites, network = _suites(args), Network.of(args)
    tasks = _tasks(args.tasks)
    request = Request(
        [registry.find_method(spec) for spec in _algorithms(args.algorithms)],
        choose(args.data, tasks, network),
        list(dict.fromkeys(limit for limits in suites.values() for limit in limits)),
        list(dict.fromkeys(args.seeds or range(SEEDS.get(budget, 1)))),
        budget,
        _positive(args.episodes, "--episodes"),
        {},
        args.stage,
        None if args.updates is None else _positive(args.updates, "--updates"),
    )
    request = request.with_options(args.option)
    request.check()
    print(
        f"data: {request.data[0].source}; budget: {budget}; "
        + (f"processes: {_shown(slots)}" if args.engine == "local" else f"engine: {args.engine}")
    )
    print(f"tasks: {', '.join(data.task.name for data in request.data)}")
    good, damaged = usable(request.data, network, args.skip_missing or args.dry_run)
    request = request.on(good)
    if args.dry_run:
        unknown = {data.task.name: "" for data in good}
        _print_plan(request.jobs(str(args.results), unknown), Places(slots).count, request)
        return 0
    require_writable(args.results)
    if args.stage != "train":
        for engine in dict.fromkeys(data.task.engine for data in request.data):
            require_simulators(engine)
        for data in request.data:
            if data.task.engine == "gymnasium":
                check_simulator(data.task)
    request = request.on(obtain(request.data, network, args.skip_missing))
    known = {data.task.name: data.checksum() for data in request.data}
    results = str(args.results)
    jobs = [
        replace(
            job,
            checkpoint_seconds=args.checkpoint_seconds,
            trackers=tracked,
            command=command,
        )
        for job in request.jobs(results, known)
    ]
    for name, limits in suites.items():
        own = request.at(limits).jobs(results, known)
        title = f"{name}: {', '.join(map(str, limits))}"
        write_manifest(args.results / name, title, own, request.data, limits, budget)
    status = _work(jobs, request, args, [args.results / name for name in suites])
    return status or int(damaged)


def _work(
    jobs: list[Job],
    request: Request,
    args: argparse.Namespace,
    folders: list[Path],
) -> int:
    """Run what is left of `jobs`, then make the leaderboards; the exit status."""
    left, failed_before = list[Job](), list[Job]()
    for job in jobs:
        if not is_done(job):
            (failed_before if not args.retry_failed and _failed(job) else left).append(job)
    scheduler, close = engines.open_scheduler(args)
    try:
        _print_plan(jobs, scheduler.places.count, request, left)
        with two_steps() as stopping:
            events = scheduler.run(left, stopping)
            lost = follow(events, left, scheduler.places.count)
            stopped = stopping()
    finally:
        close()
    # the tables take seconds to make, and who stops is in a hurry
    for folder in folders if args.stage != "train" and not stopped else []:
        print(f"\n{rebuild(folder)}\n\nleaderboard: {folder / 'leaderboard.md'}")
    summarise(lost)
    if scheduler.halted:
        print(f"no more jobs were started: {scheduler.halted}", file=sys.stderr)
    if failed_before:
        print(f"{len(failed_before)} jobs failed in an earlier run: --retry-failed runs them again")
    if stopped:
        print("stopped: run the same command again to go on", file=sys.stderr)
        return 130
    return 1 if lost or failed_before or scheduler.halted else 0


def _failed(job: Job) -> bool:
    failure = Run(Path(job.results), job.training).failure()
    return failure is not None and not failure["interrupted"]


def _print_plan(
    jobs: list[Job], processes: int, request: Request, left: list[Job] | None = None
) -> None:
    left = jobs if left is None else left
    for method in request.methods:
        own = [job for job in jobs if job.training.algorithm == method.cls.name]
        minutes = sum(job.core_seconds for job in own) / 60
        updates = own[0].training.updates if own else 0
        each = "one for all limits" if method.cls.conditions_on_limit else "one a limit"
        print(
            f"  {method.cls.name:12} {len(own):4} trainings ({each}) of {updates} updates, "
            f"about {minutes:.1f} core minutes"
        )
    seconds = sum(job.core_seconds for job in left)
    longest = max((job.core_seconds for job in left), default=0.0)
    wall = max(seconds / processes, longest) / 60
    print(
        f"{len(jobs)} jobs, {len(jobs) - len(left)} not to run again, {len(left)} to do: "
        f"about {wall:.1f} minutes on {processes} processes"
    )


def _suites(args: argparse.Namespace) -> dict[str, tuple[Limit, ...]]:
    """Limits by the name of their leaderboard."""
    suites = {name: find_suite(name) for name in args.suite}
    if args.limits:
        suites["custom"] = tuple(dict.fromkeys(parse_limit(text) for text in args.limits))
    if not suites:
        raise UserError("nothing to evaluate: give --suite tight, --suite loose or --limits")
    if args.name:
        if Path(args.name).name != args.name or args.name in ("runs", ".", ".."):
            raise UserError(f"--name {args.name!r} is not a plain folder name")
        limits = tuple(dict.fromkeys(limit for own in suites.values() for limit in own))
        return {args.name: limits}
    return suites


def _tasks(specs: list[str]) -> list[Task]:
    tasks = dict[str, Task]()
    for task in map(resolve_task, specs):
        if tasks.setdefault(task.name, task) != task:
            raise UserError(f"two of the tasks are called {task.name!r}: rename one")
    return list(tasks.values())


def _algorithms(specs: list[str]) -> list[str]:
    return list(dict.fromkeys(registry.known_names() if "all" in specs else specs))


def _budget(choice: str, device: str) -> str:
    if choice != "auto":
        return choice
    gpu = devices(device)[0] != "cpu"
    print(
        f"budget: {'paper' if gpu else 'quick'}, as there is {'a' if gpu else 'no'} GPU "
        "(--budget changes it)"
    )
    return "paper" if gpu else "quick"


def _shown(slots: Mapping[str, int]) -> str:
    return ", ".join(f"{count} on {place}" for place, count in slots.items())


def _positive(value: int, option: str) -> int:
    if value < 1:
        raise UserError(f"{option} must be at least 1, not {value}")
    return value


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(main())
