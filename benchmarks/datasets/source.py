"""Selects one data source for all tasks of a run; downloads or generates the data."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.common.errors import UserError
from benchmarks.common.files import user_path
from benchmarks.common.hardware import available_cores
from benchmarks.datasets import dsrl, mirror
from benchmarks.datasets.examined import examined
from benchmarks.datasets.generation.policies import recorded_checksum, shipped_tasks
from benchmarks.datasets.generation.rollouts import generate, generated_path, generation_seconds
from benchmarks.datasets.trajectories import file_checksum
from benchmarks.datasets.verify import Findings
from benchmarks.tasks.tasks import Task

_GET_DATA = (
    "put DSRL files into DSRL_DATASET_DIR for --data dsrl, or train a policy with "
    "`python -m benchmarks.data train-behaviour TASK`"
)
"""The remedy for data that are not there."""


@dataclass(frozen=True)
class DataSet:
    """The data file of a task, which may not exist yet."""

    task: Task
    path: Path
    source: str
    """ "generated", "dsrl", "own" for a user's task, or the name of the user's folder."""

    @property
    def present(self) -> bool:
        """Whether the file exists."""
        return self.path.is_file()

    def return_range(self) -> tuple[float, float]:
        """R_min and R_max for normalisation: the task's constants, from DSRL for its tasks."""
        return self.task.min_return, self.task.max_return

    def checksum(self) -> str:
        """sha256 of the file; `UserError` if a published file has changed since its first use."""
        if self.source == "dsrl":
            return dsrl.enforce_checksum(self.path, cache_folder() / "checksums")
        return file_checksum(self.path)

    def findings(self) -> Findings:
        """What `data verify` finds in the file."""
        return examined(self.path, self.task, cache_folder() / "examined")

    def remedy(self) -> str:
        """What to do about a fault in the file; empty where only its owner knows."""
        if self.source == "generated" and can_generate(self.task):
            return f"delete {self.path}, and the next run makes it anew"
        if self.path.parent == fetched_folder():
            return f"delete {self.path}, and the next run fetches it anew"
        return ""


@dataclass(frozen=True)
class Network:
    """The mirrors to download published files from; none means offline."""

    mirrors: Sequence[str] = ()

    @staticmethod
    def of(*, mirrors: Sequence[str] = (), offline: bool = False) -> Network:
        """`mirrors` and those of the environment variables; none if `offline` or
        OSRL_BENCH_OFFLINE is set.
        """
        if offline or os.environ.get("OSRL_BENCH_OFFLINE"):
            return Network()
        return Network(mirror.mirrors(list(mirrors)))

    def reaches(self, task: Task) -> bool:
        """Whether a mirror has the published file of `task`."""
        return bool(self.mirrors) and mirror.reachable(task, self.mirrors)


def cache_folder() -> Path:
    """Folder of generated and downloaded data: `OSRL_BENCH_CACHE` or the user's cache folder."""
    if chosen := os.environ.get("OSRL_BENCH_CACHE"):
        return user_path(chosen)
    return user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "osrl-bench"


def dsrl_folder() -> Path:
    """Folder of DSRL's own downloads: `DSRL_DATASET_DIR` or its default in the home folder."""
    return user_path(os.environ.get("DSRL_DATASET_DIR") or "~/.dsrl/datasets")


def fetched_folder() -> Path:
    """Folder of published files that this package downloads."""
    return cache_folder() / "dsrl"


def published_path(task: Task) -> Path:
    """The published file of `task` in DSRL's folder, else in ours, where it may be missing."""
    existing = dsrl_folder() / task.dataset_file
    return existing if existing.is_file() else fetched_folder() / task.dataset_file


def choose(data: str, tasks: Iterable[Task], network: Network | None = None) -> list[DataSet]:
    """The data sets of `tasks` for a choice of "auto", "generated", "dsrl" or a folder.

    "auto" is "dsrl" if every file exists or can be downloaded, otherwise "generated". The files
    need not exist yet: `obtain` generates or downloads them. Users' own tasks have their own data.
    """
    tasks, network = list(tasks), network or Network()
    if custom := [task.name for task in tasks if task.file]:
        if len(custom) < len(tasks):
            raise UserError(
                f"{', '.join(custom)}: a task file names its own data, and a leaderboard must not "
                "mix data sources: run it apart from the others"
            )
        if data != "auto":
            raise UserError(
                f"--data {data}: {', '.join(custom)} states its data in its task file: "
                "leave --data out"
            )
        return [DataSet(t, Path(t.dataset_file), "own") for t in tasks]
    if data == "auto":
        published = choose("dsrl", tasks)
        if all(item.present or network.reaches(item.task) for item in published):
            return published
        return choose("generated", tasks)
    if data == "generated":
        return [DataSet(t, _generated(t), data) for t in tasks]
    if data == "dsrl":
        return [DataSet(t, published_path(t), data) for t in tasks]
    folder = user_path(data)
    if not data or not folder.is_dir():
        raise UserError(
            f"unknown data {data!r}: use auto, generated, dsrl, or a folder with DSRL files"
        )
    name = folder.resolve().name
    # A folder with the name of another choice gets a prefix, to tell them apart.
    source = f"folder {name}" if name in ("dsrl", "generated", "own") else name
    return [DataSet(t, folder / t.dataset_file, source) for t in tasks]


