"""How every picture looks, and how it becomes bytes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from io import BytesIO

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.report.wording import one_line

Looks = Mapping[str, tuple[str, str]]
"""Colour and marker of each method."""
Images = dict[str, bytes]
"""A picture by its kind, such as "svg"."""
COLUMN = 3.4
"""Width of a column of a paper, in inches."""
PAGE = 7.6

# Okabe and Ito's colours, which the colour-blind tell apart, without the yellow too faint on white,
# then three of Tol's. With nine markers no pair repeats before 90 methods.
COLOURS = [
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#56b4e9", "#e69f00"),
    *("#882255", "#999933", "#332288"),
]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", "p"]


STYLE: dict[str, str | float] = {
    "axes.edgecolor": "#888888",
    "axes.linewidth": 0.6,
    "axes.titlesize": 8,
    "figure.labelsize": 8,
    "font.size": 7.5,
    "pdf.fonttype": 42,  # text stays text
    "legend.fontsize": 7.5,
    "svg.fonttype": "none",  # names stay text that can be searched and selected
    "svg.hashsalt": "leaderboard",  # else identifiers are random
    "text.parse_math": False,  # a $ in a name is a $
    "xtick.color": "#444444",
    "xtick.labelsize": 7,
    "xtick.major.size": 2,
    "xtick.major.width": 0.6,
    "ytick.color": "#444444",
    "ytick.labelsize": 7,
    "ytick.major.size": 2,
    "ytick.major.width": 0.6,
}


def looks_of(methods: Sequence[str]) -> Looks:
    """Colours and markers of methods, by their place among the names."""
    return {
        name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)])
        for i, name in enumerate(methods)
    }


def legend(figure: Figure, looks: Looks, columns: int) -> None:
    """Name the methods above the panels."""
    figure.legend(
        [Line2D([], [], color=c, marker=m, markersize=5, lw=0.8) for c, m in looks.values()],
        [one_line(name) for name in looks],
        loc="outside upper center",
        ncols=columns,
        frameon=False,
    )


def empty(text: str) -> Figure:
    """A picture of nothing but the reason why."""
    figure = Figure(figsize=(COLUMN, 1))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def plain_axes(axes: Axes) -> None:
    """A light grid, and no lines at the top and on the right."""
    axes.grid(color="#e6e6e6", lw=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


_DPI = 200
_TIMELESS: dict[str, dict[str, str | None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
"""What must not be written, for each writing would differ."""


def render(draw: Callable[[], Figure], kinds: Collection[str]) -> Images:
    """The figure that `draw` makes, as files of some `kinds`: "png", "svg", "pdf".

    The same figure gives the same bytes, whatever the user's matplotlib settings are.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)  # type: ignore[arg-type]  # names are literals there
        figure = draw()
        figure.set_dpi(_DPI)  # text is a little wider or narrower at another
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, not again by each `savefig`
        images = {}
        for kind in kinds:
            buffer = BytesIO()
            figure.savefig(buffer, format=kind, dpi=_DPI, metadata=_TIMELESS[kind])
            images[kind] = buffer.getvalue()
    return images
