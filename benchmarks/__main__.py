"""`osrl-bench` and `python -m benchmarks`: every command as a subcommand."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from benchmarks.commands.options import Parser, examples
from benchmarks.common.errors import exit_status, unknown_name
from benchmarks.common.program import as_program

COMMANDS = {
    "run": ("run", "train, evaluate and rank methods"),
    "evaluate": ("evaluate", "evaluate stored policies at other cost limits"),
    "leaderboard": ("leaderboard", "make leaderboards anew, compare two of them"),
    "recommend": ("recommend", "tell which methods to use at a cost limit"),
    "data": ("data", "list, fetch, generate, verify and inspect data sets"),
    "speed": ("speed", "measure times"),
    "methods": ("list_methods", "list methods, their options and defaults"),
    "tasks": ("list_tasks", "list tasks and their constants"),
    "check": ("check", "check that a method keeps the contract"),
}
"""Each command: the module that is it, and what it does."""


def parser(program: str) -> Parser:
    """The command line without what belongs to the subcommands."""
    made = Parser(
        prog=program,
        description="A benchmark suite for offline safe reinforcement learning.",
        epilog=examples(
            f"{program} run --suite tight --dry-run",
            f"{program} methods gas",
            f"{program} check my_method.py:MyMethod",
        ),
    )
    made.add_argument("--version", action="version", version=f"osrl-bench {_version()}")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, (_, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, add_help=False)
        if "_ARGCOMPLETE" in os.environ:
            _module(name).add_arguments(command)
    return made


def main(arguments: Sequence[str] | None = None, program: str = "osrl-bench") -> int:
    """Entry point; the exit status is the subcommand's."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser(program))
    if words and words[0] in COMMANDS:
        name, *rest = words
        return int(_module(name).main(rest, f"{program} {name}"))
    return exit_status(lambda: _without_command(words, parser(program)))


def _without_command(words: Sequence[str], made: argparse.ArgumentParser) -> int:
    if words and not words[0].startswith("-"):
        raise unknown_name("command", words[0], COMMANDS)
    made.parse_args(words)
    made.print_help()
    return 0


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.{COMMANDS[name][0]}")


def _version() -> str:
    with suppress(PackageNotFoundError):
        return version("osrl-bench")
    return "(not installed)"


def script() -> None:
    """The installed command."""
    as_program(main)


if __name__ == "__main__":
    as_program(lambda: main(program="python -m benchmarks"))