def can_generate(task: Task) -> bool:
    """Whether this package contains behaviour policies of `task`."""
    return task.name in shipped_tasks()


def _generated(task: Task) -> Path:
    if can_generate(task):
        return generated_path(task, cache_folder())
    return cache_folder() / "generated" / f"{task.name}.hdf5"


def usable(data: Sequence[DataSet], network: Network, skip: bool) -> tuple[list[DataSet], bool]:
    """The sets that exist or can be obtained, and whether any file is damaged.

    The others are listed with the remedy: as a note if `skip`, otherwise as a `UserError`.
    """
    good, faults, damaged = list[DataSet](), dict[str, list[str]](), False
    remedies = dict[str, None]()
    for item in data:
        fault = None
        if item.present or item.path.is_symlink():
            findings = item.findings()
            if findings.faults:
                fault, damaged = f"{item.path}: {findings.faults[0]}", True
                remedies |= dict.fromkeys(filter(None, [item.remedy()]))
        elif item.source == "generated" and not can_generate(item.task):
            fault = "no behaviour policy is shipped"
        elif item.source == "dsrl" and not network.mirrors:
            fault = f"neither in {dsrl_folder()} nor downloaded before, and offline"
        elif item.source not in ("generated", "dsrl"):
            fault = f"not in {item.path.parent}"
        if fault:
            faults.setdefault(fault, []).append(item.task.name)
        else:
            good.append(item)
    if faults:
        causes = "; ".join(f"{', '.join(names)}: {fault}" for fault, names in faults.items())
        text = f"no usable data for {len(data) - len(good)} of {len(data)} tasks ({causes})"
        if not damaged:
            remedies[_GET_DATA] = None
        text += "".join(f"; {remedy}" for remedy in remedies)
        if not skip or not good:
            rest = f"; --skip-missing runs the other {len(good)}" if good else ""
            raise UserError(f"{text}{rest}")
        print(f"note: {text}", file=sys.stderr)
    return good, damaged


def tell_warnings(data: Sequence[DataSet]) -> None:
    """Print what is odd about data that can be used, but not of data that are as they were made."""
    for item in data:
        if item.source != "generated" and item.present and (warnings := item.findings().warnings):
            print(f"note: {item.path}: {'; '.join(warnings)}", file=sys.stderr)


def _require_sound(item: DataSet) -> None:
    """`UserError` if data that were just made or fetched have a fault."""
    if faults := item.findings().faults:
        raise UserError(f"{item.path}: {faults[0]}; {item.remedy()}")


def obtain(data: Sequence[DataSet], network: Network, skip: bool = False) -> list[DataSet]:
    """Generate or download missing files, with a progress bar; return the available sets.

    A file that cannot be downloaded raises `UserError`; if `skip`, it is noted and left out.
    """
    available = []
    for item in data:
        made = not item.present
        try:
            if not item.present and item.source == "generated":
                with _bar(f"generating {item.task.name}", " episodes") as progress:
                    generate(
                        item.task, cache_folder(), processes=available_cores(), progress=progress
                    )
                _compare_with_record(item)
            elif not item.present and item.source == "dsrl":
                with _bar(f"downloading {item.task.dataset_file}", "B") as progress:
                    dsrl.fetch(item.task, item.path.parent, network.mirrors, progress=progress)
            if made:
                _require_sound(item)
            available.append(item)
        except BrokenProcessPool:
            raise UserError(
                f"a process that made data of {item.task.name} was ended from outside (out of "
                "memory?): repeat the command"
            ) from None
        except OSError as error:
            raise UserError(
                f"cannot write data to {cache_folder()} ({error.strerror or error}): choose "
                "another folder by OSRL_BENCH_CACHE"
            ) from None
        except UserError as error:
            if not skip:
                raise
            print(f"note: {item.task.name} is left out: {error}", file=sys.stderr)
    if data and not available:
        raise UserError("no task has data: see the notes above")
    return available


def _compare_with_record(data: DataSet) -> None:
    """Print a note if generated data differ from the reference data in any bit."""
    recorded = recorded_checksum(data.task.name)
    if recorded and (checksum := data.checksum()) != recorded:
        print(
            f"note: the data generated for {data.task.name} (sha256 {checksum[:12]}) differ from "
            "the reference data: other package versions, or a processor without AVX2 and FMA? "
            "Do not mix with results on the reference data",
            file=sys.stderr,
        )


def seconds_to_make(data: DataSet) -> float:
    """Estimated time on one core to generate a set; 0 for one that is there or is fetched."""
    absent = not data.present and data.source == "generated"
    return generation_seconds(data.task) if absent else 0.0


@contextmanager
def _bar(what: str, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    live = sys.stderr.isatty()
    if not live:
        print(what, file=sys.stderr)
    scaled = unit == "B"
    with tqdm(desc=what, unit=unit, unit_scale=scaled, mininterval=1.0, disable=not live) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress
