"""The leaderboard's tables as formatted text: two decimals, and marks of safety and gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from benchmarks.report.metrics import METRICS
from benchmarks.report.ranking import AverageRank, BothSafe, Improvement
from benchmarks.report.recommendation import Prospect
from benchmarks.report.render.markup import Entry, Row, Table, name
from benchmarks.report.resampling import NO_INTERVAL
from benchmarks.report.resources import ResourceUsage
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

_MAX_REASON = 300
"""Maximum length of a failure's reason in a report."""


def _incomplete(cells: int, of: int) -> str:
    """Suffix marking a figure without some of its cells."""
    return f" † ({cells} of {of} cells)" if cells < of else ""


def overall_table(standings: Sequence[Standing], brief: bool = False) -> Table:
    """One row for each method, over its cells; `brief` is the smaller table of the terminal."""
    columns = [m for m in METRICS if m.header and not (brief and m.terminal == "hidden")]
    rows: list[Row] = []
    for standing in standings:
        row: Row = [name(standing.algorithm), _safe_runs(standing, brief)]
        for metric in columns:
            with_bounds = not brief or metric.terminal == "interval"
            bounds = standing.intervals[metric.name] if with_bounds else NO_INTERVAL
            row.append(with_interval(standing.metrics[metric.name], bounds))
        rows.append([*row, _seeds(standing)])
    return Table(["method", "safe runs", *(metric.header for metric in columns), "seeds"], rows)


def _safe_runs(standing: Standing, brief: bool) -> str:
    text = f"{standing.safe_runs}/{standing.runs}"
    bounds = standing.intervals["safe_rate"]
    if not math.isnan(bounds.low) and not brief:
        text = f"{with_interval(standing.metrics['safe_rate'], bounds)} ({text})"
    return text + _incomplete(standing.cells, standing.of)


def _seeds(standing: Standing) -> str:
    fewest, most = standing.seeds
    text = f"{fewest}" if fewest == most else f"{fewest}-{most}"
    return f"{text} †" if standing.lost else text


def prospect_table(found: Sequence[Prospect]) -> Table:
    """One row for each method: what to expect of its next training, and its worst run."""
    rows: list[Row] = []
    for prospect in found:
        worst = number(prospect.worst_cost)
        each = " a limit" if prospect.trains_per_limit else ""
        rows.append(
            [
                name(prospect.method),
                number(prospect.probability) + _incomplete(prospect.cells, prospect.of),
                with_interval(prospect.reward, prospect.interval),
                f"{prospect.safe_runs}/{prospect.runs}",
                f"{worst} on {prospect.worst_task}" if prospect.runs else BLANK,
                f"{duration(prospect.train_seconds)}{each}",
            ]
        )
    header = ["method", "p", "reward", "safe runs", "worst cost", "one training"]
    return Table(header, rows)


