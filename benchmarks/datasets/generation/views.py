"""What a behaviour policy sees of an observation, where that is not the observation itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
View = Callable[[Array], Array]


def circling_ant(observations: Array) -> Array:
    """AntCircle turned about the circle's centre until the ant lies on the positive x-axis.

    Running along the circle is then the same wherever on it the ant is, as in the simulator; only
    the bounds at |x| = 6 tell one place from another, and they look alike after half a turn.
    Observations [..., 34] become [..., 35].
    """
    x, y = observations[..., 0], observations[..., 1]
    distance = np.maximum(np.sqrt(x**2 + y**2), 1e-6)
    cos, sin = x / distance, y / distance
    # of half the angle: an attitude is turned by a quaternion
    c = np.sqrt(np.clip(1.0 + cos, 0.0, None) / 2)
    s = np.copysign(np.sqrt(np.clip(1.0 - cos, 0.0, None) / 2), sin)
    qx, qy, qz, qw = np.moveaxis(observations[..., 6:10], -1, 0)
    attitude = np.stack([c * qx + s * qy, c * qy - s * qx, c * qz - s * qw, c * qw + s * qz], -1)
    # q and -q are one attitude: of the two, the one nearer to the clockwise heading
    attitude *= np.where(attitude[..., 3:] < attitude[..., 2:3], -1.0, 1.0)

    def turned(vector: Array) -> list[Array]:
        vx, vy, vz = np.moveaxis(vector, -1, 0)
        return [cos * vx + sin * vy, cos * vy - sin * vx, vz]

    place = [distance, observations[..., 2]]
    motion = turned(observations[..., 3:6]) + turned(observations[..., 10:13])
    bounds = [np.abs(x), cos**2 - sin**2, 2 * cos * sin]
    joints_and_feet = observations[..., 13:33]
    columns = np.stack(place + motion + bounds, axis=-1)
    seen: Array = np.concatenate([columns, attitude, joints_and_feet], axis=-1)
    return seen.astype(observations.dtype)


VIEWS: dict[str, View] = {"AntCircle": circling_ant}
"""By task; the others' policies see the observation."""


def view_of(task: str) -> View:
    """What the behaviour policies of `task` see of observations [..., o]."""
    return VIEWS.get(task, lambda observations: observations)
