"""Which data a run uses: decided once for all its tasks, never mixed; and getting hold of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
from tqdm import tqdm

from benchmarks.common.errors import UserError
from benchmarks.common.hardware import available_cores
from benchmarks.datasets import dsrl, mirror
from benchmarks.datasets.generation.policies import recorded_checksum, shipped_tasks
from benchmarks.datasets.generation.rollouts import generate, generated_path
from benchmarks.datasets.trajectories import HDF5_ERRORS, file_checksum
from benchmarks.tasks.tasks import Task

_KEYS = ("observations", "next_observations", "actions", "rewards", "costs", "terminals")


@dataclass(frozen=True)
class DataSet:
    """The data file of a task and the scale that goes with it."""

    task: Task
    path: Path
    source: str
    """ "generated", "dsrl", "own" for a user's task, or the name of the user's folder."""

    @property
    def present(self) -> bool:
        """Whether the file is there."""
        return self.path.is_file()

    def return_range(self) -> tuple[float, float]:
        """R_min and R_max for normalising: the task's, which are DSRL's for every task of DSRL."""
        return self.task.min_return, self.task.max_return

    def checksum(self) -> str:
        """sha256 of the file; a published one must be the one that was used before."""
        if self.source == "dsrl":
            return dsrl.enforce_checksum(self.path, cache_folder() / "checksums")
        return file_checksum(self.path)

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


@dataclass(frozen=True)
class Network:
    """From where published files may be fetched; no mirror means not at all."""

    mirrors: Sequence[str] = ()

    @staticmethod
    def of(*, mirrors: Sequence[str] = (), offline: bool = False) -> Network:
        """What the options and the environment allow: `mirrors` first, nothing if `offline`."""
        if offline or os.environ.get("OSRL_BENCH_OFFLINE"):
            return Network()
        return Network(mirror.mirrors(list(mirrors)))

    def reaches(self, task: Task) -> bool:
        """Whether the published file of `task` can be fetched."""
        return bool(self.mirrors) and mirror.reachable(task, self.mirrors)


def cache_folder() -> Path:
    """Where generated and fetched data are kept: `OSRL_BENCH_CACHE`, or the user's cache folder."""
    if chosen := os.environ.get("OSRL_BENCH_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "osrl-bench"


def dsrl_folder() -> Path:
    """Where DSRL keeps its files: `DSRL_DATASET_DIR`, or its default in the home folder."""
    return Path(os.environ.get("DSRL_DATASET_DIR") or Path.home() / ".dsrl" / "datasets")


def fetched_folder() -> Path:
    """Where files are put that are fetched here."""
    return cache_folder() / "dsrl"


def published_path(task: Task) -> Path:
    """The published file of `task`: in DSRL's folder, or in our cache, where it may be missing."""
    theirs = dsrl_folder() / task.dataset_file
    return theirs if theirs.is_file() else fetched_folder() / task.dataset_file


def choose(data: str, tasks: Iterable[Task], network: Network | None = None) -> list[DataSet]:
    """The data sets of `tasks` for a choice of "auto", "generated", "dsrl" or a folder.

    "auto" is DSRL's own files where each is at hand or within reach, otherwise generated ones.
    Sets need not exist yet; `obtain` makes or fetches them. A user's own tasks have their own data.
    """
    tasks, network = list(tasks), network or Network()
    if own := [task.name for task in tasks if task.file]:
        if len(own) < len(tasks):
            raise UserError(
                f"{', '.join(own)}: a task of your own has data of its own, and one leaderboard "
                "never mixes sources: run it apart from the others"
            )
        if data != "auto":
            raise UserError(f"--data {data}: {', '.join(own)} states its data in its task file")
        return [DataSet(t, Path(t.dataset_file), "own") for t in tasks]
    if data == "auto":
        published = choose("dsrl", tasks)
        if all(one.present or network.reaches(one.task) for one in published):
            return published
        return choose("generated", tasks)
    if data == "generated":
        return [DataSet(t, _generated(t), data) for t in tasks]
    if data == "dsrl":
        return [DataSet(t, published_path(t), data) for t in tasks]
    folder = Path(data)
    if not data or not folder.is_dir():
        raise UserError(
            f"unknown data {data!r}: use auto, generated, dsrl, or a folder that holds DSRL files"
        )
    name = folder.resolve().name
    # a folder of such a name is not mistaken for the choice
    source = f"folder {name}" if name in ("dsrl", "generated", "own") else name
    return [DataSet(t, folder / t.dataset_file, source) for t in tasks]


def can_generate(task: Task) -> bool:
    """Whether behaviour policies of `task` are shipped."""
    return task.name in shipped_tasks()


def _generated(task: Task) -> Path:
    if can_generate(task):
        return generated_path(task, cache_folder())
    return cache_folder() / "generated" / f"{task.name}.hdf5"


def usable(data: Sequence[DataSet], network: Network, skip: bool) -> tuple[list[DataSet], bool]:
    """Those that are there or can be had, and whether a file among the others is damaged.

    One line tells the others and the remedy: an error unless `skip`.
    """
    good, faults, damaged = list[DataSet](), dict[str, list[str]](), False
    for one in data:
        fault = None
        if one.present:
            if fault := one.problem():
                fault, damaged = f"{one.path} {fault}", True
        elif one.source == "generated" and not can_generate(one.task):
            fault = "no behaviour policy is shipped"
        elif one.source == "dsrl" and not network.mirrors:
            fault = f"neither in {dsrl_folder()} nor fetched before, and offline"
        elif one.source not in ("generated", "dsrl"):
            fault = f"not in {one.path.parent}"
        if fault:
            faults.setdefault(fault, []).append(one.task.name)
        else:
            good.append(one)
    if faults:
        causes = "; ".join(f"{', '.join(names)}: {fault}" for fault, names in faults.items())
        text = (
            f"no usable data for {len(data) - len(good)} of {len(data)} tasks ({causes}). "
            "Put DSRL files into DSRL_DATASET_DIR for --data dsrl, or train a policy with "
            "`python -m benchmarks.data train-behaviour TASK`"
        )
        if not skip or not good:
            rest = f"; --skip-missing runs the other {len(good)}" if good else ""
            raise UserError(f"{text}{rest}")
        print(f"note: {text}", file=sys.stderr)
    return good, damaged


def obtain(data: Sequence[DataSet], network: Network, skip: bool = False) -> list[DataSet]:
    """Generate or fetch what is not there yet, with a progress bar; the sets that are there then.

    A file that cannot be fetched is a `UserError`, or a note and left out if `skip`.
    """
    there = []
    for one in data:
        try:
            if not one.present and one.source == "generated":
                with _bar(f"generating {one.task.name}", " episodes") as progress:
                    generate(
                        one.task, cache_folder(), processes=available_cores(), progress=progress
                    )
                _compare_with_record(one)
            elif not one.present and one.source == "dsrl":
                with _bar(f"fetching {one.task.dataset_file}", "B") as progress:
                    dsrl.fetch(one.task, one.path.parent, network.mirrors, progress=progress)
            there.append(one)
        except OSError as error:
            raise UserError(
                f"cannot keep data in {cache_folder()} ({error.strerror or error}): choose another "
                "folder by OSRL_BENCH_CACHE"
            ) from None
        except UserError as error:
            if not skip:
                raise
            print(f"note: {one.task.name} is left out: {error}", file=sys.stderr)
    if data and not there:
        raise UserError("no task is left that has data")
    return there


def _compare_with_record(one: DataSet) -> None:
    """Note it where a set is not, bit for bit, the one that is made everywhere else."""
    recorded = recorded_checksum(one.task.name)
    if recorded and (made := one.checksum()) != recorded:
        print(
            f"note: the data of {one.task.name} made here (sha256 {made[:12]}) are not those of "
            "other machines: other versions of the packages, or a processor without AVX2 and FMA? "
            "Results on them go into no table of theirs",
            file=sys.stderr,
        )


@contextmanager
def _bar(what: str, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    with tqdm(desc=what, unit=unit, unit_scale=unit == "B", mininterval=1.0) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress
