"""`osrl-bench check`: whether a method keeps the contract."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.commands.options import Parser, completed, examples
from benchmarks.common.errors import exit_status
from benchmarks.common.program import as_program
from benchmarks.methods.names import known_names

PROGRAM = "python -m benchmarks.check"


def add_arguments(parser: Parser) -> None:
    """Declare the options of the command."""
    parser.description = "Check on small made-up data that a method keeps the contract."
    parser.epilog = examples(
        f"{parser.prog} my_method.py:MyMethod",
        f"{parser.prog} gas",
    )
    action = parser.add_argument(
        "name", metavar="METHOD", help="path/to/file.py:Class, a method's name, or a variant"
    )
    completed(action, known_names())


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
    # the methods import torch, which takes seconds
    from benchmarks.commands.catalogue import check

    return check(args.name)


if __name__ == "__main__":
    as_program(main)
