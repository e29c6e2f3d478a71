"""The commands that repeat a leaderboard, or one row of it, and compare the two."""

from __future__ import annotations

import shlex

from benchmarks.methods.names import BUILT_IN
from benchmarks.methods.variants import split
from benchmarks.report.board import Board
from benchmarks.tasks.tasks import ALL_TASKS

PROTOCOL_FILE = "protocol.toml"
"""In the folder of a leaderboard: what `benchmarks.run` measured for it."""
_STORE = "my-results"
"""Folder of the new results."""


def whole_table(board: Board) -> str:
    """Commands that measure all of the leaderboard again; empty where nothing is known."""
    return (
        "# measure all of it again and compare\n" + commands(board.folder) if board.folder else ""
    )


def one_row(board: Board, task: str) -> str:
    """Commands that measure the first method of the table on `task` again.

    A plugin and a task file are not named: the command then measures more than one row.
    """
    words = ["--tasks", task] if task in ALL_TASKS else []
    named = [method for method in board.methods if split(method)[0] in BUILT_IN]
    words += ["--algorithms", named[0]] if named else []
    what = "# measure one row again and compare\n"
    return what + commands(board.folder, *words) if board.folder else ""


def commands(folder: str, *words: str) -> str:
    """Commands that measure a leaderboard again, with the options `words`, and compare the two.

    `folder` is the name of its folder, which is taken to lie in `results`, the default. The new
    trainings have a store of their own: from one that both share, both would be read.
    """
    there = f"results/{folder}"
    run = ["--config", f"{there}/{PROTOCOL_FILE}", *words, "--results", _STORE]
    compare = ["--compare", there, f"{_STORE}/{folder}"]
    return "\n".join(
        shlex.join(["python", "-m", f"benchmarks.{command}", *arguments])
        for command, arguments in (("run", run), ("leaderboard", compare))
    )
