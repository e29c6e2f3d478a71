"""Numbers from papers beside ours, where the protocol is the same; the others with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.common.errors import UserError
from benchmarks.report.frame import RUN
from benchmarks.report.resampling import NO_INTERVALS, Intervals, bootstrap, strata_of
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
"""Tasks that a row of such a name is the mean over."""
BUDGET = "paper"
"""The one budget of ours whose numbers of updates are those of the papers."""


@dataclass(frozen=True)
class Figure:
    """One row: what a paper prints for a method on a task, the mean over some limits."""

    paper: str
    method: str
    task: str
    limits: tuple[Limit, ...]
    """Empty where the paper does not tell them."""
    episodes: int
    seeds: int
    data: str
    reward: float
    cost: float
    protocol: str
    source: str


@dataclass(frozen=True)
class Match:
    """A figure and ours under the same protocol, with the intervals of ours."""

    theirs: Figure
    method: str
    reward: float
    cost: float
    intervals: Intervals


@dataclass(frozen=True)
class Apart:
    """Figures of one paper under one protocol that do not match ours, for the same reason."""

    paper: str
    methods: tuple[str, ...]
    protocol: str
    source: str
    tasks: tuple[str, ...]
    reason: str


def figures(table: pd.DataFrame) -> list[Figure]:
    """The rows of a table of text with the columns `COLUMNS`.

    Raises `UserError` for other columns, `ValueError` for values that are none.
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
        int(row["episodes"]),
        int(row["seeds"]),
        row["data"],
        reward,
        cost,
        row["protocol"],
        row["source"],
    )


def compare_published(
    figures: Sequence[Figure], episodes: pd.DataFrame
) -> tuple[list[Match], list[Apart]]:
    """The figures with ours beside them, and those that cannot be compared, `episodes` validated.

    A figure matches where data, limits, tasks, seeds and episodes are the same, our budget is
    that of the papers, and no run of ours is missing.
    """
    facts = [*RUN, "source", "budget", "fraction"]
    runs = run_scores(episodes).assign(source="", budget="", fraction=0.0)
    if len(runs):
        runs = runs[[*RUN, "reward", "cost", "episodes"]].merge(
            episodes[facts].drop_duplicates(RUN), on=RUN
        )
    matches: list[Match] = []
    apart: dict[tuple[str, str, str, str], tuple[dict[str, None], dict[str, None]]] = {}
    for figure in figures:
        own = runs[runs["algorithm"].str.lower() == figure.method.lower()]
        # names that differ in case alone are methods of their own
        found = [_match(figure, rows) for _, rows in own.groupby("algorithm")]
        hits = [one for one in found if isinstance(one, Match)]
        matches += hits
        reasons = [one for one in found if isinstance(one, str)] or ["no such method in this table"]
        for reason in [] if hits else dict.fromkeys(reasons):
            key = (figure.paper, figure.protocol, figure.source, reason)
            methods, tasks = apart.setdefault(key, ({}, {}))
            methods[figure.method] = tasks[figure.task] = None
    return matches, [
        Apart(paper, tuple(methods), protocol, source, tuple(tasks), reason)
        for (paper, protocol, source, reason), (methods, tasks) in apart.items()
    ]


def _match(figure: Figure, own: pd.DataFrame) -> Match | str:
    """The runs of one method beside the figure, or the first reason against it."""
    sources = sorted(set(own["source"]))
    if sources != [figure.data]:
        return f"other data: theirs {figure.data}, ours {', '.join(sources)}"
    if not figure.limits:
        return "the paper does not tell the limits task by task"
    tasks = AVERAGES.get(figure.task, (figure.task,))
    if lacking := [task for task in tasks if task not in set(own["task"])]:
        return f"not run here: {', '.join(lacking)}"
    own = own[own["task"].isin(tasks)]
    own = own[np.any([_at(limit, own) for limit in figure.limits], axis=0)]
    cells = own.groupby(["task", "limit"])
    if len(cells) < len(tasks) * len(figure.limits):
        limits = " ".join(map(str, figure.limits))
        return f"other limits: theirs {limits}, of which not all are run here"
    for what, asked, counts in (
        ("seeds", figure.seeds, set(cells.size())),
        ("episodes a limit", figure.episodes, set(own["episodes"])),
    ):
        if counts != {asked}:
            have = " to ".join(str(n) for n in dict.fromkeys((min(counts), max(counts))))
            return f"other numbers of {what}: theirs {asked}, ours {have}"
    if budgets := sorted(set(own["budget"]) - {BUDGET}):
        return f"other budget: ours is {', '.join(budgets)}, not {BUDGET}"
    means = cells[["reward", "cost"]].mean().mean()
    return Match(
        figure,
        str(own["algorithm"].iloc[0]),
        float(means["reward"]),
        float(means["cost"]),
        bootstrap(strata_of(own)) if figure.seeds > 1 else NO_INTERVALS,
    )


def _at(limit: Limit, runs: pd.DataFrame) -> NDArray[np.bool_]:
    """Which runs are at a limit, to the nine digits that limits have."""
    column = runs["fraction"] if limit.relative else runs["limit"]
    return np.asarray((column - limit.value).abs() < 1e-8)
