"""Small data sets from real simulators."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.datasets.trajectories import Trajectories
from benchmarks.simulators.vector import Lockstep
from benchmarks.tasks.tasks import TASKS


@dataclass(frozen=True)
class SmallData:
    """A folder of DSRL files and the tasks that it holds."""

    folder: Path
    tasks: tuple[str, ...]


def scripted_episodes(name: str, count: int, seed: int = 0) -> Trajectories:
    """Episodes of a task under a constant action a episode plus noise, in the real simulator."""
    task, rng = TASKS[name], np.random.default_rng(seed)
    drift = rng.uniform(-1.0, 1.0, (count, task.action_dim))
    drift *= np.linspace(0.0, 1.0, count)[:, None]  # from safe and idle to costly
    columns: list[list[np.ndarray]] = [[] for _ in range(count)]
    with Lockstep(task, count) as simulators:
        running = np.arange(count)
        observations = simulators.reset(rng.integers(2**31, size=count).tolist())
        while len(running):
            noise = rng.normal(0.0, 0.3, (len(running), task.action_dim))
            actions = np.clip(drift[running] + noise, -1.0, 1.0).astype(np.float32)
            step = simulators.step(actions, running)
            ended = step.terminated | step.truncated
            for i, row in enumerate(running):
                scalars = step.rewards[i], step.costs[i], step.terminated[i], step.truncated[i]
                parts = observations[i], actions[i], step.observations[i], np.array(scalars)
                columns[row].append(np.concatenate(parts))
            running, observations = running[~ended], step.observations[~ended]
    table = np.concatenate([np.stack(rows) for rows in columns])
    o, a = task.observation_dim, task.action_dim
    return Trajectories.from_arrays(
        table[:, :o],
        table[:, o : o + a],
        table[:, -4],
        table[:, -3],
        table[:, -2],
        table[:, -1],
        table[:, o + a : o + a + o],
    )
