"""The work of `benchmarks.leaderboard`: tables from stored results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.errors import UserError
from benchmarks.report.render.changes import ablation, comparison
from benchmarks.report.tidy import require_parquet
from benchmarks.results.leaderboard import rebuild
from benchmarks.results.load import load_results
from benchmarks.results.manifest import MANIFEST


def rebuild_all(
    folders: Sequence[Path],
    formats: Sequence[str],
    published: Path | None,
    methods: Sequence[str] = (),
) -> None:
    """Write the leaderboards of `folders`, of all in results/ where there are none, anew.

    `methods` are those of the LaTeX tables; all by default.
    """
    if "parquet" in formats:
        require_parquet()
    folders = folders or sorted(path.parent for path in Path("results").glob(f"*/{MANIFEST}"))
    if not folders:
        raise UserError("there is no leaderboard in results/: run `python -m benchmarks.run`")
    for folder in folders:
        print(f"{rebuild(folder, formats, published, methods)}\n\nwritten to {folder}")


def print_comparison(before: Path, after: Path, style: str) -> None:
    """Print what differs from one leaderboard to another."""
    print(comparison(load_results(before), load_results(after), style))


def print_ablation(folders: Sequence[Path], style: str) -> None:
    """Print how methods with other options differ from those of the first leaderboard."""
    print(ablation([load_results(folder) for folder in folders], style))
