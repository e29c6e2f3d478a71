"""`python -m benchmarks.data`: list, fetch, make, verify and look at data sets."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.commands import lists
from benchmarks.commands.options import Parser, add_network, completed, examples
from benchmarks.common.errors import UserError, exit_status
from benchmarks.common.files import user_path
from benchmarks.common.program import as_program
from benchmarks.common.ranges import Range
from benchmarks.tasks.tasks import ALL_TASKS

PROGRAM = "python -m benchmarks.data"


def add_arguments(parser: Parser) -> None:
    """Declare the verbs of the command and their options."""
    parser.description = "List, fetch, generate, verify and inspect data sets."
    parser.epilog = examples(
        f"{parser.prog} list",
        f"{parser.prog} generate BallRun,CarRun",
        f"{parser.prog} inspect BallRun --out data.png",
        f"{parser.prog} verify SafetyBallRun-v0-80-940.hdf5",
        f"{parser.prog} convert logs.parquet mine.hdf5 --action-low -2 --action-high 2",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="which data are present")
    verb = verbs.add_parser("fetch", help="download published DSRL files")
    _add_tasks(verb, nargs="*", help="default: the twelve of the suites")
    add_network(verb)
    verb = verbs.add_parser("generate", help="make data sets with the shipped behaviour policies")
    _add_tasks(verb, nargs="*", help="default: all that can be made")
    verb.add_argument("--all", action="store_true", help="all that can be made")
    verb.add_argument(
        "--record", type=user_path, metavar="JSON", help="also keep the sets' figures"
    )
    verb = verbs.add_parser("verify", help="check a DSRL file and print a line a finding")
    verb.add_argument("file", type=user_path)
    verb.add_argument("--task", help="default: the task that the file's name stands for")
    verbs.add_parser("compare", help="print published and generated data sets side by side")
    verb = verbs.add_parser("inspect", help="print and draw what data hold")
    _add_tasks(verb, nargs="+", help="tasks, or task files of your own")
    verb.add_argument(
        "--data", default="auto", help="generated, dsrl, a folder, or auto, as for `run`"
    )
    verb.add_argument("--out", type=user_path, default=Path("data.png"), help="default: data.png")
    add_network(verb)
    verb = verbs.add_parser("convert", help="convert data of other formats to DSRL's")
    verb.add_argument("file", type=Path, help="a Minari folder, an HDF5 file, or a table")
    verb.add_argument("out", type=Path, help="the DSRL file to write, e.g. mine.hdf5")
    verb.add_argument(
        "--format", default="auto", help="minari, d4rl, table, or auto, the default: by the name"
    )
    verb.add_argument("--costs", metavar="NAME", help="array or column of the cost")
    for end, what in (("low", "-1"), ("high", "1")):
        verb.add_argument(
            f"--action-{end}",
            type=float,
            nargs="+",
            metavar="N",
            help=f"bound of the actions that becomes {what}: one, or one a dimension",
        )
    verb = verbs.add_parser("train-behaviour", help="train behaviour policies of a task")
    completed(verb.add_argument("task"), ALL_TASKS)
    verb.add_argument("--steps", type=int, help="default: as many as the shipped ones had")
    verb.add_argument("--seed", type=int, default=0)
    folder = Path("behaviour")
    verb.add_argument("--out", type=user_path, default=folder, help=f"default: {folder}/")


def _add_tasks(verb: argparse.ArgumentParser, *, nargs: str, help: str) -> None:
    action = verb.add_argument(
        "tasks", action=lists.ListAction, split=lists.names, nargs=nargs, metavar="TASK", help=help
    )
    completed(action, ALL_TASKS)


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
    if args.verb == "generate" and args.all and args.tasks:
        raise UserError("generate: name tasks or give --all, not both")
    if args.verb == "train-behaviour":
        for option, value, limits in (
            ("--steps", args.steps, Range(1, most=10**10)),
            ("--seed", args.seed, Range(0, lists.LARGEST_SEED)),
        ):
            if value is not None and value not in limits:
                raise UserError(f"{option} {limits.refusal(value)}")
    # numpy, h5py and matplotlib take a second to import
    from benchmarks.commands import data_sets
    from benchmarks.datasets.source import Network

    if args.verb == "list":
        data_sets.list_data()
    elif args.verb == "compare":
        data_sets.compare()
    elif args.verb == "generate":
        data_sets.make(args.tasks, args.record)
    elif args.verb == "verify":
        return data_sets.verify(args.file, args.task)
    elif args.verb == "convert":
        if (args.action_low is None) != (args.action_high is None):
            raise UserError("convert: give both --action-low and --action-high, or neither")
        bounds = (args.action_low, args.action_high) if args.action_low else None
        data_sets.convert_file(args.file, args.out, args.format, args.costs, bounds)
    elif args.verb == "train-behaviour":
        data_sets.train(args.task, args.steps, args.out, args.seed)
    else:
        network = Network.of(mirrors=args.mirrors or (), offline=bool(args.offline))
        if args.verb == "fetch":
            data_sets.fetch(args.tasks, network)
        else:
            data_sets.inspect(args.tasks, args.data, network, args.out)
    return 0


if __name__ == "__main__":
    as_program(main)
