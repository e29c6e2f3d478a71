"""A small training of behaviour policies, and how to compare what it leaves."""

from dataclasses import replace

import numpy as np
from hypothesis import settings

from benchmarks.datasets.generation.ppo import (
    PPOConfig,
)
from benchmarks.tasks.tasks import TASKS

TASK = replace(TASKS["BallRun"], horizon=20)
SMALL = PPOConfig(environments=4, epochs=2, minibatch=40, hidden=16)


STEPS = 800  # ten rounds
quick = settings(deadline=None, max_examples=50)  # a busy machine is no failure


def arrays(snapshots):
    """All arrays of snapshots, in order."""
    return [
        array
        for snapshot in snapshots
        for field in snapshot
        for array in (field if isinstance(field, list) else [field])
    ]


def same(one, other):
    return len(one) == len(other) and all(map(np.array_equal, arrays(one), arrays(other)))
