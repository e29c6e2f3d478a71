"""The leaderboard's tables, as a reader sees them: text with two decimals, and marks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from benchmarks.report.costs import Cost
from benchmarks.report.ranking import BothSafe, Improvement, Place
from benchmarks.report.render.markup import Entry, Row, Table, name
from benchmarks.report.resampling import NO_INTERVAL
from benchmarks.report.statistics import Average, Cell, Standing
from benchmarks.report.wording import (
    BLANK,
    cost_text,
    limit_text,
    number,
    one_line,
    setting_text,
    with_interval,
)

_REASON = 300  # longest reason in a report


def _incomplete(cells: int, of: int) -> str:
    """What follows a figure that lacks some of its cells."""
    return f" † ({cells} of {of} cells)" if cells < of else ""


def overall_table(standings: Sequence[Standing], brief: bool = False) -> Table:
    """A row a method over the cells that it has; `brief` leaves out what the terminal has not."""
    header = ["method", "safe runs", "reward", "IQM of reward", "cost"]
    header += [] if brief else ["violation", "safe reward"]
    return Table([*header, "seeds"], [_overall(standing, brief) for standing in standings])


def _overall(standing: Standing, brief: bool) -> Row:
    safe = f"{standing.safe_runs}/{standing.runs}"
    if not math.isnan(standing.intervals.safe_rate.low) and not brief:
        rate = with_interval(standing.safe_rate, standing.intervals.safe_rate)
        safe = f"{rate} ({safe})"
    safe += _incomplete(standing.cells, standing.of)
    fewest, most = standing.seeds
    seeds = f"{fewest}" if fewest == most else f"{fewest}-{most}"
    intervals = standing.intervals
    row: Row = [
        name(standing.algorithm),
        safe,
        with_interval(standing.reward, intervals.reward),
        with_interval(standing.iqm, NO_INTERVAL if brief else intervals.iqm),
        with_interval(standing.cost, intervals.cost),
    ]
    if not brief:
        row.append(with_interval(standing.violation, intervals.violation))
        row.append(with_interval(standing.safe_reward, intervals.safe_reward))
    return [*row, f"{seeds} †" if standing.lost else seeds]


def task_table(
    table: Sequence[Cell], task: str, methods: Sequence[str], brief: bool = False
) -> Table:
    """Methods x limits of one task: "reward / cost" and whether that is safe.

    Methods stand in the order given. The best safe reward of each limit is marked, and so is what
    is unsafe; `brief` leaves deviations over seeds out.
    """
    here = [cell for cell in table if cell.task == task]
    limits = {cell.limit: cell.fraction for cell in here}
    found = {(cell.algorithm, cell.limit): cell for cell in here}
    best = {
        limit: max((c.reward for c in here if c.safe and c.limit == limit), default=math.nan)
        for limit in limits
    }
    rows: list[Row] = [
        [name(method), *(_cell(found[method, limit], best[limit], brief) for limit in limits)]
        for method in methods
    ]
    header = [f"limit {limit_text(limit, fraction)}" for limit, fraction in limits.items()]
    return Table(["method", *header], rows)


def _cell(cell: Cell, best: float, brief: bool) -> Entry:
    if cell.safe is None:
        return Entry(cell.status)
    reward, cost = number(cell.reward), cost_text(cell.cost, cell.safe)
    if cell.seeds > 1 and not brief:
        reward += f" ± {number(cell.reward_std)}"
        cost += f" ± {number(cell.cost_std)}"
    text = f"{reward} / {cost} {'✓' if cell.safe else '✗'}"
    if cell.lost:
        text += f" ({cell.seeds}/{cell.seeds + cell.lost} seeds)"
    if not cell.safe:
        return Entry(text, "unsafe")
    return Entry(text, "best" if cell.reward == best else "")


def average_table(means: Sequence[Average], methods: Sequence[str]) -> Table:
    """Methods x settings of the limit: means over tasks, and how many of them are safe."""
    found = {(mean.algorithm, mean.setting): mean for mean in means}
    settings = sorted({mean.setting for mean in means})

    def text(mean: Average) -> str:
        if not mean.cells:
            return BLANK
        scores = f"{number(mean.reward)} / {number(mean.cost)} ({mean.safe}/{mean.cells} safe)"
        return scores + _incomplete(mean.cells, mean.of)

    rows: list[Row] = [
        [name(method), *(text(found[method, setting]) for setting in settings)]
        for method in methods
    ]
    return Table(["method", *map(setting_text, settings)], rows)


def comparison_table(found: Sequence[Improvement], ranking: Sequence[Place]) -> Table:
    """Methods x methods, best rank first: how likely the row is better than the column."""
    by = {(one.method, one.other): one for one in found}
    methods = [place.method for place in ranking]

    def text(method: str, other: str) -> str:
        one = by.get((method, other))
        if one is None:
            return BLANK
        shown = with_interval(one.probability, one.interval)
        return shown + _incomplete(one.cells, one.of)

    rows: list[Row] = [
        [
            name(place.method),
            f"{number(place.rank)}{' †' if place.cells < place.of else ''}",
            *(text(place.method, other) for other in methods),
        ]
        for place in ranking
    ]
    return Table(["method", "average rank", *map(name, methods)], rows)


def both_safe_table(pairs: Sequence[BothSafe], methods: Sequence[str]) -> Table:
    """Methods x methods: rewards of the row and the column where both are safe, and in how many."""
    found = {(pair.method, pair.other): pair for pair in pairs}

    def text(pair: BothSafe) -> str:
        shown = number(pair.reward)
        if pair.method != pair.other and pair.safe:
            shown += f" / {number(pair.other_reward)}"
        return f"{shown} ({pair.safe}){_incomplete(pair.cells, pair.of)}"

    rows: list[Row] = [
        [name(method), *(text(found[method, other]) for other in methods)] for method in methods
    ]
    return Table(["method", *map(name, methods)], rows)


def cost_table(costs: Sequence[Cost], methods: Sequence[str]) -> Table:
    """A row a method: what its trainings and evaluations took; a dash where nobody wrote it down.

    Times are means of a training.
    """
    by = {cost.method: cost for cost in costs}
    rows: list[Row] = []
    for method in methods:
        cost = by.get(method)
        if cost is None:
            continue
        count = f"{cost.trainings}"
        if cost.trainings < cost.of:
            count += f" † (of {cost.of})"
        low, high = cost.updates
        rows.append(
            [
                name(method),
                count,
                f"{low}" if low == high else f"{low}-{high}",
                duration(cost.train_seconds),
                BLANK if math.isnan(cost.updates_per_second) else f"{cost.updates_per_second:.4g}",
                duration(cost.evaluation_seconds),
                BLANK if math.isnan(cost.peak_memory_mb) else f"{cost.peak_memory_mb:.0f} MB",
                Entry(", ".join(cost.devices) or BLANK, foreign=True),
            ]
        )
    header = ["method", "trainings", "updates", "training", "updates/s", "evaluation"]
    return Table([*header, "peak memory", "device"], rows)


def duration(seconds: float) -> str:
    """Seconds below two minutes, minutes below two hours, then hours."""
    if math.isnan(seconds):
        return BLANK
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def lost_table(table: Sequence[Cell], missing: pd.DataFrame) -> Table:
    """Each run without a result and its reason; seeds that share a reason share a row.

    Cells of which no run is known at all stand at the end.
    """
    rows: dict[tuple[str, str, str, str, str], list[str]] = {}
    for run in missing.to_dict("records"):
        reason = one_line(run["reason"])
        if len(reason) > _REASON:
            reason = reason[: _REASON - 1] + "…"
        limit = limit_text(run["limit"], run["fraction"])
        key = (run["algorithm"], run["task"], limit, run["status"], reason)
        rows.setdefault(key, []).append(str(run["seed"]))
    for cell in table:
        if cell.status == "missing" and not cell.lost:
            limit = limit_text(cell.limit, cell.fraction)
            rows[cell.algorithm, cell.task, limit, "missing", "no such run"] = [BLANK]
    return Table(
        ["method", "task", "limit", "seeds", "status", "reason"],
        [
            [name(method), name(task), limit, ", ".join(seeds), status, Entry(reason, foreign=True)]
            for (method, task, limit, status, reason), seeds in rows.items()
        ],
    )
