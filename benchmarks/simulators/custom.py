"""Users' own simulators: a class in a file, or a registered gymnasium environment."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.common.errors import UserError, describe
from benchmarks.simulators.isolation import private_random_state, quiet
from benchmarks.tasks.tasks import Task


def reset_custom(task: Task, env: Any, seed: int, rendered: bool) -> tuple[Any, Any]:
    """Start the episode of `seed` in `env`, built if None; return `env` and the observation.

    A class in a file renders pictures if its `render()` returns them.
    """
    if env is None:
        with private_random_state(0):
            env = _make(task, rendered)
    with private_random_state(seed):
        observation, _ = env.reset(seed=seed)
    return env, observation


def _make(task: Task, rendered: bool) -> Any:
    """Build the simulator of a user's task, with actions in [-1, 1] and the widths of its data."""
    import gymnasium
    import gymnasium.wrappers.rescale_action

    source, _, name = task.simulator.rpartition(":")
    try:
        with quiet():
            if source.endswith(".py"):
                env = getattr(_load_module(Path(source)), name)()
            else:
                view: dict[str, Any] = {"render_mode": "rgb_array"} if rendered else {}
                env = gymnasium.make(task.simulator, disable_env_checker=True, **view)
    except (Exception, SystemExit) as error:
        raise UserError(
            f"{task.file}: simulator {task.simulator} cannot be made ({describe(error)})"
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


def _load_module(path: Path) -> ModuleType:
    """Import the module in a file once, under a name with a hash of its path and content.

    The source is compiled here, as the import system may reuse bytecode of an older version from
    the same second.
    """
    content = path.read_bytes()
    digest = hashlib.sha256(f"{path}\0".encode(errors="surrogateescape") + content).hexdigest()
    name = f"osrl_bench_simulator_{digest[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        try:
            exec(compile(content, str(path), "exec"), module.__dict__)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]
