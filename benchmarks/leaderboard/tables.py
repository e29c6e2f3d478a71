"""The leaderboard's tables, for Markdown and for the terminal: the same builders, two styles."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import pandas as pd

from benchmarks.leaderboard.statistics import Average, Cell, Interval, Standing

NOTHING = "No run is finished."
WIDTH = 100
"""Columns of the terminal."""
_NAME, _REASON = 24, 300  # longest name in the terminal, longest reason in a report
CSV = [field.name for field in fields(Cell) if field.name != "lost"]
"""Columns of leaderboard.csv."""


@dataclass(frozen=True)
class Table:
    """Rows of text under a header of the same length; the first column names the row."""

    header: list[str]
    rows: list[list[str]]


def one_line(text: str) -> str:
    """`text` without line breaks and other characters that do not print."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def escape(text: str) -> str:
    """`text` in one line that Markdown shows as it is, in a table too."""
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|~$#!])", r"\\\1", text)


def ascii_name(text: str) -> str:
    """`text` in one line of at most 24 ASCII characters, the middle left out where it is longer.

    The end is kept because a plugin's name ends in its class.
    """
    text = one_line(text).encode("ascii", "replace").decode()
    return text if len(text) <= _NAME else f"{text[:8]}..{text[-(_NAME - 10) :]}"


@dataclass(frozen=True)
class Style:
    """How names and marks are written. A `brief` style leaves deviations over seeds out."""

    safe: str
    unsafe: str
    bold: str
    italic: str
    incomplete: str
    blank: str
    brief: bool
    name: Callable[[str], str]


MARKDOWN = Style("✓", "✗", "**", "*", "†", "–", False, escape)
TERMINAL = Style("ok", "X", "", "", "+", "-", True, ascii_name)


def markdown(table: Table, align: str = "---:") -> str:
    """A Markdown table, aligned right but for its first column; its cells must be escaped."""
    rule = ["---"] + [align] * (len(table.header) - 1)
    return "\n".join(f"| {' | '.join(row)} |" for row in [table.header, rule, *table.rows])


def aligned(table: Table, width: int = WIDTH) -> str:
    """A text table at most `width` wide; columns that do not fit follow below, named again."""
    grid = [table.header, *table.rows]
    widths = [max(len(row[i]) for row in grid) for i in range(len(table.header))]
    blocks: list[list[int]] = [[]]
    for i in range(1, len(widths)):
        taken = widths[0] + sum(2 + widths[j] for j in [*blocks[-1], i])
        if blocks[-1] and taken > width:
            blocks.append([])
        blocks[-1].append(i)
    lines = [
        row[0].ljust(widths[0]) + "".join("  " + row[i].rjust(widths[i]) for i in block)
        for block in blocks
        for row in grid
    ]
    return "\n".join(line.rstrip() for line in lines)


def number(value: float, blank: str = "–") -> str:
    """Two decimals, never -0.00; `blank` for NaN."""
    return blank if math.isnan(value) else f"{round(value, 2) + 0.0:.2f}"


def cost_text(cost: float, safe: bool, blank: str = "–") -> str:
    """As `number`, but an unsafe cost does not read 1.00."""
    text = number(cost, blank)
    return ">1.00" if text == "1.00" and not safe else text


def limit_text(limit: float, fraction: float) -> str:
    """The limit, and its share of the maximum cost where that is known."""
    return f"{limit:g}" if math.isnan(fraction) else f"{limit:g} ({100 * fraction:.6g}%)"


def setting_text(setting: tuple[bool, float]) -> str:
    """The name of an `Average`'s setting."""
    absolute, value = setting
    return f"limit {value:g}" if absolute else f"{100 * value:.6g}%"


def overall_table(standings: Sequence[Standing], style: Style) -> Table:
    """A row a method: safe rate, and reward, its IQM and cost over the cells that it has."""

    def score(value: float, interval: Interval) -> str:
        text = number(value, style.blank)
        if math.isnan(interval.low):
            return text
        return f"{text} [{number(interval.low)}, {number(interval.high)}]"

    rows = []
    for standing in standings:
        safe = f"{standing.safe}/{standing.cells}"
        if standing.cells < standing.of:
            safe += f" {style.incomplete} ({standing.cells} of {standing.of} cells)"
        fewest, most = standing.seeds
        seeds = f"{fewest}" if fewest == most else f"{fewest}-{most}"
        rows.append(
            [
                style.name(standing.algorithm),
                safe,
                score(standing.reward, standing.reward_interval),
                score(standing.iqm, Interval() if style.brief else standing.iqm_interval),
                score(standing.cost, standing.cost_interval),
                f"{seeds} {style.incomplete}" if standing.lost else seeds,
            ]
        )
    return Table(["method", "safe cells", "reward", "IQM of reward", "cost", "seeds"], rows)


