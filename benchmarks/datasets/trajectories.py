"""Offline data: trajectories in flat arrays, and their files in DSRL's format."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks.common.errors import UserError
from benchmarks.datasets.hdf5 import UnreadableError, reading

Floats = NDArray[np.float32]

_KEYS = ("observations", "next_observations", "actions", "rewards", "costs")
COLUMNS = (*_KEYS, "terminals", "timeouts")
"""The columns of a file in DSRL's format."""
_CHUNK = 2**18
"""Maximum bytes of a column in one HDF5 chunk, so that a chunk fits the processor's cache."""


@dataclass(frozen=True)
class Trajectories:
    """E episodes of N transitions in all, one after another.

    `observations`, `next_observations` [N, o], `actions` [N, a], `rewards`, `costs` [N] and
    `terminals` [N] (the task ended the episode, as opposed to a timeout); episode e consists of the
    transitions `starts[e]` to `starts[e + 1]`.
    """

    observations: Floats
    next_observations: Floats
    actions: Floats
    rewards: Floats
    costs: Floats
    terminals: NDArray[np.bool_]
    starts: NDArray[np.int64]
    source: str = "arrays"
    """The source of the data: "generated", "dsrl" or a name that the user chose."""
    checksum: str = field(default="", compare=False)
    """sha256 of the file; empty for arrays in memory."""

    @staticmethod
    def from_arrays(
        observations: ArrayLike,
        actions: ArrayLike,
        rewards: ArrayLike,
        costs: ArrayLike,
        terminals: ArrayLike,
        timeouts: ArrayLike,
        next_observations: ArrayLike | None = None,
        *,
        source: str = "arrays",
        checksum: str = "",
    ) -> Trajectories:
        """Trajectories from flat arrays; an episode ends where `terminals` or `timeouts` is set.

        The last episode may have neither. Without `next_observations` the next row is used, and an
        episode's last observation is repeated. Raises `UserError` if the arrays do not fit.
        """
        columns: dict[str, NDArray[Any]] = {
            "observations": _floats("observations", observations),
            "actions": _floats("actions", actions),
            "rewards": _floats("rewards", rewards).reshape(-1),
            "costs": _floats("costs", costs).reshape(-1),
            "terminals": _marks("terminals", terminals),
            "timeouts": _marks("timeouts", timeouts),
        }
        if next_observations is not None:
            columns["next_observations"] = _floats("next_observations", next_observations)
        size = len(columns["rewards"])
        if size == 0:
            raise UserError("the data hold no transition")
        for name, column in columns.items():
            if len(column) != size:
                raise UserError(f"{name} has {len(column)} rows where rewards has {size}")
            if not np.isfinite(column).all():
                row = int(np.flatnonzero(~np.isfinite(column).reshape(size, -1).all(axis=1))[0])
                raise UserError(f"{name} holds NaN or infinity, first in row {row}")
        for name in ("observations", "actions"):
            if columns[name].ndim != 2:
                raise UserError(f"{name} must have two dimensions, not {columns[name].ndim}")
            if columns[name].shape[1] == 0:
                raise UserError(f"{name} are 0 wide")
        ends = columns["terminals"] | columns.pop("timeouts")
        ends[-1] = True
        bounds = np.concatenate([[0], np.flatnonzero(ends) + 1]).astype(np.int64)
        if "next_observations" not in columns:
            next_observations = np.roll(columns["observations"], -1, axis=0)
            next_observations[ends] = columns["observations"][ends]
            columns["next_observations"] = next_observations
        elif columns["next_observations"].shape != columns["observations"].shape:
            raise UserError("next_observations and observations differ in shape")
        return Trajectories(**columns, starts=bounds, source=source, checksum=checksum)

    @staticmethod
    def load(path: Path, source: str) -> Trajectories:
        """Read a file in DSRL's format; `UserError` if it is not in that format."""
        if not path.is_file():
            raise UserError(f"{path}: no such data file")
        try:
            with reading(path) as file:
                if missing := missing_columns(file):
                    raise UserError(f"{path}: not a DSRL file, it lacks {', '.join(missing)}")
                arrays = {key: _read(file[key]) for key in COLUMNS}
        except UnreadableError as error:
            raise UserError(f"{path}: {error}") from None
        try:
            return Trajectories.from_arrays(**arrays, source=source, checksum=file_checksum(path))
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    def save(self, path: Path, **attributes: str | float) -> None:
        """Write a file in DSRL's format at `path` (not atomically), with HDF5 `attributes`.

        The file is not compressed, as most of its loading time would be decompression. It is made
        in memory and written as one: HDF5 does not survive a disk that fills up while it writes.
        """
        last = self.starts[1:] - 1
        timeouts = np.zeros(len(self.rewards), dtype=bool)
        timeouts[last] = ~self.terminals[last]
        memory: dict[str, Any] = {"driver": "core", "backing_store": False}
        with h5py.File(path.name, "w", track_order=True, **memory) as file:
            for key in (*_KEYS, "terminals"):
                _write(file, key, getattr(self, key))
            _write(file, "timeouts", timeouts)
            file.attrs.update(attributes)
            file.flush()
            image = file.id.get_file_image()
        path.write_bytes(image)

    def __len__(self) -> int:
        """The number of episodes."""
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each episode [E]."""
        return np.diff(self.starts)

    @cached_property
    def returns(self) -> NDArray[np.float64]:
        """Undiscounted return of each episode [E]."""
        return np.add.reduceat(self.rewards.astype(np.float64), self.starts[:-1])

    @cached_property
    def episode_costs(self) -> NDArray[np.float64]:
        """Undiscounted cost of each episode [E]."""
        return np.add.reduceat(self.costs.astype(np.float64), self.starts[:-1])

    @cached_property
    def timesteps(self) -> NDArray[np.int64]:
        """Index of each transition within its episode [N]."""
        steps: NDArray[np.int64] = np.arange(len(self.rewards))
        return steps - np.repeat(self.starts[:-1], self.lengths)

    def to_go(self, values: Floats) -> NDArray[np.float64]:
        """Sum of `values` [N] from each transition to its episode's end, inclusive [N]."""
        total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
        sums: NDArray[np.float64] = np.repeat(total[self.starts[1:]], self.lengths) - total[:-1]
        return sums

    def sum_range(self, values: Floats) -> tuple[float, float]:
        """Least and largest sum of `values` [N] over consecutive steps, one or more, of an episode.

        In one pass: the largest sum that ends at a step is the running total there less the least
        running total before it.
        """
        total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
        least, largest = np.inf, -np.inf
        for start, end in pairwise(self.starts):
            before, after = total[start:end], total[start + 1 : end + 1]
            least = min(least, float((after - np.maximum.accumulate(before)).min()))
            largest = max(largest, float((after - np.minimum.accumulate(before)).max()))
        return least, largest

    def select(self, episodes: NDArray[np.intp]) -> Trajectories:
        """The given episodes only, in the given order."""
        if len(episodes) == 0:
            raise UserError("no episode is selected")
        rows = np.concatenate([np.arange(*self.starts[e : e + 2]) for e in episodes])
        starts = np.concatenate([[0], np.cumsum(self.lengths[episodes])]).astype(np.int64)
        columns = {key: getattr(self, key)[rows] for key in (*_KEYS, "terminals")}
        return Trajectories(**columns, starts=starts, source=self.source, checksum=self.checksum)


