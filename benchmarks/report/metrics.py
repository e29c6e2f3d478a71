"""The metrics of the overall table, one entry each.

A new metric needs an entry in `METRICS` and nothing else: the table of the report in every format,
the table `overall` of other programs, the intervals and the formulas that readers see follow from
it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks.report.resampling import (
    NAN,
    NO_INTERVAL,
    RESAMPLES,
    SAFE,
    Floats,
    Interval,
    Resamples,
    Stratum,
    interquartile_means,
    interval,
)
from benchmarks.report.wording import BLANK, number, with_interval

Intervals = dict[str, Interval]
"""The intervals of one method's metrics, by the metric's name."""


@dataclass(frozen=True)
class Scores:
    """The normalised scores of one method that its metrics are computed from."""

    cell_rewards: Sequence[float]
    """Mean reward of each cell that has a run; `cell_costs` likewise."""
    cell_costs: Sequence[float]
    rewards: Floats
    """Reward of each run; `costs` likewise."""
    costs: Floats

    @property
    def safe(self) -> NDArray[np.bool_]:
        """Which runs are safe."""
        return self.costs <= SAFE

    @property
    def safe_cells(self) -> NDArray[np.bool_]:
        """Which cells are safe."""
        return np.asarray(self.cell_costs, dtype=np.float64) <= SAFE


@dataclass(frozen=True)
class Metric:
    """One figure of a method in the overall table."""

    name: str
    """Column in the table `overall` and key of `Standing.metrics`."""
    value: Callable[[Scores], float]
    resample: Callable[[Resamples], Floats]
    """The metric of each resample."""
    better: Literal["more", "less"] = "more"
    header: str = ""
    """Column in the report; empty for a metric that only the data tables have."""
    terminal: Literal["hidden", "value", "interval"] = "hidden"
    """What the terminal's table shows of it."""
    definition: str = ""
    """What it is, for the formula "Overall" and the description of the data tables."""
    format: Callable[[float], str] = number
    """Text of a value, and of the ends of its interval."""
    of_cells: bool = False
    """Whether it is a share of the cells with a run; their count is then shown too."""

    def text(self, value: float, bounds: Interval, cells: int) -> str:
        """Its text in documents: value, interval if there is one, and count among `cells`."""
        shown = with_interval(value, bounds, self.format)
        return f"{shown} ({self._count(value, cells)})" if self.of_cells and cells else shown

    def brief(self, value: float, bounds: Interval, cells: int) -> str:
        """Its text in the terminal, where a share of cells is a count only."""
        if self.of_cells:
            return self._count(value, cells) if cells else BLANK
        return with_interval(
            value, bounds if self.terminal == "interval" else NO_INTERVAL, self.format
        )

    def _count(self, value: float, cells: int) -> str:
        return f"{round(value * cells)}/{cells}"


def iqm(values: ArrayLike) -> Floats:
    """Interquartile mean over the last axis; of n values the ⌊n/4⌋ at either end are left out."""
    values = np.sort(np.asarray(values, dtype=np.float64), axis=-1)
    cut = values.shape[-1] // 4
    return np.asarray(values[..., cut : values.shape[-1] - cut].mean(axis=-1))


def violation(cost: Floats) -> Floats:
    """How far a normalised cost lies above 1; 0 where it is safe."""
    return np.where(cost <= SAFE, 0.0, cost - 1.0)


def mean(values: ArrayLike) -> float:
    """The mean; NaN of no values."""
    array = np.ascontiguousarray(values)
    return float(np.mean(array)) if array.size else NAN


METRICS = (
    Metric(
        "safe_cells",
        lambda scores: mean(scores.safe_cells),
        lambda drawn: drawn.safe_cells(),
        header="safe cells",
        terminal="value",
        definition="share of the cells with a run that are safe",
        of_cells=True,
    ),
    Metric(
        "safe_cell_reward",
        lambda scores: mean(np.asarray(scores.cell_rewards)[scores.safe_cells]),
        lambda drawn: drawn.safe_cell_reward(),
        header="reward of the safe cells",
        definition="mean over the safe cells",
    ),
    Metric(
        "reward",
        lambda scores: mean(scores.cell_rewards),
        lambda drawn: drawn.mean_reward(),
        header="reward",
        terminal="interval",
        definition="mean over the cells with a run",
    ),
    Metric(
        "iqm",
        lambda scores: float(iqm(scores.rewards)) if len(scores.rewards) else NAN,
        lambda drawn: interquartile_means(drawn.rewards, drawn.counts),
        header="IQM of reward",
        terminal="value",
        definition="interquartile mean over the runs",
    ),
    Metric(
        "cost",
        lambda scores: mean(scores.cell_costs),
        lambda drawn: drawn.mean_cost(),
        better="less",
        header="cost",
        terminal="interval",
        definition="mean over the cells with a run",
    ),
    Metric(
        "violation",
        lambda scores: mean(violation(scores.costs)),
        lambda drawn: drawn.total([violation(cost) for cost in drawn.costs]) / drawn.runs,
        better="less",
        header="violation",
        definition="mean over the runs of how far the normalised cost lies above 1",
    ),
    Metric(
        "safe_rate",
        lambda scores: mean(scores.safe),
        lambda drawn: drawn.total([(c <= SAFE).astype(float) for c in drawn.costs]) / drawn.runs,
        definition="share of safe runs",
    ),
)
"""In the order of the table `overall`."""
NO_INTERVALS: Intervals = {metric.name: NO_INTERVAL for metric in METRICS}


def bootstrap(strata: Sequence[Stratum], resamples: int = RESAMPLES, seed: int = 0) -> Intervals:
    """95% intervals of one method's metrics."""
    drawn = Resamples(strata, resamples, seed)
    return {metric.name: interval(metric.resample(drawn)) for metric in METRICS}
