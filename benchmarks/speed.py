"""Times of this suite: beside osrl's, of the schedule, as sizes grow, and of whole suites."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from benchmarks.common.errors import UserError, exit_status, unknown_name
from benchmarks.common.files import replacing
from benchmarks.common.hardware import available_cores, devices, processor
from benchmarks.datasets.source import choose
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.measures.growth import measure_growth
from benchmarks.measures.loading import compare_loading
from benchmarks.measures.rollouts import ROLLOUTS, compare_rollouts
from benchmarks.measures.schedule import sleeping, working
from benchmarks.measures.stacks import STACKS, compare_stacks
from benchmarks.measures.suite import predict_suites
from benchmarks.measures.tables import growth_table, suite_tables, table, usage_table
from benchmarks.measures.timing import Comparison
from benchmarks.measures.training import CASES, compare_training
from benchmarks.methods.algorithm import Algorithm
from benchmarks.methods.registry import BUILT_IN, find_method
from benchmarks.tasks.tasks import TASKS, find_task

_CASES: dict[str, Sequence[str]] = {
    "train": list(CASES),
    "rollout": list(ROLLOUTS),
    "stack": [name for name in BUILT_IN if find_method(name).cls.stackable],
}


class Recorded(Protocol):
    """What is written as JSON."""

    def record(self) -> dict[str, Any]:
        """As plain values."""
        ...


Measured = tuple[str, Sequence[Recorded]]
"""A table in Markdown and what it shows."""


def machine() -> dict[str, Any]:
    """What the times depend on besides the code."""
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    features = torch.backends.cpu.get_cpu_capability()
    return {"processor": processor(), "features": features, "cores": available_cores(), **versions}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    known = {"train": list(CASES), "rollout": list(ROLLOUTS), "data": [], "stack": list(STACKS)}
    helps = {
        "train": "updates of every method",
        "rollout": "evaluation episodes, and the simulator by itself",
        "data": "reading, packing and batches",
        "stack": "updates of several seeds as one, and compiled, beside one alone",
    }
    for name, cases in known.items():
        command = commands.add_parser(name, help=helps[name])
        command.add_argument("--task", default="CarCircle", help="whose data and simulator")
        command.add_argument("--data", default="auto", help='"auto", "dsrl", "generated", a folder')
        command.add_argument("--rounds", type=int, default=7, help="turns of either side")
        command.add_argument("--seconds", type=float, default=0.5, help="of a side in a round")
        command.add_argument("--out", type=Path, metavar="FILE", help="write the results as JSON")
        if cases:
            command.add_argument(
                "--cases", nargs="+", default=cases, help=f"of: {', '.join(cases)}; all by default"
            )
        if name == "train":
            command.add_argument("--budget", default="paper", help="whose options are taken")
            command.add_argument("--batch", type=int, help="for all; else 512, and 256 beside cdt")
            command.add_argument("--memory", action="store_true", help="measure peak memory too")
        if name == "stack":
            command.add_argument("--budget", default="quick", help="whose options are taken")
            command.add_argument("--seeds", nargs="+", type=int, default=[1, 5, 10, 20])
            command.add_argument("--compile", action="store_true", help="compiled as well")
            command.add_argument("--device", default="cpu", help="cpu, cuda or cuda:0")
        if name == "rollout":
            command.add_argument("--episodes", type=int, default=10, help="at each of three limits")
    schedule = commands.add_parser("schedule", help="how much of the workers' time jobs get")
    schedule.add_argument("--jobs", type=int, default=60)
    schedule.add_argument("--workers", type=int, default=available_cores())
    growth = commands.add_parser("growth", help="times and memory as sizes grow tenfold")
    growth.add_argument("--task", default="BallRun", help="whose data, made up, and simulator")
    growth.add_argument("--rounds", type=int, default=5, help="of which the least time counts")
    suite = commands.add_parser("suite", help="core hours of `--suite tight --suite loose`")
    five = ["gas", "cdt", "cpq", "coptidice", "fisor"]
    suite.add_argument("--algorithms", nargs="+", default=five)
    suite.add_argument("--tasks", nargs="+", default=list(TASKS))
    suite.add_argument("--seeds", type=int, default=3, help="how many")
    suite.add_argument("--budgets", nargs="+", default=["quick", "standard", "paper"])
    suite.add_argument("--seconds", type=float, default=2.0, help="that each piece is timed")
    for command in (schedule, growth, suite):
        command.add_argument("--out", type=Path, metavar="FILE", help="write the results as JSON")
    return parser


def measure(args: argparse.Namespace) -> list[Comparison]:
    """The comparisons that the command line asks for."""
    _positive(args, "rounds", "seconds")
    task = find_task(args.task)
    (found,) = choose(args.data, [task])
    if not found.present:
        raise UserError(
            f"no data of {task.name} at hand: `python -m benchmarks.data generate {task.name}`"
        )
    for name in vars(args).get("cases", []):
        if name not in (known := _CASES[args.command]):
            raise unknown_name("case", name, known)
    turns = {"rounds": args.rounds, "seconds": args.seconds}
    if args.command == "data":
        return compare_loading(found.path, **turns)
    data = Trajectories.load(found.path, found.source)
    if args.command == "stack":
        if min(args.seeds) < 1:
            raise UserError("--seeds must be positive")
        ways = {"seeds": args.seeds, "compiled": [False, True][: 1 + args.compile]}
        more = {"budget": args.budget, "device": devices(args.device)[0], **ways}
        return compare_stacks(args.cases, data, task, **more, **turns)
    if args.command == "rollout":
        return compare_rollouts(args.cases, data, task, episodes=args.episodes, **turns)
    more = {"budget": args.budget, "batch": args.batch, "memory": args.memory}
    return compare_training(args.cases, data, task, **more, **turns)


def _beside_osrl(args: argparse.Namespace) -> Measured:
    results = measure(args)
    return table(results, "alone" if args.command == "stack" else "osrl"), results


def _schedule(args: argparse.Namespace) -> Measured:
    _positive(args, "jobs", "workers")
    usages = [
        sleeping(args.jobs, args.workers, 1.0),
        working(max(args.jobs // 5, 1), args.workers, afresh=True),
        working(max(args.jobs // 5, 1), args.workers),
    ]
    return usage_table(usages), usages


def _growth(args: argparse.Namespace) -> Measured:
    _positive(args, "rounds")
    tables = measure_growth(find_task(args.task), rounds=args.rounds)
    return growth_table(tables), tables


def _suite(args: argparse.Namespace) -> Measured:
    _positive(args, "seeds", "seconds")
    for name in args.budgets:
        if name not in (known := Algorithm.budgets):
            raise unknown_name("budget", name, known)
    estimates, predictions = predict_suites(
        args.algorithms, args.tasks, args.seeds, args.budgets, seconds=args.seconds
    )
    return suite_tables(estimates, predictions), [*estimates, *predictions]


def _positive(args: argparse.Namespace, *names: str) -> None:
    if min(getattr(args, name) for name in names) <= 0:
        raise UserError(f"{' and '.join(f'--{name}' for name in names)} must be positive")


_MEASURES = {"schedule": _schedule, "growth": _growth, "suite": _suite}


def _run(args: argparse.Namespace) -> int:
    torch.set_num_threads(1)
    text, results = _MEASURES.get(args.command, _beside_osrl)(args)
    print(text)
    if args.out:
        options = {k: str(v) for k, v in vars(args).items() if k != "out"}
        content = {
            "options": options,
            "machine": machine(),
            "results": [result.record() for result in results],
        }
        args.out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(args.out) as path:
            path.write_text(json.dumps(content, indent=1) + "\n")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Entry point; the exit status."""
    args = _parser().parse_args(arguments)
    return exit_status(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
