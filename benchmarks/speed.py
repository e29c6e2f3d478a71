"""`python -m benchmarks.speed`: how long parts of this suite take, and whole suites."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.commands import lists
from benchmarks.commands.options import Parser, add_algorithms, add_tasks, completed, examples
from benchmarks.common.errors import UserError, exit_status
from benchmarks.common.files import user_path
from benchmarks.common.hardware import available_cores
from benchmarks.common.program import as_program
from benchmarks.measures.cases import CASES, ROLLOUTS, STACKS
from benchmarks.tasks.tasks import ALL_TASKS, TASKS

PROGRAM = "python -m benchmarks.speed"
_POSITIVE = ("rounds", "seconds", "jobs", "workers", "num_seeds", "episodes", "batch")


def add_arguments(parser: Parser) -> None:
    """Declare the subcommands and their options."""
    parser.description = "Measure times of this suite."
    parser.epilog = examples(
        f"{parser.prog} train --cases gas,cdt --out train.json",
        f"{parser.prog} stack --stack-sizes 1,5,10 --task BallRun",
        f"{parser.prog} train --device cuda --cases gas,cdt --memory",
        f"{parser.prog} suite --algorithms gas,cdt --num-seeds 3",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="MEASURE")
    train = _beside(commands, "train", "updates of every method, beside osrl's", CASES)
    train.add_argument("--budget", default="paper", help="take the options of this budget")
    train.add_argument(
        "--batch",
        type=int,
        help="batch size of all; default: 512, and 256 beside cdt; on a GPU that of the budget",
    )
    rollout = _beside(
        commands, "rollout", "evaluation episodes, and the simulator by itself", ROLLOUTS
    )
    rollout.add_argument("--episodes", type=int, default=10, help="at each of three limits")
    _beside(commands, "data", "reading, packing and batches, beside osrl's", ())
    stack = _beside(commands, "stack", "updates of stacked seeds, beside one seed", STACKS)
    stack.add_argument("--budget", default="quick", help="take the options of this budget")
    for name, text in (("--stack-sizes", "numbers of seeds"), ("--seeds", argparse.SUPPRESS)):
        stack.add_argument(
            name,
            action=lists.ListAction,
            split=lists.counts,
            dest="seeds",
            default=(1, 5, 10, 20),
            metavar="N",
            help=text,
        )
    for command, text in (
        (train, "measure updates of ours as CUDA graphs"),
        (stack, "also measure them as CUDA graphs"),
    ):
        command.add_argument("--cuda-graphs", action="store_true", help=text)
        command.add_argument("--memory", action="store_true", help="also measure peak memory")
        command.add_argument("--device", default="cpu", help="cpu, cuda or cuda:0")
    _add_whole(commands)


def _add_whole(commands: Any) -> None:
    """Declare the subcommands that measure no single method."""
    schedule = commands.add_parser("schedule", help="share of the workers' time that jobs get")
    schedule.add_argument("--jobs", type=int, default=60)
    schedule.add_argument("--workers", type=int, default=available_cores())
    growth = commands.add_parser("growth", help="times and memory as sizes grow tenfold")
    growth.add_argument("--task", default="BallRun", help="task whose data are made up")
    growth.add_argument("--rounds", type=int, default=5, help="the fastest round counts")
    suite = commands.add_parser("suite", help="core hours of the suites tight and loose")
    add_algorithms(suite, default=("gas", "cdt", "cpq", "coptidice", "fisor"), metavar="METHOD")
    add_tasks(suite, default=tuple(TASKS))
    for name, text in (("--num-seeds", "number of seeds"), ("--seeds", argparse.SUPPRESS)):
        suite.add_argument(name, type=int, dest="num_seeds", default=3, metavar="N", help=text)
    suite.add_argument(
        "--budgets",
        action=lists.ListAction,
        split=lists.names,
        default=("quick", "standard", "paper"),
    )
    suite.add_argument("--seconds", type=float, default=2.0, help="time spent on each piece")
    for command in (schedule, growth, suite):
        _add_out(command)


def _beside(commands: Any, name: str, text: str, cases: Sequence[str] | dict[str, Any]) -> Any:
    """A subcommand that compares sides in turns."""
    command = commands.add_parser(name, help=text, description=text.capitalize())
    completed(
        command.add_argument("--task", default="CarCircle", help="task whose data are used"),
        ALL_TASKS,
    )
    command.add_argument("--data", default="auto", help="auto, dsrl, generated, or a folder")
    command.add_argument("--rounds", type=int, default=7, help="turns of either side")
    command.add_argument("--seconds", type=float, default=0.5, help="time of a side in a round")
    if cases:
        # names such as "cpq, inert penalty" hold commas
        action = command.add_argument(
            "--cases",
            action=lists.ListAction,
            split=lambda word, option: [word] if word in cases else lists.names(word, option),
            default=tuple(cases),
            metavar="CASE",
            help=f"from: {'; '.join(cases)}; default: all",
        )
        completed(action, cases)
    _add_out(command)
    return command


def _add_out(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", type=user_path, metavar="FILE", help="write the results as JSON")


def parser(program: str = PROGRAM) -> Parser:
    """The command line."""
    made = Parser(prog=program)
    add_arguments(made)
    return made


def main(arguments: Sequence[str] | None = None, program: str = PROGRAM) -> int:
    """Entry point; the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return exit_status(lambda: _run(parser(program).parse_args(words)))


def _run(args: argparse.Namespace) -> int:
    options = {name: value for name, value in vars(args).items() if name not in ("command", "out")}
    for name in _POSITIVE:
        if options.get(name) is not None and not options[name] > 0:
            raise UserError(f"--{name.replace('_', '-')} must be positive, not {options[name]:g}")
    if args.command in ("train", "stack"):
        asked = options.pop("cuda_graphs")
        both = [False, True] if asked else [False]
        options["cuda_graphs"] = both if args.command == "stack" else asked
    # torch takes seconds to import
    from benchmarks.measures.measuring import measure

    measure(args.command, options, args.out)
    return 0


if __name__ == "__main__":
    as_program(main)
