"""Simulators of safety-gymnasium 0.4.1, with repairs that apply only during build and reset.

* The package uses arrays as dataclass defaults of colours, which Python 3.11 rejects as unhashable.
  Repair: make those arrays hashable.
* It compiles its world at each reset, which takes a second, nearly all of it for textures that only
  a renderer uses. Repair: compile the world without textures unless it is rendered.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.simulators.isolation import private_random_state
from benchmarks.tasks.tasks import Task

_VIEW = {"render_mode": "rgb_array", "camera_name": "fixedfar", "width": 360, "height": 360}
"""What a rendered environment is made with."""


def reset_mujoco(task: Task, env: Any, seed: int, rendered: bool) -> tuple[Any, Any]:
    """Start the episode of `seed` in `env`, built if None; return `env` and the observation."""
    textures = contextlib.nullcontext if rendered else _without_textures
    with _hashable_colours(), textures(), private_random_state(seed):
        if env is None:
            if rendered and not os.environ.get("DISPLAY"):
                os.environ.setdefault("MUJOCO_GL", "egl")  # read when mujoco is imported
            import safety_gymnasium

            view = _VIEW if rendered else {}
            env = safety_gymnasium.make(task.simulator, disable_env_checker=True, **view).unwrapped
            env.reset(seed=0)  # a first reset differs from later ones in the last bits
        observation, _ = env.reset(seed=seed)
    return env, observation


class _Colour(np.ndarray[Any, Any]):
    """An array that is hashed by identity, so that dataclasses accept it as a default."""

    __hash__ = object.__hash__  # type: ignore[assignment]


@contextlib.contextmanager
def _hashable_colours() -> Iterator[None]:
    """Make safety-gymnasium's arrays of `COLOR` hashable, as Python 3.11 requires of defaults."""
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
    """Remove the textures, and the materials' references to them, from a MuJoCo world's XML."""
    return _TEXTURE_USE.sub(r"\1", _TEXTURE.sub("", xml))


@contextlib.contextmanager
def _without_textures() -> Iterator[None]:
    """Compile safety-gymnasium's worlds without textures, which the physics does not use."""
    import mujoco
    import safety_gymnasium.world as module

    def compile_stripped(xml: str, *rest: Any) -> Any:
        return mujoco.MjModel.from_xml_string(strip_textures(xml), *rest)

    patched = SimpleNamespace(**vars(mujoco))
    patched.MjModel = SimpleNamespace(from_xml_string=compile_stripped)
    module.mujoco = patched
    try:
        yield
    finally:
        module.mujoco = mujoco
