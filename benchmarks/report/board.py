"""All figures of a leaderboard, computed once for all of its formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmarks.report.details import Details, mixtures
from benchmarks.report.families import Family, Sweep, families, sweeps
from benchmarks.report.frame import RUN, validate, validate_missing
from benchmarks.report.learning import LearningCurve, learning_curves, learning_scores
from benchmarks.report.metrics import METRICS
from benchmarks.report.places import CLEARLY, Rank, ranks
from benchmarks.report.profiles import Profile, profiles
from benchmarks.report.published import Figure, Incomparable, Match, compare_published
from benchmarks.report.ranking import (
    AverageRank,
    BothSafe,
    Improvement,
    average_ranks,
    both_safe,
    improvements,
)
from benchmarks.report.recommendation import Prospect, by_setting
from benchmarks.report.resampling import RESAMPLES
from benchmarks.report.resources import ResourceUsage, resource_usage
from benchmarks.report.statistics import (
    Average,
    AverageIntervals,
    Cell,
    Standing,
    average_intervals,
    averages,
    cells,
    run_scores,
    standings,
)
from benchmarks.report.wording import setting_text

FORMULAS = {
    "Normalised reward": "(R − R_min) / (R_max − R_min), R an episode's return, R_min and R_max "
    "those of the task's data",
    "Normalised cost": "(C + ε) / (limit + ε), C an episode's cost, ε = 1 only where the limit "
    "is 0, else 0",
    "Safe": "mean normalised cost ≤ 1",
    "Cell": "a method on one task at one limit: mean over episodes, then over seeds; ± is the "
    "standard deviation over seeds (n − 1)",
    "Run": "a cell's seed; safe runs are those whose own mean normalised cost is ≤ 1",
    "Overall": "; ".join(
        f"{metric.header}: {metric.definition}"
        for metric in METRICS
        if metric.header and metric.definition
    ),
    "Rank": "1 plus the number of methods that are clearly better: before it by safe cells, then "
    f"by the reward of the safe cells, in {100 * CLEARLY:g}% of the resamples or more; methods "
    "that the seeds cannot tell apart share a rank (=); in brackets its places in 95% of the "
    "resamples",
    "Intervals": f"95%, percentile bootstrap with {RESAMPLES} resamples of the seeds within each "
    "task; none where a cell has one seed, too narrow where it has few",
}


@dataclass(frozen=True)
class Board:
    """A leaderboard's figures, not yet formatted."""

    title: str
    facts: Mapping[str, str]
    """The protocol: text by name, in the order of the report; the definitions are `FORMULAS`."""
    mixed: Sequence[str]
    """Warnings of mixed conditions (`details.mixtures`)."""
    episodes: pd.DataFrame
    lost: pd.DataFrame
    runs: pd.DataFrame
    """`statistics.run_scores` of the episodes."""
    table: Sequence[Cell]
    ranking: Sequence[Standing]
    places: Mapping[str, Rank]
    means: Sequence[Average]
    mean_intervals: AverageIntervals
    prospects: Mapping[tuple[bool, float], Sequence[Prospect]]
    """What to expect of each method's next training, by setting of the limit."""
    improvements: Sequence[Improvement]
    ranks: Sequence[AverageRank]
    both_safe: Sequence[BothSafe]
    usage: Sequence[ResourceUsage]
    learning: Sequence[LearningCurve]
    profiles: Sequence[Profile]
    families: Sequence[Family]
    sweeps: Sequence[Sweep]
    matches: Sequence[Match]
    incomparable: Sequence[Incomparable]
    details: Details
    folder: str = ""
    """Name of the leaderboard's folder, if a protocol in it repeats the table; else empty."""

    @property
    def heading(self) -> str:
        """What the leaderboard compares, in words."""
        methods, tasks = ({getattr(c, name) for c in self.table} for name in ("algorithm", "task"))
        limits = {mean.setting for mean in self.means}
        counts = ", ".join(
            f"{len(found)} {what}{'s' * (len(found) != 1)}"
            for found, what in ((methods, "method"), (tasks, "task"), (limits, "cost limit"))
        )
        return f"Offline safe reinforcement learning: {counts}"

    @property
    def methods(self) -> list[str]:
        """The methods in the order of the overall table."""
        return [standing.algorithm for standing in self.ranking]


def build(
    frame: pd.DataFrame,
    missing: pd.DataFrame,
    title: str,
    protocol: Mapping[str, str],
    details: Details,
    published: Sequence[Figure],
    folder: str = "",
) -> Board:
    """Compute the board from frames with the columns of `frame.EPISODES` and `frame.MISSING`.

    `protocol` adds facts to those that follow from the frame, or appends to such a fact; `folder`
    is that of the `Board`. Raises `UserError` for frames that do not validate.
    """
    episodes, lost = validate(frame), validate_missing(missing)
    table = cells(episodes, lost)
    runs = run_scores(episodes)
    facts = _facts(episodes, table)
    for name, text in protocol.items():
        fact = facts.get(name, text)  # facts from the frame are extended, never replaced
        facts[name] = text if text == fact else f"{fact}; {text}"
    settings = len({(cell.task, cell.limit) for cell in table})
    related = families(runs)
    ranking = standings(episodes, table)
    matches, incomparable = compare_published(published, episodes)
    return Board(
        title,
        facts,
        mixtures(details.trainings, episodes),
        episodes,
        lost,
        runs,
        table,
        ranking,
        ranks(runs, ranking),
        averages(table),
        average_intervals(runs, table),
        by_setting(runs, table, details.trainings),
        improvements(runs, settings),
        average_ranks(table),
        both_safe(table),
        resource_usage(details.trainings),
        learning_curves(learning_scores(details.trainings, episodes)),
        profiles(runs),
        related,
        sweeps(related, details.trainings),
        matches,
        incomparable,
        details,
        folder,
    )


def _facts(episodes: pd.DataFrame, table: Sequence[Cell]) -> dict[str, str]:
    """The facts of the protocol that follow from the frame."""
    if episodes.empty:
        return {}
    budgets = {
        str(name): ", ".join(sorted(set(rows["budget"])))
        for name, rows in episodes.groupby("algorithm")
    }
    budget = "; ".join(f"{name}: {text}" for name, text in budgets.items())
    if len(set(budgets.values())) == 1:
        budget = next(iter(budgets.values()))
    counts = episodes.groupby(RUN).size()
    count = f"{counts.min()}" + (f" to {counts.max()}" if counts.max() > counts.min() else "")
    settings = sorted({mean.setting for mean in averages(table)})
    limits = ", ".join(map(setting_text, settings))
    if not all(absolute for absolute, _ in settings):
        limits += " of a task's maximum cost"
    return {
        "Data source": episodes["source"].iloc[0],
        "Budget": budget,
        "Seeds": ", ".join(map(str, sorted(set(episodes["seed"])))),
        "Episodes a run": count,
        "Cost limits": limits,
    }
