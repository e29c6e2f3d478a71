"""A good data file, and ways to spoil it."""

import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from benchmarks.datasets.trajectories import Trajectories
from benchmarks.datasets.verify import Findings, examine
from benchmarks.tasks.tasks import TASKS

TASK = replace(TASKS["BallRun"], horizon=4)
NAME = "SafetyBallRun-v0-4-3.hdf5"


COLUMNS = (
    "observations",
    "next_observations",
    "actions",
    "rewards",
    "costs",
    "terminals",
    "timeouts",
)
CLEAN = Findings([], [])


def whole(task=TASK, episode_costs=(0.0, 1.0, 4.0)):
    """Episodes of full length that have these costs."""
    rng = np.random.default_rng(0)
    length = task.horizon
    rows = length * len(episode_costs)
    ends = np.arange(rows) % length == length - 1
    return Trajectories.from_arrays(
        rng.normal(size=(rows, task.observation_dim)),
        rng.uniform(-1, 1, (rows, task.action_dim)),
        rng.normal(size=rows),
        np.repeat(episode_costs, length) / length,
        np.zeros(rows),
        ends,
    )


def put(path, key, values):
    """Replace a column."""
    with h5py.File(path, "a") as file:
        del file[key]
        file[key] = values


def change(path, key, change_column):
    """Put a column as `change_column` leaves it, or what it returns."""
    with h5py.File(path) as file:
        column = file[key][()]
    changed = change_column(column)
    put(path, key, column if changed is None else changed)


def setting(rows, value):
    """Change some rows of a column."""

    def change_column(column):
        column[rows] = value

    return change_column


def under_name(path, task, name):
    """What is found in the file under another name."""
    folder = path.parent / "renamed"
    folder.mkdir(exist_ok=True)
    return examine(Path(shutil.copy(path, folder / name)), task)
