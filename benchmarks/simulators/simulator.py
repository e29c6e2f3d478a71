"""One simulator of a task: seeded, bounded by the task's horizon, the same after any episode.

Importing this module imports no simulator and changes nothing. What the installed packages get
wrong is repaired in `bullet` and `mujoco`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.errors import UserError, describe
from benchmarks.simulators.bullet import reset_bullet
from benchmarks.simulators.custom import reset_custom
from benchmarks.simulators.isolation import quiet
from benchmarks.simulators.mujoco import reset_mujoco
from benchmarks.tasks.tasks import Task

Array = NDArray[np.float32]
_RESETS: dict[str, Callable[[Task, Any, int], tuple[Any, Any]]] = {
    "bullet": reset_bullet,
    "mujoco": reset_mujoco,
    "gymnasium": reset_custom,
}
"""The function that starts an episode, by engine."""


class Step(NamedTuple):
    """What one environment step gives back."""

    observation: Array
    reward: float
    cost: float
    terminated: bool
    """The task ended: no value follows."""
    truncated: bool
    """The horizon was reached."""


class Simulator:
    """One copy of a task's simulator, reproducible from a seed.

    `reset(seed)` gives the same episode for the same actions, whatever ran before in this process.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._env: Any = None
        self._steps = 0

    def reset(self, seed: int) -> Array:
        """Start the episode that belongs to `seed` and return its first observation."""
        if self._env is None:
            require_simulators(self.task.engine)
        self._env, observation = _RESETS[self.task.engine](self.task, self._env, seed)
        self._steps = 0
        return np.asarray(observation, dtype=np.float32)

    def step(self, action: Array) -> Step:
        """Advance one step with an action in [-1, 1]."""
        outcome = self._env.step(np.asarray(action, dtype=np.float64))
        if len(outcome) == 6:  # safety-gymnasium returns the cost by itself
            observation, reward, cost, terminated, truncated, _ = outcome
        else:
            observation, reward, terminated, truncated, info = outcome
            if "cost" not in info:
                raise UserError(f'{self.task.simulator}: step returns no info["cost"]')
            cost = info["cost"]
        self._steps += 1
        truncated = not terminated and (truncated or self._steps >= self.task.horizon)
        return Step(
            np.asarray(observation, dtype=np.float32),
            float(reward),
            float(cost),
            bool(terminated),
            bool(truncated),
        )

    def close(self) -> None:
        """Free the simulator; a later `reset` builds it again."""
        if self._env is not None:
            self._env.close()
            self._env = None


def require_simulators_of(tasks: Iterable[Task]) -> None:
    """Raise a `UserError` for the first task whose simulator is missing, or fails if a user's."""
    tasks = list(tasks)
    for engine in dict.fromkeys(task.engine for task in tasks):
        require_simulators(engine)
    for task in tasks:
        if task.engine == "gymnasium":
            check_simulator(task)


def require_simulators(engine: str) -> None:
    """Raise a `UserError` that says how to install the simulator package if it is missing."""
    if engine == "metadrive":
        raise UserError(
            "MetaDrive tasks are trained, not evaluated, here: their simulator (MetaDrive with "
            "DSRL's patches) is in no package index. Give --stage train"
        )
    try:
        with quiet():
            if engine == "bullet":
                import bullet_safety_gym.envs.builder  # noqa: F401
            elif engine == "mujoco":
                import safety_gymnasium  # noqa: F401
            else:
                import gymnasium  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"the {engine} simulator cannot be imported ({error}): run `make setup`, or train "
            "without it by `--stage train`"
        ) from None


def check_simulator(task: Task) -> None:
    """Raise a `UserError` in one line if the simulator of a user's task fails to make a step.

    It plays the first step of an episode, so that no training is lost to a slip in a simulator.
    """
    try:
        with contextlib.closing(Simulator(task)) as simulator:
            first = simulator.reset(0)
            second = simulator.step(np.zeros(task.action_dim, dtype=np.float32)).observation
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{task.file}: simulator {task.simulator} fails in its first step ({describe(error)})"
        ) from error
    for shape in (first.shape, second.shape):
        if shape != (task.observation_dim,):
            raise UserError(
                f"{task.file}: {task.simulator} gives observations of shape {shape}, not the "
                f"({task.observation_dim},) that it declares"
            )
