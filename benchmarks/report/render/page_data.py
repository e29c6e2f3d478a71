"""The data of a page: every result and training, and the tables of every choice of cells.

What many rows share is stored once. Columns are named once, and a row is a list.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks.report.appearance import display_name, looks_of
from benchmarks.report.board import Board
from benchmarks.report.confidence import CONFIDENCE
from benchmarks.report.recommendation import by_setting
from benchmarks.report.render import tables
from benchmarks.report.render.markup import Entry, Row, entry
from benchmarks.report.render.split_tables import split_average_table
from benchmarks.report.selections import (
    CHOICE_RESAMPLES,
    View,
    limit_choices,
    robot_choices,
    setting_key,
    views,
)
from benchmarks.report.statistics import Standing, averages, setting_of
from benchmarks.report.wording import limit_text, one_line
from benchmarks.tasks.tasks import robot_of

_RESULTS = (
    *("method", "task", "robot", "setting", "limit", "reward", "reward_std", "cost", "cost_std"),
    *("safe", "best", "seeds", "status"),
)
_JOBS = (
    *("method", "task", "robot", "seed", "limit", "setting", "status", "updates"),
    *("train_seconds", "speed", "evaluation_seconds", "memory"),
    *("key", "reason", "traceback", "curve", "facts"),
)
_FACTS = ("config", "commit", "dirty", "versions", "device", "platform", "command")
"""Facts of trainings that many share."""
_CURVE_POINTS, _CURVE_STEPS = 25, 70
"""Points of a training's curve in the page, and steps of its vertical axis: "0" to "v"."""


def data(board: Board) -> dict[str, Any]:
    """All data of the page's script."""
    facts: dict[str, list[str]] = {name: [] for name in _FACTS}
    limits = _limits(board)
    losses: list[str] = []
    trainings = board.details.trainings.to_dict("records")
    jobs = [_job(row, facts, losses, limits) for row in trainings]
    return {
        "results": {"columns": _RESULTS, "rows": _results(board)},
        "jobs": {"columns": _JOBS, "rows": jobs},
        "facts": facts,
        "losses": losses,
        "looks": {
            look.name: [look.colour, look.marker, one_line(method)]
            for method, look in looks_of(board.methods).items()
        },
        "choices": {
            "limits": {
                choice.key: sorted(map(setting_key, choice.settings or ()))
                for choice in limit_choices(board.table)
            },
            "robot": [choice.key for choice in robot_choices(board.table)],
        },
        "figure": _figure(board.ranking),
        "views": _views(board),
    }


def json_text(content: Any) -> str:
    """JSON that cannot close the script element around it."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for c in "<>&\u2028\u2029":
        text = text.replace(c, f"\\u{ord(c):04x}")
    return text


def _views(board: Board) -> dict[str, dict[str, list[Any]]]:
    """The rows of the tables that follow the reader's choice, by choice and key of the section.

    The key of a choice is that of a `View`; tables of all limits are under "* ROBOT".
    """
    if board.episodes.empty:
        return {}
    found: dict[str, dict[str, list[Any]]] = {}
    for view in views(board.episodes, board.table):
        found[view.key] = _bodies(view, board)
    for robot in robot_choices(board.table):
        if not robot.robot:
            continue
        cells = [cell for cell in board.table if robot.keeps(cell)]
        runs = board.runs[[robot_of(task) == robot.robot for task in board.runs["task"]]]
        prospects = by_setting(runs, cells, board.details.trainings, CHOICE_RESAMPLES)
        found[f"* {robot.key}"] = {
            "averages": _rows(split_average_table(averages(cells), board.methods).rows),
            "recommendation": _rows(tables.recommendation_table(prospects, CONFIDENCE).rows),
        }
    return found


def _bodies(view: View, board: Board) -> dict[str, list[Any]]:
    """Rows in the order of the view, columns in that of the board, as the headers stay."""
    methods = [standing.algorithm for standing in view.ranking]
    others = [rank.method for rank in board.ranks]
    comparison = tables.comparison_table(view.improvements, view.average_ranks, others)
    both = tables.both_safe_table(view.both_safe, methods, board.methods)
    return {
        "figure": _figure(view.ranking),
        "overall": _rows(tables.overall_table(view.ranking, view.ranks).rows),
        "against": _rows(comparison.rows),
        "both-safe": _rows(both.rows),
    }


def _figure(ranking: Sequence[Standing]) -> list[list[Any]]:
    """Points of the figure: method, share and reward of its safe cells, each with its interval."""
    return [
        [
            display_name(row.algorithm),
            *(
                _number(value)
                for name in ("safe_cells", "safe_cell_reward")
                for value in (row.metrics[name], *row.intervals[name])
            ),
        ]
        for row in ranking
        if row.cells and not math.isnan(row.metrics["safe_cell_reward"])
    ]


def _rows(rows: Sequence[Row]) -> list[list[Any]]:
    """Rows of a table, each led by the limit that it belongs to."""
    return [[entry(row[0]).setting, *map(_cell, row)] for row in rows]


def _cell(item: str | Entry) -> Any:
    """A cell: its text, or [text, CSS class, number to sort by] where it has more than a text."""
    content = entry(item)
    css = " ".join(filter(None, [content.style, "name" if content.untrusted else ""]))
    if not css and content.value is None:
        return content.document_text
    return [
        content.document_text,
        css,
        *([] if content.value is None else [_number(content.value)]),
    ]


def _results(board: Board) -> list[list[Any]]:
    """The cells, the best first: safe before unsafe, then by reward."""
    best: dict[tuple[str, float], float] = {}
    for cell in board.table:
        if cell.safe:
            key = cell.task, cell.limit
            best[key] = max(best.get(key, -math.inf), cell.reward)
    ordered = sorted(
        board.table,
        key=lambda c: (c.safe is None, not c.safe, -c.reward if c.seeds else 0.0),
    )
    return [
        [
            display_name(cell.algorithm),
            one_line(cell.task),
            robot_of(cell.task),
            setting_key(setting_of(cell)),
            limit_text(cell.limit, cell.fraction),
            *map(_number, (cell.reward, cell.reward_std, cell.cost, cell.cost_std)),
            cell.safe,
            bool(cell.safe) and cell.reward == best[cell.task, cell.limit],
            cell.seeds,
            cell.status,
        ]
        for cell in ordered
    ]


def _limits(board: Board) -> dict[tuple[str, float], tuple[str, str]]:
    """The text and the setting of each task's limits."""
    return {
        (cell.task, cell.limit): (
            limit_text(cell.limit, cell.fraction),
            setting_key(setting_of(cell)),
        )
        for cell in board.table
    }


