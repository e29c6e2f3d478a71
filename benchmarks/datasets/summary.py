"""Summary of a data set, as figures and as a plot: its returns by cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.common.files import write_atomic
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.tasks.suites import SUITES
from benchmarks.tasks.tasks import Task

_COLUMNS = 4
"""Maximum number of panels in a row."""
_DOTS, _LINE, _LIMITS = "#0072b2", "#d55e00", "#999999"


@dataclass(frozen=True)
class Tenth:
    """The trajectories whose cost lies in one tenth of the range from 0 to the task's maximum."""

    episodes: int
    poorest: float
    """Smallest return; NaN without trajectories, as the next two."""
    median: float
    best: float


@dataclass(frozen=True)
class Summary:
    """Summary figures of a data set."""

    task: str
    episodes: int
    transitions: int
    min_return: float
    max_return: float
    max_cost: float
    tenths: tuple[Tenth, ...]
    best_within: tuple[float, ...]
    """Largest return of a trajectory with at most 10, 20, … 100 % of the maximum cost."""

    def line(self) -> str:
        """The figures as one line of text."""
        return (
            f"{self.task}: {self.episodes} episodes, {self.transitions} transitions; returns "
            f"{self.min_return:.1f} to {self.max_return:.1f}; costs to {self.max_cost:g}; "
            f"by tenth of the cost range {' '.join(str(tenth.episodes) for tenth in self.tenths)}"
        )

    def table(self) -> str:
        """The figures as a Markdown table with one row for each tenth of the cost range."""
        rows = [
            "| cost, % of maximum | trajectories | poorest | median | best | best within |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for k, (tenth, within) in enumerate(zip(self.tenths, self.best_within, strict=True)):
            returns = (
                "–" if np.isnan(value) else f"{value:.1f}"
                for value in (tenth.poorest, tenth.median, tenth.best, within)
            )
            rows.append(f"| {10 * k}–{10 * k + 10} | {tenth.episodes} | {' | '.join(returns)} |")
        return "\n".join(rows)


def summarise(data: Trajectories, task: Task) -> Summary:
    """Summarise `data`; no tenth includes trajectories above the task's maximum cost."""
    edges = np.linspace(0.0, task.max_cost, 11)
    # A tenth includes its upper edge, as a cost equal to a limit is within it, and the first 0.
    bins = np.maximum(np.searchsorted(edges, data.episode_costs, side="left") - 1, 0)
    tenths = []
    for k in range(10):
        returns = data.returns[bins == k]
        quantiles = np.quantile(returns, (0.0, 0.5, 1.0)) if len(returns) else [np.nan] * 3
        tenths.append(Tenth(len(returns), *map(float, quantiles)))
    within = [data.returns[data.episode_costs <= edge] for edge in edges[1:]]
    return Summary(
        task.name,
        len(data),
        len(data.rewards),
        float(data.returns.min()),
        float(data.returns.max()),
        float(data.episode_costs.max()),
        tuple(tenths),
        tuple(float(returns.max()) if len(returns) else np.nan for returns in within),
    )


def draw(sets: Sequence[tuple[Task, Trajectories]], path: Path) -> None:
    """Plot return against cost to `path`: one panel for each set, with the suites' limits."""
    columns = min(_COLUMNS, len(sets))
    rows = -(-len(sets) // columns)
    with mpl.rc_context():
        mpl.rcdefaults()  # not the user's settings
        mpl.rcParams.update({"font.size": 7.5, "axes.titlesize": 8, "axes.linewidth": 0.6})
        size = max(1.0 + 2.2 * columns, 5.0), max(0.5 + 1.9 * rows, 3.0)  # inches
        figure = Figure(size, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, (task, data) in zip(axes, sets, strict=False):
            _draw_panel(panel, task, data)
        for panel in axes[len(sets) :]:
            panel.set_axis_off()
        figure.supxlabel("cost of a trajectory (dotted: limits of the suites, % of the maximum)")
        figure.supylabel("return (line: best within a cost)")
        buffer = BytesIO()
        figure.savefig(buffer, format=path.suffix.lstrip(".") or "png", dpi=150)
    write_atomic(path, buffer.getvalue())


def _draw_panel(panel: Axes, task: Task, data: Trajectories) -> None:
    costs, returns = data.episode_costs, data.returns
    order = np.argsort(costs, kind="stable")
    panel.scatter(costs, returns, s=2.5, color=_DOTS, alpha=0.5, linewidths=0)
    best = np.maximum.accumulate(returns[order])
    panel.step(costs[order], best, where="post", color=_LINE, linewidth=0.9)
    for limit in (limit for suite in ("tight", "loose") for limit in SUITES[suite].limits):
        panel.axvline(limit.of(task), color=_LIMITS, linewidth=0.6, linestyle=":")
    panel.set_title(f"{task.name} ({len(data)})")
    panel.tick_params(length=2, labelsize=6.5)
