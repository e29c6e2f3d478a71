"""Learning curves of evaluated reward and cost."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from benchmarks.report.appearance import looks_of
from benchmarks.report.learning import LearningCurve
from benchmarks.report.plots.drawing import PAGE, empty, legend, plain_axes
from benchmarks.report.wording import one_line

_MOST_TASKS = 4
"""Tasks in a row of panels."""


def learning_chart(curves: Sequence[LearningCurve], methods: Sequence[str]) -> Figure:
    """Reward above cost for each task against the number of updates; `methods` in rank order.

    Both are means over limits and seeds; a full marker means that every limit is kept.
    """
    if not curves:
        return empty("No policy was evaluated during its training.")
    tasks = list(dict.fromkeys(curve.task for curve in curves))
    columns = min(len(tasks), _MOST_TASKS)
    rows = -(-len(tasks) // columns)
    figure = Figure(figsize=(PAGE, 0.5 + 2.8 * rows), layout="constrained")
    panels = figure.subplots(2 * rows, columns, squeeze=False, sharex="col")
    styles = looks_of(name for name in methods if any(c.method == name for c in curves))
    for axes in panels.flat:
        axes.set_axis_off()
    for place, task in enumerate(tasks):
        row, column = divmod(place, columns)
        reward, cost = panels[2 * row, column], panels[2 * row + 1, column]
        for axes in (reward, cost):
            axes.set_axis_on()
            plain_axes(axes)
        reward.set_title(one_line(task))
        cost.axhline(1.0, color="#777777", lw=0.7, ls=(0, (4, 2)))
        for curve in (curve for curve in curves if curve.task == task):
            _, colour, marker = styles[curve.method]
            for axes, values in ((reward, curve.reward), (cost, curve.cost)):
                axes.plot(curve.updates, values, color=colour, lw=0.9)
                for x, y, safe in zip(curve.updates, values, curve.safe, strict=True):
                    face = colour if safe == 1.0 else "white"
                    axes.plot(x, y, marker, mfc=face, mec=colour, mew=0.7, ms=3.2)
        cost.xaxis.set_major_formatter(EngFormatter(sep=""))
        cost.set_ylim(bottom=0.0)
        if column == 0:
            reward.set_ylabel("normalised reward")
            cost.set_ylabel("normalised cost")
    figure.supxlabel("updates · full marker: all limits kept, hollow: not all")
    legend(figure, styles, min(len(styles), 6))
    return figure
