"""The leaderboard's tables as formatted text: two decimals, and marks of safety and gaps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from benchmarks.common.durations import duration_text
from benchmarks.report.confidence import CONFIDENCE
from benchmarks.report.metrics import METRICS, Metric
from benchmarks.report.places import Rank
from benchmarks.report.ranking import AverageRank, BothSafe, Improvement
from benchmarks.report.recommendation import Prospect, closest
from benchmarks.report.render.markup import Better, Column, Entry, Row, Table, method, name
from benchmarks.report.resources import ResourceUsage
from benchmarks.report.selections import setting_key
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


def overall_table(
    standings: Sequence[Standing], ranks: Mapping[str, Rank] | None = None, brief: bool = False
) -> Table:
    """One row for each method, over its cells, with its rank if `ranks` are given.

    `brief` is the smaller table of the terminal.
    """
    columns = [m for m in METRICS if m.header and not (brief and m.terminal == "hidden")]
    rows: list[Row] = []
    for standing in standings:
        row: Row = [method(standing.algorithm)]
        if ranks is not None:
            row.append(_rank(ranks.get(standing.algorithm)))
        row += [_figure(standing, metric, brief) for metric in columns]
        rows.append([*row, _seeds(standing)])
    header = [Column("method")]
    if ranks is not None:
        header.append(Column("rank", better="less"))
    header += [Column(metric.header, better=metric.better) for metric in columns]
    return Table([*header, Column("seeds", better="more")], rows)


def _rank(rank: Rank | None) -> Entry:
    """A rank, = in front of a shared one, and its interval."""
    if rank is None:
        return Entry(BLANK)
    text = f"{'=' if rank.tied else ''}{rank.rank}"
    if rank.low:
        text += f" [{rank.low}, {rank.high}]"
    return Entry(text, value=rank.rank)


def _figure(standing: Standing, metric: Metric, brief: bool) -> Entry:
    """A metric's text; that of a share of cells tells which of these are there."""
    value = standing.metrics[metric.name]
    shown = metric.brief if brief else metric.text
    text = shown(value, standing.intervals[metric.name], standing.cells)
    if metric.of_cells:
        text += _incomplete(standing.cells, standing.of)
    # Another format need not begin with the number that the page sorts by.
    plain = metric.format is number or math.isnan(value)
    return Entry(text, value=None if plain else value)


def _seeds(standing: Standing) -> str:
    fewest, most = standing.seeds
    text = f"{fewest}" if fewest == most else f"{fewest}-{most}"
    return f"{text} †" if standing.lost else text


_PROSPECT: dict[str, Better] = {
    "p": "more",
    "reward": "more",
    "safe runs": "more",
    "worst cost": "less",
    "one training": "less",
}
"""The columns of a prospect."""


def prospect_table(found: Sequence[Prospect]) -> Table:
    """One row for each method: what to expect of its next training, and its worst run."""
    rows = [[method(prospect.method), *_prospect(prospect)] for prospect in found]
    return Table(["method", *_prospect_columns()], rows)


def recommendation_table(
    by_setting: Mapping[tuple[bool, float], Sequence[Prospect]], confidence: float
) -> Table:
    """For each limit the methods whose next training keeps it with at least this probability.

    Where there is none, the row names the method that comes closest.
    """
    rows: list[Row] = []
    for setting, found in by_setting.items():
        good = [prospect for prospect in found if prospect.recommended(confidence)]
        limit = Entry(setting_text(setting), value=setting[1], setting=setting_key(setting))
        nearest = closest(found)
        if good:
            rows += [[limit, method(one.method), *_prospect(one)] for one in good]
        elif nearest is not None:
            own = method(nearest.method)
            text, shown = (f"none; closest: {word}" for word in (own.text, own.document_text))
            none = Entry(text, "unsafe", untrusted=True, shown=shown)
            rows.append([limit, none, *_prospect(nearest)])
        else:
            rows.append([limit, Entry("not known: one seed", "unsafe"), *[BLANK] * len(_PROSPECT)])
    return Table([Column("limit", better="less"), "method", *_prospect_columns()], rows)


def _probability(value: float) -> str:
    """As `number`, but what misses the usual confidence by less than a digit is shown as less."""
    text = number(value)
    return f"<{text}" if value < CONFIDENCE and text == number(CONFIDENCE) else text


def _prospect_columns() -> list[Column]:
    return [Column(text, better=better) for text, better in _PROSPECT.items()]


