"""The frontier of reward and cost: one panel for the average and one for each task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import CARETDOWNBASE, CARETRIGHTBASE, CARETUPBASE
from numpy.typing import NDArray

from benchmarks.report.appearance import looks_of
from benchmarks.report.frame import ordered_tasks
from benchmarks.report.plots.drawing import Styles, cross, empty, legend
from benchmarks.report.resampling import NO_INTERVAL, Interval
from benchmarks.report.statistics import AverageIntervals, Cell, averages
from benchmarks.report.wording import NOTHING, one_line

COLUMNS = 4  # of small panels, on a page
LEGEND_COLUMNS = 6
LINEAR_COST = 1.5
"""Beyond it the cost axis is logarithmic, so that high costs keep their distances."""
LARGEST_COST = 30.0
SMALLEST_REWARD, LARGEST_REWARD = -0.25, 1.25
"""Bounds of the axes; points beyond them are drawn at the edge, with an arrow."""


@dataclass(frozen=True)
class Point:
    """A method's score at one limit; `rank` is the limit's index, 0 for the tightest."""

    rank: int
    cost: float
    reward: float
    complete: bool
    cost_interval: Interval = NO_INTERVAL
    reward_interval: Interval = NO_INTERVAL


Panel = dict[str, list[Point]]
"""The points of each method, by ascending limit."""


def frontier(
    table: Sequence[Cell], methods: Sequence[str], intervals: AverageIntervals | None = None
) -> Figure:
    """Reward against cost of every method, task and limit.

    The legend has the order of `methods`; `intervals` are those of the averages over tasks.
    """
    panels = _panels(table, intervals or {})
    if not panels:
        return empty(NOTHING)
    styles = looks_of(methods)
    legend_columns = min(len(methods), LEGEND_COLUMNS)
    # The panel of the average is twice as wide and high as a task's; so is a single task's.
    wide = 2 if len(panels) == 2 else 1
    rows = max(2, 1 + math.ceil((len(panels) - 1) / COLUMNS))
    height = 1.45 * rows + 0.6 + 0.16 * math.ceil(len(methods) / legend_columns)
    figure = Figure(figsize=(7.6, height), layout="constrained")
    grid = figure.add_gridspec(rows, COLUMNS)
    places = [(row, column) for row in range(rows) for column in range(COLUMNS)]
    places = [(0, 0), *(place for place in places if max(place) > 1)]
    right, low, high = _bounds(list(panels.values()))
    for (row, column), (name, panel) in zip(places, panels.items(), strict=False):
        first = (row, column) == (0, 0)
        size = 2 if first else wide
        axes = figure.add_subplot(grid[row : row + size, column : column + size])
        axes.set_xscale("function", functions=(_place, _cost))
        axes.set(xlim=(0, right), ylim=(low, high))
        ticks = [tick for tick in (0, 1, 2, 5, 10, 20) if tick <= right]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_title(one_line(name), fontweight="bold" if first else "normal")
        below = (row + 1, column) in places[: len(panels)]
        left = column == 0 or (row < 2 and column == 2)  # column 2 is next to the average
        axes.tick_params(labelbottom=first or not below, labelleft=left)
        _draw_panel(axes, panel, styles)
    figure.supxlabel(
        f"normalised cost, logarithmic beyond {LINEAR_COST:g}\nshaded: safe · larger marker: "
        "looser limit · cross, of averages: 95% interval · hollow: runs are missing · "
        "arrow: beyond the axis"
    )
    figure.supylabel("normalised reward")
    legend(figure, styles, legend_columns)
    return figure


def _place(cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where a cost stands on its axis: linear at first, then logarithmic, without a kink."""
    cost = np.asarray(cost, dtype=np.float64)
    beyond = LINEAR_COST * (1.0 + np.log(np.maximum(cost, LINEAR_COST) / LINEAR_COST))
    return np.where(cost <= LINEAR_COST, cost, beyond)


