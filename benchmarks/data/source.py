"""Which data a run uses: decided once for all its tasks, never mixed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py

from benchmarks.data.generated import generated_path
from benchmarks.data.snapshots import shipped_tasks
from benchmarks.data.trajectories import HDF5_ERRORS
from benchmarks.errors import UserError
from benchmarks.tasks import Task

_KEYS = ("observations", "next_observations", "actions", "rewards", "costs", "terminals")


@dataclass(frozen=True)
class DataSet:
    """The data file of a task and the scale that goes with it."""

    task: Task
    path: Path
    source: str
    """ "generated", "dsrl", or the name of the user's folder."""

    @property
    def present(self) -> bool:
        """Whether the file is there."""
        return self.path.is_file()

    def return_range(self) -> tuple[float, float]:
        """R_min and R_max for normalising: the file's own if it states them, else the task's."""
        with h5py.File(self.path, "r") as file:
            if "min_return" in file.attrs:
                return float(file.attrs["min_return"]), float(file.attrs["max_return"])
        return self.task.min_return, self.task.max_return

    def problem(self) -> str | None:
        """What is wrong with the file as far as its structure tells; None if nothing is."""
        try:
            with h5py.File(self.path, "r") as file:
                missing = [key for key in (*_KEYS, "timeouts") if key not in file]
                if missing:
                    return f"lacks {', '.join(missing)}"
                widths = *file["observations"].shape[1:], *file["actions"].shape[1:]
                expected = self.task.observation_dim, self.task.action_dim
                if widths != expected:
                    return f"has widths {widths} of observations and actions instead of {expected}"
        except HDF5_ERRORS as error:
            return f"is damaged or not HDF5 ({error})"
        return None


def cache_folder() -> Path:
    """Where generated data are kept: `OSRL_BENCH_CACHE`, or the user's cache folder."""
    if chosen := os.environ.get("OSRL_BENCH_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "osrl-bench"


def dsrl_folder() -> Path:
    """Where DSRL keeps its files: `DSRL_DATASET_DIR`, or its default in the home folder."""
    return Path(os.environ.get("DSRL_DATASET_DIR") or Path.home() / ".dsrl" / "datasets")


def choose(data: str, tasks: Iterable[Task]) -> list[DataSet]:
    """The data sets of `tasks` for a choice of "auto", "generated", "dsrl" or a folder.

    "auto" is DSRL's own files where they are at hand for every task, otherwise generated ones.
    Generated sets need not exist yet; `can_generate` tells whether they can be made.
    """
    tasks = list(tasks)
    if data == "auto":
        published = choose("dsrl", tasks)
        return published if all(one.present for one in published) else choose("generated", tasks)
    if data == "generated":
        return [DataSet(t, _generated(t), data) for t in tasks]
    if data == "dsrl":
        return [DataSet(t, dsrl_folder() / t.dataset_file, data) for t in tasks]
    folder = Path(data)
    if not data or not folder.is_dir():
        raise UserError(
            f"unknown data {data!r}: use auto, generated, dsrl, or a folder that holds DSRL files"
        )
    name = folder.resolve().name
    source = f"folder {name}" if name in ("dsrl", "generated") else name  # not mistaken for those
    return [DataSet(t, folder / t.dataset_file, source) for t in tasks]


def can_generate(task: Task) -> bool:
    """Whether behaviour policies of `task` are shipped."""
    return task.name in shipped_tasks()


def _generated(task: Task) -> Path:
    if can_generate(task):
        return generated_path(task, cache_folder())
    return cache_folder() / "generated" / f"{task.name}.hdf5"
