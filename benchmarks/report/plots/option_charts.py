"""Figures of variants: their differences, and a method along its options."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from benchmarks.report.appearance import display_name
from benchmarks.report.families import Family, Sweep
from benchmarks.report.plots.drawing import COLUMN, empty, legend, plain_axes, styles_of
from benchmarks.report.statistics import Average
from benchmarks.report.wording import one_line, options_text, setting_text


def variant_chart(families: Sequence[Family]) -> Figure:
    """Difference of each variant in reward and cost, with intervals; one line for each variant."""
    rows = [(family.base, variant) for family in families for variant in family.variants]
    if not rows:
        return empty("There is no variant of a method.")
    figure = Figure(figsize=(COLUMN, 0.8 + 0.19 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for place, (_, variant) in enumerate(rows):
        for axes, change, better in (
            (left, variant.difference.reward, 1.0),
            (right, variant.difference.cost, -1.0),
        ):
            colour = "#009e73" if better * change.difference >= 0 else "#d55e00"
            axes.plot([0, change.difference], [place, place], color=colour, lw=0.9)
            axes.plot(change.difference, place, "o", color=colour, ms=4)
            if not math.isnan(change.interval.low):
                axes.plot([*change.interval], [place, place], color=colour, lw=3, alpha=0.25)
    what = f" from {display_name(families[0].base)}'s" if len(families) == 1 else ""
    options = [one_line(options_text(variant.options)) for _, variant in rows]
    names = [f"{display_name(base)}: {text}" for (base, _), text in zip(rows, options, strict=True)]
    if len(families) == 1:
        names = options
    left.set_yticks(range(len(rows)), names, fontsize=5.5)
    left.set(ylim=(len(rows) - 0.5, -0.5), xlabel="reward")
    right.set(xlabel="cost")
    figure.suptitle(f"difference{what} in normalised score", fontsize=7)
    for axes in (left, right):
        axes.axvline(0, color="#777777", lw=0.7)
        plain_axes(axes)
    return figure


def option_chart(sweeps: Sequence[Sweep], means: Sequence[Average]) -> Figure:
    """Mean reward and cost over tasks along each option; one line for each setting of the limit.

    A ring marks the base method's value.
    """
    if not sweeps:
        return empty("No option has two values beside the method's own.")
    by_key = {(mean.algorithm, mean.setting): mean for mean in means}
    settings = sorted({mean.setting for mean in means})
    figure = Figure(figsize=(COLUMN, 1.25 * len(sweeps) + 0.6), layout="constrained")
    panels = figure.subplots(len(sweeps), 2, squeeze=False)
    styles = styles_of([setting_text(setting) for setting in settings])
    legend(figure, styles, 3)
    for sweep, pair in zip(sweeps, panels, strict=True):
        for axes, score in zip(pair, ("reward", "cost"), strict=True):
            for setting in settings:
                _, colour, marker = styles[setting_text(setting)]
                points = [by_key.get((label, setting)) for label in sweep.labels]
                y = [math.nan if mean is None else getattr(mean, score) for mean in points]
                axes.plot(sweep.values, y, color=colour, marker=marker, lw=0.9, ms=3)
                for x, value, label in zip(sweep.values, y, sweep.labels, strict=True):
                    if label == sweep.base:
                        axes.plot(x, value, "o", mfc="none", mec=colour, ms=7, mew=0.7)
            plain_axes(axes)
        pair[0].set(xlabel=f"{display_name(sweep.base)}: {one_line(sweep.option)}", ylabel="reward")
        pair[1].set(xlabel=one_line(sweep.option), ylabel="normalised cost")
        pair[1].axhline(1, color="#777777", lw=0.7, ls=(0, (4, 2)))
        pair[1].set_ylim(bottom=0)
    return figure
