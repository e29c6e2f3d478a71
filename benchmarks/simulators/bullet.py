"""Episodes of bullet-safety-gym 1.4.0, repaired only while a simulator is built or reset.

* It ignores `reset(seed=...)` and draws from the global `numpy.random`; Car, Drone and Ant carry
  state over from the last episode (motor targets, contacts of the feet), and Drone's first reset
  differs from its later ones. Hence a discarded first reset, a neutral step before each episode,
  and a seeded generator that is private to the reset.
* It loads the meshes that a renderer would show, half a second and some 100 MB a Car or Drone.
  They are left out: the physics use the collision shapes.
* It looks up and binds each function of Bullet at every call. They are bound once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.simulators.isolation import private_random_state, quiet
from benchmarks.tasks.tasks import Task


def reset_bullet(task: Task, env: Any, seed: int) -> tuple[Any, Any]:
    """Start the episode of `seed` in `env`, built if None; returns it and the observation."""
    if env is None:
        import gymnasium

        with private_random_state(0), quiet(), without_visual_shapes():
            env = gymnasium.make(task.simulator, disable_env_checker=True).unwrapped
            env.reset()
        _bind_functions(env.bc)
    _forget_last_episode(env)
    with private_random_state(seed):
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


@contextlib.contextmanager
def without_visual_shapes() -> Iterator[None]:
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