def _cost(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `_place`."""
    place = np.asarray(place, dtype=np.float64)
    beyond = LINEAR_COST * np.exp(np.maximum(place, LINEAR_COST) / LINEAR_COST - 1.0)
    return np.where(place <= LINEAR_COST, place, beyond)


def _panels(table: Sequence[Cell], intervals: AverageIntervals) -> dict[str, Panel]:
    """The average, then the tasks; empty if no cell has a score."""
    if not any(cell.seeds for cell in table):
        return {}
    means = averages(table)
    settings = sorted({mean.setting for mean in means})
    average: Panel = {}
    for mean in means:
        complete = mean.cells == mean.of and not mean.lost
        reward, cost = intervals.get((mean.algorithm, mean.setting), (NO_INTERVAL, NO_INTERVAL))
        rank = settings.index(mean.setting)
        point = Point(rank, mean.cost, mean.reward, complete, cost, reward)
        average.setdefault(mean.algorithm, []).append(point)
    panels = {"average over tasks": average}
    for task in ordered_tasks(cell.task for cell in table):
        of_task = [cell for cell in table if cell.task == task]
        limits = sorted({cell.limit for cell in of_task})
        panels[task] = {
            name: [
                Point(limits.index(cell.limit), cell.cost, cell.reward, cell.status == "finished")
                for cell in cells
            ]
            for name, cells in groupby(of_task, key=lambda cell: cell.algorithm)
        }
    return panels


def _bounds(panels: Sequence[Panel]) -> tuple[float, float, float]:
    """Upper bound of the cost axis, both bounds of the reward axis: the data's range, limited."""
    all_points = [point for panel in panels for points in panel.values() for point in points]
    cost = max(point.cost for point in all_points if not math.isnan(point.cost))
    rewards = [point.reward for point in all_points if not math.isnan(point.reward)]
    right = min(LARGEST_COST, max(1.5, 1.05 * cost))
    low = max(SMALLEST_REWARD, min(0.0, *rewards))
    high = min(LARGEST_REWARD, max(1.0, *rewards))
    margin = 0.05 * (high - low)
    return right, low - margin, high + margin


def _draw_panel(axes: Axes, panel: Panel, styles: Styles) -> None:
    axes.axvspan(0, 1, color="#009e73", alpha=0.09, lw=0)
    axes.axvline(1, color="#777777", lw=0.7, ls=(0, (4, 2)))
    axes.grid(color="#e6e6e6", lw=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    right, (low, high) = axes.get_xlim()[1], axes.get_ylim()
    for name, points in panel.items():
        _, colour, marker = styles[name]
        cost = np.array([point.cost for point in points])
        reward = np.array([point.reward for point in points])
        beyond = cost > right
        edge = float(_cost(0.96 * _place(np.array(right))))  # leaves room for the arrow
        x = np.where(beyond, edge, cost.clip(0, right))
        y = reward.clip(low, high)
        axes.plot(x, y, color=colour, lw=0.9, alpha=0.6)  # a missing cell is NaN, a gap in the line
        for point in points:
            across, up = point.cost_interval, point.reward_interval
            cross(axes, point.cost, point.reward, across, up, colour, width=0.6)
        present = np.flatnonzero(~np.isnan(cost))
        complete = [points[i].complete for i in present]
        dots = axes.scatter(
            x[present],
            y[present],
            s=[(3.8 + 2.4 * points[i].rank / max(1, len(points) - 1)) ** 2 for i in present],
            marker=marker,
            facecolors=[colour if full else "white" for full in complete],
            edgecolors=["white" if full else colour for full in complete],
            linewidths=[0.4 if full else 0.9 for full in complete],
            clip_on=False,
            zorder=3,
        )
        dots.set_in_layout(False)
        for where, arrow, px in (
            (beyond, CARETRIGHTBASE, np.full_like(x, right)),
            (reward > high, CARETUPBASE, x),
            (reward < low, CARETDOWNBASE, x),
        ):
            if where.any():
                (line,) = axes.plot(
                    px[where], y[where], ls="", marker=arrow, color=colour, ms=4, clip_on=False
                )
                line.set_in_layout(False)
