"""The sections of a leaderboard, in the order of every format."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from benchmarks.report.appearance import display_name
from benchmarks.report.board import Board
from benchmarks.report.confidence import CONFIDENCE
from benchmarks.report.frame import ordered_tasks
from benchmarks.report.published import Incomparable, Match
from benchmarks.report.render import tables
from benchmarks.report.render.again import one_row, whole_table
from benchmarks.report.render.changes import variant_table
from benchmarks.report.render.markup import Entry, Row, Table, entry, method, name
from benchmarks.report.render.split_tables import split_average_table, split_task_table
from benchmarks.report.wording import number, one_line, signed, with_interval

PICTURES = {
    "summary": "Reward of the safe cells against their share; crosses: 95% intervals",
    "time": "Reward of the safe cells against the time of training",
    "frontier": "Reward against cost on every task",
    "sweep": "Cost and return against the limit on every task",
    "variants": "What each variant changes in reward and cost",
    "options": "Reward and cost along each option",
    "matrix": "How likely each method is better than each other",
    "profiles": "Shares of runs above each reward and within each cost",
    "learning": "Evaluated reward and cost during the training",
    "curves": "Losses during the training",
    "published": "Our results and the papers' under the same protocol",
}
"""Captions of the figures, by file name."""


@dataclass(frozen=True)
class Section:
    """A heading with text, a table and figures (names of `PICTURES`)."""

    title: str
    text: str = ""
    table: Table | None = None
    words: bool = False
    """Whether the table contains text rather than numbers."""
    note: str = ""
    """Text below the table."""
    command: str = ""
    """Command lines below the note."""
    pictures: Sequence[str] = ()
    page_table: Table | None = None
    """What a page shows instead of `table`: with cells that can be sorted."""
    key: str = ""
    """Name of its anchor, and of its table among those that follow the reader's choice."""
    task: str = ""
    """The task that the section is about; empty if it is about all."""

    @property
    def anchor(self) -> str:
        """Its anchor in a page."""
        words = re.sub(r"[^a-z0-9]+", "-", one_line(self.title).lower()).strip("-")
        return self.key or f"section-{words}"


def sections(board: Board) -> list[Section]:
    """All sections; without a finished run, those that need scores are left out."""
    parts = _scores(board) if len(board.episodes) else []
    if len(board.details.trainings):
        parts += _trainings(board)
    parts += _published(board)
    lost = tables.lost_table(board.table, board.lost)
    if lost.rows:
        parts.append(Section("Missing or failed", table=lost, words=True))
    elif len(board.episodes):
        parts.append(Section("Missing or failed", "None: every run is there."))
    return parts


def _scores(board: Board) -> list[Section]:
    parts = [
        Section(
            "Overall",
            table=tables.overall_table(board.ranking, board.places),
            note="By safe cells, then by the reward of the safe cells. = shares its rank: the "
            "seeds cannot tell these methods apart. † incomplete: over the cells and seeds that "
            "there are, hence not comparable with a full row; what is missing is listed at the "
            "end.",
            command=whole_table(board),
            pictures=["summary"],
            key="overall",
        ),
        Section(
            "Which method at which limit",
            "Methods whose next training keeps the limit with a probability p of "
            f"{CONFIDENCE:g} or more, by reward; the probability is the mean over tasks. Worst "
            "cost: the largest mean normalised cost of a run so far.",
            tables.recommendation_table(board.prospects, CONFIDENCE),
            key="recommendation",
        ),
        Section(
            "Average over tasks",
            "Reward / cost, and on how many tasks that is safe.",
            tables.average_table(board.means, board.methods),
            pictures=["frontier"],
            page_table=split_average_table(board.means, board.methods),
            key="averages",
        ),
    ]
    for task in ordered_tasks(cell.task for cell in board.table):
        rows = board.episodes[board.episodes["task"] == task]
        text = ""
        if len(rows):
            first = rows.iloc[0]
            text = (
                f"R_min {first['min_return']:.6g}, R_max {first['max_return']:.6g}; sha256 of the "
                f"data {first['checksum'] or 'unknown'}. Reward / cost; ✓ safe, ✗ unsafe, "
                "bold: best safe reward."
            )
        parts.append(
            Section(
                task,
                text,
                tables.task_table(board.table, task, board.methods),
                command=one_row(board, task),
                page_table=split_task_table(board.table, task, board.methods),
                task=task,
            )
        )
    parts.append(
        Section(
            "Limit sweep",
            "Each method's raw cost and return at every limit, and what the data hold.",
            pictures=["sweep"],
        )
    )
    drawn = ["variants", "options"] if board.sweeps else ["variants"]
    for family in board.families:
        base = display_name(family.base)
        parts.append(
            Section(
                f"Variants of {base}",
                f"Differences are the variant's figure less that of {base}, with 95% "
                "bootstrap intervals where every cell has two seeds or more; bold where the "
                "interval leaves 0 out. Changed: cells whose runs differ.",
                _of_documents(variant_table(family.variants)),
                pictures=drawn,
            )
        )
        drawn = []  # the figures show all families: only once
    if len(board.improvements):
        parts.append(
            Section(
                "Methods against each other",
                "How likely a run of the row is better than a run of the column on the same task "
                "and limit: safe beats unsafe; among safe more reward; among unsafe less cost. "
                "Rank: the mean over all cells of the place among these methods, by the means "
                "over seeds; a cell without a run is last.",
                tables.comparison_table(board.improvements, board.ranks),
                pictures=["matrix"],
                key="against",
            )
        )
        parts.append(
            Section(
                "Where both are safe",
                "Mean reward of the row / of the column over the cells that are safe for both, "
                "and how many these are; on the diagonal a method's own safe cells.",
                tables.both_safe_table(board.both_safe, board.methods),
                key="both-safe",
            )
        )
    parts.append(
        Section(
            "Profiles",
            "The share of a method's runs above each reward, and within each cost; at a cost of "
            "1 that is the share of safe runs.",
            pictures=["profiles"],
        )
    )
    return parts


