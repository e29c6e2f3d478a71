"""The leaderboard as files and as terminal text, computed from data frames."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure as Picture

from benchmarks.report import tidy
from benchmarks.report.board import FORMULAS, Board, build
from benchmarks.report.details import Details
from benchmarks.report.formats import DEFAULT_FORMATS
from benchmarks.report.frame import (
    ordered_tasks,
    validate,
    validate_missing,
)
from benchmarks.report.plots import charts, learning, option_charts, plots, summary, sweep
from benchmarks.report.plots.drawing import Images, render
from benchmarks.report.published import Figure
from benchmarks.report.render import latex, page, tables
from benchmarks.report.render.markup import aligned, escape, markdown, plain
from benchmarks.report.render.markup import name as entry_of
from benchmarks.report.render.sections import PICTURES, Section, sections
from benchmarks.report.statistics import cells, standings
from benchmarks.report.wording import NOTHING

EPISODES_FILE, MISSING_FILE, TRAININGS_FILE = "episodes.csv.gz", "missing.csv", "trainings.json.gz"
"""The input of a leaderboard, stored with every leaderboard."""
_IMAGE_KINDS = {"pictures": ("png", "svg"), "html": ("svg",), "latex": ("pdf",)}
"""The image files that a format needs."""


def contents(
    frame: pd.DataFrame,
    missing: pd.DataFrame,
    title: str,
    protocol: Mapping[str, str],
    *,
    details: Details | None = None,
    published: Sequence[Figure] = (),
    formats: Iterable[str] = DEFAULT_FORMATS,
    methods: Sequence[str] = (),
    folder: str = "",
) -> dict[str, bytes]:
    """The files of a leaderboard, by their path in its folder.

    `methods` are those of the LaTeX tables, in their order; all by default. `folder` is the name of
    the leaderboard's folder, if it holds a protocol (`again.PROTOCOL_FILE`); else empty.

    `frame` and `missing` have the columns of `frame.EPISODES` and `frame.MISSING`; either may be
    empty. `protocol` adds facts to those that follow from the frame, or appends to such a fact.
    Raises `UserError` for frames that do not validate.
    """
    board = build(frame, missing, title, protocol, details or Details(), published, folder)
    return _format_files(board, set(formats), methods) | {
        # Without a time stamp, so that equal content gives equal bytes.
        EPISODES_FILE: gzip.compress(tidy.csv(board.episodes), mtime=0),
        MISSING_FILE: tidy.csv(board.lost),
        TRAININGS_FILE: board.details.to_bytes(),
    }


def _format_files(board: Board, formats: set[str], methods: Sequence[str]) -> dict[str, bytes]:
    """The files of the given formats, by their path in the folder."""
    contents: dict[str, bytes] = {}
    parts = sections(board)
    needed = {kind for name in formats for kind in _IMAGE_KINDS.get(name, ())}
    drawn = pictures(board, {name for part in parts for name in part.pictures}, needed)
    if "markdown" in formats:
        contents["leaderboard.md"] = _markdown(board, parts, "pictures" in formats).encode()
    if "latex" in formats:
        contents |= latex.files(board, methods)
    if "html" in formats:
        contents["leaderboard.html"] = page.page(board, parts, drawn).encode()
    written = {kind for name in formats - {"html"} for kind in _IMAGE_KINDS.get(name, ())}
    contents |= {
        f"pictures/{name}.{kind}": images[kind]
        for name, images in drawn.items()
        for kind in sorted(written)
    }
    for name, table in tidy.tidy(board).items():
        path = name if name == "leaderboard" else f"tables/{name}"
        if "csv" in formats:
            contents[f"{path}.csv"] = tidy.csv(table)
        if "parquet" in formats:
            contents[f"{path}.parquet"] = tidy.parquet(table)
    return contents


def pictures(board: Board, names: Collection[str], kinds: Collection[str]) -> dict[str, Images]:
    """Draw the figures `names` of `sections.PICTURES` as image files of some `kinds`."""
    trainings = board.details.trainings
    by_rank = sorted(board.profiles, key=lambda profile: board.methods.index(profile.method))
    draw: dict[str, Callable[[], Picture]] = {
        "summary": lambda: summary.summary_chart(tidy.overall(board.ranking)),
        "time": lambda: summary.time_chart(board.ranking, board.usage),
        "frontier": lambda: plots.frontier(board.table, board.methods, board.mean_intervals),
        "sweep": lambda: sweep.sweep(board.table, board.details.frontiers, board.methods),
        "variants": lambda: option_charts.variant_chart(board.families),
        "options": lambda: option_charts.option_chart(board.sweeps, board.means),
        "matrix": lambda: charts.matrix_chart(board.improvements, board.ranks),
        "profiles": lambda: charts.profile_chart(by_rank),
        "learning": lambda: learning.learning_chart(board.learning, board.methods),
        "curves": lambda: charts.curve_chart(
            trainings, board.methods or sorted({*trainings["algorithm"]})
        ),
        "published": lambda: charts.published_chart(board.matches),
    }
    if not kinds:
        return {}
    return {name: render(draw[name], kinds) for name in PICTURES if name in names}


def terminal(frame: pd.DataFrame, missing: pd.DataFrame) -> str:
    """The leaderboard in ASCII, at most 100 characters wide; raises `UserError` as `contents`."""
    episodes, lost = validate(frame), validate_missing(missing)
    table = cells(episodes, lost)
    count = [f"{n} {status}" for status, n in lost["status"].value_counts(sort=False).items()]
    ending = [f"Runs without a result: {', '.join(count)}."] if count else []
    if episodes.empty:
        return "\n".join([NOTHING, *ending])
    ranking = standings(episodes, table)
    methods = [standing.algorithm for standing in ranking]
    parts = [aligned(tables.overall_table(ranking, brief=True))]
    if any(standing.cells < standing.of or standing.lost for standing in ranking):
        parts[0] += "\n+ incomplete: over the cells and seeds that there are"
    for task in ordered_tasks(cell.task for cell in table):
        rows = tables.task_table(table, task, methods, brief=True)
        parts.append(f"{plain(entry_of(task))} (reward / cost)\n{aligned(rows)}")
    return "\n\n".join(parts + ending)


def _markdown(board: Board, parts: Sequence[Section], with_pictures: bool) -> str:
    lines = [f"# {escape(board.heading)}", escape(board.title)]
    if board.mixed:
        lines.append("\n".join(f"> **Attention:** {escape(line)}  " for line in board.mixed))
    facts = board.facts.items()
    if facts:
        lines.append("\n".join(f"- {escape(name)}: {escape(text)}" for name, text in facts))
    if board.episodes.empty:
        lines.append(NOTHING)
    for part in parts:
        lines.append(f"## {escape(part.title)}")
        if part.text:
            lines.append(escape(part.text))
        if part.table:
            lines.append(markdown(part.table, "---" if part.words else "---:"))
        if part.note:
            lines.append(escape(part.note))
        if part.command:
            lines.append(f"```sh\n{part.command}\n```")
        if with_pictures:
            lines += [f"![{PICTURES[name]}](pictures/{name}.png)" for name in part.pictures]
    lines.append("## Definitions")
    lines.append("\n".join(f"- {escape(name)}: {escape(text)}" for name, text in FORMULAS.items()))
    return "\n\n".join(lines) + "\n"
