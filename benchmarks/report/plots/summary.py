"""The figure of the first screen: how often a method is safe, and what it earns where it is."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.report.plots.drawing import PAGE, empty, plain_axes, styles_of
from benchmarks.report.wording import NOTHING, one_line

HEIGHT = 3.4
"""In inches; the legend stands on the right."""


def summary_chart(overall: pd.DataFrame) -> Figure:
    """Share of safe cells against the mean reward of the safe cells, with 95% intervals.

    `overall` is the table of that name (`tidy.tidy`). The legend is in its order. Methods without a
    safe cell have no such reward and are left out.
    """
    shown = overall.dropna(subset=["safe_cells", "safe_cell_reward"])
    if shown.empty:
        return empty(NOTHING)
    styles = styles_of(sorted(shown["algorithm"]))
    figure = Figure(figsize=(PAGE, HEIGHT), layout="constrained")
    axes = figure.subplots()
    handles = []
    for row in shown.to_dict("records"):
        colour, marker = styles[row["algorithm"]]
        x, y = row["safe_cells"], row["safe_cell_reward"]
        across = [row["safe_cells_low"], row["safe_cells_high"]]
        upward = [row["safe_cell_reward_low"], row["safe_cell_reward_high"]]
        axes.plot(across, [y, y], color=colour, lw=1.1, alpha=0.7)  # NaN draws nothing
        axes.plot([x, x], upward, color=colour, lw=1.1, alpha=0.7)
        axes.plot(x, y, marker=marker, color=colour, mec="white", mew=0.6, ms=7, ls="", zorder=3)
        handles.append(Line2D([], [], color=colour, marker=marker, ms=6, ls=""))
    axes.set(xlim=(-0.03, 1.03), xlabel="share of safe cells", ylabel="reward of the safe cells")
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    plain_axes(axes)
    figure.legend(
        handles,
        [one_line(str(name)) for name in shown["algorithm"]],
        loc="outside right center",
        frameon=False,
    )
    return figure