def _of_documents(table: Table) -> Table:
    """The table with the display names of the methods in its first column."""
    return Table(table.header, [[method(entry(row[0]).text), *row[1:]] for row in table.rows])


def _trainings(board: Board) -> list[Section]:
    trainings = board.details.trainings
    methods = board.methods or sorted(set(trainings["algorithm"]))
    parts = [
        Section(
            "Time and memory",
            "Means of a training, and of what one seed of a task takes for all limits; updates a "
            "second over all trainings; the largest memory of any: on a GPU the device's, "
            "otherwise the whole process's.",
            tables.usage_table(board.usage, methods),
            pictures=["time"] if len(board.episodes) else [],
        )
    ]
    if board.learning:
        parts.append(
            Section(
                "Reward and cost during the training",
                "Policies evaluated on the way, as at the end: means over limits and seeds.",
                pictures=["learning"],
            )
        )
    if any(text not in ("", "{}") for text in trainings["curve"]):
        parts.append(Section("Learning curves", pictures=["curves"]))
    return [*parts, _provenance(trainings)]


_CHANGED = {"yes": ", code changed", "no": "", "": ", unknown if changed"}
"""What follows the commit, by whether the code differed from it."""


def _provenance(trainings: pd.DataFrame) -> Section:
    """Where the finished trainings come from, a row each distinct origin.

    Packages and devices are columns where they differ, else they are told once.
    """
    done = trainings[(trainings["status"] == "finished") & (trainings["commit"] != "")]
    if done.empty:
        return Section("Provenance", "Not recorded when these results were made.")
    columns = {
        "commit": done["commit"].map(_commits) + done["dirty"].map(_CHANGED),
        "packages": done["versions"].map(_packages),
        "device": done["device"].str.cat(done["platform"], sep=", ").str.strip(", "),
        "command": done["command"],
    }
    once = [name for name in ("packages", "device") if columns[name].nunique() == 1]
    text = " ".join(f"{name.capitalize()}: {columns.pop(name).iloc[0]}." for name in once)
    rows: list[Row] = []
    for key, trained in done.groupby(list(columns.values())):
        commit, *others = map(str, key)
        cells = (Entry(word, untrusted=True) for word in others)
        rows.append([commit, str(len(trained)), *cells])
    _, *others = columns
    return Section("Provenance", text, Table(["commit", "trainings", *others], rows), words=True)


def _commits(text: str) -> str:
    """The short names of the commits that made a training, more if one resumed it."""
    return ", ".join(sha[:12] for sha in text.split())


def _packages(text: str) -> str:
    """Names and versions of packages that are stored as a JSON object."""
    return ", ".join(f"{name} {number}" for name, number in json.loads(text or "{}").items())


def _published(board: Board) -> list[Section]:
    parts = []
    if board.matches:
        parts.append(
            Section(
                "Published numbers",
                "Only where data, limits, tasks, seeds, episodes and budget are those of the "
                "paper. Difference: ours less theirs.",
                published_table(board.matches),
                pictures=["published"],
            )
        )
    if board.incomparable:
        parts.append(
            Section(
                "Published numbers that cannot be compared",
                "Their protocol is not that of this table.",
                incomparable_table(board.incomparable),
                words=True,
            )
        )
    return parts


def published_table(matches: Sequence[Match]) -> Table:
    """Our figures, the papers' figures, and the difference."""
    rows: list[Row] = [
        [
            method(match.method),
            name(match.theirs.task),
            " ".join(map(str, match.theirs.limits)),
            with_interval(match.reward, match.intervals["reward"]),
            number(match.theirs.reward),
            signed(match.reward - match.theirs.reward),
            with_interval(match.cost, match.intervals["cost"]),
            number(match.theirs.cost),
            signed(match.cost - match.theirs.cost),
            Entry(f"{match.theirs.paper}, {match.theirs.source}", untrusted=True),
        ]
        for match in matches
    ]
    header = ["method", "task", "limits", "reward", "paper's", "difference"]
    return Table([*header, "cost", "paper's", "difference", "source"], rows)


def incomparable_table(groups: Sequence[Incomparable]) -> Table:
    """Published figures that cannot be compared with ours, and why."""
    rows: list[Row] = [
        [
            name(group.paper),
            Entry(", ".join(group.methods), untrusted=True),
            Entry(group.protocol, untrusted=True),
            Entry(", ".join(group.tasks), untrusted=True),
            Entry(group.reason, untrusted=True),
            Entry(group.source, untrusted=True),
        ]
        for group in groups
    ]
    return Table(["paper", "methods", "protocol", "tasks", "reason", "source"], rows)
