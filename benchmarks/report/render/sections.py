"""A leaderboard as sections, in the order in which every format has them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from benchmarks.report.board import Board
from benchmarks.report.frame import ordered_tasks
from benchmarks.report.published import Apart, Match
from benchmarks.report.render import tables
from benchmarks.report.render.changes import variant_table
from benchmarks.report.render.markup import Entry, Row, Table, name
from benchmarks.report.wording import number, signed, with_interval

PICTURES = {
    "frontier": "Reward against cost on every task",
    "sweep": "Cost and return against the limit on every task",
    "variants": "What each variant changes in reward and cost",
    "options": "Reward and cost along each option",
    "matrix": "How likely each method is better than each other",
    "profiles": "Shares of runs above each reward and within each cost",
    "curves": "Losses during the training",
    "published": "Our results and the papers' under the same protocol",
}
"""The pictures by the name of their files, and what they show."""


@dataclass(frozen=True)
class Section:
    """A heading, what is said below it, a table and pictures (names of `PICTURES`)."""

    title: str
    text: str = ""
    table: Table | None = None
    words: bool = False
    """Whether the table holds words rather than figures."""
    note: str = ""
    """Said below the table."""
    pictures: Sequence[str] = ()


def sections(board: Board) -> list[Section]:
    """All sections; those that depend on scores are left out where no run is finished."""
    found = _scores(board) if len(board.episodes) else []
    if len(board.details.trainings):
        found += _trainings(board)
    found += _published(board)
    lost = tables.lost_table(board.table, board.lost)
    if lost.rows:
        found.append(Section("Missing or failed", table=lost, words=True))
    elif len(board.episodes):
        found.append(Section("Missing or failed", "None: every run is there."))
    return found


def _scores(board: Board) -> list[Section]:
    found = [
        Section(
            "Overall",
            table=tables.overall_table(board.ranking),
            note="By safe runs, then reward. † incomplete: over the cells and seeds that there "
            "are, hence not comparable with a full row; what is missing is listed at the end.",
            pictures=["frontier"],
        ),
        Section(
            "Average over tasks",
            "Reward / cost, and on how many tasks that is safe.",
            tables.average_table(board.means, board.methods),
        ),
    ]
    for task in ordered_tasks(cell.task for cell in board.table):
        rows = board.episodes[board.episodes["task"] == task]
        text = ""
        if len(rows):
            one = rows.iloc[0]
            text = (
                f"R_min {one['min_return']:.6g}, R_max {one['max_return']:.6g}; sha256 of the "
                f"data {one['checksum'] or 'unknown'}. Reward / cost; ✓ safe, ✗ unsafe, "
                "bold: best safe reward."
            )
        found.append(Section(task, text, tables.task_table(board.table, task, board.methods)))
    found.append(
        Section(
            "Limit sweep",
            "Each method's raw cost and return at every limit, and what the data hold.",
            pictures=["sweep"],
        )
    )
    drawn = ["variants", "options"] if board.sweeps else ["variants"]
    for family in board.families:
        found.append(
            Section(
                f"Variants of {family.base}",
                f"Differences are the variant's figure less that of {family.base}, with 95% "
                "bootstrap intervals where every cell has two seeds or more; bold where the "
                "interval leaves 0 out. Changed: cells whose runs differ.",
                variant_table(family.variants),
                pictures=drawn,
            )
        )
        drawn = []  # of all families, once
    if len(board.improvements):
        found.append(
            Section(
                "Methods against each other",
                "How likely a run of the row is better than a run of the column on the same task "
                "and limit: safe beats unsafe; among safe more reward; among unsafe less cost. "
                "Rank: the mean over all cells of the place among these methods, by the means "
                "over seeds; a cell without a run is last.",
                tables.comparison_table(board.improvements, board.places),
                pictures=["matrix"],
            )
        )
        found.append(
            Section(
                "Where both are safe",
                "Mean reward of the row / of the column over the cells that are safe for both, "
                "and how many these are; on the diagonal a method's own safe cells.",
                tables.both_safe_table(board.both_safe, board.methods),
            )
        )
    found.append(
        Section(
            "Profiles",
            "The share of a method's runs above each reward, and within each cost; at a cost of "
            "1 that is the share of safe runs.",
            pictures=["profiles"],
        )
    )
    return found


def _trainings(board: Board) -> list[Section]:
    trainings = board.details.trainings
    methods = board.methods or sorted(set(trainings["algorithm"]))
    found = [
        Section(
            "Time and memory",
            "Means of a training; updates a second over all of them; the largest memory of any: "
            "on a GPU the device's, otherwise the whole process's.",
            tables.cost_table(board.costs, methods),
        )
    ]
    if any(text not in ("", "{}") for text in trainings["curve"]):
        found.append(Section("Learning curves", pictures=["curves"]))
    provenance = provenance_table(trainings)
    text = "" if provenance.rows else "Not recorded when these results were made."
    table = provenance if provenance.rows else None
    return [*found, Section("Provenance", text, table, words=True)]


def provenance_table(trainings: pd.DataFrame) -> Table:
    """What the finished trainings were made with, a row for each that differs."""
    done = trainings[(trainings["status"] == "finished") & (trainings["commit"] != "")]
    by = ["commit", "dirty", "versions", "device", "platform", "command"]
    rows: list[Row] = []
    for key, own in done.groupby(by):
        commit, dirty, versions, device, platform, command = map(str, key)
        packages = ", ".join(f"{one} {at}" for one, at in json.loads(versions or "{}").items())
        commits = ", ".join(one[:12] for one in commit.split())
        rows.append(
            [
                commits + {"yes": ", code changed", "no": "", "": ", unknown if changed"}[dirty],
                str(len(own)),
                Entry(packages, foreign=True),
                Entry(", ".join(filter(None, [device, platform])), foreign=True),
                Entry(command, foreign=True),
            ]
        )
    return Table(["commit", "trainings", "packages", "device", "command"], rows)


def _published(board: Board) -> list[Section]:
    found = []
    if board.matches:
        found.append(
            Section(
                "Published numbers",
                "Only where data, limits, tasks, seeds, episodes and budget are those of the "
                "paper. Difference: ours less theirs.",
                published_table(board.matches),
                pictures=["published"],
            )
        )
    if board.apart:
        found.append(
            Section(
                "Published numbers that cannot be compared",
                "Their protocol is not that of this table.",
                apart_table(board.apart),
                words=True,
            )
        )
    return found


def published_table(matches: Sequence[Match]) -> Table:
    """Ours beside the papers' figures, and the difference."""
    rows: list[Row] = [
        [
            name(one.method),
            name(one.theirs.task),
            " ".join(map(str, one.theirs.limits)),
            with_interval(one.reward, one.intervals.reward),
            number(one.theirs.reward),
            signed(one.reward - one.theirs.reward),
            with_interval(one.cost, one.intervals.cost),
            number(one.theirs.cost),
            signed(one.cost - one.theirs.cost),
            Entry(f"{one.theirs.paper}, {one.theirs.source}", foreign=True),
        ]
        for one in matches
    ]
    header = ["method", "task", "limits", "reward", "paper's", "difference"]
    return Table([*header, "cost", "paper's", "difference", "source"], rows)


def apart_table(apart: Sequence[Apart]) -> Table:
    """The figures without ours beside them, and why."""
    rows: list[Row] = [
        [
            name(one.paper),
            Entry(", ".join(one.methods), foreign=True),
            Entry(one.protocol, foreign=True),
            Entry(", ".join(one.tasks), foreign=True),
            Entry(one.reason, foreign=True),
            Entry(one.source, foreign=True),
        ]
        for one in apart
    ]
    return Table(["paper", "methods", "protocol", "tasks", "reason", "source"], rows)
