"""Converts data of other formats to DSRL's: Minari, D4RL-style HDF5, and tables of transitions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.common.errors import UserError
from benchmarks.datasets.hdf5 import HDF5_ERRORS
from benchmarks.datasets.trajectories import Trajectories

Array = NDArray[Any]
_COSTS = ("costs", "cost", "infos/cost", "infos/costs")
"""Where other formats keep the cost of a transition."""
_A_COST = "cost (name it by --costs)"
_ENDS = ("terminals", "terminations", "dones")
_TIMEOUTS = ("timeouts", "truncations")


class Range(NamedTuple):
    """The bounds of the environment's actions, a number or one a dimension."""

    low: Sequence[float]
    high: Sequence[float]


def convert(
    path: Path, *, format: str = "auto", costs: str | None = None, actions: Range | None = None
) -> Trajectories:
    """The trajectories of a file, or of a folder of Minari, with actions scaled to [-1, 1].

    `format` is a name of `FORMATS`, or "auto". `costs` names the cost's array or column; `actions`
    are the bounds that are scaled to -1 and 1. Raises `UserError` for data that cannot be read,
    lack a cost or an episode's end, or have actions outside of the bounds.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    if format == "auto":
        format = _format_of(path)
    if format not in FORMATS:
        raise UserError(f"format {format!r} is none of {', '.join(FORMATS)}")
    try:
        arrays, bounds = FORMATS[format](path, costs)
    except HDF5_ERRORS as error:
        raise UserError(f"{path}: cannot be read as {format} ({error})") from None
    arrays["actions"] = _scaled(path, arrays["actions"], actions or bounds)
    try:
        return Trajectories.from_arrays(**arrays)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _format_of(path: Path) -> str:
    """The format by the path: a folder or main_data.hdf5 is Minari's."""
    if path.is_dir() or path.name == "main_data.hdf5":
        return "minari"
    if path.suffix in (".hdf5", ".h5"):
        return "d4rl"
    if path.suffix in (".parquet", ".csv"):
        return "table"
    raise UserError(f"{path}: the format is not known by this name; give --format")


def _scaled(path: Path, actions: Array, bounds: Range | None) -> Array:
    """Actions [N, a] scaled from the bounds to [-1, 1]."""
    values = np.asarray(actions, dtype=np.float64)
    if values.ndim != 2:
        raise UserError(f"{path}: actions must have two dimensions, not {values.ndim}")
    width = values.shape[1]
    low, high = (
        np.asarray(bound, dtype=np.float64)
        for bound in (bounds if bounds is not None else ([-1.0], [1.0]))
    )
    if {low.size, high.size} - {1, width}:
        raise UserError(f"{path}: give one bound of the actions, or {width}")
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise UserError(f"{path}: the actions' bounds {low} and {high} are no intervals")
    tolerance = 1e-6 * (high - low)
    if (values < low - tolerance).any() or (values > high + tolerance).any():
        raise UserError(
            f"{path}: actions reach from {values.min():g} to {values.max():g}, outside of "
            f"{low.min():g} to {high.max():g}: give --action-low and --action-high"
        )
    return np.clip(2.0 * (values - low) / (high - low) - 1.0, -1.0, 1.0)


def _read_d4rl(path: Path, costs: str | None) -> tuple[dict[str, Any], Range | None]:
    """Flat arrays of transitions: observations, actions, rewards, ends and a cost."""
    with h5py.File(path, "r") as file:
        arrays = {
            name: _required(file, path, [name]) for name in ("observations", "actions", "rewards")
        }
        arrays["costs"] = _required(file, path, [costs] if costs else _COSTS, _A_COST)
        ends, timeouts = _first(file, _ENDS), _first(file, _TIMEOUTS)
        if "next_observations" in file:
            arrays["next_observations"] = file["next_observations"][()]
        if ends is None and timeouts is None:
            raise UserError(f"{path}: has neither {' nor '.join(_ENDS + _TIMEOUTS)}")
    size = len(arrays["rewards"])
    arrays["terminals"] = np.zeros(size, dtype=bool) if ends is None else ends
    arrays["timeouts"] = np.zeros(size, dtype=bool) if timeouts is None else timeouts
    return arrays, None


def _read_minari(path: Path, costs: str | None) -> tuple[dict[str, Any], Range | None]:
    """Episodes as groups, with one observation more than actions."""
    file_path = path
    if path.is_dir():
        found = [path / "data" / "main_data.hdf5", path / "main_data.hdf5"]
        file_path = next((candidate for candidate in found if candidate.is_file()), found[0])
        if not file_path.is_file():
            raise UserError(f"{path}: has no data/main_data.hdf5, the form of Minari that is read")
    parts: dict[str, list[Array]] = {}
    with h5py.File(file_path, "r") as file:
        names = sorted(
            (name for name in file if name.startswith("episode_")),
            key=lambda name: int(name.removeprefix("episode_")),
        )
        if not names:
            raise UserError(f"{file_path}: has no group episode_0")
        for name in names:
            for key, array in _minari_episode(file[name], f"{file_path}, {name}", costs).items():
                parts.setdefault(key, []).append(array)
    arrays = {key: np.concatenate(arrays) for key, arrays in parts.items()}
    return arrays, _minari_bounds(file_path.with_name("metadata.json"))