def _prospect(prospect: Prospect) -> list[str | Entry]:
    """The figures of a prospect, in the order of `_PROSPECT`."""
    worst = f"{number(prospect.worst_cost)} on {one_line(prospect.worst_task)}"
    return [
        Entry(
            _probability(prospect.probability) + _incomplete(prospect.cells, prospect.of),
            value=None if math.isnan(prospect.probability) else prospect.probability,
        ),
        with_interval(prospect.reward, prospect.interval),
        f"{prospect.safe_runs}/{prospect.runs}",
        Entry(worst if prospect.runs else BLANK, untrusted=True),
        timed(prospect.train_seconds, " a limit" if prospect.trains_per_limit else ""),
    ]


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
        [method(own), *(_cell(by_key[own, limit], best[limit], brief) for limit in limits)]
        for own in methods
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
        [method(own), *(text(by_key[own, setting]) for setting in settings)] for own in methods
    ]
    return Table(["method", *map(setting_text, settings)], rows)


def comparison_table(
    improvements: Sequence[Improvement],
    ranks: Sequence[AverageRank],
    others: Sequence[str] | None = None,
) -> Table:
    """Methods x methods, best rank first: probability that the row is better than the column.

    The columns have the order of `others`, by default that of the rows.
    """
    by_pair = {(pair.method, pair.other): pair for pair in improvements}
    others = others or [rank.method for rank in ranks]

    def text(own: str, other: str) -> str:
        pair = by_pair.get((own, other))
        if pair is None:
            return BLANK
        return with_interval(pair.probability, pair.interval) + _incomplete(pair.cells, pair.of)

    rows: list[Row] = [
        [
            method(rank.method),
            f"{number(rank.rank)}{' †' if rank.cells < rank.of else ''}",
            *(text(rank.method, other) for other in others),
        ]
        for rank in ranks
    ]
    header = [Column("method"), Column("average rank", better="less")]
    return Table([*header, *map(_against, others)], rows)


def _against(other: str) -> Column:
    """The header of a column of figures against another method; more is better for the row."""
    head = method(other)
    return Column(head.text, untrusted=True, shown=head.shown, better="more")


def both_safe_table(
    pairs: Sequence[BothSafe], methods: Sequence[str], others: Sequence[str] | None = None
) -> Table:
    """Methods x methods: rewards where both are safe, and the number of such cells.

    The columns have the order of `others`, by default that of the rows.
    """
    others = others or methods
    by_pair = {(pair.method, pair.other): pair for pair in pairs}

    def text(pair: BothSafe) -> str:
        rewards = number(pair.reward)
        if pair.method != pair.other and pair.safe:
            rewards += f" / {number(pair.other_reward)}"
        return f"{rewards} ({pair.safe}){_incomplete(pair.cells, pair.of)}"

    rows: list[Row] = [
        [method(own), *(text(by_pair[own, other]) for other in others)] for own in methods
    ]
    return Table([Column("method"), *map(_against, others)], rows)


def usage_table(usages: Sequence[ResourceUsage], methods: Sequence[str]) -> Table:
    """One row for each method: time and memory, with a dash where they were not recorded.

    Times are means over trainings.
    """
    by_method = {usage.method: usage for usage in usages}
    rows: list[Row] = []
    for own in methods:
        usage = by_method.get(own)
        if usage is None:
            continue
        count = f"{usage.trainings}"
        if usage.trainings < usage.of:
            count += f" † (of {usage.of})"
        low, high = usage.updates
        speed, memory = usage.updates_per_second, usage.peak_memory_mb
        rows.append(
            [
                method(own),
                count,
                f"{low}" if low == high else f"{low}-{high}",
                timed(usage.train_seconds),
                timed(usage.all_limits_seconds),
                BLANK if math.isnan(speed) else f"{speed:.4g}",
                timed(usage.evaluation_seconds),
                BLANK if math.isnan(memory) else f"{memory:.0f} MB",
                Entry(", ".join(usage.devices) or BLANK, untrusted=True),
            ]
        )
    header: list[str | Entry] = [
        *("method", "trainings", "updates", Column("one training", better="less")),
        *(Column("for all limits", better="less"), Column("updates/s", better="more")),
        *(Column("evaluation", better="less"), Column("peak memory", better="less"), "device"),
    ]
    return Table(header, rows)


def timed(seconds: float, suffix: str = "") -> Entry:
    """A duration that is sorted by its seconds."""
    if math.isnan(seconds):
        return Entry(BLANK)
    return Entry(duration_text(seconds) + suffix, value=seconds)


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
                *(method(own), name(task), limit, ", ".join(seeds), status),
                Entry(reason, untrusted=True),
            ]
            for (own, task, limit, status, reason), seeds in rows.items()
        ],
    )
