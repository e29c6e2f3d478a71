"""A world of two rooms, in which only stitched trajectories are safe and best."""

import numpy as np

from benchmarks.datasets.trajectories import Trajectories
from tests.support.gas_cases import play

HALF, SAFE = 4, 1.0
"""Two rooms of HALF steps each, and the cost limit."""


def room(step):
    return [1.0 if step < HALF else -1.0]


def outcome(step, action):
    """In the first room only the direction's cost differs, in the second only its reward."""
    if step < HALF:
        return 1.0, float(action > 0)
    return (1.0 if action > 0.4 else 0.75 if action > -0.4 else 0.5), 0.0


def two_rooms():
    """Episodes that go right at first, or left: none of these goes right enough in the second.

    Those that earn more in the second room go less far left in the first: chance, not need.
    """
    rng, rows = np.random.default_rng(0), []
    for pair in [(0.8, 0.8), (0.8, -0.8), (-0.8, -0.8), (-0.25, 0.0)] * 10:
        for step in range(2 * HALF):
            action = pair[step >= HALF] + rng.uniform(-0.1, 0.1)
            end = step == 2 * HALF - 1
            rows.append((room(step), [action], *outcome(step, action), False, end))
    return Trajectories.from_arrays(*map(list, zip(*rows, strict=True)))


BEST = 2.0 * HALF
"""What the best path earns; left, then right, at no cost."""


def play_rooms(method):
    return play(method, SAFE, 2 * HALF, room, outcome)
