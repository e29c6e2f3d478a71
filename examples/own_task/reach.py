"""An environment of one's own: a point in the plane goes through a costly zone, or around it."""

import gymnasium
import numpy as np

GOAL = np.array([1.0, 0.0])


class Reach(gymnasium.Env):
    """The point starts on the left, the goal lies on the right, the zone in between."""

    observation_space = gymnasium.spaces.Box(-2.0, 2.0, (2,), np.float32)  # where the point is
    action_space = gymnasium.spaces.Box(-2.0, 2.0, (2,), np.float32)  # how fast it goes

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)  # seeds np_random, the only source of chance here
        self.place = np.array([-1.0, self.np_random.uniform(-0.3, 0.3)])
        self.steps = 0
        return self.place.astype(np.float32), {}

    def step(self, action):
        before = np.linalg.norm(GOAL - self.place)
        self.place = np.clip(self.place + 0.1 * action, -2.0, 2.0)
        self.steps += 1
        distance = np.linalg.norm(GOAL - self.place)
        info = {"cost": float((np.abs(self.place) < 0.4).all())}
        observation = self.place.astype(np.float32)
        return observation, before - distance, distance < 0.1, self.steps >= 30, info
