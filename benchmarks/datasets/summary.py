"""What a data set holds, in figures and in a picture: which returns it has at which costs."""

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
"""Panels beside each other."""
_DOTS, _LINE, _LIMITS = "#0072b2", "#d55e00", "#999999"


@dataclass(frozen=True)
class Tenth:
    """The trajectories whose cost lies in one tenth of the range from 0 to the task's maximum."""

    episodes: int
    poorest: float
    """Least return among them; NaN where there are none, as with the next two."""
    median: float
    best: float


@dataclass(frozen=True)
class Summary:
    """Figures of a data set."""

    task: str
    episodes: int
    transitions: int
    min_return: float
    max_return: float
    max_cost: float
    tenths: tuple[Tenth, ...]
    best_within: tuple[float, ...]
    """Largest return of a trajectory that costs at most 10, 20, … 100 % of the maximum."""

    def line(self) -> str:
        """One line for people."""
        return (
            f"{self.task}: {self.episodes} episodes, {self.transitions} transitions; returns "
            f"{self.min_return:.1f} to {self.max_return:.1f}; costs to {self.max_cost:g}; "
            f"by tenth of the cost range {' '.join(str(tenth.episodes) for tenth in self.tenths)}"
        )

    def table(self) -> str:
        """Markdown: one row a tenth of the cost range."""
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
    """The figures of `data`; trajectories above the task's maximum cost are in no tenth."""
    edges = np.linspace(0.0, task.max_cost, 11)
    # the first tenth holds cost 0 as well as its upper edge: a limit is kept when it is met
    place = np.maximum(np.searchsorted(edges, data.episode_costs, side="left") - 1, 0)
    tenths = []
    for k in range(10):
        returns = data.returns[place == k]
        figures = np.quantile(returns, (0.0, 0.5, 1.0)) if len(returns) else [np.nan] * 3
        tenths.append(Tenth(len(returns), *map(float, figures)))
    within = [data.returns[data.episode_costs <= edge] for edge in edges[1:]]
    return Summary(
        task.name,
        len(data),
        len(data.rewards),
        float(data.returns.min()),
        float(data.returns.max()),
        float(data.episode_costs.max()),
        tuple(tenths),
        tuple(float(own.max()) if len(own) else np.nan for own in within),
    )


def draw(sets: Sequence[tuple[Task, Trajectories]], path: Path) -> None:
    """Write a picture of return against cost, a panel a set, with the suites' limits, at `path`."""
    columns = min(_COLUMNS, len(sets))
    rows = -(-len(sets) // columns)
    with mpl.rc_context({"font.size": 7.5, "axes.titlesize": 8, "axes.linewidth": 0.6}):
        size = max(1.0 + 2.2 * columns, 5.0), max(0.5 + 1.9 * rows, 3.0)  # inches
        figure = Figure(size, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, (task, data) in zip(axes, sets, strict=False):
            _draw_one(panel, task, data)
        for panel in axes[len(sets) :]:
            panel.set_axis_off()
        figure.supxlabel("cost of a trajectory (dotted: limits of the suites, % of the maximum)")
        figure.supylabel("return (line: best within a cost)")
        buffer = BytesIO()
        figure.savefig(buffer, format=path.suffix.lstrip(".") or "png", dpi=150)
    write_atomic(path, buffer.getvalue())


def _draw_one(panel: Axes, task: Task, data: Trajectories) -> None:
    costs, returns = data.episode_costs, data.returns
    order = np.argsort(costs, kind="stable")
    panel.scatter(costs, returns, s=2.5, color=_DOTS, alpha=0.5, linewidths=0)
    best = np.maximum.accumulate(returns[order])
    panel.step(costs[order], best, where="post", color=_LINE, linewidth=0.9)
    for limit in (limit for suite in ("tight", "loose") for limit in SUITES[suite].limits):
        panel.axvline(limit.of(task), color=_LIMITS, linewidth=0.6, linestyle=":")
    panel.set_title(f"{task.name} ({len(data)})")
    panel.tick_params(length=2, labelsize=6.5)
