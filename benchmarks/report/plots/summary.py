"""One point for each method: how safe it is, what it earns while safe, and what training takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.appearance import looks_of
from benchmarks.report.plots.drawing import COLUMN, cross, empty, legend, plain_axes
from benchmarks.report.resampling import NAN, NO_INTERVAL, Interval
from benchmarks.report.resources import ResourceUsage
from benchmarks.report.statistics import Standing
from benchmarks.report.wording import NOTHING

_SIZE = (1.6 * COLUMN, 3.2)
_TICKS: dict[float, str] = {
    size * number: f"{number} {unit}"
    for unit, size, numbers in (
        ("s", 1, (1, 2, 5, 10, 30)),
        ("min", 60, (1, 2, 4, 8, 15, 30)),
        ("h", 3600, (1, 2, 4, 8, 16, 32, 64, 128, 256)),
    )
    for number in numbers
}
"""Ticks of a time axis, in seconds."""
_MOST_TICKS = 7


def summary_chart(overall: pd.DataFrame) -> Figure:
    """Share of safe cells against the mean reward of the safe cells, with 95% intervals as crosses.

    `overall` is the table of that name (`tidy.tidy`). The legend is in its order. Methods without a
    safe cell have no such reward and are left out.
    """
    if overall.empty:
        return empty(NOTHING)
    shown = overall.dropna(subset=["safe_cells", "safe_cell_reward"])
    if shown.empty:
        return empty(NOTHING)
    points = [
        (
            *(row["algorithm"], row["safe_cells"], row["safe_cell_reward"]),
            Interval(row["safe_cells_low"], row["safe_cells_high"]),
            Interval(row["safe_cell_reward_low"], row["safe_cell_reward_high"]),
        )
        for row in shown.to_dict("records")
    ]
    figure, axes = _scatter(points)
    axes.set(xlabel="share of safe cells", xlim=(-0.03, 1.03))
    return figure


def time_chart(ranking: Sequence[Standing], usage: Sequence[ResourceUsage]) -> Figure:
    """Reward of the safe cells against the training time of one seed of a task for all limits.

    Intervals of the reward are 95%. Methods without recorded times are left out.
    """
    seconds = {one.method: one.all_limits_seconds for one in usage}
    points = [
        (
            *(row.algorithm, seconds.get(row.algorithm, NAN), row.metrics["safe_cell_reward"]),
            *(NO_INTERVAL, row.intervals["safe_cell_reward"]),
        )
        for row in ranking
        if not math.isnan(row.metrics.get("safe_cell_reward", NAN))
        and not math.isnan(seconds.get(row.algorithm, NAN))
    ]
    if not points:
        return empty("No training time is recorded.")
    figure, axes = _scatter(points)
    times = [point[1] for point in points]
    low, high = min(times) / 2, max(times) * 2
    axes.set(xscale="log", xlim=(low, high), xlabel="training of a task for all limits, one seed")
    ticks = [at for at in _TICKS if low <= at <= high]
    ticks = ticks[:: math.ceil(len(ticks) / _MOST_TICKS) or 1]
    axes.set_xticks(ticks, [_TICKS[at] for at in ticks])
    axes.minorticks_off()
    return figure


def _scatter(
    points: Sequence[tuple[str, float, float, Interval, Interval]],
) -> tuple[Figure, Axes]:
    """Points of methods with crosses, a legend in their order on the right."""
    styles = looks_of(point[0] for point in points)
    height = max(_SIZE[1], 0.4 + 0.17 * len(points))
    figure = Figure(figsize=(_SIZE[0], height), layout="constrained")
    axes = figure.subplots()
    plain_axes(axes)
    for method, x, y, across, up in points:
        _, colour, marker = styles[method]
        cross(axes, x, y, across, up, colour, width=1.1)
        axes.plot(x, y, marker, color=colour, ms=6, mec="white", mew=0.5, zorder=3)
    known = [y for point in points for y in (point[2], *point[4]) if not math.isnan(y)]
    low, high = min([0.0, *known]), max([1.0, *known])
    margin = 0.03 * (high - low)
    axes.set(ylabel="reward of the safe cells", ylim=(low - margin, high + margin))
    legend(figure, styles, 1, "right upper")
    return figure, axes
