"""Cost limits, and suites: named sets of cost limits, some with tasks and methods."""

from __future__ import annotations

import math
from typing import NamedTuple

from benchmarks.common.errors import UserError, unknown_name
from benchmarks.tasks.tasks import Task


class Limit(NamedTuple):
    """A cost limit as the user gave it: a fraction of the task's maximum cost, or a cost."""

    value: float
    relative: bool

    def of(self, task: Task) -> float:
        """The limit as an episode cost."""
        return task.limit(self.value) if self.relative else self.value

    @property
    def fraction(self) -> float:
        """The fraction of the maximum cost; NaN for an absolute limit."""
        return self.value if self.relative else math.nan

    def __str__(self) -> str:
        return f"{100 * self.value:g}%" if self.relative else f"{self.value:g}"


class Suite(NamedTuple):
    """The meaning of `--suite NAME`; tasks and methods on the command line override its own."""

    shows: str
    limits: tuple[Limit, ...]
    tasks: tuple[str, ...] = ()
    """Empty for the twelve tasks of `TASKS`."""
    algorithms: tuple[str, ...] = ()
    """Methods and variants; empty for GAS and its rivals."""


def _percent(*numbers: int) -> tuple[Limit, ...]:
    return tuple(Limit(number / 100, True) for number in numbers)


def _sweep(option: str, *values: float) -> tuple[str, ...]:
    return tuple(f"gas@{option}={value:g}" for value in values)


SUITES: dict[str, Suite] = {
    "tight": Suite("rewards and costs at strict limits", _percent(10, 20, 30)),
    "loose": Suite("rewards and costs at lenient limits", _percent(70, 80, 90)),
    "zero-shot": Suite(
        "one training at nine limits",
        _percent(*range(10, 100, 10)),
        ("BallRun", "DroneRun", "DroneCircle", "PointCircle2"),  # the paper's
        ("gas", "gas-shield", "cdt"),
    ),
    "ablation": Suite(
        "GAS without each of its components, and its released form",
        _percent(20, 80),
        ("BallRun", "CarRun", "DroneRun", "BallCircle"),
        (
            "gas",
            "gas@shortening=0",
            "gas@delta=0,cost_relabelling=none",
            "gas@goals=false",
            "gas@indicator=false",
            "gas@mask=false",
            "gas@epsilon=0",
            "gas@halve_below=0.1",
            "gas@cost_relabelling=full",
            "gas@cost_filter=false",
            "gas@tightening=0",
            "gas@pace=false",
            "gas@margin=0",
            # the paper's equations and no more
            "gas@cost_relabelling=full,cost_filter=false,tightening=0,pace=false,margin=0",
            "gas-released",
            "gas-released@bounded=false",
            "gas-shield",
            "gas-shield@allowance=2",
        ),
    ),
    "sensitivity": Suite(
        "GAS at other values of its four options",
        _percent(20, 80),
        ("BallRun", "CarRun", "DroneRun", "BallCircle"),
        (
            "gas",
            *_sweep("alpha", 0.5, 0.7, 0.9, 0.95),
            *_sweep("delta", 0, 0.05, 0.2, 0.4),
            *_sweep("quantile", 0.05, 0.1, 0.4, 1),
            *_sweep("epsilon", 0, 0.25, 0.75, 1),
        ),
    ),
    "imbalance": Suite(
        "reward targets above and below what the limit allows",
        _percent(20),
        ("BallRun", "AntRun", "AntCircle"),  # the paper's
        ("gas", *_sweep("target_factor", 0.6, 0.8, 1.2, 1.5, 2)),
    ),
}


RIVALS = (
    "gas",
    "gas-shield",
    "cdt",
    "cpq",
    "coptidice",
    "fisor",
    "bc-all",
    "bc-safe",
)
"""Methods of a suite that names none."""
PAPER = ("gas", "cdt", "cpq", "coptidice", "fisor", "caps", "ccac", "wsac", "voce")
"""The nine methods that the GAS paper compares: `--algorithms paper`."""
BUDGETS = {
    "quick": "minutes on a CPU",
    "standard": "hours on a CPU",
    "paper": "the papers' own numbers of updates",
}
"""How long methods train, and for whom that is meant."""
SEEDS = {"quick": 1, "standard": 3, "paper": 5}
"""Number of seeds at a budget, unless the user names seeds."""


def find_suite(name: str) -> Suite:
    """The suite `name`; `UserError` if it is unknown."""
    if name not in SUITES:
        raise unknown_name("suite", name, SUITES)
    return SUITES[name]


_LARGEST_LIMIT = 1e12
"""A larger cost is no cost of an episode."""


def parse_limit(text: str) -> Limit:
    """Parse a limit: `"5%"` is a fraction of the maximum cost, `"25"` an episode cost."""
    number = text.removesuffix("%")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0 <= value <= _LARGEST_LIMIT:
        raise UserError(f"limit {text!r} is neither a percentage like 5% nor a cost like 25")
    value = abs(value)  # "-0" becomes 0
    return Limit(value / 100, True) if text.endswith("%") else Limit(value, False)
