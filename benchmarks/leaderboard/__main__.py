"""`python -m benchmarks.leaderboard FOLDER`: make a leaderboard anew from stored results."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.collect import MANIFEST, collect, read_manifest
from benchmarks.errors import UserError, exit_status
from benchmarks.leaderboard import report


def rebuild(folder: Path) -> str:
    """Write the leaderboard of `folder` anew and return it as text for the terminal.

    From the store beside the folder; where that is not at hand (a clone, a folder sent by a
    colleague), from the episodes kept in the folder itself.
    """
    manifest = read_manifest(folder)
    kept = folder / "episodes.csv.gz"
    if (folder.parent / "runs").is_dir() or not kept.is_file():
        episodes, missing = collect(folder.parent, manifest)
    else:
        episodes, missing = report.read_episodes(kept), report.read_missing(folder / "missing.csv")
    report.write(episodes, missing, folder, manifest["title"], {"Budget": manifest["budget"]})
    return report.terminal(episodes, missing)


def main(arguments: list[str] | None = None) -> int:
    """Entry point; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.leaderboard",
        description="Make a leaderboard anew, from stored results alone.",
    )
    parser.add_argument(
        "folders",
        nargs="*",
        type=Path,
        help="folders that `python -m benchmarks.run` made; default: all in results/",
    )
    chosen = parser.parse_args(arguments).folders
    return exit_status(lambda: _rebuild_all(chosen))


def _rebuild_all(chosen: list[Path]) -> int:
    folders = chosen or sorted(path.parent for path in Path("results").glob(f"*/{MANIFEST}"))
    if not folders:
        raise UserError("there is no leaderboard in results/: run `python -m benchmarks.run`")
    for folder in folders:
        print(f"{rebuild(folder)}\n\nwritten to {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
