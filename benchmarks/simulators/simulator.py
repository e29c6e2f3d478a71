"""A task's simulator: seeded, limited to the task's horizon, independent of earlier episodes.

Importing this module imports no simulator and has no side effects. `bullet` and `mujoco` repair
faults of the installed packages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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
_RESETS: dict[str, Callable[[Task, Any, int, bool], tuple[Any, Any]]] = {
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

    def __init__(self, task: Task, *, rendered: bool = False) -> None:
        """`rendered` loads what `render` needs; episodes stay the same."""
        self.task, self.rendered = task, rendered
        self._env: Any = None
        self._seed = self._steps = 0

    def reset(self, seed: int) -> Array:
        """Start the episode of `seed` and return its first observation."""
        if self._env is None:
            require_simulators(self.task.engine)
        self._seed, self._steps = seed, 0
        self._env, observation = _RESETS[self.task.engine](
            self.task, self._env, seed, self.rendered
        )
        return self._observation(observation)

    def step(self, action: Array) -> Step:
        """Advance one step with an action in [-1, 1].

        Raises `UserError` for what no episode can be scored with: observations of another shape,
        numbers that are not finite, a cost that is missing or negative.
        """
        self._steps += 1
        outcome = self._env.step(np.asarray(action, dtype=np.float64))
        if len(outcome) == 6:  # safety-gymnasium returns the cost separately
            observation, reward, cost, terminated, truncated, _ = outcome
        else:
            observation, reward, terminated, truncated, info = outcome
            if not isinstance(info, Mapping) or "cost" not in info:
                raise UserError(f'{self.task.simulator}: step must return info["cost"]')
            cost = info["cost"]
        terminated = self._number("terminated", terminated) != 0
        truncated = self._number("truncated", truncated) != 0
        if (cost := self._number("cost", cost)) < 0:
            raise self._fault(f"a cost of {cost:g}: costs must not be negative")
        return Step(
            self._observation(observation),
            self._number("reward", reward),
            cost,
            terminated,
            not terminated and (truncated or self._steps >= self.task.horizon),
        )

    def render(self) -> NDArray[np.uint8]:
        """A picture [height, width, 3] of the present state; `UserError` if there is none."""
        how = {"mode": "rgb_array"} if self.task.engine == "bullet" else {}
        try:
            picture = np.asarray(self._env.render(**how))
        except (Exception, SystemExit) as error:
            raise UserError(
                f"{self.task.simulator} cannot be rendered: {describe(error)}"
            ) from error
        if picture.ndim != 3 or picture.shape[2] not in (3, 4):
            raise UserError(
                f"{self.task.simulator} cannot be rendered: its render() must return a picture "
                "[height, width, 3]"
            )
        return picture[..., :3].astype(np.uint8)

    def _observation(self, given: Any) -> Array:
        with np.errstate(over="ignore"):
            try:
                observation = np.asarray(given, dtype=np.float32)
            except (TypeError, ValueError):
                raise self._fault("an observation that is no array of numbers") from None
        if observation.shape != (self.task.observation_dim,):
            raise self._fault(
                f"an observation of shape {observation.shape}, not of the declared shape "
                f"({self.task.observation_dim},)"
            )
        if not np.isfinite(observation).all():
            raise self._fault("an observation that holds NaN or infinity")
        return observation

    def _number(self, name: str, given: Any) -> float:
        """A finite number, given as one or as an array of one."""
        value = np.asarray(given)
        if value.size != 1 or value.dtype.kind not in "fiub":
            text = " ".join(repr(given).split())[:80]
            raise self._fault(f"{name} {text}, which is not a number")
        if not math.isfinite(number := float(value.reshape(-1)[0])):
            raise self._fault(f"{name} {number}")
        return number

    def _fault(self, returned: str) -> UserError:
        """The error for what step or reset has returned."""
        where = f"step {self._steps}" if self._steps else "reset"
        return UserError(
            f"simulator {self.task.simulator} returned {returned}, at {where} of the episode of "
            f"seed {self._seed}"
        )

    @property
    def built(self) -> bool:
        """Whether it stands in memory already."""
        return self._env is not None

    def close(self) -> None:
        """Close the simulator; a later `reset` builds it again."""
        if self._env is not None:
            self._env.close()
            self._env = None


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


def take_first_step(simulator: Simulator) -> None:
    """Start an episode and take a step; `UserError` if that fails.

    For users' tasks, before the training: a faulty simulator is found before hours of work.
    """
    task = simulator.task
    try:
        simulator.reset(0)
        simulator.step(np.zeros(task.action_dim, dtype=np.float32))
    except UserError as error:
        where = f"{task.file}: "
        raise UserError(f"{where}{str(error).removeprefix(where)}") from None
    except (Exception, SystemExit) as error:
        raise UserError(
            f"{task.file}: simulator {task.simulator} fails in its first step ({describe(error)})"
        ) from error
