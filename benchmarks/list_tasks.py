"""`osrl-bench tasks`: the tasks and their constants."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.commands import lists
from benchmarks.commands.options import Parser, completed, examples
from benchmarks.common.errors import exit_status
from benchmarks.common.program import as_program
from benchmarks.tasks.tasks import ALL_TASKS

PROGRAM = "python -m benchmarks.list_tasks"


def add_arguments(parser: Parser) -> None:
    """Declare the options of the command."""
    parser.description = "List tasks and their constants."
    parser.epilog = examples(
        f"{parser.prog}",
        f"{parser.prog} BallRun,CarRun --all-constants",
        f"{parser.prog} path/to/task.toml",
    )
    action = parser.add_argument(
        "names",
        action=lists.ListAction,
        split=lists.names,
        nargs="*",
        metavar="TASK",
        help="a task, or a task file of your own; default: all tasks of DSRL",
    )
    completed(action, ALL_TASKS)
    parser.add_argument(
        "--all-constants", action="store_true", help="also simulator, file and speed of simulation"
    )


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
    from benchmarks.commands.catalogue import print_tasks

    print_tasks(args.names, args.all_constants)
    return 0


if __name__ == "__main__":
    as_program(main)
