"""Parts of a leaderboard that readers choose: some limits, the tasks of one robot, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.report.places import Rank, ranks
from benchmarks.report.ranking import (
    AverageRank,
    BothSafe,
    Improvement,
    average_ranks,
    both_safe,
    improvements,
)
from benchmarks.report.statistics import Cell, Standing, run_scores, setting_of, standings
from benchmarks.report.wording import setting_text
from benchmarks.tasks.suites import SUITES
from benchmarks.tasks.tasks import robot_of

_GROUPS = ("tight", "loose")
"""Suites whose limits are a choice of their own."""
CHOICE_RESAMPLES = 2_000
"""Resamples of comparisons within a choice, of which there may be a hundred."""
Setting = tuple[bool, float]
"""As `statistics.setting_of`."""


@dataclass(frozen=True)
class Choice:
    """A button: its text and the cells that it keeps; a `key` without spaces names it."""

    key: str
    text: str
    settings: frozenset[Setting] | None = None
    """None: all limits."""
    robot: str = ""
    """Empty: all tasks."""

    def keeps(self, cell: Cell) -> bool:
        """Whether the cell belongs to the choice."""
        return (self.settings is None or setting_of(cell) in self.settings) and (
            not self.robot or robot_of(cell.task) == self.robot
        )


@dataclass(frozen=True)
class View:
    """The figures of a leaderboard over the cells of a choice of limits and a choice of robot."""

    limits: Choice
    robot: Choice
    table: Sequence[Cell]
    ranking: Sequence[Standing]
    ranks: dict[str, Rank]
    improvements: Sequence[Improvement]
    average_ranks: Sequence[AverageRank]
    both_safe: Sequence[BothSafe]

    @property
    def key(self) -> str:
        """Name of the view, from those of its choices."""
        return f"{self.limits.key} {self.robot.key}"


def setting_key(setting: Setting) -> str:
    """A setting's name without spaces, unique in a leaderboard."""
    return setting_text(setting).replace(" ", "-")


def limit_choices(table: Sequence[Cell]) -> list[Choice]:
    """All limits, those of the suites tight and loose, and each limit.

    A group is left out unless it holds several limits, and others are outside it.
    """
    settings = sorted({setting_of(cell) for cell in table})
    choices = [Choice("all", "all limits")]
    if len(settings) < 2:
        return choices
    for name in _GROUPS:
        values = {round(limit.value, 9) for limit in SUITES[name].limits}
        own = frozenset(s for s in settings if not s[0] and round(s[1], 9) in values)
        if 1 < len(own) < len(settings):
            choices.append(Choice(name, name, own))
    return choices + [
        Choice(setting_key(setting), setting_text(setting), frozenset([setting]))
        for setting in settings
    ]


def robot_choices(table: Sequence[Cell]) -> list[Choice]:
    """All robots, and each one if there are several, in the order of the tasks."""
    robots = list(dict.fromkeys(robot_of(cell.task) for cell in table))
    one = Choice("all", "all robots")
    return [one, *(Choice(name, name, robot=name) for name in robots if len(robots) > 1)]


def views(episodes: pd.DataFrame, table: Sequence[Cell]) -> list[View]:
    """The figures of every choice of limits with every choice of robot that leaves a cell out.

    `episodes` are validated, `table` holds their `cells`.
    """
    return [
        _view(limits, robot, episodes, table)
        for limits in limit_choices(table)
        for robot in robot_choices(table)
        if limits.settings is not None or robot.robot
    ]


def _view(limits: Choice, robot: Choice, episodes: pd.DataFrame, table: Sequence[Cell]) -> View:
    kept = [cell for cell in table if limits.keeps(cell) and robot.keeps(cell)]
    places = {(cell.task, cell.limit) for cell in kept}
    pairs = zip(episodes["task"], episodes["limit"], strict=True)
    own = episodes[np.array([pair in places for pair in pairs], dtype=bool)]
    runs = run_scores(own)
    ranking = standings(own, kept, CHOICE_RESAMPLES)
    return View(
        limits,
        robot,
        kept,
        ranking,
        ranks(runs, ranking, CHOICE_RESAMPLES),
        improvements(runs, len(places), CHOICE_RESAMPLES),
        average_ranks(kept),
        both_safe(kept),
    )
