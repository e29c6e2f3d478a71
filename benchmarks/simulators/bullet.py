"""Simulators of bullet-safety-gym 1.4.0, with repairs that apply only during build and reset.

* The package ignores `reset(seed=...)` and draws from the global `numpy.random`. Car, Drone and Ant
  keep state from the last episode (motor targets, contacts of the feet), and Drone's first reset
  differs from later ones. Repair: discard the first reset, take a neutral step before each episode,
  and seed a generator that is private to the reset.
* It loads meshes for rendering, which take half a second and about 100 MB for each Car or Drone.
  Repair: leave them out unless it is rendered, as the physics uses the collision shapes.
* It looks up and binds each Bullet function at every call. Repair: bind them once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.simulators.isolation import private_random_state, quiet
from benchmarks.tasks.tasks import Task


def reset_bullet(task: Task, env: Any, seed: int, rendered: bool) -> tuple[Any, Any]:
    """Start the episode of `seed` in `env`, built if None; return `env` and the observation."""
    if env is None:
        import gymnasium

        shapes = contextlib.nullcontext if rendered else without_visual_shapes
        with private_random_state(0), quiet(), shapes():
            env = gymnasium.make(task.simulator, disable_env_checker=True).unwrapped
            env.reset()
        _bind_functions(env.bc)
    _clear_episode_state(env)
    with private_random_state(seed):
        observation, _ = env.reset()
    return env, observation


def _bind_functions(client: Any) -> None:
    """Store Bullet's functions as attributes of the client.

    Otherwise the client looks up and binds a function at every call, a tenth of a step's time.
    """
    import pybullet

    for name in dir(pybullet):
        if name.startswith(("get", "set", "step")) and callable(getattr(pybullet, name)):
            setattr(client, name, getattr(client, name))


def _clear_episode_state(env: Any) -> None:
    """Reset a Bullet environment to the state from which every episode starts.

    Bullet's saved state lacks the targets of the motors and the state of the Python objects
    (contacts of the feet, the colour of the agent); a neutral step sets those. Restoring it does
    not clear the contacts that Bullet caches between steps, which changed about one episode in a
    hundred of Ball and Drone; a step high above the ground does.
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


@contextlib.contextmanager
def without_visual_shapes() -> Iterator[None]:
    """Make Bullet load bodies without the shapes that only a renderer uses."""
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
