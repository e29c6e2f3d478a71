"""What differs between leaderboards, as text: two of them, or a method and its variants."""

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
from benchmarks.report.details import Evidence
from benchmarks.report.frame import validate
from benchmarks.report.render.markup import Entry, Table, entry, escape, latex, markdown, name
from benchmarks.report.statistics import run_scores
from benchmarks.report.wording import number, options_text, signed

_NOTE = (
    "Differences are after less before, with 95% bootstrap intervals where every cell has two "
    "seeds or more; bold where the interval leaves 0 out."
)


def written(table: Table, caption: str, style: str) -> str:
    """A table in one of `TEXT_FORMATS`; CSV has the words of its cells."""
    if style == "latex":
        return latex(table, caption)
    if style == "csv":
        rows = [[entry(item).text for item in row] for row in (table.header, *table.rows)]
        return pd.DataFrame(rows).to_csv(index=False, header=False, lineterminator="\n").rstrip()
    return markdown(table)


def comparison(before: Evidence, after: Evidence, style: str = "markdown") -> str:
    """What changed from one leaderboard to another, over the cells that both have.

    As LaTeX or CSV the table of methods alone. Raises `UserError` where no method is in both.
    """
    old, new = validate(before.episodes), validate(after.episodes)
    runs = run_scores(old), run_scores(new)
    found = differences(*runs)
    if not found:
        raise UserError("no method has results in both leaderboards: nothing can be compared")
    if style != "markdown":
        return written(difference_table(found), f"{before.title} → {after.title}. {_NOTE}", style)
    parts = [f"# {escape(before.title)} → {escape(after.title)}"]
    parts += [f"- {escape(line)}" for line in _conditions((before, old), (after, new))]
    parts += ["## Methods", markdown(difference_table(found)), _NOTE]
    cells = cell_differences(*runs)
    if cells:
        parts += ["## Cells whose runs differ", markdown(_cell_table(cells))]
    else:
        parts.append("Every run that both have is the same.")
    return "\n\n".join(parts)


def _conditions(
    before: tuple[Evidence, pd.DataFrame], after: tuple[Evidence, pd.DataFrame]
) -> list[str]:
    """What is not the same behind the two: lines of text."""
    lines = []
    (old, old_episodes), (new, new_episodes) = before, after
    for column in ("source", "budget"):
        values = [", ".join(sorted(set(e[column]))) for e in (old_episodes, new_episodes)]
        if values[0] != values[1]:
            lines.append(f"{column}: {values[0]} → {values[1]}")
    sums = [dict(zip(e["task"], e["checksum"], strict=True)) for e in (old_episodes, new_episodes)]
    other = sorted(task for task in sums[0] if sums[1].get(task, sums[0][task]) != sums[0][task])
    if other:
        lines.append(f"other data: {', '.join(other)}; differences there are not the methods' own")
    methods = [set(e["algorithm"]) for e in (old_episodes, new_episodes)]
    for text, only in (
        ("only before", methods[0] - methods[1]),
        ("only after", methods[1] - methods[0]),
    ):
        if only:
            lines.append(f"{text}: {', '.join(sorted(only))}")
    trainings = old.details.trainings, new.details.trainings
    for method in sorted(methods[0] & methods[1]):
        configs = [config_of(one, method) for one in trainings]
        if configs[0] and configs[1] and configs[0] != configs[1]:
            changed = changed_options(configs[1], configs[0])
            lines.append(f"options of {method}: {options_text(changed) or 'another set'}")
    for column in ("commit", "device"):
        values = [", ".join(sorted({v[:40] for v in one[column] if v})) for one in trainings]
        if values[0] != values[1]:
            lines.append(f"{column}: {values[0] or 'unknown'} → {values[1] or 'unknown'}")
    return lines


def ablation(found: Sequence[Evidence], style: str = "markdown") -> str:
    """How methods with other options differ from the first leaderboard's.

    As LaTeX or CSV the table alone. Raises `UserError` where no method has other options.
    """
    pairs = [(run_scores(validate(one.episodes)), one.details.trainings) for one in found]
    rows = variants(pairs[0], pairs[1:])
    if not rows:
        raise UserError(
            f"no method of {found[0].title!r} has other options in the other leaderboards, or "
            "their trainings are not kept: there is nothing to set side by side"
        )
    if style != "markdown":
        return written(variant_table(rows), f"Variants of {found[0].title}. {_NOTE}", style)
    titles = ", ".join(escape(one.title) for one in found[1:])
    parts = [f"# Variants of {escape(found[0].title)}", f"From: {titles}"]
    return "\n\n".join([*parts, markdown(variant_table(rows)), _NOTE])


def variant_table(rows: Sequence[Variant]) -> Table:
    """A row a variant: the options that differ, and what they change."""
    table = difference_table([row.difference for row in rows])
    options = [Entry(options_text(row.options), foreign=True) for row in rows]
    return Table(
        [table.header[0], "options", *table.header[1:]],
        [[own[0], option, *own[1:]] for own, option in zip(table.rows, options, strict=True)],
    )


def difference_table(found: Sequence[Difference]) -> Table:
    """A row a method: reward, cost and safe rate before and after, and the differences."""
    header = ["method", "cells", "changed"]
    for what in ("reward", "cost", "safe rate"):
        header += [what, "difference"]
    return Table(
        header,
        [
            [
                name(one.method),
                f"{one.cells}" + (f" of {one.of} †" if one.cells < one.of else ""),
                f"{one.changed}",
                *_both(one.reward),
                *_both(one.cost),
                *_both(one.safe_rate),
            ]
            for one in found
        ],
    )


def _cell_table(found: Sequence[Difference]) -> Table:
    return Table(
        ["method", "task", "limit", "reward", "difference", "cost", "difference"],
        [
            [
                *(name(one.method), name(one.task), f"{one.limit:g}"),
                *_both(one.reward),
                *_both(one.cost),
            ]
            for one in found
        ],
    )


def _both(change: Change) -> list[Entry]:
    """The figure before and after, and the difference with its interval."""
    difference = signed(change.difference)
    if not math.isnan(change.interval.low):
        difference += f" [{number(change.interval.low)}, {number(change.interval.high)}]"
    return [
        Entry(f"{number(change.before)} → {number(change.after)}"),
        Entry(difference, "best" if change.clear else ""),
    ]
