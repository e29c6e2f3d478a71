"""The style of all figures, and their rendering to bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from io import BytesIO
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.report.appearance import COLOURS, MARKERS, Look
from benchmarks.report.resampling import Interval
from benchmarks.report.wording import one_line

Styles = Mapping[str, Look]
"""The look of each line by its key, in the order of the legend."""
Images = dict[str, bytes]
"""The image files of a figure by kind, such as "svg"."""
Place = Literal["upper center", "right upper"]
"""Where a legend stands outside the panels."""
_OUTSIDE: dict[Place, Literal["outside upper center", "outside right upper"]] = {
    "upper center": "outside upper center",
    "right upper": "outside right upper",
}
COLUMN = 3.4
"""Width of a column of a paper, in inches."""
PAGE = 7.6

STYLE: dict[str, str | float] = {
    "axes.edgecolor": "#888888",
    "axes.linewidth": 0.6,
    "axes.titlesize": 8,
    "figure.labelsize": 8,
    "font.size": 7.5,
    "pdf.fonttype": 42,  # text stays text
    "legend.fontsize": 7.5,
    "svg.fonttype": "none",  # names stay text that can be searched and selected
    "svg.hashsalt": "leaderboard",  # otherwise identifiers are random
    "text.parse_math": False,  # a $ in a name is not the start of a formula
    "xtick.color": "#444444",
    "xtick.labelsize": 7,
    "xtick.major.size": 2,
    "xtick.major.width": 0.6,
    "ytick.color": "#444444",
    "ytick.labelsize": 7,
    "ytick.major.size": 2,
    "ytick.major.width": 0.6,
}


def styles_of(labels: Sequence[str]) -> Styles:
    """Looks of lines that are not methods, such as losses or limits, in their order."""
    return {
        label: Look(one_line(label), COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)])
        for i, label in enumerate(labels)
    }


def legend(figure: Figure, styles: Styles, columns: int, place: Place = "upper center") -> None:
    """Add a legend outside the panels, above them by default; its order is read row by row."""
    looks = list(styles.values())
    columns = max(1, min(columns, len(looks)))
    looks = [look for i in range(columns) for look in looks[i::columns]]  # it is filled by columns
    figure.legend(
        [
            Line2D([], [], color=look.colour, marker=look.marker, markersize=5, lw=0.8)
            for look in looks
        ],
        [look.name for look in looks],
        loc=_OUTSIDE[place],
        ncols=columns,
        frameon=False,
    )


def cross(
    axes: Axes, x: float, y: float, across: Interval, up: Interval, colour: str, width: float = 0.8
) -> None:
    """Draw the intervals of a point's coordinates; one without an interval is left out."""
    if not math.isnan(across.low):
        axes.plot([*across], [y, y], color=colour, lw=width, alpha=0.7, zorder=2)
    if not math.isnan(up.low):
        axes.plot([x, x], [*up], color=colour, lw=width, alpha=0.7, zorder=2)


def empty(text: str) -> Figure:
    """A figure that only states why it is empty."""
    figure = Figure(figsize=(COLUMN, 1))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def plain_axes(axes: Axes) -> None:
    """Set a light grid, and remove the lines at the top and on the right."""
    axes.grid(color="#e6e6e6", lw=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


_DPI = 200
_OMITTED_METADATA: dict[str, dict[str, str | None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
"""Metadata that would make every file differ."""


def render(draw: Callable[[], Figure], kinds: Collection[str]) -> Images:
    """Render the figure of `draw` as image files of some `kinds`: "png", "svg", "pdf".

    Equal figures give equal bytes, whatever the user's matplotlib settings.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)  # type: ignore[arg-type]  # names are literals there
        figure = draw()
        figure.set_dpi(_DPI)  # the width of text depends on it
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # keep this layout: `savefig` would repeat it
        images = {}
        for kind in kinds:
            buffer = BytesIO()
            figure.savefig(buffer, format=kind, dpi=_DPI, metadata=_OMITTED_METADATA[kind])
            images[kind] = buffer.getvalue()
    return images
