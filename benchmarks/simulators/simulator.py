"""Simulators made right: construction, seeding, horizons, and repairs of the installed packages.

Importing this module imports no simulator and changes nothing. The faults mended here, each only
while a simulator is built or reset:

* bullet-safety-gym 1.4.0 ignores `reset(seed=...)` and draws from the global `numpy.random`; Car,
  Drone and Ant carry state over from the last episode (motor targets, contacts of the feet), and
  Drone's first reset differs from its later ones. Hence a discarded first reset, a neutral step
  before each episode, and a seeded generator that is private to the reset.
* bullet-safety-gym loads the meshes that a renderer would show, half a second and some 100 MB a
  Car or Drone. They are left out: the physics use the collision shapes.
* bullet-safety-gym looks up and binds each function of Bullet at every call. They are bound once.
* safety-gymnasium 0.4.1 keeps its colours as arrays in dataclass defaults, which Python 3.11
  refuses as unhashable.
* safety-gymnasium compiles its world anew at each reset and spends nearly all of that second on
  textures, which only a renderer reads. They are left out of the compiled world.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import random
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.errors import UserError
from benchmarks.tasks.tasks import Task

Array = NDArray[np.float32]


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
        self._build = _BUILDERS[task.engine]

    def reset(self, seed: int) -> Array:
        """Start the episode that belongs to `seed` and return its first observation."""
        self._env, observation = self._build(self.task, self._env, seed)
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
        with _quiet():
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
            f"{task.file}: simulator {task.simulator} fails in its first step ({_said(error)})"
        ) from error
    for shape in (first.shape, second.shape):
        if shape != (task.observation_dim,):
            raise UserError(
                f"{task.file}: {task.simulator} gives observations of shape {shape}, not the "
                f"({task.observation_dim},) that it declares"
            )


def _said(error: BaseException) -> str:
    """An error in one line."""
    return " ".join([f"{type(error).__name__}:", *str(error).split()])


def _reset_bullet(task: Task, env: Any, seed: int) -> tuple[Any, Any]:
    if env is None:
        require_simulators("bullet")
        import gymnasium

        with _private_random_state(0), _quiet(), _without_visual_shapes():
            env = gymnasium.make(task.simulator, disable_env_checker=True).unwrapped
            env.reset()
        _bind_functions(env.bc)
    _forget_last_episode(env)
    with _private_random_state(seed):
        observation, _ = env.reset()
    return env, observation


def _bind_functions(client: Any) -> None:
    """Give a Bullet client the functions that steps call as attributes of its own.

    The client would look each up anew and bind it at every call, a tenth of a step's time.
    """
    import pybullet

    for name in dir(pybullet):
        if name.startswith(("get", "set", "step")) and callable(getattr(pybullet, name)):
            setattr(client, name, getattr(client, name))


def _forget_last_episode(env: Any) -> None:
    """Bring a Bullet environment to the one state from which every episode starts.

    Bullet's saved state holds neither the targets of the motors nor what the Python objects
    remember (contacts of the feet, the colour of the agent): a neutral step sets those. Nor does
    restoring it clear the contacts that Bullet caches from step to step, which changed about one
    episode in a hundred of Ball and Drone: a step high above the ground does.
    """
    env.bc.restoreState(env.stored_state_id)
    env.agent.set_position((0.0, 0.0, 100.0))
    env.bc.stepSimulation()
    env.bc.restoreState(env.stored_state_id)
    env.agent.apply_action(np.zeros(env.action_space.shape))
    env.bc.stepSimulation()
    env.bc.restoreState(env.stored_state_id)
    env.agent.collect_information_after_step()
    env.agent.violates_constraints(False)


def _reset_mujoco(task: Task, env: Any, seed: int) -> tuple[Any, Any]:
    if env is None:
        require_simulators("mujoco")
    with _hashable_colours(), _without_textures(), _private_random_state(seed):
        if env is None:
            import safety_gymnasium

            env = safety_gymnasium.make(task.simulator, disable_env_checker=True).unwrapped
            env.reset(seed=0)  # a first reset differs from later ones in the last bits
        observation, _ = env.reset(seed=seed)
    return env, observation


def _reset_gymnasium(task: Task, env: Any, seed: int) -> tuple[Any, Any]:
    if env is None:
        with _private_random_state(0):
            env = _make_own(task)
    with _private_random_state(seed):
        observation, _ = env.reset(seed=seed)
    return env, observation


def _make_own(task: Task) -> Any:
    """The simulator of a user's task: actions in [-1, 1], widths as in its data."""
    require_simulators("gymnasium")
    import gymnasium
    import gymnasium.wrappers.rescale_action

    source, _, name = task.simulator.rpartition(":")
    try:
        with _quiet():
            if source.endswith(".py"):
                env = getattr(_module_of(Path(source)), name)()
            else:
                env = gymnasium.make(task.simulator, disable_env_checker=True)
    except (Exception, SystemExit) as error:
        raise UserError(
            f"{task.file}: simulator {task.simulator} cannot be made ({_said(error)})"
        ) from error
    for kind, space, width in (
        ("observations", env.observation_space, task.observation_dim),
        ("actions", env.action_space, task.action_dim),
    ):
        if not isinstance(space, gymnasium.spaces.Box) or space.shape != (width,):
            raise UserError(
                f"{task.file}: the data's {kind} are {width} wide, those of {task.simulator} are "
                f"{' '.join(str(space).split())}"
            )
    actions = env.action_space
    if not actions.is_bounded():
        raise UserError(f"{task.file}: the actions of {task.simulator} must be bounded")
    if (actions.low != -1).any() or (actions.high != 1).any():
        env = gymnasium.wrappers.rescale_action.RescaleAction(env, -1.0, 1.0)
    return env


