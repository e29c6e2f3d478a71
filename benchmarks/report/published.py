"""Published numbers with ours under the same protocol; the others with the reason why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.common.errors import UserError
from benchmarks.report.frame import RUN
from benchmarks.report.metrics import NO_INTERVALS, Intervals, bootstrap
from benchmarks.report.resampling import strata_of
from benchmarks.report.statistics import run_scores
from benchmarks.tasks.suites import Limit, parse_limit
from benchmarks.tasks.tasks import TASKS

COLUMNS = (
    *("paper", "method", "task", "limits", "episodes", "seeds", "data", "reward", "cost"),
    *("protocol", "source"),
)
AVERAGES = {
    "average-12": tuple(TASKS),
    "average-bullet": tuple(name for name, task in TASKS.items() if task.engine == "bullet"),
}
"""Names of published averages, and the tasks that they average."""
BUDGET = "paper"
"""The budget with the papers' numbers of updates; no other is compared."""


@dataclass(frozen=True)
class Figure:
    """One row of a paper's table: a method on a task, averaged over some limits."""

    paper: str
    method: str
    task: str
    limits: tuple[Limit, ...]
    """Empty if the paper does not state them."""
    episodes: int
    """At each limit; 0 if the source does not state it."""
    seeds: int
    """0 if the source does not state it."""
    data: str
    reward: float
    cost: float
    protocol: str
    source: str


@dataclass(frozen=True)
class Match:
    """A published figure and ours under the same protocol, with our intervals."""

    theirs: Figure
    method: str
    reward: float
    cost: float
    intervals: Intervals


@dataclass(frozen=True)
class Incomparable:
    """Figures of one paper under one protocol that cannot be compared with ours, for one reason."""

    paper: str
    methods: tuple[str, ...]
    protocol: str
    source: str
    tasks: tuple[str, ...]
    reason: str


def figures(table: pd.DataFrame) -> list[Figure]:
    """The rows of a table of text with the columns `COLUMNS`.

    Raises `UserError` for other columns and `ValueError` for invalid values.
    """
    if tuple(table.columns) != COLUMNS:
        raise UserError(f"its columns are not {', '.join(COLUMNS)}")
    return [_figure(dict(zip(COLUMNS, row, strict=True))) for row in table.to_numpy()]


def _figure(row: dict[str, str]) -> Figure:
    reward, cost = float(row["reward"]), float(row["cost"])
    if not np.isfinite([reward, cost]).all():
        raise ValueError(f"{row['method']} on {row['task']} has no finite reward and cost")
    return Figure(
        row["paper"],
        row["method"],
        row["task"],
        tuple(parse_limit(text) for text in row["limits"].split()),
        int(row["episodes"] or 0),
        int(row["seeds"] or 0),
        row["data"],
        reward,
        cost,
        row["protocol"],
        row["source"],
    )


def compare_published(
    figures: Sequence[Figure], episodes: pd.DataFrame
) -> tuple[list[Match], list[Incomparable]]:
    """The published figures with ours, and those that cannot be compared; `episodes` validated.

    A figure matches if data, limits, tasks, seeds and episodes are the same, our budget is that of
    the papers, and no run of ours is missing.
    """
    facts = [*RUN, "source", "budget", "fraction"]
    runs = run_scores(episodes).assign(source="", budget="", fraction=0.0)
    if len(runs):
        runs = runs[[*RUN, "reward", "cost", "episodes"]].merge(
            episodes[facts].drop_duplicates(RUN), on=RUN
        )
    # Names that differ only in case are different methods.
    by_name: dict[str, list[pd.DataFrame]] = {}
    for algorithm, rows in runs.groupby("algorithm"):
        by_name.setdefault(str(algorithm).lower(), []).append(rows)
    matches: list[Match] = []
    incomparable: dict[tuple[str, str, str, str], tuple[dict[str, None], dict[str, None]]] = {}
    for figure in figures:
        outcomes = [_match(figure, rows) for rows in by_name.get(figure.method.lower(), [])]
        matched = [outcome for outcome in outcomes if isinstance(outcome, Match)]
        matches += matched
        reasons = [outcome for outcome in outcomes if isinstance(outcome, str)]
        reasons = reasons or ["no such method in this table"]
        for reason in [] if matched else dict.fromkeys(reasons):
            key = (figure.paper, figure.protocol, figure.source, reason)
            methods, tasks = incomparable.setdefault(key, ({}, {}))
            methods[figure.method] = tasks[figure.task] = None
    return matches, [
        Incomparable(paper, tuple(methods), protocol, source, tuple(tasks), reason)
        for (paper, protocol, source, reason), (methods, tasks) in incomparable.items()
    ]


def _match(figure: Figure, runs: pd.DataFrame) -> Match | str:
    """The match of a figure with the runs of one method, or the first reason against it."""
    sources = sorted(set(runs["source"]))
    if sources != [figure.data]:
        return f"other data: theirs {figure.data}, ours {', '.join(sources)}"
    if not figure.limits:
        return "the paper does not tell the limits task by task"
    if not (figure.seeds and figure.episodes):
        return "the source does not tell seeds and episodes"
    tasks = AVERAGES.get(figure.task, (figure.task,))
    if absent := [task for task in tasks if task not in set(runs["task"])]:
        return f"not run here: {', '.join(absent)}"
    runs = runs[runs["task"].isin(tasks)]
    runs = runs[np.any([_at(limit, runs) for limit in figure.limits], axis=0)]
    cells = runs.groupby(["task", "limit"])
    if len(cells) < len(tasks) * len(figure.limits):
        limits = " ".join(map(str, figure.limits))
        return f"other limits: theirs {limits}, of which not all are run here"
    for what, expected, counts in (
        ("seeds", figure.seeds, set(cells.size())),
        ("episodes a limit", figure.episodes, set(runs["episodes"])),
    ):
        if counts != {expected}:
            ours = " to ".join(str(n) for n in dict.fromkeys((min(counts), max(counts))))
            return f"other numbers of {what}: theirs {expected}, ours {ours}"
    if budgets := sorted(set(runs["budget"]) - {BUDGET}):
        return f"other budget: ours is {', '.join(budgets)}, not {BUDGET}"
    means = cells[["reward", "cost"]].mean().mean()
    return Match(
        figure,
        str(runs["algorithm"].iloc[0]),
        float(means["reward"]),
        float(means["cost"]),
        bootstrap(strata_of(runs)) if figure.seeds > 1 else NO_INTERVALS,
    )


def _at(limit: Limit, runs: pd.DataFrame) -> NDArray[np.bool_]:
    """Which runs are at a limit, which is stored with nine digits."""
    column = runs["fraction"] if limit.relative else runs["limit"]
    return np.asarray((column - limit.value).abs() < 1e-8)
