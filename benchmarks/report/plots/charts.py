"""Figures of one column's width: profiles, comparisons, learning curves, published numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.report.appearance import display_name, looks_of
from benchmarks.report.plots.drawing import (
    COLUMN,
    PAGE,
    empty,
    legend,
    plain_axes,
    styles_of,
)
from benchmarks.report.profiles import COSTS, REWARDS, Profile
from benchmarks.report.published import Match
from benchmarks.report.ranking import AverageRank, Improvement
from benchmarks.report.wording import NOTHING, one_line

_MAX_LOSSES = 4
"""Maximum number of lines in a panel of learning curves; more would be hard to distinguish."""


def profile_chart(profiles: Sequence[Profile]) -> Figure:
    """Shares of runs above each reward and within each cost, with pointwise 95% bands.

    The legend has the order of `profiles`.
    """
    if not profiles:
        return empty(NOTHING)
    styles = looks_of(profile.method for profile in profiles)
    rows = math.ceil(len(profiles) / 3)
    figure = Figure(figsize=(COLUMN, 1.9 + 0.16 * rows), layout="constrained")
    legend(figure, styles, 3)
    left, right = figure.subplots(1, 2, sharey=True)
    for profile in profiles:
        colour = styles[profile.method].colour
        left.plot(REWARDS, profile.reward, color=colour, lw=1.1)
        right.plot(COSTS, profile.cost, color=colour, lw=1.1, drawstyle="steps-post")
        if not np.isnan(profile.reward_low).any():
            for axes, x, low, high in (
                (left, REWARDS, profile.reward_low, profile.reward_high),
                (right, COSTS, profile.cost_low, profile.cost_high),
            ):
                axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
    right.axvline(1, color="#777777", lw=0.7, ls=(0, (4, 2)))
    left.set(xlabel="normalised reward above", ylabel="share of runs", ylim=(-0.03, 1.03))
    right.set(xlabel="normalised cost within")
    for axes in (left, right):
        plain_axes(axes)
    return figure


def matrix_chart(improvements: Sequence[Improvement], ranks: Sequence[AverageRank]) -> Figure:
    """The comparison matrix: probability that the row is better than the column, best rank first.

    Bold if the interval excludes one half.
    """
    if not improvements:
        return empty("Fewer than two methods are finished.")
    methods = [rank.method for rank in ranks]
    size = len(methods)
    values = np.full((size, size), np.nan)
    figure = Figure(figsize=(COLUMN, 1.2 + 0.28 * size), layout="constrained")
    axes = figure.subplots()
    for pair in improvements:
        i, j = methods.index(pair.method), methods.index(pair.other)
        values[i, j] = pair.probability
        if math.isnan(pair.probability):
            continue
        clear = pair.interval.low > 0.5 or pair.interval.high < 0.5
        axes.text(
            *(j, i, f"{pair.probability:.2f}"),
            ha="center",
            va="center",
            fontsize=7 if size <= 8 else 5,
            fontweight="bold" if clear else "normal",
            # not pure black, which a page shows in its own colour
            color="white" if abs(pair.probability - 0.5) > 0.35 else "#111111",
        )
    # Blue to orange, which colour-blind readers can distinguish.
    axes.imshow(values, cmap="PuOr", vmin=0, vmax=1, aspect="auto")
    names = [display_name(name) for name in methods]
    labels = [f"{name} ({rank.rank:.2f})" for name, rank in zip(names, ranks, strict=True)]
    axes.set_xticks(range(size), names, rotation=45, ha="right")
    axes.set_yticks(range(size), labels)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.suptitle("probability that the row is better; (average rank)", fontsize=7.5)
    return figure


def mean_curves(trainings: pd.DataFrame) -> tuple[list[float], dict[str, list[float]]]:
    """Updates, and each column of the curves averaged over one method's trainings.

    Only updates and columns that all trainings have are included.
    """
    curves = [json.loads(text) for text in trainings["curve"]]
    curves = [curve for curve in curves if curve.get("updates")]
    if not curves:
        return [], {}
    shared = sorted(set.intersection(*({*curve["updates"]} for curve in curves)))
    names = [
        name
        for name in curves[0]
        if name not in ("updates", "seconds") and all(name in curve for curve in curves)
    ]
    means = {}
    for name in names:
        rows = []
        for curve in curves:
            at = dict(zip(curve["updates"], curve[name], strict=True))
            rows.append([math.nan if at[x] is None else at[x] for x in shared])
        means[name] = np.mean(rows, axis=0).tolist()
    return shared, means


def curve_chart(trainings: pd.DataFrame, methods: Sequence[str]) -> Figure:
    """Learning curves: the first losses of each of `methods`, averaged over its trainings.

    Each is divided by its largest magnitude, as losses have no common scale.
    """
    curves = {str(name): mean_curves(rows) for name, rows in trainings.groupby("algorithm")}
    curves = {name: curves[name] for name in methods if name in curves and curves[name][0]}
    if not curves:
        return empty("No learning curve is kept.")
    across = min(len(curves), 3)
    rows = math.ceil(len(curves) / across)
    figure = Figure(figsize=(PAGE / 3 * across, 1.5 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, across, squeeze=False)
    for axes in panels.flat[len(curves) :]:
        axes.set_axis_off()
    for axes, (method, (updates, losses)) in zip(panels.flat, curves.items(), strict=False):
        shown = dict(list(losses.items())[:_MAX_LOSSES])
        styles = styles_of(list(shown))
        for name, values in shown.items():
            largest = np.nanmax(np.abs(values)) if not np.isnan(values).all() else 1.0
            label = one_line(name)
            axes.plot(
                updates,
                np.array(values) / (largest or 1.0),
                color=styles[name].colour,
                lw=1.1,
                label=label,
            )
        axes.set_title(display_name(method))
        plain_axes(axes)
        axes.legend(  # beside the panel, as lines may be anywhere in it
            fontsize=5.5,
            frameon=False,
            handlelength=0.9,
            borderpad=0.0,
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
        )
    figure.supxlabel("updates")
    figure.supylabel("loss / its largest magnitude")
    return figure


def published_chart(matches: Sequence[Match]) -> Figure:
    """Our results (filled) and the papers' (hollow), joined by a line, for reward and cost."""
    if not matches:
        return empty("No published number has this table's protocol.")
    figure = Figure(figsize=(COLUMN, 0.8 + 0.17 * len(matches)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for place, match in enumerate(matches):
        for axes, ours, theirs, bounds in (
            (left, match.reward, match.theirs.reward, match.intervals["reward"]),
            (right, match.cost, match.theirs.cost, match.intervals["cost"]),
        ):
            axes.plot([theirs, ours], [place, place], color="#0072b2", lw=0.9)
            axes.plot(theirs, place, "o", mfc="white", mec="#0072b2", ms=4)
            axes.plot(ours, place, "o", color="#0072b2", ms=4)
            if not math.isnan(bounds.low):
                axes.plot([*bounds], [place, place], color="#0072b2", lw=3, alpha=0.25)
    names = [f"{display_name(match.method)}, {match.theirs.task}" for match in matches]
    left.set_yticks(range(len(matches)), names)
    left.set(ylim=(len(matches) - 0.5, -0.5), xlabel="normalised reward")
    right.set(xlabel="normalised cost")
    right.axvline(1, color="#777777", lw=0.7, ls=(0, (4, 2)))
    for axes in (left, right):
        plain_axes(axes)
    figure.suptitle("filled: ours, with its interval · hollow: the paper's", fontsize=7)
    return figure
