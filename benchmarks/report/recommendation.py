"""Which method to use at a cost limit: how likely a new training keeps it, and at what reward.

A cell's seeds are a small sample of trainings. If the mean normalised costs of trainings were
normally distributed, that of another training would have a Student's t distribution around the
seeds' mean, with the standard deviation s * sqrt(1 + 1 / n) and n - 1 degrees of freedom. Its
probability to be at most 1 is the cell's probability. Over tasks, probabilities are averaged: that
is the probability for a task drawn at random from them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.report.resampling import (
    NAN,
    NO_INTERVAL,
    RESAMPLES,
    SAFE,
    Floats,
    Interval,
    Resamples,
    interval,
    strata_of,
)
from benchmarks.report.statistics import Cell, setting_of


@dataclass(frozen=True)
class Prospect:
    """What to expect of a method's next training over some cells.

    Figures are over the cells with a run; NaN where there is none.
    """

    method: str
    probability: float
    """Probability that the training keeps the limit; NaN if a cell has fewer than two seeds."""
    reward: float
    """Mean normalised reward over the cells."""
    interval: Interval
    """95% bootstrap interval of the reward."""
    safe_runs: int
    """Safe runs, among the `runs`."""
    runs: int
    cells: int
    """Cells with a run, among the `of` expected ones."""
    of: int
    worst_cost: float
    """Largest mean normalised cost of a run, which was on `worst_task`."""
    worst_task: str
    train_seconds: float
    """Mean time of a training; NaN where it was not recorded."""
    trains_per_limit: bool

    def recommended(self, confidence: float) -> bool:
        """Whether it has all cells and keeps the limit with at least this probability."""
        return self.cells == self.of and self.probability >= confidence


def keeps_limit(costs: Floats) -> float:
    """Probability that another training is safe, from the normalised costs of trainings [n].

    NaN for fewer than two. Costs that are all equal are taken for certain.
    """
    if len(costs) < 2:
        return NAN
    mean, deviation = float(costs.mean()), float(costs.std(ddof=1))
    if math.isclose(deviation, 0.0, abs_tol=1e-12):
        return float(mean <= SAFE)
    from scipy.special import stdtr  # a tenth of a second to import

    scale = deviation * math.sqrt(1.0 + 1.0 / len(costs))
    return float(stdtr(len(costs) - 1, (SAFE - mean) / scale))


def prospects(
    runs: pd.DataFrame,
    chosen: Sequence[Cell],
    trainings: pd.DataFrame,
    resamples: int = RESAMPLES,
) -> list[Prospect]:
    """The prospects of all methods over the `chosen` cells, by descending reward.

    `runs` are `statistics.run_scores` of the episodes whose `cells` these are; `trainings` has the
    columns of `frame.TRAININGS`.
    """
    found = [
        _prospect(method, [c for c in chosen if c.algorithm == method], runs, trainings, resamples)
        for method in sorted({cell.algorithm for cell in chosen})
    ]
    return sorted(found, key=lambda p: (math.isnan(p.reward), -p.reward, p.method))


def by_setting(
    runs: pd.DataFrame,
    table: Sequence[Cell],
    trainings: pd.DataFrame,
    resamples: int = RESAMPLES,
) -> dict[tuple[bool, float], list[Prospect]]:
    """The `prospects` at each setting of the limit (`statistics.setting_of`), ascending."""
    settings: dict[tuple[bool, float], list[Cell]] = {}
    for cell in sorted(table, key=setting_of):
        settings.setdefault(setting_of(cell), []).append(cell)
    return {
        setting: prospects(runs, chosen, trainings, resamples)
        for setting, chosen in settings.items()
    }


def closest(found: Sequence[Prospect]) -> Prospect | None:
    """The likeliest to keep the limit among those with all cells and a known probability."""
    known = [p for p in found if not math.isnan(p.probability) and p.cells == p.of]
    return max(known, key=lambda prospect: prospect.probability, default=None)


def _prospect(
    method: str,
    expected: Sequence[Cell],
    runs: pd.DataFrame,
    trainings: pd.DataFrame,
    resamples: int,
) -> Prospect:
    present = [cell for cell in expected if cell.seeds]
    keys = {(method, cell.task, cell.limit) for cell in present}
    places = zip(runs["algorithm"], runs["task"], runs["limit"], strict=True)
    own = runs[np.array([place in keys for place in places], dtype=bool)]
    costs = own["cost"].to_numpy(dtype=np.float64)
    probabilities = [
        keeps_limit(cell["cost"].to_numpy(dtype=np.float64))
        for _, cell in own.groupby(["task", "limit"])
    ]
    of_method = trainings[trainings["algorithm"] == method]
    timed = of_method[of_method["task"].isin({cell.task for cell in present})]
    seconds = timed["train_seconds"].dropna().to_numpy(dtype=np.float64)
    enough = bool(present) and min(cell.seeds for cell in present) > 1
    worst = int(costs.argmax()) if len(costs) else None
    return Prospect(
        method,
        probability=float(np.mean(probabilities)) if probabilities else NAN,
        reward=float(np.mean([cell.reward for cell in present])) if present else NAN,
        interval=interval(Resamples(strata_of(own), resamples, seed=0).mean_reward())
        if enough
        else NO_INTERVAL,
        safe_runs=int((costs <= SAFE).sum()),
        runs=len(costs),
        cells=len(present),
        of=len(expected),
        worst_cost=NAN if worst is None else float(costs[worst]),
        worst_task="" if worst is None else str(own["task"].iloc[worst]),
        train_seconds=float(np.mean(seconds)) if len(seconds) else NAN,
        trains_per_limit=bool(len(of_method)) and bool(of_method["train_limit"].notna().any()),
    )
