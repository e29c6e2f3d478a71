"""Users' own tasks: a TOML file that names a simulator and a data file."""

from __future__ import annotations

import hashlib
import sys
import tomllib
from pathlib import Path
from typing import Any

from benchmarks.common.errors import UserError, unknown_name
from benchmarks.common.files import is_file_name, user_path
from benchmarks.common.ranges import Range
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.datasets.verify import LARGEST, ROUNDING
from benchmarks.tasks.tasks import ALL_TASKS, Task, find_task

_REQUIRED = {"name": str, "simulator": str, "data": str, "horizon": int, "max_cost": float}
_RANGES = {
    "horizon": Range(1, most=10**6),
    "max_cost": Range(0, above=True, most=LARGEST),
    "steps_per_second": Range(1, most=10**9),
}
_ANY = Range(-LARGEST, LARGEST)
_OPTIONAL = {"min_return": float, "max_return": float, "steps_per_second": int}


def resolve_task(spec: str) -> Task:
    """The task named `spec`, or the task of the file `spec` if it ends in .toml."""
    return read_task_file(user_path(spec)) if spec.endswith(".toml") else find_task(spec)


def read_task_file(path: Path) -> Task:
    """A user's own task from a TOML file; `UserError` if the file is not valid.

    The data determine the widths of observations and actions, and the smallest and largest return
    unless the file states them.
    """
    facts = _facts(path)
    file = (path.parent / user_path(facts["data"])).resolve()
    data = Trajectories.load(file, "own")
    low = facts.get("min_return", float(data.returns.min()))
    high = facts.get("max_return", float(data.returns.max()))
    if not {"min_return", "max_return"} & facts.keys() and low == high:
        raise UserError(
            f"{path}: all episodes of the data return {low:g}: state min_return and max_return, "
            "between which rewards are scaled"
        )
    if low >= high:
        raise UserError(f"{path}: min_return {low:g} must be below max_return {high:g}")
    if (largest := float(abs(data.actions).max())) > 1 + ROUNDING:
        raise UserError(f"{path}: the data's actions reach {largest:g}: scale them to [-1, 1]")
    if (longest := int(data.lengths.max())) > facts["horizon"]:
        horizon = facts["horizon"]
        raise UserError(f"{path}: horizon {horizon}, but the data's longest episode is {longest}")
    simulator, content = facts["simulator"], b""
    source, colon, name = simulator.rpartition(":")
    if simulator.endswith(".py"):
        raise UserError(f"{path}: simulator needs a class name: {simulator}:ClassName")
    if colon and source.endswith(".py"):
        module = (path.parent / user_path(source)).resolve()
        if not module.is_file():
            raise UserError(f"{path}: the simulator file {module} does not exist")
        simulator, content = f"{module}:{name}", _content(path, module)
        facts["simulator"] = name
    # Only what changes an episode is hashed; limits and normalisation apply to its results.
    identity = repr((facts["horizon"], facts["simulator"]))
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
        hashlib.sha256(identity.encode() + content).hexdigest(),
    )


def _content(path: Path, module: Path) -> bytes:
    """The simulator's file, which the task file `path` names."""
    try:
        return module.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: the simulator file {module} cannot be read ({error})") from None


def _finite(value: float) -> bool:
    """Whether a float or an integer of any size fits a finite float."""
    return abs(value) <= sys.float_info.max


def _facts(path: Path) -> dict[str, Any]:
    """The entries of a task file, with their names and types checked."""
    try:
        stated = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: not a readable task file ({error})") from None
    types = _REQUIRED | _OPTIONAL
    for key in stated:
        if key not in types:
            raise UserError(f"{path}: {unknown_name('entry', key, types)}")
    if missing := [key for key in _REQUIRED if key not in stated]:
        raise UserError(f"{path}: a task file needs {', '.join(missing)}")
    for key, value in stated.items():
        kind = types[key]
        fits = isinstance(value, (int, float) if kind is float else kind)
        if isinstance(value, bool) or not fits or (kind is float and not _finite(value)):
            raise UserError(f"{path}: {key} = {value!r} is not of type {kind.__name__}")
        if kind in (int, float) and value not in (limits := _RANGES.get(key, _ANY)):
            raise UserError(f"{path}: {key} {limits.refusal(value)}")
    name = stated["name"]
    if name in ALL_TASKS or not (name.replace("-", "_").isidentifier() and is_file_name(name)):
        raise UserError(f"{path}: name {name[:80]!r} must be a plain word, not a DSRL task's")
    return {key: float(v) if types[key] is float else v for key, v in stated.items()}