def _read(column: h5py.Dataset) -> NDArray[Any]:
    """Read a column; floats directly in single precision, as doubles need twice the memory."""
    values: NDArray[Any] = (column.astype(np.float32) if column.dtype.kind == "f" else column)[()]
    return values


def _write(file: h5py.File, key: str, values: NDArray[Any]) -> None:
    """Write a column in chunks with checksums, by which HDF5 detects damage on reading."""
    rows = -(-len(values) // -(-values.nbytes // _CHUNK))  # equal chunks: the last one is padded
    file.create_dataset(key, data=values, chunks=(rows, *values.shape[1:]), fletcher32=True)


def _floats(name: str, values: ArrayLike) -> Floats:
    try:
        given = np.asarray(values)
        if given.dtype.kind in "cSUmM":
            raise TypeError
        with np.errstate(over="ignore"):  # infinite in single precision, and refused as such
            return np.atleast_1d(given.astype(np.float32, copy=False))
    except (TypeError, ValueError):
        raise UserError(f"{name} is not an array of numbers") from None


def _marks(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    """Marks of ends, which are 0 or 1: anything else does not say where an episode ends."""
    given = np.asarray(values).reshape(-1)
    if given.dtype.kind not in "fiub" or not np.isin(given, (0, 1)).all():
        raise UserError(f"{name} holds values other than 0 and 1")
    return given.astype(bool)


def missing_columns(file: h5py.File) -> list[str]:
    """The columns of DSRL's format that `file` lacks, with what stands there instead."""

    def instead(key: str) -> str:
        return " (a group stands there)" if isinstance(file.get(key), h5py.Group) else ""

    lacking = [key for key in COLUMNS if not isinstance(file.get(key), h5py.Dataset)]
    return [f"{key}{instead(key)}" for key in lacking]


def file_checksum(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
