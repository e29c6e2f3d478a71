"""The limit sweep: cost and return of each policy as a function of its limit, for each task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.appearance import looks_of
from benchmarks.report.details import Frontier
from benchmarks.report.frame import ordered_tasks
from benchmarks.report.plots.drawing import (
    PAGE,
    Styles,
    empty,
    legend,
    plain_axes,
)
from benchmarks.report.statistics import Cell
from benchmarks.report.wording import NOTHING, one_line

LARGEST_COST = 2.0
"""Upper bound of the cost axis, as a multiple of the largest limit; points beyond are hollow."""


def sweep(
    table: Sequence[Cell], frontiers: Mapping[str, Frontier], methods: Sequence[str]
) -> Figure:
    """Cost against the limit, with the diagonal, and return against the limit; not normalised.

    The panel of returns includes the best return of the data within each limit, if known.
    The legend has the order of `methods`.
    """
    tasks = ordered_tasks(cell.task for cell in table if cell.seeds)
    if not tasks:
        return empty(NOTHING)
    styles = looks_of(methods)
    across = 1 if len(tasks) == 1 else 2
    rows = math.ceil(len(tasks) / across)
    figure = Figure(figsize=(PAGE / 2 * across, 1.35 * rows + 0.8), layout="constrained")
    legend(figure, styles, 3 * across)
    panels = figure.subplots(rows, 2 * across, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for place, task in enumerate(tasks):
        row, column = divmod(place, across)
        costs, returns = panels[row, 2 * column], panels[row, 2 * column + 1]
        of_task = [cell for cell in table if cell.task == task and cell.seeds]
        _costs(costs, of_task, styles)
        _returns(returns, of_task, styles, frontiers.get(task, []))
        costs.set_title(f"{one_line(task)}: cost")
        returns.set_title(f"{one_line(task)}: return")
    notes = ["dashed: the limit itself"]
    if any(frontiers.get(task) for task in tasks):
        notes.append("grey steps: the data's best return within it")
    if any(cell.seeds > 1 for cell in table):
        notes.append("bars: standard deviation over seeds")
    figure.supxlabel(f"cost limit\n{' · '.join([*notes, 'hollow: beyond the axis'])}")
    return figure


def _lines(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    ordered = sorted(cells, key=lambda cell: (cell.algorithm, cell.limit))
    return {name: list(line) for name, line in groupby(ordered, key=lambda cell: cell.algorithm)}


def _costs(axes: Axes, cells: Sequence[Cell], styles: Styles) -> None:
    axes.set_axis_on()
    plain_axes(axes)
    largest = max(cell.limit for cell in cells) or 1.0
    axes.plot([0, 1.05 * largest], [0, 1.05 * largest], color="#777777", lw=0.8, ls=(0, (4, 2)))
    axes.fill_between([0, 1.05 * largest], [0, 1.05 * largest], color="#009e73", alpha=0.09, lw=0)
    top = LARGEST_COST * largest
    for name, line in _lines(cells).items():
        _, colour, marker = styles[name]
        x = np.array([cell.limit for cell in line])
        cost = np.array([cell.mean_cost for cell in line])
        y = np.minimum(cost, 0.97 * top)
        spread = np.array([cell.cost_std * (cell.limit or 1.0) for cell in line])
        axes.errorbar(x, y, np.nan_to_num(spread), color=colour, lw=0.9, elinewidth=0.6, alpha=0.8)
        faces = [colour if value <= top else "white" for value in cost]
        axes.scatter(x, y, s=12, marker=marker, c=faces, edgecolors=colour, lw=0.7, zorder=3)
    axes.set(xlim=(0, 1.05 * largest), ylim=(0, top))


def _returns(axes: Axes, cells: Sequence[Cell], styles: Styles, frontier: Frontier) -> None:
    axes.set_axis_on()
    plain_axes(axes)
    largest = max(cell.limit for cell in cells) or 1.0
    if frontier:
        points = np.array([*frontier, (max(1.05 * largest, frontier[-1][0]), frontier[-1][1])])
        axes.step(points[:, 0], points[:, 1], where="post", color="#aaaaaa", lw=1.6, zorder=1)
    for name, line in _lines(cells).items():
        _, colour, marker = styles[name]
        x = [cell.limit for cell in line]
        y = [cell.mean_return for cell in line]
        axes.plot(x, y, color=colour, lw=0.9, marker=marker, ms=3.4, mec="white", mew=0.3)
    axes.set(xlim=(0, 1.05 * largest))
