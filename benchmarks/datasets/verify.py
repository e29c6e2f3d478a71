"""Checks that a file is a complete DSRL data set of its task."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.trajectories import HDF5_ERRORS, missing_columns
from benchmarks.tasks.tasks import Task

ROUNDING = 1e-4
"""Tolerance of actions outside [-1, 1], for single-precision rounding."""
_NAME_PATTERN = re.compile(r"-(\d+)-(\d+)\.hdf5$")


class Findings(NamedTuple):
    """The results of an examination, one line each."""

    faults: list[str]
    """Why the file cannot be used."""
    warnings: list[str]
    """Differences from its name or the task's constants that do not prevent its use."""


def examine(path: Path, task: Task) -> Findings:
    """Check a file's keys, shapes, types, values and episodes against `task` and its own name.

    One column is in memory at a time.
    """
    try:
        with h5py.File(path, "r") as file:
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
                _check_episodes(file, task, path.name, faults, warnings)
            return Findings(faults, warnings)
    except HDF5_ERRORS as error:
        return Findings([f"it is damaged or not HDF5 ({' '.join(str(error).split())})"], [])


def file_faults(path: Path, task: Task) -> list[str]:
    """The faults of a file; empty if it can be used."""
    return examine(path, task).faults


def _wrong_shapes(file: h5py.File, widths: dict[str, tuple[int, ...]]) -> list[str]:
    rows = file["rewards"].shape[0] if file["rewards"].ndim else 0
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
    with np.errstate(over="ignore"):  # trajectories are stored in single precision
        finite = np.isfinite(values.astype(np.float32, copy=False))
    if not finite.all():
        bad = ~finite.reshape(len(values), -1).all(axis=1)
        faults.append(
            f"{key} holds NaN or infinity in {bad.sum()} rows, first in row {bad.argmax()}"
        )
    elif key == "actions" and (largest := float(np.abs(values).max())) > 1 + ROUNDING:
        warnings.append(f"actions reach {largest:.4g}, outside [-1, 1]")
    elif key == "costs" and (smallest := float(values.min())) < 0:
        faults.append(f"costs are negative, down to {smallest:.4g}")
    elif key in ("terminals", "timeouts") and not np.isin(values, (0, 1)).all():
        faults.append(f"{key} holds values other than 0 and 1")


def _check_episodes(
    file: h5py.File, task: Task, name: str, faults: list[str], warnings: list[str]
) -> None:
    """Append problems of episode lengths, the number of episodes and the largest cost."""
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
