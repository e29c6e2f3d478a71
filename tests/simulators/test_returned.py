"""What a simulator returns is checked as it comes: one bad number ends its episode."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from benchmarks.common.errors import UserError
from benchmarks.simulators.simulator import Simulator
from benchmarks.tasks.tasks import Task

TASK = Task("Own", "Odd-v0", "gymnasium", 2, 1, 5, 1.0, 0.0, 1.0, "own.hdf5", 100, "own.toml")
GOOD: dict[str, Any] = {
    "observation": np.zeros(2),
    "reward": 1.0,
    "terminated": False,
    "truncated": False,
    "info": {"cost": 0.0},
}


class Odd(gymnasium.Env):  # type: ignore[misc]
    """Returns `answer`, and `first` at a reset."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))
    answer, first = dict(GOOD), np.zeros(2)

    def reset(self, *, seed=None, options=None):
        return self.first, {}

    def step(self, action):
        return tuple(self.answer.values())


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch):
    """A simulator of `Odd`, whose answers a test changes."""
    monkeypatch.setattr("benchmarks.simulators.custom._make", lambda task, rendered: Odd())
    monkeypatch.setattr(Odd, "answer", dict(GOOD))
    monkeypatch.setattr(Odd, "first", np.zeros(2))
    return Simulator(TASK)


NAN, INF = float("nan"), float("inf")
BAD = {
    "a reward of NaN": ("reward", NAN, "reward nan"),
    "an infinite reward": ("reward", np.float32(INF), "reward inf"),
    "no reward": ("reward", None, "reward None, which is not a number"),
    "two rewards": ("reward", np.ones(2), "which is not a number"),
    "a word": ("reward", "1.0", "which is not a number"),
    "a complex reward": ("reward", 1j, "which is not a number"),
    "a cost of NaN": ("info", {"cost": NAN}, "cost nan"),
    "a negative cost": ("info", {"cost": -1.0}, "costs must not be negative"),
    "no cost": ("info", {}, 'must return info["cost"]'),
    "no info": ("info", None, 'must return info["cost"]'),
    "an observation of NaN": ("observation", np.array([0.0, NAN]), "NaN or infinity"),
    "a large observation": ("observation", np.array([0.0, 1e300]), "NaN or infinity"),
    "a wide observation": ("observation", np.zeros(3), "shape (3,), not of the declared shape"),
    "one number": ("observation", 0.0, "shape (), not of the declared shape"),
    "no observation": ("observation", None, "shape (), not of the declared shape"),
    "words": ("observation", ["a", "b"], "no array of numbers"),
    "an end of NaN": ("terminated", NAN, "terminated nan"),
    "no end": ("truncated", None, "truncated None, which is not a number"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_scored_fails_with_step_and_seed(kind: str, simulator: Simulator) -> None:
    name, value, words = BAD[kind]
    simulator.reset(17)
    simulator.step(np.zeros(1, dtype=np.float32))
    Odd.answer[name] = value
    with pytest.raises(UserError) as caught:
        simulator.step(np.zeros(1, dtype=np.float32))
    said = str(caught.value)
    assert words in said
    assert "\n" not in said
    if "info[" not in words:
        assert said.endswith("at step 2 of the episode of seed 17")


def test_the_first_observation_is_checked_too(simulator: Simulator) -> None:
    Odd.first = np.array([NAN, 0.0])
    with pytest.raises(UserError, match="at reset of the episode of seed 3"):
        simulator.reset(3)


@pytest.mark.parametrize("reward", [1, True, np.float64(1), np.ones(1), np.ones((1, 1)), [1.0]])
def test_numbers_in_any_form_pass(reward: object, simulator: Simulator) -> None:
    simulator.reset(0)
    Odd.answer.update(reward=reward, terminated=np.bool_(True))
    step = simulator.step(np.zeros(1, dtype=np.float32))
    assert step.reward == 1.0
    assert step.terminated
    assert not step.truncated
