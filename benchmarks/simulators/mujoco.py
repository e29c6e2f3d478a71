"""Episodes of safety-gymnasium 0.4.1, repaired only while a simulator is built or reset.

* It keeps its colours as arrays in dataclass defaults, which Python 3.11 refuses as unhashable.
* It compiles its world anew at each reset and spends nearly all of that second on textures, which
  only a renderer reads. They are left out of the compiled world.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.simulators.isolation import private_random_state
from benchmarks.tasks.tasks import Task


def reset_mujoco(task: Task, env: Any, seed: int) -> tuple[Any, Any]:
    """Start the episode of `seed` in `env`, built if None; returns it and the observation."""
    with _hashable_colours(), _without_textures(), private_random_state(seed):
        if env is None:
            import safety_gymnasium

            env = safety_gymnasium.make(task.simulator, disable_env_checker=True).unwrapped
            env.reset(seed=0)  # a first reset differs from later ones in the last bits
        observation, _ = env.reset(seed=seed)
    return env, observation


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
