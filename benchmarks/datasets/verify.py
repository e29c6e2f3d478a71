"""Checks that a file is a complete DSRL data set of its task, for every command alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.hdf5 import UnreadableError, reading
from benchmarks.datasets.trajectories import missing_columns
from benchmarks.tasks.tasks import Task

ROUNDING = 1e-4
"""Tolerance of actions outside [-1, 1], for single-precision rounding."""
LARGEST = 1e12
"""The largest number that can be trained with: squares of larger ones overflow in sums."""
_JUMP = 1e-4
"""Share of an observation's range that two records of one state may differ by."""
_NAME_PATTERN = re.compile(r"-(\d+)-(\d+)\.hdf5$")
_ROWS = 2**16
"""Rows of observations that are compared at a time."""


class Findings(NamedTuple):
    """The results of an examination, one line each."""

    faults: list[str]
    """Why the file cannot be used."""
    warnings: list[str]
    """Differences from its name or the task's constants that do not prevent its use."""
    damaged: bool = False
    """Whether the file's contents cannot be read at all."""


def examine(path: Path, task: Task) -> Findings:
    """Check a file's keys, shapes, types, values and episodes against `task` and its own name.

    One column is in memory at a time.
    """
    try:
        with reading(path) as file:
            return _examine(file, task, path.name)
    except UnreadableError as error:
        return Findings([f"it {error}"], [], damaged=error.damaged)


def file_faults(path: Path, task: Task) -> list[str]:
    """The faults of a file; empty if it can be used."""
    return examine(path, task).faults


def _examine(file: h5py.File, task: Task, name: str) -> Findings:
    widths = {
        "observations": (task.observation_dim,),
        "next_observations": (task.observation_dim,),
        "actions": (task.action_dim,),
        "rewards": (),
        "costs": (),
        "terminals": (),
        "timeouts": (),
    }
    if missing := missing_columns(file):
        return Findings([f"it lacks {', '.join(missing)}"], [])
    if wrong := _wrong_shapes(file, widths):
        return Findings(wrong, [])
    faults, warnings = list[str](), list[str]()
    for key in widths:
        _check_values(key, np.asarray(file[key]), faults, warnings)
    if not faults:
        _check_episodes(file, task, name, faults, warnings)
    return Findings(faults, warnings)


def _wrong_shapes(file: h5py.File, widths: dict[str, tuple[int, ...]]) -> list[str]:
    shape = file["rewards"].shape
    rows = shape[0] if shape else 0  # a null data set has no shape
    if rows == 0:
        return ["it holds no transition"]
    wrong = []
    for key, width in widths.items():
        shape, numbers = file[key].shape, file[key].dtype.kind in "fiub"
        if shape != (rows, *width) and not (width == () and shape == (rows, 1)):
            wrong.append(f"{key} has shape {shape} instead of {(rows, *width)}")
        elif not numbers:
            wrong.append(f"{key} holds {file[key].dtype} instead of numbers")
    return wrong


def _check_values(key: str, values: NDArray[Any], faults: list[str], warnings: list[str]) -> None:
    """Append the problems of one column."""
    with np.errstate(over="ignore", invalid="ignore"):  # trajectories are in single precision
        single = values.astype(np.float32, copy=False)
    finite = np.isfinite(single)
    if not finite.all():
        bad = ~finite.reshape(len(values), -1).all(axis=1)
        faults.append(
            f"{key} holds NaN or infinity in {bad.sum()} rows, first in row {bad.argmax()}"
        )
    elif (largest := float(max(single.max(), -single.min()))) > LARGEST:
        faults.append(f"{key} reach {largest:.4g}, which cannot be trained with: scale them down")
    elif key == "actions" and largest > 1 + ROUNDING:
        warnings.append(f"actions reach {largest:.4g}, outside [-1, 1]")
    elif key == "costs" and (smallest := float(single.min())) < 0:
        faults.append(f"costs are negative, down to {smallest:.4g}")
    elif key in ("terminals", "timeouts") and not np.isin(values, (0, 1)).all():
        faults.append(f"{key} holds values other than 0 and 1")


def _check_episodes(
    file: h5py.File, task: Task, name: str, faults: list[str], warnings: list[str]
) -> None:
    """Append problems of episode lengths and ends, of their number and of the largest cost."""
    terminal = np.asarray(file["terminals"]).reshape(-1).astype(bool)
    timeout = np.asarray(file["timeouts"]).reshape(-1).astype(bool)
    ends = np.flatnonzero(terminal | timeout) + 1
    unfinished = len(ends) == 0 or ends[-1] != len(terminal)
    if unfinished:
        ends = np.append(ends, len(terminal))
    starts = np.concatenate([[0], ends[:-1]])
    lengths = ends - starts
    if lengths.max() > task.horizon:
        faults.append(
            f"an episode has {lengths.max()} steps where {task.name} ends after {task.horizon}"
        )
    _check_jumps(file, ends, warnings)
    early = timeout[ends - 1] & ~terminal[ends - 1] & (lengths < task.horizon)
    if early.any():
        warnings.append(f"{early.sum()} episodes time out before step {task.horizon}")
    costs = np.add.reduceat(np.asarray(file["costs"], dtype=np.float64).reshape(-1), starts)
    if not (named := _NAME_PATTERN.search(name)):
        return
    largest, count = float(named[1]), int(named[2])
    if len(ends) != count:
        warnings.append(f"there are {len(ends)} episodes where the name says {count}")
    # Names round the largest cost: 300 for 299, 85 for 82.4.
    if costs.max() > largest + 0.5 or costs.max() < 0.9 * largest:
        warnings.append(f"the largest cost is {costs.max():g} where the name says {largest:g}")


def _check_jumps(file: h5py.File, ends: NDArray[np.intp], warnings: list[str]) -> None:
    """Append a warning if states inside of episodes do not follow on each other.

    Where a mark is missing, two episodes count as one with both returns and costs.
    """
    rows = np.concatenate([np.zeros(0, dtype=np.intp), *_jumps(file)])
    inside = np.setdiff1d(rows, ends - 1).astype(np.intp)
    if len(inside):
        episodes = len(np.unique(np.searchsorted(ends, inside, side="right")))
        warnings.append(
            f"in {episodes} of {len(ends)} episodes next_observations is not the observation of "
            f"the next row, first in row {inside[0]}: are marks in terminals or timeouts missing?"
        )


def _jumps(file: h5py.File) -> Iterator[NDArray[np.intp]]:
    """The rows whose next observation is not the observation of the next row."""
    before, after = file["observations"], file["next_observations"]
    for start in range(0, len(before) - 1, _ROWS):
        stop = min(start + _ROWS, len(before) - 1)
        following = np.asarray(before[start + 1 : stop + 1], dtype=np.float64)
        claimed = np.asarray(after[start:stop], dtype=np.float64)
        span = np.ptp(following, axis=0)
        yield start + np.flatnonzero((np.abs(claimed - following) > _JUMP * span).any(axis=1))
