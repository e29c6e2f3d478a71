"""Text reports of differences: two leaderboards, or a method and its variants."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from benchmarks.common.errors import UserError
from benchmarks.report.compare import (
    Change,
    Difference,
    Variant,
    cell_differences,
    changed_options,
    config_of,
    differences,
    variants,
)
from benchmarks.report.details import LeaderboardData
from benchmarks.report.frame import validate
from benchmarks.report.render.latex_markup import latex
from benchmarks.report.render.markup import Entry, Table, entry, escape, markdown, name
from benchmarks.report.statistics import run_scores
from benchmarks.report.wording import number, options_text, signed

_NOTE = (
    "Differences are after less before, with 95% bootstrap intervals where every cell has two "
    "seeds or more; bold where the interval leaves 0 out."
)


def format_table(table: Table, caption: str, style: str) -> str:
    """A table in one of `TEXT_FORMATS`; CSV contains the formatted text of its cells."""
    if style == "latex":
        return latex(table, caption)
    if style == "csv":
        rows = [[entry(item).text for item in row] for row in (table.header, *table.rows)]
        return pd.DataFrame(rows).to_csv(index=False, header=False, lineterminator="\n").rstrip()
    return markdown(table)


def comparison(before: LeaderboardData, after: LeaderboardData, style: str = "markdown") -> str:
    """Compare two leaderboards over the cells that both have.

    LaTeX and CSV contain the table of methods only. Raises `UserError` if no method is in both.
    """
    old, new = validate(before.episodes), validate(after.episodes)
    runs = run_scores(old), run_scores(new)
    by_method = differences(*runs)
    if not by_method:
        raise UserError("no method has results in both leaderboards: name two that share one")
    if style != "markdown":
        caption = f"{before.title} → {after.title}. {_NOTE}"
        return format_table(difference_table(by_method), caption, style)
    parts = [f"# {escape(before.title)} → {escape(after.title)}"]
    parts += [f"- {escape(line)}" for line in _conditions((before, old), (after, new))]
    parts += ["## Methods", markdown(difference_table(by_method)), _NOTE]
    cells = cell_differences(*runs)
    if cells:
        parts += ["## Cells whose runs differ", markdown(_cell_table(cells))]
    else:
        parts.append("Every run that both have is the same.")
    return "\n\n".join(parts)


def _conditions(
    before: tuple[LeaderboardData, pd.DataFrame], after: tuple[LeaderboardData, pd.DataFrame]
) -> list[str]:
    """One line for each condition that differs between the two leaderboards."""
    lines = []
    (old, old_episodes), (new, new_episodes) = before, after
    for column in ("source", "budget"):
        values = [", ".join(sorted(set(e[column]))) for e in (old_episodes, new_episodes)]
        if values[0] != values[1]:
            lines.append(f"{column}: {values[0]} → {values[1]}")
    sums = [dict(zip(e["task"], e["checksum"], strict=True)) for e in (old_episodes, new_episodes)]
    tasks = sorted(task for task in sums[0] if sums[1].get(task, sums[0][task]) != sums[0][task])
    if tasks:
        lines.append(f"other data: {', '.join(tasks)}; differences there are not the methods' own")
    methods = [set(e["algorithm"]) for e in (old_episodes, new_episodes)]
    for text, only in (
        ("only before", methods[0] - methods[1]),
        ("only after", methods[1] - methods[0]),
    ):
        if only:
            lines.append(f"{text}: {', '.join(sorted(only))}")
    trainings = old.details.trainings, new.details.trainings
    for method in sorted(methods[0] & methods[1]):
        configs = [config_of(rows, method) for rows in trainings]
        if configs[0] and configs[1] and configs[0] != configs[1]:
            changed = changed_options(configs[1], configs[0])
            lines.append(f"options of {method}: {options_text(changed) or 'another set'}")
    for column in ("commit", "device"):
        values = [", ".join(sorted({v[:40] for v in rows[column] if v})) for rows in trainings]
        if values[0] != values[1]:
            lines.append(f"{column}: {values[0] or 'unknown'} → {values[1] or 'unknown'}")
    return lines


def ablation(boards: Sequence[LeaderboardData], style: str = "markdown") -> str:
    """Compare methods with other options with those of the first leaderboard.

    LaTeX and CSV contain the table only. Raises `UserError` if no method has other options.
    """
    pairs = [(run_scores(validate(board.episodes)), board.details.trainings) for board in boards]
    rows = variants(pairs[0], pairs[1:])
    if not rows:
        raise UserError(
            f"no method of {boards[0].title!r} has other options in the other leaderboards, or "
            "their trainings are not stored: name leaderboards that differ in a method's options"
        )
    if style != "markdown":
        return format_table(variant_table(rows), f"Variants of {boards[0].title}. {_NOTE}", style)
    titles = ", ".join(escape(board.title) for board in boards[1:])
    parts = [f"# Variants of {escape(boards[0].title)}", f"From: {titles}"]
    return "\n\n".join([*parts, markdown(variant_table(rows)), _NOTE])


def variant_table(rows: Sequence[Variant]) -> Table:
    """One row for each variant: the options that differ, and the differences in its figures."""
    table = difference_table([row.difference for row in rows])
    options = [Entry(options_text(row.options), untrusted=True) for row in rows]
    return Table(
        [table.header[0], "options", *table.header[1:]],
        [[row[0], option, *row[1:]] for row, option in zip(table.rows, options, strict=True)],
    )


def difference_table(differences: Sequence[Difference]) -> Table:
    """One row for each method: reward, cost, share of safe cells, each before and after."""
    header = ["method", "cells", "changed"]
    for what in ("reward", "cost", "safe cells"):
        header += [what, "difference"]
    return Table(
        header,
        [
            [
                name(row.method),
                f"{row.cells}" + (f" of {row.of} †" if row.cells < row.of else ""),
                f"{row.changed}",
                *_change(row.reward),
                *_change(row.cost),
                *_change(row.safe_cells),
            ]
            for row in differences
        ],
    )


def _cell_table(differences: Sequence[Difference]) -> Table:
    return Table(
        ["method", "task", "limit", "reward", "difference", "cost", "difference"],
        [
            [
                *(name(cell.method), name(cell.task), f"{cell.limit:g}"),
                *_change(cell.reward),
                *_change(cell.cost),
            ]
            for cell in differences
        ],
    )


def _change(change: Change) -> list[Entry]:
    """Two cells: the figure before and after, and the difference with its interval."""
    difference = signed(change.difference)
    if not math.isnan(change.interval.low):
        difference += f" [{number(change.interval.low)}, {number(change.interval.high)}]"
    return [
        Entry(f"{number(change.before)} → {number(change.after)}"),
        Entry(difference, "best" if change.clear else ""),
    ]
