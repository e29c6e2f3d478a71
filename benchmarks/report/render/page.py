"""The leaderboard as one self-contained HTML file, without network or server."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files

from benchmarks.report.board import FORMULAS, Board
from benchmarks.report.plots.drawing import Images
from benchmarks.report.render.hypertext import html_table
from benchmarks.report.render.page_data import data, json_text
from benchmarks.report.render.sections import PICTURES, Section
from benchmarks.report.render.vector import Drawings
from benchmarks.report.wording import NOTHING, one_line
from benchmarks.tasks.tasks import robot_of

# The policy forbids all requests, even of a name that escaped escaping.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_STYLES, _SCRIPTS = ("page.css",), ("tables.js", "chart.js", "explorer.js", "choices.js")
_TOP = ("overall", "recommendation")
"""Keys of the sections before the definitions."""
_FILTERS = ("task", "method", "status")
_CHECKSUM = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


def page(board: Board, parts: Sequence[Section], drawn: Mapping[str, Images]) -> str:
    """The HTML text: the tables and figures of `parts`, definitions, every result and training."""
    title = html.escape(one_line(board.title))
    drawings = Drawings()
    top = [part for part in parts if part.key in _TOP]
    rest = [part for part in parts if part.key not in _TOP]
    body = [
        '<a class="skip" href="#content">Skip to the tables</a>',
        f"<header><h1>{html.escape(board.heading)}</h1>",
        f'<p class="subtitle">{title}</p>',
        _mixed(board),
        f'<dl class="facts">{_terms(board.facts)}</dl></header>',
        f"<p>{NOTHING}</p>" if board.episodes.empty else "",
        '<div id="choices"></div><main id="content">',
        *(_section(part, drawn, drawings) for part in top),
        f'<details id="definitions"><summary>Definitions</summary><dl>{_terms(FORMULAS)}</dl>'
        "</details>",
        _contents(rest),
        *(_section(part, drawn, drawings) for part in rest),
        _explorer(),
        "</main>",
    ]
    texts = files("benchmarks.report.render")
    style, script = (
        "\n".join((texts / name).read_text(encoding="utf-8") for name in names)
        for names in (_STYLES, _SCRIPTS)
    )
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{title}: {html.escape(board.heading)}</title>",
            f"<style>\n{style}{drawings.css}</style></head><body>",
            *filter(None, body),
            f'<script type="application/json" id="data">{json_text(data(board))}</script>',
            f"<script>\n{script}</script></body></html>",
        ]
    )


def _terms(facts: Mapping[str, str]) -> str:
    return "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd></div>"
        for name, text in facts.items()
    )


def _mixed(board: Board) -> str:
    lines = "".join(f"<p><b>Attention:</b> {html.escape(line)}</p>" for line in board.mixed)
    return f'<div class="mixed">{lines}</div>' if lines else ""


def _contents(parts: Sequence[Section]) -> str:
    titles = [(part.anchor, part.title) for part in parts]
    links = "".join(
        f'<li><a href="#{html.escape(anchor)}">{html.escape(one_line(title))}</a></li>'
        for anchor, title in [*titles, ("results", "Every result"), ("jobs", "Every training")]
    )
    return f"<nav><details><summary>Contents</summary><ul>{links}</ul></details></nav>"


def _heading(anchor: str, title: str) -> str:
    anchor, title = html.escape(anchor), html.escape(one_line(title))
    return f'<h2>{title} <a class="anchor" href="#{anchor}" aria-label="Link to {title}">#</a></h2>'


def _section(part: Section, drawn: Mapping[str, Images], drawings: Drawings) -> str:
    lines = [_heading(part.anchor, part.title)]
    if part.text:
        text = _CHECKSUM.sub(r'<abbr title="\g<0>">\1…</abbr>', html.escape(part.text))
        lines.append(f"<p>{text}</p>")
    table = part.page_table or part.table
    if table:
        words = " words" if part.words else ""
        title = html.escape(one_line(part.title))
        key = f"table-{part.key}" if part.key else ""
        lines.append(
            f'<div class="scroll{words}" tabindex="0" role="region" aria-label="{title}">'
            f"{html_table(table, one_line(part.title), key)}</div>"
        )
    if part.note:
        lines.append(f'<p class="note">{html.escape(part.note)}</p>')
    if part.command:
        lines.append(
            f"<details><summary>Reproduce</summary><pre>{html.escape(part.command)}</pre></details>"
        )
    for name in part.pictures:
        what = PICTURES[name]
        picture = drawings.inline(drawn[name]["svg"], name, what)
        lines.append(
            f'<figure id="figure-{name}">{picture}'
            f"<figcaption>{html.escape(what)}</figcaption></figure>"
        )
    task = f' data-robot="{html.escape(robot_of(part.task))}"' if part.task else ""
    return f'<section id="{html.escape(part.anchor)}"{task}>{"".join(lines)}</section>'


def _explorer() -> str:
    """The two tables that the script fills, with their filters."""
    choosers = "".join(
        f'<label>{name}<select id="filter-{name}"><option value="">all</option></select></label>'
        for name in _FILTERS
    )
    tables = "".join(
        f'<section id="{name}">{_heading(name, title)}'
        f'<p class="count" id="{name}-count" aria-live="polite"></p><p class="note">{note}</p>'
        f'<div class="scroll tall" id="{name}-table" tabindex="0" role="region" '
        f'aria-label="{title}"></div></section>'
        for name, title, note in (
            ("results", "Every result", "A method on one task at one limit; bold: best safe."),
            ("jobs", "Every training", "Open one for its options, origin, curve and failure."),
        )
    )
    return (
        f'<div class="filters">{choosers}<label>search'
        f'<input id="filter-text" type="search"></label></div>{tables}'
        "<noscript>These two tables need JavaScript; the others do not.</noscript>"
    )
