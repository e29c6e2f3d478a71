"""Pictures of variants: what each changes, and a method along its options."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from benchmarks.report.families import Family, Sweep
from benchmarks.report.plots.drawing import COLUMN, empty, legend, looks_of, plain_axes
from benchmarks.report.statistics import Average
from benchmarks.report.wording import one_line, options_text, setting_text


def variant_chart(found: Sequence[Family]) -> Figure:
    """What each variant changes in reward and in cost, with its interval; a variant a line."""
    rows = [(family.base, one) for family in found for one in family.variants]
    if not rows:
        return empty("There is no variant of a method.")
    figure = Figure(figsize=(COLUMN, 0.8 + 0.19 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for place, (_, one) in enumerate(rows):
        for axes, change, better in (
            (left, one.difference.reward, 1.0),
            (right, one.difference.cost, -1.0),
        ):
            colour = "#009e73" if better * change.difference >= 0 else "#d55e00"
            axes.plot([0, change.difference], [place, place], color=colour, lw=0.9)
            axes.plot(change.difference, place, "o", color=colour, ms=4)
            if not math.isnan(change.interval.low):
                axes.plot([*change.interval], [place, place], color=colour, lw=3, alpha=0.25)
    what = f" from {one_line(found[0].base)}'s" if len(found) == 1 else ""
    names = [f"{one_line(base)}: {one_line(options_text(one.options))}" for base, one in rows]
    if len(found) == 1:
        names = [one_line(options_text(one.options)) for _, one in rows]
    left.set_yticks(range(len(rows)), names, fontsize=5.5)
    left.set(ylim=(len(rows) - 0.5, -0.5), xlabel="reward")
    right.set(xlabel="cost")
    figure.suptitle(f"difference{what} in normalised score", fontsize=7)
    for axes in (left, right):
        axes.axvline(0, color="#777777", lw=0.7)
        plain_axes(axes)
    return figure


def option_chart(found: Sequence[Sweep], means: Sequence[Average]) -> Figure:
    """Reward and cost along each option, a line a setting of the limit: means over tasks.

    The method's own value is ringed.
    """
    if not found:
        return empty("No option has two values beside the method's own.")
    by = {(mean.algorithm, mean.setting): mean for mean in means}
    settings = sorted({mean.setting for mean in means})
    figure = Figure(figsize=(COLUMN, 1.25 * len(found) + 0.6), layout="constrained")
    panels = figure.subplots(len(found), 2, squeeze=False)
    looks = looks_of([setting_text(setting) for setting in settings])
    legend(figure, looks, 3)
    for one, pair in zip(found, panels, strict=True):
        for axes, figure_of in zip(pair, ("reward", "cost"), strict=True):
            for setting in settings:
                colour, marker = looks[setting_text(setting)]
                here = [by.get((label, setting)) for label in one.labels]
                y = [math.nan if mean is None else getattr(mean, figure_of) for mean in here]
                axes.plot(one.values, y, color=colour, marker=marker, lw=0.9, ms=3)
                for x, value, label in zip(one.values, y, one.labels, strict=True):
                    if label == one.base:
                        axes.plot(x, value, "o", mfc="none", mec=colour, ms=7, mew=0.7)
            plain_axes(axes)
        pair[0].set(xlabel=f"{one_line(one.base)}: {one_line(one.option)}", ylabel="reward")
        pair[1].set(xlabel=one_line(one.option), ylabel="normalised cost")
        pair[1].axhline(1, color="#777777", lw=0.7, ls=(0, (4, 2)))
        pair[1].set_ylim(bottom=0)
    return figure
