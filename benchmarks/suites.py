"""Suites: named sets of cost limits, and limits of one's own."""

from __future__ import annotations

import math
from typing import NamedTuple

from benchmarks.errors import UserError, unknown_name
from benchmarks.tasks import Task


class Limit(NamedTuple):
    """A cost limit as the user names it: a fraction of the task's maximum cost, or a number."""

    value: float
    relative: bool

    def of(self, task: Task) -> float:
        """The limit in units of episode cost."""
        return task.limit(self.value) if self.relative else self.value

    @property
    def fraction(self) -> float:
        """The fraction of the maximum cost, NaN for an absolute limit."""
        return self.value if self.relative else math.nan

    def __str__(self) -> str:
        return f"{100 * self.value:g}%" if self.relative else f"{self.value:g}"


SUITES: dict[str, tuple[Limit, ...]] = {
    "tight": tuple(Limit(fraction, True) for fraction in (0.1, 0.2, 0.3)),
    "loose": tuple(Limit(fraction, True) for fraction in (0.7, 0.8, 0.9)),
}


def find_suite(name: str) -> tuple[Limit, ...]:
    """The limits of the suite called `name`."""
    if name not in SUITES:
        raise unknown_name("suite", name, SUITES)
    return SUITES[name]


def parse_limit(text: str) -> Limit:
    """`"5%"` is a fraction of the maximum cost, `"25"` an episode cost."""
    number = text.removesuffix("%")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise UserError(f"limit {text!r} is neither a percentage like 5% nor a cost like 25")
    value = abs(value)  # "-0" is 0
    return Limit(value / 100, True) if text.endswith("%") else Limit(value, False)
