"""A task's simulator: seeded, limited to the task's horizon, independent of earlier episodes.

Importing this module imports no simulator and has no side effects. `bullet` and `mujoco` repair
faults of the installed packages.
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
    """Result of one environment step."""

    observation: Array
    reward: float
    cost: float
    terminated: bool
    """The task ended the episode: the value of the next state is 0."""
    truncated: bool
    """The episode reached the horizon."""


class Simulator:
    """A task's simulator, reproducible from a seed.

    After `reset(seed)`, equal actions give equal episodes, whatever ran before in this process.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._env: Any = None
        self._steps = 0

    def reset(self, seed: int) -> Array:
        """Start the episode of `seed` and return its first observation."""
        if self._env is None:
            require_simulators(self.task.engine)
        self._env, observation = _RESETS[self.task.engine](self.task, self._env, seed)
        self._steps = 0
        return np.asarray(observation, dtype=np.float32)

    def step(self, action: Array) -> Step:
        """Advance one step with an action in [-1, 1]."""
        outcome = self._env.step(np.asarray(action, dtype=np.float64))
        if len(outcome) == 6:  # safety-gymnasium returns the cost separately
            observation, reward, cost, terminated, truncated, _ = outcome
        else:
            observation, reward, terminated, truncated, info = outcome
            if "cost" not in info:
                raise UserError(f'{self.task.simulator}: step must return info["cost"]')
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
        """Close the simulator; a later `reset` builds it again."""
        if self._env is not None:
            self._env.close()
            self._env = None


def require_simulators_of(tasks: Iterable[Task]) -> None:
    """Raise `UserError` if a task's simulator is missing, or if a user's own simulator fails."""
    tasks = list(tasks)
    for engine in dict.fromkeys(task.engine for task in tasks):
        require_simulators(engine)
    for task in tasks:
        if task.engine == "gymnasium":
            check_simulator(task)


def require_simulators(engine: str) -> None:
    """Raise `UserError`, with the way to install it, if the simulator package is missing."""
    if engine == "metadrive":
        raise UserError(
            "MetaDrive tasks can be trained but not evaluated: their simulator (MetaDrive with "
            "DSRL's patches) is in no package index. Use --stage train"
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
            "without it: --stage train"
        ) from None


def check_simulator(task: Task) -> None:
    """Raise `UserError` if the simulator of a user's task fails in its first step.

    Called before the training, so that a faulty simulator is found before hours of work.
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
                f"{task.file}: {task.simulator} returns observations of shape {shape}, not of the "
                f"declared shape ({task.observation_dim},)"
            )
