"""`osrl-bench recommend FOLDER --limit 20%`: the methods to use at a cost limit."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.commands.options import Parser, completed, examples
from benchmarks.common.errors import UserError, exit_status
from benchmarks.common.files import user_path
from benchmarks.common.program import as_program
from benchmarks.report.confidence import CONFIDENCE
from benchmarks.tasks.tasks import ALL_TASKS

PROGRAM = "python -m benchmarks.recommend"


def add_arguments(parser: Parser) -> None:
    """Declare the options of the command."""
    parser.description = (
        "Tell which methods of a leaderboard to use at a cost limit: those whose next training "
        "keeps it with enough probability, by reward."
    )
    parser.epilog = examples(
        f"{parser.prog} results/quickstart --limit 20%",
        f"{parser.prog} results/quickstart --limit 20% --task BallRun --confidence 0.95",
    )
    parser.add_argument("folder", type=user_path, metavar="FOLDER", help="a folder that `run` made")
    parser.add_argument(
        "--limit",
        required=True,
        help="cost limit: 20%% of each task's maximum cost, or 25, an episode's cost",
    )
    task = parser.add_argument("--task", help="judge by this task alone; default: by all tasks")
    completed(task, ALL_TASKS)
    parser.add_argument(
        "--confidence",
        type=float,
        default=CONFIDENCE,
        metavar="P",
        help="smallest probability that a training keeps the limit; default: %(default)s",
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
    if not 0.0 < args.confidence < 1.0:
        raise UserError(f"--confidence {args.confidence:g}: give a number between 0 and 1")
    from benchmarks.commands.recommending import print_recommendation

    print_recommendation(args.folder, args.limit, args.task, args.confidence)
    return 0


if __name__ == "__main__":
    as_program(main)