def _job(
    row: Mapping[Any, Any],
    facts: dict[str, list[str]],
    losses: list[str],
    limits: Mapping[tuple[str, float], tuple[str, str]],
) -> list[Any]:
    speed = row["updates"] / row["update_seconds"] if row["update_seconds"] > 0 else math.nan
    text, setting = "all limits", ""
    if not pd.isna(row["train_limit"]):
        known = limits.get((row["task"], row["train_limit"]))
        text, setting = known or (f"{row['train_limit']:g}", "")
    return [
        display_name(row["algorithm"]),
        one_line(row["task"]),
        robot_of(row["task"]),
        row["seed"],
        text,
        setting,
        row["status"],
        row["updates"],
        _number(row["train_seconds"]),
        _number(speed),
        _number(row["evaluation_seconds"]),
        _number(row["peak_memory_mb"]),
        row["key"],
        row["reason"],
        row["traceback"],
        _curve(json.loads(row["curve"] or "{}"), losses),
        [_place(facts[name], row[name]) for name in _FACTS],
    ]


def _place(known: list[str], text: str) -> int:
    """The index of `text` in the list, to which it is added if it is new."""
    if text not in known:
        known.append(text)
    return known.index(text)


def _curve(curve: Mapping[str, Sequence[float | None]], known: list[str]) -> list[Any]:
    """[last update, index of the names, then of each line: lowest, highest, heights].

    Names are those of `known`, separated by line breaks. Heights are characters, from "0" for the
    lowest on, " " for none; they stand at equal distances along the updates, as curves are logged.
    """
    updates = curve.get("updates") or []
    names = [name for name in curve if name not in ("updates", "seconds")]
    if len(updates) < 2 or not names:
        return []
    step = -(-len(updates) // _CURVE_POINTS)
    lines: list[Any] = []
    for name in names:
        values = list(curve[name])[(len(updates) - 1) % step :: step]
        present = [value for value in values if value is not None]
        low, high = (min(present), max(present)) if present else (0.0, 0.0)
        lines += [_number(low), _number(high), "".join(_height(v, low, high) for v in values)]
    return [updates[-1], _place(known, "\n".join(names)), *lines]


def _height(value: float | None, low: float, high: float) -> str:
    if value is None:
        return " "
    return chr(ord("0") + round(_CURVE_STEPS * (value - low) / ((high - low) or 1.0)))


def _number(value: float) -> float | None:
    """A number with six digits; None for NaN, which JSON lacks."""
    return None if value is None or math.isnan(value) else float(f"{value:.6g}")
