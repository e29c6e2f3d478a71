"""Tables with reward and cost in cells of their own, for pages that scroll and sort."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.report.render.markup import CellStyle, Column, Entry, Row, Table, method
from benchmarks.report.selections import setting_key
from benchmarks.report.statistics import Average, Cell, setting_of
from benchmarks.report.wording import BLANK, cost_text, number, setting_text


def split_task_table(table: Sequence[Cell], task: str, methods: Sequence[str]) -> Table:
    """Methods x limits of one task, as `tables.task_table` with two columns for each limit."""
    of_task = [cell for cell in table if cell.task == task]
    limits = {cell.limit: setting_of(cell) for cell in of_task}
    by_key = {(cell.algorithm, cell.limit): cell for cell in of_task}
    best = {
        limit: max((c.reward for c in of_task if c.safe and c.limit == limit), default=math.nan)
        for limit in limits
    }
    header = [Column("method")]
    for limit, setting in limits.items():
        over = setting_text(setting) + ("" if setting[0] else f" (cost {limit:g})")
        header += _pair(setting, over)
    rows: list[Row] = [
        [method(own), *(item for x in limits for item in _scores(by_key[own, x], best[x]))]
        for own in methods
    ]
    return Table(header, rows)


def split_average_table(means: Sequence[Average], methods: Sequence[str]) -> Table:
    """Methods x settings: reward, cost and safe tasks, as `tables.average_table`."""
    by_key = {(mean.algorithm, mean.setting): mean for mean in means}
    settings = sorted({mean.setting for mean in means})
    header = [Column("method")]
    for setting in settings:
        over, key = setting_text(setting), setting_key(setting)
        header += [*_pair(setting, over), Column("safe", better="more", over=over, setting=key)]
    rows: list[Row] = [
        [method(own), *(item for setting in settings for item in _means(by_key[own, setting]))]
        for own in methods
    ]
    return Table(header, rows)


def _pair(setting: tuple[bool, float], over: str) -> list[Column]:
    key = setting_key(setting)
    return [
        Column("reward", better="more", over=over, setting=key),
        Column("cost", better="less", over=over, setting=key),
    ]


def _scores(cell: Cell, best: float) -> list[Entry]:
    if cell.safe is None:
        return [Entry(cell.status), Entry(BLANK)]
    reward, cost = number(cell.reward), cost_text(cell.cost, cell.safe)
    if cell.seeds > 1:
        reward += f" ± {number(cell.reward_std)}"
        cost += f" ± {number(cell.cost_std)}"
    mark = "✓" if cell.safe else "✗"
    lost = f" ({cell.seeds}/{cell.seeds + cell.lost} seeds)" if cell.lost else ""
    style: CellStyle = "best" if cell.reward == best else ""
    if not cell.safe:
        style = "unsafe"
    return [
        Entry(reward, style, value=cell.reward),
        Entry(f"{mark} {cost}{lost}", style, value=cell.cost),
    ]


def _means(mean: Average) -> list[str | Entry]:
    if not mean.cells:
        return [BLANK] * 3
    gap = f" † ({mean.cells} of {mean.of} cells)" if mean.cells < mean.of else ""
    return [number(mean.reward), number(mean.cost), f"{mean.safe}/{mean.cells}{gap}"]
