"""The tasks: one table of every fact that belongs to a task (`tasks.csv`), and tasks of one's own.

The table's constants are those of the DSRL package (`dsrl.infos`, version 0.1.0); a test compares
them with the installed package, so the table may be read where dsrl is not installed.
"""

from __future__ import annotations

import csv
import hashlib
import sys
import tomllib
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmarks.data.trajectories import Trajectories
from benchmarks.errors import UserError, unknown_name


@dataclass(frozen=True)
class Task:
    """A constrained control task and the constants that its scores are normalised with.

    Costs and returns are undiscounted sums over an episode; `horizon` counts environment steps.
    """

    name: str
    simulator: str
    """Identifier in the simulator's registry; of a user's task, also path/to/file.py:Name."""
    engine: str
    """What simulates it: "bullet", "mujoco", "metadrive", or "gymnasium" for a user's task."""
    observation_dim: int
    action_dim: int
    horizon: int
    max_cost: float
    """Largest episode cost in the published data; limits in percent refer to it."""
    min_return: float
    max_return: float
    """Smallest and largest return in the published data: the scale of the normalised reward."""
    dataset_file: str
    """Name of the published DSRL file; of a user's task, the path of its data."""
    steps_per_second: int
    """Of its simulator on one core, measured with random actions: for the plan's estimate only."""
    file: str = ""
    """Path of a user's task file; empty for the tasks of the table."""
    code: str = ""
    """sha256 of what a user's task file says, but for places and the speed, and of the simulator's
    file that it names."""

    @property
    def spec(self) -> str:
        """What `find_task` finds this task by, in any process."""
        return self.file or self.name

    def limit(self, fraction: float) -> float:
        """Cost limit that is `fraction` of the maximum episode cost."""
        return round(fraction * self.max_cost, 9)  # 0.29 of 100 is 29


def _read_table() -> tuple[dict[str, Task], list[str]]:
    """Every task by name, and the names of those that make up the suites."""
    tasks, suite = dict[str, Task](), list[str]()
    with (files("benchmarks") / "tasks.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            if row.pop("suite") == "yes":
                suite.append(row["name"])
            kinds = {"int": int, "float": float, "str": str}
            facts: dict[str, Any] = {
                field.name: kinds[str(field.type)](row[field.name])
                for field in fields(Task)
                if field.name in row
            }
            tasks[row["name"]] = Task(**facts)
    return tasks, suite


ALL_TASKS, _suite = _read_table()
"""Every task of DSRL by name."""
TASKS = {name: ALL_TASKS[name] for name in _suite}
"""The twelve tasks that the suites run."""


def find_task(spec: str) -> Task:
    """The task called `spec`, or the one that the task file `spec` describes.

    Raises a `UserError` that suggests a near name where there is none.
    """
    if spec.endswith(".toml"):
        return read_task_file(Path(spec))
    if spec not in ALL_TASKS:
        raise unknown_name("task", spec, ALL_TASKS)
    return ALL_TASKS[spec]


_REQUIRED = {"name": str, "simulator": str, "data": str, "horizon": int, "max_cost": float}
_OPTIONAL = {"min_return": float, "max_return": float, "steps_per_second": int}


def read_task_file(path: Path) -> Task:
    """A user's own task from a TOML file; `UserError` in one line where it does not serve.

    The widths of observations and actions are those of the data, and so are the smallest and the
    largest return unless the file states them.
    """
    facts = _facts(path)
    file = (path.parent / facts["data"]).resolve()
    data = Trajectories.load(file, "own")
    low = facts.get("min_return", float(data.returns.min()))
    high = facts.get("max_return", float(data.returns.max()))
    if low >= high:
        raise UserError(f"{path}: min_return {low:g} must be below max_return {high:g}")
    if (largest := float(abs(data.actions).max())) > 1.0001:  # single precision
        raise UserError(f"{path}: the data's actions reach {largest:g}: scale them to [-1, 1]")
    if (longest := int(data.lengths.max())) > facts["horizon"]:
        horizon = facts["horizon"]
        raise UserError(f"{path}: horizon {horizon}, but the data's longest episode is {longest}")
    simulator, content = facts["simulator"], b""
    source, colon, name = simulator.rpartition(":")
    if simulator.endswith(".py"):
        raise UserError(f"{path}: name the class in the file too, {simulator}:ClassName")
    if colon and source.endswith(".py"):
        module = (path.parent / source).resolve()
        if not module.is_file():
            raise UserError(f"{path}: there is no simulator file {module}")
        simulator, content = f"{module}:{name}", module.read_bytes()
        facts["simulator"] = name
    # what changes an episode; limits and the scale of returns are applied to it afterwards
    said = repr((facts["horizon"], facts["simulator"]))
    return Task(
        facts["name"],
        simulator,
        "gymnasium",
        data.observations.shape[1],
        data.actions.shape[1],
        facts["horizon"],
        facts["max_cost"],
        low,
        high,
        str(file),
        facts.get("steps_per_second", 1000),
        str(path.resolve()),
        hashlib.sha256(said.encode() + content).hexdigest(),
    )


def _finite(value: float) -> bool:
    """Whether a number, which may be a long integer, is none of NaN, infinite, and too large."""
    return abs(value) <= sys.float_info.max


def _facts(path: Path) -> dict[str, Any]:
    """What a task file says, checked for names and types."""
    try:
        stated = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: no task file ({error})") from None
    known = _REQUIRED | _OPTIONAL
    for key in stated:
        if key not in known:
            raise UserError(f"{path}: {unknown_name('entry', key, known)}")
    if missing := [key for key in _REQUIRED if key not in stated]:
        raise UserError(f"{path}: a task file needs {', '.join(missing)}")
    for key, value in stated.items():
        kind = known[key]
        fits = isinstance(value, (int, float) if kind is float else kind)
        if isinstance(value, bool) or not fits or (kind is float and not _finite(value)):
            raise UserError(f"{path}: {key} = {value!r} is no {kind.__name__}")
        if key in ("horizon", "max_cost", "steps_per_second") and value <= 0:
            raise UserError(f"{path}: {key} = {value!r} must be more than 0")
    if stated["name"] in ALL_TASKS or not stated["name"].replace("-", "_").isidentifier():
        raise UserError(f"{path}: name {stated['name']!r} must be a plain word, not a DSRL task's")
    return {key: float(v) if known[key] is float else v for key, v in stated.items()}
