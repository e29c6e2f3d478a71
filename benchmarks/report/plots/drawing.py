"""The style of all figures, and their rendering to bytes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from io import BytesIO

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.report.wording import one_line

Styles = Mapping[str, tuple[str, str]]
"""Colour and marker of each method."""
Images = dict[str, bytes]
"""The image files of a figure by kind, such as "svg"."""
COLUMN = 3.4
"""Width of a column of a paper, in inches."""
PAGE = 7.6

# The colours of Okabe and Ito, which colour-blind readers can distinguish, without the yellow (too
# faint on white), then three of Tol's. With nine markers, no pair repeats before 90 methods.
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


def styles_of(methods: Sequence[str]) -> Styles:
    """Colours and markers of methods, in the order of their names."""
    return {
        name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)])
        for i, name in enumerate(methods)
    }


def legend(figure: Figure, styles: Styles, columns: int) -> None:
    """Add a legend of the methods above the panels."""
    figure.legend(
        [Line2D([], [], color=c, marker=m, markersize=5, lw=0.8) for c, m in styles.values()],
        [one_line(name) for name in styles],
        loc="outside upper center",
        ncols=columns,
        frameon=False,
    )


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
