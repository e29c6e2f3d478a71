"""The leaderboard as one self-contained HTML file, without network or server."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from benchmarks.report.board import Board
from benchmarks.report.plots.drawing import Images
from benchmarks.report.render.markup import html_table
from benchmarks.report.render.sections import PICTURES, Section
from benchmarks.report.wording import NOTHING, one_line

# The policy forbids all requests, even of a name that escaped escaping.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_FILTERS = (("task", "task"), ("limit", "limit"), ("method", "method"), ("status", "status"))


def page(board: Board, parts: Sequence[Section], drawn: Mapping[str, Images]) -> str:
    """The HTML text: the protocol, the tables and figures of `parts`, every result and training."""
    title = html.escape(one_line(board.title))
    facts = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>"
        for name, text in board.facts.items()
    )
    mixed = "".join(f"<p><b>Attention:</b> {html.escape(line)}</p>" for line in board.mixed)
    folder = files("benchmarks.report.render")
    style, script = (
        (folder / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    first, rest = parts[:1], parts[1:]
    body = [
        f"<h1>{title}</h1>",
        f'<div class="mixed">{mixed}</div>' if mixed else "",
        f"<dl>{facts}</dl>",
        f"<p>{NOTHING}</p>" if board.episodes.empty else "",
        *(_section(part, drawn) for part in first),
        _explorer(),
        *(_section(part, drawn) for part in rest),
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title>",
            f"<style>\n{style}</style></head><body>",
            *filter(None, body),
            f'<script type="application/json" id="data">{_json(_data(board))}</script>',
            f"<script>\n{script}</script></body></html>",
        ]
    )


def _section(part: Section, drawn: Mapping[str, Images]) -> str:
    lines = [f"<h2>{html.escape(one_line(part.title))}</h2>"]
    if part.text:
        lines.append(f"<p>{html.escape(part.text)}</p>")
    if part.table:
        words = " words" if part.words else ""
        lines.append(f'<div class="scroll{words}">{html_table(part.table)}</div>')
    if part.note:
        lines.append(f'<p class="note">{html.escape(part.note)}</p>')
    for name in part.pictures:
        image = base64.b64encode(drawn[name]["svg"]).decode()
        what = html.escape(PICTURES[name])
        lines.append(
            f'<figure><img alt="{what}" src="data:image/svg+xml;base64,{image}">'
            f"<figcaption>{what}</figcaption></figure>"
        )
    return f"<section>{''.join(lines)}</section>"


def _explorer() -> str:
    """The two tables that the script fills, with their filters."""
    choosers = "".join(
        f'<label>{label}<select id="filter-{name}"><option value="">all</option></select></label>'
        for name, label in _FILTERS
    )
    tables = "".join(
        f'<h2>{title}</h2><p class="count" id="{name}-count"></p>'
        f'<p class="note">{note}</p><div class="tall" id="{name}"></div>'
        for name, title, note in (
            ("results", "Every result", "A method on one task at one limit; bold: best safe."),
            ("jobs", "Every training", "Click on one for its options, origin, curve and failure."),
        )
    )
    return (
        f'<section><div class="filters">{choosers}<label>search'
        f'<input id="filter-text" type="search"></label></div>{tables}'
        "<noscript>These tables need JavaScript; those below do not.</noscript></section>"
    )


def _json(content: Any) -> str:
    """JSON that cannot close the script element around it."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for c in "<>&\u2028\u2029":
        text = text.replace(c, f"\\u{ord(c):04x}")
    return text


def _number(value: float) -> float | None:
    """A number with six digits; None for NaN, which JSON lacks."""
    return None if value is None or math.isnan(value) else float(f"{value:.6g}")


def _data(board: Board) -> dict[str, list[dict[str, Any]]]:
    best: dict[tuple[str, float], float] = {}
    for cell in board.table:
        if cell.safe:
            key = cell.task, cell.limit
            best[key] = max(best.get(key, -math.inf), cell.reward)
    results = [
        {
            "method": one_line(cell.algorithm),
            "task": one_line(cell.task),
            "limit": cell.limit,
            "fraction": _number(cell.fraction),
            "reward": _number(cell.reward),
            "reward_std": _number(cell.reward_std),
            "cost": _number(cell.cost),
            "cost_std": _number(cell.cost_std),
            "safe": cell.safe,
            "best": bool(cell.safe) and cell.reward == best[cell.task, cell.limit],
            "seeds": cell.seeds,
            "status": cell.status,
        }
        for cell in board.table
    ]
    return {
        "results": results,
        "jobs": [_job(row) for row in board.details.trainings.to_dict("records")],
    }


def _job(row: Mapping[Any, Any]) -> dict[str, Any]:
    speed = row["updates"] / row["update_seconds"] if row["update_seconds"] > 0 else math.nan
    facts = ("config", "key", "commit", "dirty", "versions", "device", "platform", "command")
    return {
        "method": one_line(row["algorithm"]),
        "task": one_line(row["task"]),
        "seed": row["seed"],
        "limit": _number(row["train_limit"]),
        "status": row["status"],
        "updates": row["updates"],
        "train_seconds": _number(row["train_seconds"]),
        "speed": _number(speed),
        "evaluation_seconds": _number(row["evaluation_seconds"]),
        "memory": _number(row["peak_memory_mb"]),
        "facts": {name: row[name] for name in facts},
        "reason": row["reason"],
        "traceback": row["traceback"],
        "curve": row["curve"] or "{}",  # as text: the script parses it when the training is opened
    }
