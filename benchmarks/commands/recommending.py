"""The work of `benchmarks.recommend`: which methods of a leaderboard to use at a cost limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.errors import UserError, unknown_name
from benchmarks.report.frame import validate, validate_missing
from benchmarks.report.recommendation import Prospect, closest, prospects
from benchmarks.report.render.markup import aligned
from benchmarks.report.render.tables import prospect_table
from benchmarks.report.statistics import Cell, cells, run_scores, setting_of
from benchmarks.report.wording import setting_text
from benchmarks.results.load import load_results
from benchmarks.tasks.suites import Limit, parse_limit


def print_recommendation(folder: Path, limit: str, task: str | None, confidence: float) -> None:
    """Print the methods of the leaderboard in `folder` that are worth training at `limit`.

    Raises `UserError` for a limit or task that the leaderboard does not have.
    """
    data = load_results(folder)
    episodes = validate(data.episodes)
    table = cells(episodes, validate_missing(data.missing))
    chosen = _cells_at(table, parse_limit(limit), limit, task, folder)
    found = prospects(run_scores(episodes), chosen, data.details.trainings)
    good = [prospect for prospect in found if prospect.recommended(confidence)]
    rest = [prospect for prospect in found if prospect not in good]
    tasks = sorted({cell.task for cell in chosen})
    where = tasks[0] if len(tasks) == 1 else f"{len(tasks)} tasks ({', '.join(tasks)})"
    print(f"limit {limit} on {where}, by {folder}")
    if good:
        print(f"\nUse one of these: their next training keeps the limit with p >= {confidence:g}.")
        print(aligned(prospect_table(good)))
    else:
        print(f"\nUse none: {_closest(rest, confidence)}")
    if rest:
        print(f"\nBelow p = {confidence:g}, or not known:")
        print(aligned(prospect_table(rest)))


def _cells_at(
    table: Sequence[Cell], limit: Limit, text: str, task: str | None, folder: Path
) -> list[Cell]:
    """The cells at the limit, on one task or all; `UserError` if there are none."""
    tasks = sorted({cell.task for cell in table})
    if task is not None and task not in tasks:
        raise unknown_name(f"task of {folder}", task, tasks)
    of_task = [cell for cell in table if task in (None, cell.task)]
    chosen = [
        cell
        for cell in of_task
        if math.isclose(cell.fraction if limit.relative else cell.limit, limit.value, abs_tol=1e-9)
    ]
    if not chosen:
        settings = sorted({setting_of(cell) for cell in of_task})
        shown = [setting_text(setting).removeprefix("limit ") for setting in settings]
        raise UserError(
            f"--limit {text}: {folder} has no results at this limit; it has {', '.join(shown)}"
        )
    return chosen


def _closest(rest: Sequence[Prospect], confidence: float) -> str:
    """Why no method is recommended."""
    best = closest(rest)
    if best is None:
        return "the probability needs two seeds or more in every cell"
    return (
        f"no method keeps the limit with p >= {confidence:g}; "
        f"the closest is {best.method} with {best.probability:.2f}"
    )