def _minari_episode(group: Any, where: str, costs: str | None) -> dict[str, Array]:
    """The transitions of one episode; what it began with has no cost yet."""
    if isinstance(group.get("observations"), h5py.Group):
        raise UserError(f"{where}: observations of several arrays are not read; flatten them")
    actions, rewards = (_required(group, where, [name]) for name in ("actions", "rewards"))
    observations = _required(group, where, ["observations"])
    steps = len(rewards)
    if len(observations) != steps + 1 or len(actions) != steps:
        raise UserError(
            f"{where}: {len(observations)} observations and {len(actions)} actions do not fit "
            f"{steps} rewards"
        )
    cost = _required(group, where, [costs] if costs else _COSTS, _A_COST)
    ends, timeouts = _first(group, _ENDS), _first(group, _TIMEOUTS)
    terminals = np.zeros(steps, dtype=bool) if ends is None else np.asarray(ends, dtype=bool)
    last = np.arange(steps) == steps - 1
    return {
        "observations": observations[:-1],
        "next_observations": observations[1:],
        "actions": actions,
        "rewards": rewards,
        "costs": cost[-steps:],  # infos have an entry for the reset too
        "terminals": terminals & last,
        "timeouts": last & ~terminals if timeouts is None else last,
    }


def _minari_bounds(metadata: Path) -> Range | None:
    """The bounds of the actions that the metadata state; None without them."""
    folder = metadata.parent
    for path in (metadata, folder.parent / "metadata.json"):
        try:
            space = json.loads(json.loads(path.read_text(encoding="utf-8"))["action_space"])
            low, high = (np.ravel(space[name]).astype(float).tolist() for name in ("low", "high"))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return Range(low, high)
    return None


def _read_table(path: Path, costs: str | None) -> tuple[dict[str, Any], Range | None]:
    """A row for each transition, with the columns of `TABLE`."""
    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except ImportError:
        raise UserError(f"{path}: Parquet needs pyarrow: pip install -e '.[parquet]'") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    cost = costs or "cost"
    for name in ("episode", "reward", cost):
        if name not in frame:
            raise UserError(f"{path}: has no column {name!r}; it has {', '.join(map(str, frame))}")
    order = ["episode", "step"] if "step" in frame else ["episode"]
    # Episodes may come in any order; within one, rows are in time.
    frame = frame.sort_values(order, kind="stable").reset_index(drop=True)
    episode = frame["episode"].to_numpy()
    last = np.append(episode[1:] != episode[:-1], True)
    terminated = frame["terminated"].to_numpy(dtype=bool) if "terminated" in frame else ~last & last
    if (terminated & ~last).any():
        row = int(np.flatnonzero(terminated & ~last)[0])
        raise UserError(f"{path}: episode {episode[row]} goes on after it is terminated")
    arrays = {
        "observations": _wide(frame, "observation", path),
        "actions": _wide(frame, "action", path),
        "rewards": frame["reward"].to_numpy(dtype=np.float64),
        "costs": frame[cost].to_numpy(dtype=np.float64),
        "terminals": terminated,
        "timeouts": last & ~terminated,
    }
    if "next_observation" in frame or "next_observation_0" in frame:
        arrays["next_observations"] = _wide(frame, "next_observation", path)
    return arrays, None


def _wide(frame: pd.DataFrame, name: str, path: Path) -> Array:
    """The columns `name`_0, `name`_1 … or the lists in the column `name`: [N, width]."""
    if name in frame:
        try:
            return np.stack([np.asarray(row, dtype=np.float64) for row in frame[name]])
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}: the lists of {name!r} do not fit ({error})") from None
    numbered: list[str] = []
    while f"{name}_{len(numbered)}" in frame:
        numbered.append(f"{name}_{len(numbered)}")
    if not numbered:
        raise UserError(
            f"{path}: has neither a column {name!r} of lists nor {name}_0, {name}_1 ..."
        )
    return frame[numbered].to_numpy(dtype=np.float64)


def _first(group: Any, names: Sequence[str]) -> Array | None:
    """The first array of these names that there is."""
    return next((np.asarray(group[name][()]) for name in names if name in group), None)


def _required(group: Any, where: object, names: Sequence[str], what: str = "") -> Array:
    array = _first(group, names)
    if array is None:
        known = ", ".join(sorted(map(str, group)))
        raise UserError(f"{where}: has no {what or names[0]}; it has {known}")
    return array


FORMATS: Mapping[str, Callable[[Path, str | None], tuple[dict[str, Any], Range | None]]] = {
    "minari": _read_minari,
    "d4rl": _read_d4rl,
    "table": _read_table,
}
"""Readers by the name of their format."""
