"""`python -m benchmarks.leaderboard FOLDER`: make a leaderboard anew from stored results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.errors import UserError, exit_status, unknown_name
from benchmarks.report.render import report
from benchmarks.report.render.changes import FORMATS as TEXTS
from benchmarks.report.render.changes import ablation, comparison
from benchmarks.report.tidy import require_parquet
from benchmarks.results.leaderboard import rebuild
from benchmarks.results.load import load_results
from benchmarks.results.manifest import MANIFEST


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.leaderboard",
        description="Make a leaderboard anew, from stored results alone.",
    )
    p.add_argument(
        "folders",
        nargs="*",
        type=Path,
        metavar="FOLDER",
        help="folders that `python -m benchmarks.run` made; default: all in results/",
    )
    p.add_argument(
        "--format",
        action="append",
        default=[],
        metavar="FORMAT",
        help=f"one of {', '.join(report.FORMATS)}; may be given several times; "
        f"default: {', '.join(report.DEFAULT_FORMATS)}",
    )
    p.add_argument(
        "--published",
        type=Path,
        metavar="FOLDER",
        help="tables of numbers from papers; default: results/published",
    )
    p.add_argument(
        "--compare",
        nargs=2,
        type=Path,
        metavar=("A", "B"),
        help="print what differs from leaderboard A to leaderboard B, and stop",
    )
    p.add_argument(
        "--ablation",
        nargs="+",
        type=Path,
        metavar="FOLDER",
        help="print how methods with other options differ from the first leaderboard, and stop",
    )
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit status."""
    return exit_status(lambda: _run(parser().parse_args(arguments)))


def _run(args: argparse.Namespace) -> int:
    for name in args.format:
        if name not in report.FORMATS:
            raise unknown_name("format", name, report.FORMATS)
    if "parquet" in args.format:
        require_parquet()
    if (args.compare or args.ablation) and args.folders:
        raise UserError(f"{args.folders[0]}: --compare and --ablation take their own folders")
    if args.compare and args.ablation:
        raise UserError("--compare and --ablation are two commands: give one of them")
    style = args.format[0] if args.format else TEXTS[0]
    if (args.compare or args.ablation) and (style not in TEXTS or len(args.format) > 1):
        raise UserError(f"--compare and --ablation print one format, of {', '.join(TEXTS)}")
    if args.compare:
        before, after = map(load_results, args.compare)
        print(comparison(before, after, style))
        return 0
    if args.ablation:
        if len(args.ablation) < 2:
            raise UserError("--ablation needs the leaderboard to start from and at least one other")
        print(ablation([load_results(folder) for folder in args.ablation], style))
        return 0
    if args.published is not None and not args.published.is_dir():
        raise UserError(f"--published {args.published}: there is no such folder")
    folders = args.folders or sorted(path.parent for path in Path("results").glob(f"*/{MANIFEST}"))
    if not folders:
        raise UserError("there is no leaderboard in results/: run `python -m benchmarks.run`")
    formats = args.format or report.DEFAULT_FORMATS
    for folder in folders:
        print(f"{rebuild(folder, formats, args.published)}\n\nwritten to {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
