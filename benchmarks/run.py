"""`python -m benchmarks.run`: train, evaluate, and rank, in one command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from benchmarks.common.errors import UserError, exit_status
from benchmarks.common.files import require_writable
from benchmarks.common.hardware import devices
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.datasets.source import DataSet, Network, choose, obtain, usable
from benchmarks.methods import registry
from benchmarks.results.leaderboard import rebuild
from benchmarks.results.manifest import write_manifest
from benchmarks.results.pending import has_failed, pending
from benchmarks.runs import trackers
from benchmarks.runs.jobs import Job
from benchmarks.runs.plan import Request, plan, plan_text
from benchmarks.runs.provenance import command_line
from benchmarks.scheduling import engines
from benchmarks.scheduling.devices import DevicePool
from benchmarks.scheduling.progress import print_failures, run_jobs
from benchmarks.simulators.simulator import require_simulators_of
from benchmarks.tasks.suites import SUITES, Suite, find_suite, parse_limit
from benchmarks.tasks.tasks import TASKS, Task

BUDGETS = {
    "quick": "minutes on a CPU",
    "standard": "hours on a CPU",
    "paper": "the papers' own numbers of updates",
}
SEEDS = {"quick": 1, "standard": 3, "paper": 5}
T = TypeVar("T")
RIVALS = ("gas", "cdt", "cpq", "coptidice", "bc-all", "bc-safe")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description="Train, evaluate in the simulators, and rank offline safe RL methods.",
    )
    p.add_argument(
        "--suite",
        action="append",
        default=[],
        help="; ".join(f"{name}: {suite.shows}" for name, suite in SUITES.items()),
    )
    p.add_argument(
        "--limits", nargs="+", default=[], metavar="L", help="cost limits of your own: 5%% or 25"
    )
    p.add_argument(
        "--tasks",
        nargs="+",
        metavar="TASK",
        help="any task of DSRL, or a task file of your own: path/to/task.toml; default: those of "
        "the suite, else the twelve",
    )
    p.add_argument(
        "--algorithms",
        nargs="+",
        metavar="NAME",
        help=f"from {', '.join(registry.BUILT_IN)}, a plugin's name, path/to/file.py:Class, or "
        "all; a variant is gas@alpha=0.9,mask=false; default: those of the suite, else "
        + " ".join(RIVALS),
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
        "--together",
        type=int,
        metavar="SEEDS",
        help="seeds trained as one in a process, for methods that can; default: 8 on a GPU, else 1",
    )
    p.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=Job.checkpoint_seconds,
        metavar="S",
        help="between two checkpoints of a training; a killed one goes on from the last",
    )
    trackers.add_options(p)
    p.add_argument(
        "--compile", action="store_true", help="train by compiled updates, for methods that can"
    )
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
    methods = {
        name: [registry.find_method(spec) for spec in _algorithms(args.algorithms, suite)]
        for name, suite in suites.items()
    }
    own_tasks = {name: suite.tasks or tuple(TASKS) for name, suite in suites.items()}
    tasks = _tasks(args.tasks or [task for own in own_tasks.values() for task in own])
    everything = Request(
        _once([method for own in methods.values() for method in own]),
        choose(args.data, tasks, network),
        _once([limit for suite in suites.values() for limit in suite.limits]),
        list(dict.fromkeys(args.seeds or range(SEEDS.get(budget, 1)))),
        budget,
        _positive(args.episodes, "--episodes"),
        {},
        args.stage,
        None if args.updates is None else _positive(args.updates, "--updates"),
        engines.seeds_together(args),
    )
    everything = everything.with_options(args.option)
    everything.check()
    print(
        f"data: {everything.data[0].source}; budget: {budget}; "
        + (f"processes: {_shown(slots)}" if args.engine == "local" else f"engine: {args.engine}")
    )
    print(f"tasks: {', '.join(data.task.name for data in everything.data)}")
    good, damaged = usable(everything.data, network, args.skip_missing or args.dry_run)

    def requests(data: Sequence[DataSet]) -> dict[str, Request]:
        """What each suite asks for of the data that there are."""
        return {
            name: replace(
                everything,
                methods=methods[name],
                data=[one for one in data if args.tasks or one.task.name in own_tasks[name]],
                limits=suite.limits,
            )
            for name, suite in suites.items()
        }

    if args.dry_run:
        unknown = {data.task.name: "" for data in good}
        jobs = plan(list(requests(good).values()), str(args.results), unknown)
        print(plan_text(everything.methods, jobs, jobs, DevicePool(slots).count))
        return 0
    require_writable(args.results)
    if args.stage != "train":
        require_simulators_of([data.task for data in good])
    data = obtain(good, network, args.skip_missing)
    known = {one.task.name: one.checksum() for one in data}
    results, asked = str(args.results), requests(data)
    jobs = [
        replace(
            job,
            checkpoint_seconds=args.checkpoint_seconds,
            trackers=tracked,
            command=command,
            compiled=args.compile,
        )
        for job in plan(list(asked.values()), results, known)
    ]
    folders = []
    for name, own in _leaderboards(args.name, suites).items():
        limits = _once([limit for one in own for limit in suites[one].limits])
        title = f"{name}: {', '.join(map(str, limits))}"
        shown = plan([asked[one] for one in own], results, known)
        folders.append(args.results / name)
        write_manifest(folders[-1], title, shown, data, limits, budget)
    status = _work(jobs, everything, args, folders)
    return status or int(damaged)


def _work(
    jobs: list[Job],
    request: Request,
    args: argparse.Namespace,
    folders: list[Path],
) -> int:
    """Run what is left of `jobs`, then make the leaderboards; the exit status."""
    unfinished, kept = pending(jobs, [] if args.stage == "train" else folders)
    if kept:
        where = ", ".join(str(folder) for folder in folders if folder.is_dir())
        print(f"{kept} jobs are not run, their results are kept (delete to run them): {where}")
    left, failed_before = list[Job](), list[Job]()
    for job in unfinished:
        (failed_before if not args.retry_failed and has_failed(job) else left).append(job)
    with engines.open_scheduler(args, args.results) as scheduler:
        print(plan_text(request.methods, jobs, left, scheduler.devices.count))
        lost, stopped = run_jobs(scheduler, left)
    # Tables take seconds and disk space: make none after Ctrl-C or on a full disk.
    skip_tables = args.stage == "train" or stopped or scheduler.halt_reason
    for folder in [] if skip_tables else folders:
        print(f"\n{rebuild(folder)}\n\nleaderboard: {folder / 'leaderboard.md'}")
    print_failures(lost, scheduler.halt_reason, "--retry-failed")
    if failed_before:
        print(f"{len(failed_before)} jobs failed in an earlier run: --retry-failed runs them again")
    if stopped:
        print("stopped: run the same command again to go on", file=sys.stderr)
        return 130
    return 1 if lost or failed_before or scheduler.halt_reason else 0


def _suites(args: argparse.Namespace) -> dict[str, Suite]:
    """What is asked for, by name."""
    suites = {name: find_suite(name) for name in args.suite}
    if args.limits:
        suites["custom"] = Suite("limits of the user's own", _once(map(parse_limit, args.limits)))
    if not suites:
        raise UserError(
            f"nothing to evaluate: give --suite with one of {', '.join(SUITES)}, or --limits"
        )
    if args.name and (Path(args.name).name != args.name or args.name in ("runs", ".", "..")):
        raise UserError(f"--name {args.name!r} is not a plain folder name")
    return suites


def _leaderboards(name: str | None, suites: Iterable[str]) -> dict[str, list[str]]:
    """The suites that each leaderboard shows: one a suite, or all in one of a name."""
    return {name: list(suites)} if name else {suite: [suite] for suite in suites}


def _once(values: Iterable[T]) -> tuple[T, ...]:
    """Each value once, in order."""
    found: list[T] = []
    for value in values:
        if value not in found:
            found.append(value)
    return tuple(found)


def _tasks(specs: Iterable[str]) -> list[Task]:
    tasks = dict[str, Task]()
    for task in map(resolve_task, specs):
        if tasks.setdefault(task.name, task) != task:
            raise UserError(f"two of the tasks are called {task.name!r}: rename one")
    return list(tasks.values())


def _algorithms(specs: Sequence[str] | None, suite: Suite) -> tuple[str, ...]:
    chosen = specs or suite.algorithms or RIVALS
    return _once(registry.known_names() if "all" in chosen else chosen)


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