def task_table(
    table: Sequence[Cell], task: str, methods: Sequence[str], brief: bool = False
) -> Table:
    """Methods x limits of one task: "reward / cost" and whether the cell is safe.

    Methods are in the given order. The best safe reward of each limit and unsafe cells are marked;
    `brief` leaves out deviations over seeds.
    """
    of_task = [cell for cell in table if cell.task == task]
    limits = {cell.limit: cell.fraction for cell in of_task}
    by_key = {(cell.algorithm, cell.limit): cell for cell in of_task}
    best = {
        limit: max((c.reward for c in of_task if c.safe and c.limit == limit), default=math.nan)
        for limit in limits
    }
    rows: list[Row] = [
        [name(method), *(_cell(by_key[method, limit], best[limit], brief) for limit in limits)]
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
    """Methods x settings of the limit: means over tasks, and the number of safe tasks."""
    by_key = {(mean.algorithm, mean.setting): mean for mean in means}
    settings = sorted({mean.setting for mean in means})

    def text(mean: Average) -> str:
        if not mean.cells:
            return BLANK
        scores = f"{number(mean.reward)} / {number(mean.cost)} ({mean.safe}/{mean.cells} safe)"
        return scores + _incomplete(mean.cells, mean.of)

    rows: list[Row] = [
        [name(method), *(text(by_key[method, setting]) for setting in settings)]
        for method in methods
    ]
    return Table(["method", *map(setting_text, settings)], rows)


def comparison_table(improvements: Sequence[Improvement], ranks: Sequence[AverageRank]) -> Table:
    """Methods x methods, best rank first: probability that the row is better than the column."""
    by_pair = {(pair.method, pair.other): pair for pair in improvements}
    methods = [rank.method for rank in ranks]

    def text(method: str, other: str) -> str:
        pair = by_pair.get((method, other))
        if pair is None:
            return BLANK
        return with_interval(pair.probability, pair.interval) + _incomplete(pair.cells, pair.of)

    rows: list[Row] = [
        [
            name(rank.method),
            f"{number(rank.rank)}{' †' if rank.cells < rank.of else ''}",
            *(text(rank.method, other) for other in methods),
        ]
        for rank in ranks
    ]
    return Table(["method", "average rank", *map(name, methods)], rows)


def both_safe_table(pairs: Sequence[BothSafe], methods: Sequence[str]) -> Table:
    """Methods x methods: rewards where both are safe, and the number of such cells."""
    by_pair = {(pair.method, pair.other): pair for pair in pairs}

    def text(pair: BothSafe) -> str:
        rewards = number(pair.reward)
        if pair.method != pair.other and pair.safe:
            rewards += f" / {number(pair.other_reward)}"
        return f"{rewards} ({pair.safe}){_incomplete(pair.cells, pair.of)}"

    rows: list[Row] = [
        [name(method), *(text(by_pair[method, other]) for other in methods)] for method in methods
    ]
    return Table(["method", *map(name, methods)], rows)


def usage_table(usages: Sequence[ResourceUsage], methods: Sequence[str]) -> Table:
    """One row for each method: time and memory, with a dash where they were not recorded.

    Times are means over trainings.
    """
    by_method = {usage.method: usage for usage in usages}
    rows: list[Row] = []
    for method in methods:
        usage = by_method.get(method)
        if usage is None:
            continue
        count = f"{usage.trainings}"
        if usage.trainings < usage.of:
            count += f" † (of {usage.of})"
        low, high = usage.updates
        speed, memory = usage.updates_per_second, usage.peak_memory_mb
        rows.append(
            [
                name(method),
                count,
                f"{low}" if low == high else f"{low}-{high}",
                duration(usage.train_seconds),
                BLANK if math.isnan(speed) else f"{speed:.4g}",
                duration(usage.evaluation_seconds),
                BLANK if math.isnan(memory) else f"{memory:.0f} MB",
                Entry(", ".join(usage.devices) or BLANK, untrusted=True),
            ]
        )
    header = ["method", "trainings", "updates", "training", "updates/s", "evaluation"]
    return Table([*header, "peak memory", "device"], rows)


def duration(seconds: float) -> str:
    """A duration in seconds below two minutes, in minutes below two hours, else in hours."""
    if math.isnan(seconds):
        return BLANK
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def lost_table(table: Sequence[Cell], missing: pd.DataFrame) -> Table:
    """Missing and failed runs with their reasons; seeds with the same reason share a row.

    Cells without any known run are at the end.
    """
    rows: dict[tuple[str, str, str, str, str], list[str]] = {}
    for run in missing.to_dict("records"):
        reason = one_line(run["reason"])
        if len(reason) > _MAX_REASON:
            reason = reason[: _MAX_REASON - 1] + "…"
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
            [
                *(name(method), name(task), limit, ", ".join(seeds), status),
                Entry(reason, untrusted=True),
            ]
            for (method, task, limit, status, reason), seeds in rows.items()
        ],
    )
