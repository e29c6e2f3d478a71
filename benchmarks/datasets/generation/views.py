"""Task-specific observation transforms of behaviour policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
View = Callable[[Array], Array]


def circling_ant(observations: Array) -> Array:
    """Rotate AntCircle about the circle's centre until the ant lies on the positive x-axis.

    Running along the circle then looks the same everywhere on it, as in the simulator. Only the
    bounds at |x| = 6 depend on the position, and they are symmetric under half a turn.
    Observations [..., 34] become [..., 35].
    """
    x, y = observations[..., 0], observations[..., 1]
    distance = np.maximum(np.sqrt(x**2 + y**2), 1e-6)
    cos, sin = x / distance, y / distance
    # Cosine and sine of half the angle: an attitude is rotated by a quaternion.
    c = np.sqrt(np.clip(1.0 + cos, 0.0, None) / 2)
    s = np.copysign(np.sqrt(np.clip(1.0 - cos, 0.0, None) / 2), sin)
    qx, qy, qz, qw = np.moveaxis(observations[..., 6:10], -1, 0)
    attitude = np.stack([c * qx + s * qy, c * qy - s * qx, c * qz - s * qw, c * qw + s * qz], -1)
    # q and -q are the same attitude: take the one nearer to the clockwise heading.
    attitude *= np.where(attitude[..., 3:] < attitude[..., 2:3], -1.0, 1.0)

    def rotate(vector: Array) -> list[Array]:
        vx, vy, vz = np.moveaxis(vector, -1, 0)
        return [cos * vx + sin * vy, cos * vy - sin * vx, vz]

    position = [distance, observations[..., 2]]
    motion = rotate(observations[..., 3:6]) + rotate(observations[..., 10:13])
    bounds = [np.abs(x), cos**2 - sin**2, 2 * cos * sin]
    joints_and_feet = observations[..., 13:33]
    columns = np.stack(position + motion + bounds, axis=-1)
    features: Array = np.concatenate([columns, attitude, joints_and_feet], axis=-1)
    return features.astype(observations.dtype)


VIEWS: dict[str, View] = {"AntCircle": circling_ant}
"""Transforms by task; the policies of other tasks see the observation itself."""


def view_of(task: str) -> View:
    """The transform of observations [..., o] for the behaviour policies of `task`."""
    return VIEWS.get(task, lambda observations: observations)
