"""The tasks and their constants, from the table `tasks.csv`.

The constants are those of the DSRL package (`dsrl.infos`, version 0.1.0), which need not be
installed; a test compares the table with the package.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any

from benchmarks.common.errors import unknown_name


@dataclass(frozen=True)
class Task:
    """A constrained control task and the constants for normalising its scores.

    Costs and returns are undiscounted sums over an episode; `horizon` counts environment steps.
    """

    name: str
    simulator: str
    """Identifier in the simulator's registry; of a user's task, also path/to/file.py:Name."""
    engine: str
    """Its simulator package: "bullet", "mujoco", "metadrive", or "gymnasium" for a user's task."""
    observation_dim: int
    action_dim: int
    horizon: int
    max_cost: float
    """Largest episode cost in the published data; limits in percent refer to it."""
    min_return: float
    max_return: float
    """Smallest and largest return in the published data: R_min and R_max for normalisation."""
    dataset_file: str
    """Name of the published DSRL file; of a user's task, the path of its data."""
    steps_per_second: int
    """Speed of its simulator on one core with random actions; for the plan's estimate only."""
    file: str = ""
    """Path of a user's task file; empty for the tasks of the table."""
    code: str = ""
    """sha256 of what determines an episode of a user's task: horizon, simulator and its file."""

    def limit(self, fraction: float) -> float:
        """The cost limit at `fraction` of the maximum episode cost."""
        return round(fraction * self.max_cost, 9)  # 0.29 * 100 is 28.999999999999996

    def simulation_seconds(self, episodes: int) -> float:
        """Estimated time that so many whole episodes take on one core."""
        return episodes * self.horizon / self.steps_per_second


_ROBOT = re.compile(r"(?:HalfCheetah|[A-Z][a-z0-9]+)(?=[A-Z])")
"""A robot at the start of a task's name: a word that another follows."""


def _read_table() -> tuple[dict[str, Task], list[str]]:
    """Every task by name, and the names of the suites' tasks."""
    tasks, suite = dict[str, Task](), list[str]()
    kinds = {"int": int, "float": float, "str": str}
    with (files("benchmarks.tasks") / "tasks.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            if row.pop("suite") == "yes":
                suite.append(row["name"])
            facts: dict[str, Any] = {
                field.name: kinds[str(field.type)](row[field.name])
                for field in fields(Task)
                if field.name in row
            }
            tasks[row["name"]] = Task(**facts)
    return tasks, suite


ALL_TASKS, _suite = _read_table()
"""Every task of DSRL, by name."""
TASKS = {name: ALL_TASKS[name] for name in _suite}
"""The twelve tasks of the suites."""


def find_task(name: str) -> Task:
    """The task `name`; `UserError` with the nearest name if it is unknown."""
    if name not in ALL_TASKS:
        raise unknown_name("task", name, ALL_TASKS)
    return ALL_TASKS[name]


def robot_of(task: str) -> str:
    """The robot that a task's name starts with, such as "Ball"; "other" for a name without one."""
    found = _ROBOT.match(task)
    return found[0] if found else "other"
