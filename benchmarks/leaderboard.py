"""`python -m benchmarks.leaderboard FOLDER`: make a leaderboard anew from stored results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.commands import lists
from benchmarks.commands.options import Parser, completed, examples
from benchmarks.common.errors import UserError, exit_status, unknown_name
from benchmarks.common.files import user_path
from benchmarks.common.program import as_program
from benchmarks.report.formats import DEFAULT_FORMATS, FORMATS, TEXT_FORMATS

PROGRAM = "python -m benchmarks.leaderboard"


def add_arguments(parser: Parser) -> None:
    """Declare the options of the command."""
    parser.description = "Make leaderboards anew, from stored results alone."
    parser.epilog = examples(
        f"{parser.prog}",
        f"{parser.prog} results/quickstart --format latex --methods gas,cdt,bc-safe",
        f"{parser.prog} --compare results/before results/after",
        f"{parser.prog} --ablation results/gas results/gas-alpha-0.9",
    )
    parser.add_argument(
        "folders",
        nargs="*",
        type=user_path,
        metavar="FOLDER",
        help="folders that `run` made; default: all in results/",
    )
    output = parser.add_argument_group("what is written")
    kinds = output.add_argument(
        "--format",
        action=lists.ListAction,
        split=lists.names,
        extend=True,
        dest="formats",
        metavar="FORMAT",
        help=f"from {', '.join(FORMATS)}; default: {', '.join(DEFAULT_FORMATS)}",
    )
    completed(kinds, FORMATS)
    output.add_argument(
        "--methods",
        action=lists.ListAction,
        split=lists.methods,
        extend=True,
        metavar="METHOD",
        help="methods of the LaTeX tables, in this order; default: all, by rank",
    )
    output.add_argument(
        "--published",
        type=user_path,
        metavar="FOLDER",
        help="tables of numbers from papers; default: results/published",
    )
    other = parser.add_argument_group("comparisons, which are printed and write nothing")
    other.add_argument(
        "--compare",
        nargs=2,
        type=user_path,
        metavar=("A", "B"),
        help="what differs from leaderboard A to leaderboard B",
    )
    other.add_argument(
        "--ablation",
        nargs="+",
        type=user_path,
        metavar="FOLDER",
        help="how methods with other options differ from those of the first leaderboard",
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
    formats = args.formats or ()
    for name in formats:
        if name not in FORMATS:
            raise unknown_name("format", name, FORMATS)
    if (args.compare or args.ablation) and args.folders:
        raise UserError(f"{args.folders[0]}: --compare and --ablation take their own folders")
    if args.compare and args.ablation:
        raise UserError("--compare and --ablation are two commands: give one of them")
    if args.methods and "latex" not in formats:
        raise UserError("--methods chooses the methods of LaTeX tables: add --format latex")
    style = formats[0] if formats else TEXT_FORMATS[0]
    if (args.compare or args.ablation) and (style not in TEXT_FORMATS or len(formats) > 1):
        raise UserError(f"--compare and --ablation print one format, of {', '.join(TEXT_FORMATS)}")
    if args.ablation and len(args.ablation) < 2:
        raise UserError("--ablation needs the leaderboard to start from and at least one other")
    if args.published is not None and not args.published.is_dir():
        raise UserError(f"--published {args.published}: there is no such folder")
    # pandas and matplotlib take seconds to import
    from benchmarks.commands import rebuilding

    if args.compare:
        before, after = args.compare
        rebuilding.print_comparison(before, after, style)
    elif args.ablation:
        rebuilding.print_ablation(args.ablation, style)
    else:
        rebuilding.rebuild_all(
            args.folders, formats or DEFAULT_FORMATS, args.published, args.methods or ()
        )
    return 0


if __name__ == "__main__":
    as_program(main)
