"""A small task and recipe for the tests of generated sets."""

from dataclasses import replace

import numpy as np
from hypothesis import settings

from benchmarks.datasets.generation.policies import (
    Snapshot,
)
from benchmarks.datasets.generation.ppo import PPOConfig, PreferencePPO
from benchmarks.datasets.generation.rollouts import (
    Recipe,
    Rollout,
)
from benchmarks.tasks.tasks import TASKS

TASK = replace(TASKS["BallRun"], horizon=20, min_return=-1e4, max_return=1e4)
TINY = Recipe(candidates=44, per_round=24, cost_bins=3, return_bins=3)


quick = settings(deadline=None, max_examples=50)  # a busy machine is no failure


def policies(task, count=3):
    """Policies that differ and that heed the preference."""
    made = []
    for seed in range(count):
        ppo = PreferencePPO(task, PPOConfig(hidden=8), seed)
        weights, biases, *rest = ppo.snapshot()
        rng = np.random.default_rng(seed)
        weights[-1] = rng.normal(size=weights[-1].shape).astype(np.float32)
        made.append(Snapshot(weights, biases, *rest))
    return made


def rollout(episode_return, cost):
    observations = np.full((3, TASK.observation_dim), episode_return, dtype=np.float32)
    halves = [np.full(2, value / 2, dtype=np.float32) for value in (episode_return, cost)]
    return Rollout(observations, np.zeros((2, 2), dtype=np.float32), *halves, False)
