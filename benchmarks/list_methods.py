"""`osrl-bench methods`: the methods, their options and defaults."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.commands import lists
from benchmarks.commands.options import Parser, completed, examples
from benchmarks.common.errors import exit_status
from benchmarks.common.program import as_program
from benchmarks.methods.names import known_names

PROGRAM = "python -m benchmarks.list_methods"


def add_arguments(parser: Parser) -> None:
    """Declare the options of the command."""
    parser.description = "List methods; with one NAME, its options and defaults."
    parser.epilog = examples(
        f"{parser.prog}",
        f"{parser.prog} gas",
        f"{parser.prog} gas,cdt,my_method.py:MyMethod",
    )
    action = parser.add_argument(
        "names",
        action=lists.ListAction,
        split=lists.methods,
        nargs="*",
        metavar="NAME",
        help="a method, a variant, or path/to/file.py:Class; default: all that are installed",
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
    from benchmarks.commands import catalogue

    if len(args.names) == 1:
        catalogue.print_method(args.names[0])
    else:
        catalogue.print_methods(args.names)
    return 0


if __name__ == "__main__":
    as_program(main)
