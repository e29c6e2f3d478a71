"""Shipped behaviour policies: a few snapshots for each task, in half precision, in numpy.

`benchmarks.datasets.generation.ppo` trains them; this module does not need torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.files import replacing
from benchmarks.datasets.trajectories import file_checksum

Array = NDArray[Any]
OBSERVATION_CLIP = 10.0
"""Bound of a standardised observation."""
ACTION_STEP = 2.0**-10
"""Actions are rounded to multiples of this.

Processors differ in the last bits of a policy's sums, and simulators amplify the difference. In
double precision those bits are about 1e-12 of this step, so that rounding removes them.
"""


class Snapshot(NamedTuple):
    """A behaviour policy at one time of its training, as numpy arrays.

    Every array may have a leading axis [n] with one policy for each row (see `stack`). Shipped
    snapshots are loaded as doubles (`load_snapshots`), so that they act equally on every processor.
    """

    weights: list[Array]
    biases: list[Array]
    log_std: Array
    mean: Array
    std: Array

    def act(self, observations: Array, preferences: Array, noise: Array) -> Array:
        """Actions [n, a] for observations [n, o]; `noise` [n, a] is standard normal or zero.

        Actions are multiples of `ACTION_STEP` in [-1, 1] and do not depend on the other rows.
        """
        x = np.clip((observations - self.mean) / self.std, -OBSERVATION_CLIP, OBSERVATION_CLIP)
        x = np.concatenate([x, 2.0 * preferences[:, None] - 1.0], axis=1)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = np.matmul(weight, (x if i == 0 else np.tanh(x))[..., None])[..., 0] + bias
        action = np.clip(x + np.exp(self.log_std) * noise, -1.0, 1.0)
        rounded: Array = (np.rint(action / ACTION_STEP) * ACTION_STEP).astype(np.float32)
        return rounded

    @staticmethod
    def stack(policies: Sequence[Snapshot]) -> Snapshot:
        """A stack of policies: row i of `act` is the action of `policies[i]`."""
        weights, biases, *rest = zip(*policies, strict=True)
        return Snapshot(
            [np.stack(layer) for layer in zip(*weights, strict=True)],
            [np.stack(layer) for layer in zip(*biases, strict=True)],
            *(np.stack(column) for column in rest),
        )

    def rows(self, rows: NDArray[np.intp]) -> Snapshot:
        """The policies `rows` of a stack."""
        weights, biases, *rest = self
        return Snapshot(
            [w[rows] for w in weights], [b[rows] for b in biases], *(c[rows] for c in rest)
        )


def shipped_tasks() -> list[str]:
    """Names of the tasks with shipped behaviour policies, sorted."""
    folder = files("benchmarks.datasets.generation") / "snapshots"
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return sorted(name.removesuffix(".npz") for name in names if name.endswith(".npz"))


def snapshot_path(task: str) -> Path:
    """Path of the snapshots of `task` in the installed package (the file may be missing)."""
    with as_file(files("benchmarks.datasets.generation") / "snapshots" / f"{task}.npz") as path:
        return path


def recorded_figures() -> dict[str, dict[str, Any]]:
    """Figures of the reference data that the snapshots generate, by task; empty if not recorded."""
    path = snapshot_path("").with_name("figures.json")
    figures: dict[str, dict[str, Any]] = (
        json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    )
    return figures


def recorded_checksum(task: str) -> str | None:
    """sha256 of the reference data that the snapshots generate; None if not recorded."""
    return recorded_figures().get(task, {}).get("sha256")


def save_snapshots(path: Path, snapshots: list[Snapshot]) -> None:
    """Write snapshots in the order of training, with weights in half precision."""
    arrays: dict[str, NDArray[Any]] = {}
    for k, snapshot in enumerate(snapshots):
        for i, (weight, bias) in enumerate(zip(snapshot.weights, snapshot.biases, strict=True)):
            arrays[f"{k}/weight{i}"], arrays[f"{k}/bias{i}"] = weight, bias
        arrays[f"{k}/log_std"] = snapshot.log_std
    halves: dict[str, NDArray[Any]] = {
        name: array.astype(np.float16) for name, array in arrays.items()
    }
    for k, snapshot in enumerate(snapshots):  # an observation's scale may exceed float16's range
        halves[f"{k}/mean"], halves[f"{k}/std"] = snapshot.mean, snapshot.std
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **halves)


def load_snapshots(path: Path) -> list[Snapshot]:
    """Load the snapshots of `save_snapshots`, as doubles."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name].astype(np.float64) for name in file.files}
    count = 1 + max(int(name.split("/")[0]) for name in arrays)
    layers = sum(name.startswith("0/weight") for name in arrays)
    return [
        Snapshot(
            [arrays[f"{k}/weight{i}"] for i in range(layers)],
            [arrays[f"{k}/bias{i}"] for i in range(layers)],
            arrays[f"{k}/log_std"],
            arrays[f"{k}/mean"],
            arrays[f"{k}/std"],
        )
        for k in range(count)
    ]


def snapshot_checksum(task: str) -> str:
    """sha256 of the shipped snapshots of `task`."""
    return file_checksum(snapshot_path(task))
