"""`python -m benchmarks.evaluate RUN ...`: stored policies at other limits, without training."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.commands.config import EvaluateConfig
from benchmarks.commands.options import (
    Parser,
    add_algorithms,
    add_engine,
    add_episodes,
    add_limits,
    add_tasks,
    examples,
)
from benchmarks.common.errors import exit_status
from benchmarks.common.files import user_path
from benchmarks.common.program import as_program

PROGRAM = "python -m benchmarks.evaluate"


def add_arguments(parser: Parser) -> None:
    """Declare the options of the command."""
    parser.description = "Evaluate stored checkpoints at new cost limits; nothing is trained."
    parser.epilog = examples(
        f"{parser.prog} results --limits 5% 25",
        f"{parser.prog} results/runs/BallRun-gas-0123456789abcdef --limits 15%,35% --episodes 20",
        f"{parser.prog} results/runs/BallRun-gas-0123456789abcdef --limits 10% 80% --video out.mp4",
    )
    parser.add_argument(
        "runs",
        nargs="+",
        type=user_path,
        metavar="RUN",
        help="folder of a run (results/runs/...), or a results folder for all runs that it holds",
    )
    group = parser.add_argument_group("what is measured")
    add_limits(group, required=True, help="5%% of the task's maximum cost, or 25")
    add_episodes(group, EvaluateConfig.episodes)
    add_algorithms(
        group,
        metavar="FILE.py:CLASS",
        help="plugin files of stored runs; a file that is not named here is not loaded",
    )
    add_tasks(group, help="your own task files of stored runs")
    group.add_argument(
        "--video",
        type=user_path,
        metavar="FILE",
        help="also film the first episode at each limit beside its cost; FILE.mp4, or FILE.gif; "
        "for one run",
    )
    add_engine(parser, seeds=False)


def parser(program: str = PROGRAM) -> Parser:
    """The command line."""
    made = Parser(prog=program)
    add_arguments(made)
    return made


def main(arguments: Sequence[str] | None = None, program: str = PROGRAM) -> int:
    """Entry point; 0 if all went well, 1 if a job failed, 2 for wrong input, 130 for Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return exit_status(lambda: _run(words, program))


def _run(words: Sequence[str], program: str) -> int:
    config = EvaluateConfig.of(parser(program).given(words))
    # these import torch, which takes seconds
    from benchmarks.commands.evaluating import evaluate_stored
    from benchmarks.runs.provenance import command_line

    return evaluate_stored(config, command_line(words, program))


if __name__ == "__main__":
    as_program(main)