def _module_of(path: Path) -> ModuleType:
    """The module in a file, imported once by a name of its own and of what it holds.

    Compiled here, not by its loader, which may take a file changed within a second for the old one.
    """
    content = path.read_bytes()
    digest = hashlib.sha256(f"{path}\0".encode() + content).hexdigest()
    name = f"osrl_bench_simulator_{digest[:16]}"
    if name not in sys.modules:
        found = importlib.util.spec_from_file_location(name, path)
        assert found is not None
        sys.modules[name] = module = importlib.util.module_from_spec(found)
        try:
            exec(compile(content, str(path), "exec"), module.__dict__)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


_BUILDERS: dict[str, Callable[[Task, Any, int], Any]] = {
    "bullet": _reset_bullet,
    "mujoco": _reset_mujoco,
    "gymnasium": _reset_gymnasium,
    "metadrive": lambda *_: require_simulators("metadrive"),
}


@contextlib.contextmanager
def _private_random_state(seed: int) -> Iterator[None]:
    """Seed the global generators inside, and leave them as they were outside."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    np.random.seed(seed % 2**32)
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what gymnasium warns of at construction (old identifiers, float64 boxes).

    The standard streams are the process's own inside: bullet-safety-gym redirects and flushes them
    by their C names, which the streams of pytest or a notebook do not have.
    """
    own = contextlib.ExitStack()
    with warnings.catch_warnings(), own:
        warnings.simplefilter("ignore")
        if sys.__stdout__ is not None and sys.__stderr__ is not None:
            own.enter_context(contextlib.redirect_stdout(sys.__stdout__))
            own.enter_context(contextlib.redirect_stderr(sys.__stderr__))
        yield


@contextlib.contextmanager
def _without_visual_shapes() -> Iterator[None]:
    """Let Bullet load bodies without what only a renderer reads."""
    import pybullet
    from pybullet_utils.bullet_client import BulletClient

    def load(client: Any, *arguments: Any, flags: int = 0, **more: Any) -> Any:
        flags |= pybullet.URDF_IGNORE_VISUAL_SHAPES
        return pybullet.loadURDF(*arguments, flags=flags, physicsClientId=client._client, **more)

    BulletClient.loadURDF = load
    try:
        yield
    finally:
        del BulletClient.loadURDF


class _Colour(np.ndarray[Any, Any]):
    """An array that dataclasses take for a default: hashed by identity."""

    __hash__ = object.__hash__  # type: ignore[assignment]


@contextlib.contextmanager
def _hashable_colours() -> Iterator[None]:
    """Let safety-gymnasium's dataclasses take arrays of `COLOR` as defaults on Python 3.11."""
    import safety_gymnasium.assets.color as module

    original = dict(module.COLOR)
    module.COLOR.update({name: np.asarray(c).view(_Colour) for name, c in original.items()})
    try:
        yield
    finally:
        module.COLOR.update(original)


_TEXTURE = re.compile(r"<texture\b[^>]*?(/>|>.*?</texture>)", re.DOTALL)
_TEXTURE_USE = re.compile(r'(<material\b[^>]*?)\s+texture="[^"]*"')


def strip_textures(xml: str) -> str:
    """A MuJoCo world's XML without its textures and the materials' references to them."""
    return _TEXTURE_USE.sub(r"\1", _TEXTURE.sub("", xml))


@contextlib.contextmanager
def _without_textures() -> Iterator[None]:
    """Compile safety-gymnasium worlds without textures: the physics do not read them."""
    import mujoco
    import safety_gymnasium.world as module

    def compile_stripped(xml: str, *rest: Any) -> Any:
        return mujoco.MjModel.from_xml_string(strip_textures(xml), *rest)

    stand_in = SimpleNamespace(**vars(mujoco))
    stand_in.MjModel = SimpleNamespace(from_xml_string=compile_stripped)
    module.mujoco = stand_in
    try:
        yield
    finally:
        module.mujoco = mujoco
