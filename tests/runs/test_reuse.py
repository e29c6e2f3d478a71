"""Evaluations in simulators that were used before: the same bits as in fresh ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.methods.algorithm import MemorylessPolicy
from benchmarks.runs.evaluation import evaluate
from benchmarks.simulators.vector import Lockstep
from benchmarks.tasks.tasks import TASKS
from tests.support.marks import mostly_slow

LIMITS = (5.0, 20.0)


class Acting:
    """An untrained method: a fixed map of the observation, another for each `key`."""

    device = torch.device("cpu")

    def __init__(self, task, key):
        shape = task.observation_dim, task.action_dim
        self.weights = torch.randn(shape, generator=torch.Generator().manual_seed(key))

    def policy(self, limits):
        return MemorylessPolicy(lambda observations: torch.tanh(observations @ self.weights))


@pytest.mark.parametrize(
    "name",
    mostly_slow(["BallRun", "CarRun", "AntCircle", "PointCircle1"], "BallRun", "PointCircle1"),
)
@pytest.mark.parametrize("processes", [0, 1])
def test_reuse_changes_no_bit(name, processes):
    task = replace(TASKS[name], horizon=40)
    first, second = Acting(task, 1), Acting(task, 2)
    fresh = evaluate(first, task, LIMITS, 2, seed=3)
    with Lockstep(task, 6, processes) as simulators:  # more than are needed
        evaluate(second, task, (10.0,), 6, seed=4, simulators=simulators)
        assert evaluate(first, task, LIMITS, 2, seed=3, simulators=simulators) == fresh
        assert evaluate(first, task, LIMITS, 2, seed=3, simulators=simulators) == fresh
        assert np.isfinite(simulators.reset([0] * 6)).all()  # they were left open


def test_simulators_of_another_task_are_refused():
    with (
        Lockstep(TASKS["CarRun"], 4) as simulators,
        pytest.raises(ValueError, match="simulators of BallRun, not of CarRun"),
    ):
        evaluate(
            Acting(TASKS["BallRun"], 1), TASKS["BallRun"], LIMITS, 2, seed=0, simulators=simulators
        )


def test_fewer_simulators_play_the_same_episodes_one_batch_after_another():
    task = replace(TASKS["BallRun"], horizon=40)
    algorithm = Acting(task, 1)
    whole = evaluate(algorithm, task, LIMITS, 2, seed=3)
    with Lockstep(task, 3) as simulators:
        assert evaluate(algorithm, task, LIMITS, 2, seed=3, simulators=simulators) == whole