def task_table(table: Sequence[Cell], task: str, methods: Sequence[str], style: Style) -> Table:
    """Methods x limits of one task: "reward / cost" and whether that is safe.

    Methods stand in the order given. The best safe reward of each limit is bold.
    """
    here = [cell for cell in table if cell.task == task]
    limits = {cell.limit: cell.fraction for cell in here}
    found = {(cell.algorithm, cell.limit): cell for cell in here}
    best = {
        limit: max((c.reward for c in here if c.safe and c.limit == limit), default=math.nan)
        for limit in limits
    }
    rows = [
        [style.name(name), *(_cell(found[name, limit], best[limit], style) for limit in limits)]
        for name in methods
    ]
    header = [f"limit {limit_text(limit, fraction)}" for limit, fraction in limits.items()]
    return Table(["method", *header], rows)


def _cell(cell: Cell, best: float, style: Style) -> str:
    if cell.safe is None:
        return cell.status
    reward, cost = number(cell.reward), cost_text(cell.cost, cell.safe)
    if cell.seeds > 1 and not style.brief:
        reward += f" ± {number(cell.reward_std)}"
        cost += f" ± {number(cell.cost_std)}"
    text = f"{reward} / {cost} {style.safe if cell.safe else style.unsafe}"
    if cell.lost:
        text += f" ({cell.seeds}/{cell.seeds + cell.lost} seeds)"
    if not cell.safe:
        return f"{style.italic}{text}{style.italic}"
    return f"{style.bold}{text}{style.bold}" if cell.reward == best else text


def average_table(means: Sequence[Average], methods: Sequence[str], style: Style) -> Table:
    """Methods x settings of the limit: means over tasks, and how many of them are safe."""
    found = {(mean.algorithm, mean.setting): mean for mean in means}
    settings = sorted({mean.setting for mean in means})

    def text(mean: Average) -> str:
        if not mean.cells:
            return style.blank
        scores = f"{number(mean.reward)} / {number(mean.cost)} ({mean.safe}/{mean.cells} safe)"
        if mean.cells == mean.of:
            return scores
        return f"{scores} {style.incomplete} ({mean.cells} of {mean.of} cells)"

    rows = [
        [style.name(name), *(text(found[name, setting]) for setting in settings)]
        for name in methods
    ]
    return Table(["method", *map(setting_text, settings)], rows)


def lost_table(table: Sequence[Cell], missing: pd.DataFrame, style: Style) -> Table:
    """Each run without a result and its reason; seeds that share a reason share a row.

    Cells of which no run is known at all stand at the end.
    """
    rows: dict[tuple[str, str, str, str, str], list[str]] = {}
    for run in missing.to_dict("records"):
        reason = one_line(run["reason"])
        if len(reason) > _REASON:
            reason = reason[: _REASON - 1] + "…"
        limit = limit_text(run["limit"], run["fraction"])
        key = (run["algorithm"], run["task"], limit, run["status"], reason)
        rows.setdefault(key, []).append(str(run["seed"]))
    for cell in table:
        if cell.status == "missing" and not cell.lost:
            limit = limit_text(cell.limit, cell.fraction)
            rows[cell.algorithm, cell.task, limit, "missing", "no such run"] = [style.blank]
    return Table(
        ["method", "task", "limit", "seeds", "status", "reason"],
        [
            [style.name(method), style.name(task), limit, ", ".join(seeds), status, escape(reason)]
            for (method, task, limit, status, reason), seeds in rows.items()
        ],
    )


def csv(table: Sequence[Cell]) -> str:
    """The cells as tidy CSV with the columns `CSV`, empty where there is no score."""
    rows = [[getattr(cell, name) for name in CSV] for cell in table]
    return pd.DataFrame(rows, columns=CSV).to_csv(index=False, lineterminator="\n")
