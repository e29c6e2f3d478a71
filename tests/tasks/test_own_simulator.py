"""The simulator around an environment of one's own."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from benchmarks.common.errors import UserError
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.simulators.simulator import Simulator, take_first_step
from benchmarks.simulators.vector import Lockstep
from benchmarks.tasks.tasks import Task
from tests.support.own_task import edit


def play(simulator: Simulator, seed: int, action: tuple[float, float]) -> np.ndarray:
    """Every number of an episode of one action, a row a step."""
    rows = [np.append(simulator.reset(seed), np.zeros(4))]
    while not rows[-1][-2:].any():
        step = simulator.step(np.array(action, dtype=np.float32))
        rows.append(np.append(step.observation, step[1:]))
    return np.stack(rows)


def test_an_episode_depends_on_its_seed_and_actions_alone(toml: Path) -> None:
    one, other = Simulator(resolve_task(str(toml))), Simulator(resolve_task(str(toml)))
    expected = play(one, 3, (0.5, 0.1))
    play(other, 4, (0.3, 0.0))
    assert np.array_equal(play(other, 3, (0.5, 0.1)), expected)
    assert not np.array_equal(play(other, 4, (0.5, 0.1))[0], expected[0])


def test_so_it_does_where_chance_comes_from_the_global_generators(toml: Path) -> None:
    source = toml.with_name("reach.py")
    drawn = "np.random.uniform(-0.3, 0.3) + self.bias"
    edit(source, "self.np_random.uniform(-0.3, 0.3)", drawn)
    edit(source, "    def step", "    def __init__(self):\n        self.bias = OWN\n\n    def step")
    edit(source, "OWN", "np.random.random() + __import__('random').random()")
    task = resolve_task(str(toml))
    first = []
    for seed in (1, 2):
        np.random.seed(seed)
        random.seed(seed)
        first.append(Simulator(task).reset(5))
        assert np.random.random() == np.random.RandomState(seed).random_sample()
    assert np.array_equal(*first)


def test_actions_are_rescaled_to_the_environments_own(toml: Path) -> None:
    simulator = Simulator(resolve_task(str(toml)))
    before = simulator.reset(0)
    step = simulator.step(np.array([1.0, -0.5], dtype=np.float32))  # 2 and -1 of [-2, 2]
    assert step.observation - before == pytest.approx([0.2, -0.1], abs=1e-6)


def test_actions_that_need_no_rescaling_pass_as_they_are(toml: Path) -> None:
    edit(
        toml.with_name("reach.py"), "Box(-2.0, 2.0, (2,), np.float32)  # how", "Box(-1, 1, (2,)) #"
    )
    simulator = Simulator(resolve_task(str(toml)))
    before = simulator.reset(0)
    step = simulator.step(np.array([1.0, -0.5], dtype=np.float32))
    assert step.observation - before == pytest.approx([0.1, -0.05], abs=1e-6)


@pytest.mark.parametrize(
    ("horizon", "action", "length", "ends"),
    [
        (50, (0.0, 1.0), 30, (False, True)),  # the environment's own truncation
        (30, (0.0, 1.0), 30, (False, True)),
        (30, (1.0, 0.0), 10, (True, False)),  # at the goal
    ],
)
def test_an_episode_ends_as_the_environment_says(
    toml: Path, horizon: int, action: tuple[float, float], length: int, ends: tuple[bool, bool]
) -> None:
    edit(toml, "horizon = 30", f"horizon = {horizon}")
    edit(toml.with_name("reach.py"), "self.np_random.uniform(-0.3, 0.3)", "0.0")
    rows = play(Simulator(resolve_task(str(toml))), 0, action)
    assert len(rows) - 1 == length
    assert tuple(rows[-1, -2:].astype(bool)) == ends


def test_the_horizon_truncates_an_environment_that_never_ends(toml: Path) -> None:
    edit(toml.with_name("reach.py"), "self.steps >= 30", "False")
    rows = play(Simulator(resolve_task(str(toml))), 0, (0.0, 1.0))
    assert len(rows) - 1 == 30
    assert tuple(rows[-1, -2:].astype(bool)) == (False, True)


def test_other_processes_give_what_this_one_gives(toml: Path) -> None:
    task, actions = resolve_task(str(toml)), np.array([[0.5, 0.1], [1.0, 0.0]], dtype=np.float32)
    seen = []
    for processes in (0, 1):
        with Lockstep(task, 2, processes) as simulators:
            first = simulators.reset([1, 2])
            step = simulators.step(actions, np.arange(2))
        seen.append(np.concatenate([first, step.observations, step.rewards[:, None]], axis=1))
    assert np.array_equal(*seen)


def test_an_edited_environment_is_not_taken_for_the_old_one(toml: Path) -> None:
    for speed in (0.1, 0.3, 0.2):  # within one second, of one size
        simulator = Simulator(resolve_task(str(toml)))
        before = simulator.reset(0)
        after = simulator.step(np.array([1.0, 0.0], dtype=np.float32)).observation
        assert after[0] - before[0] == pytest.approx(2 * speed, abs=1e-6)
        new = {0.1: "0.3", 0.3: "0.2", 0.2: "0.1"}[speed]
        edit(toml.with_name("reach.py"), f"{speed} * action", f"{new} * action")
    assert not (toml.parent / "__pycache__").exists()


REGISTERED = """
import gymnasium
from gymnasium.envs.classic_control.pendulum import PendulumEnv


class SafePendulum(PendulumEnv):
    def step(self, action):
        *rest, info = super().step(action)
        return *rest, {**info, "cost": 1.0}


gymnasium.register("SafePendulum-v0", entry_point=SafePendulum, max_episode_steps=7)
"""


def registered(toml: Path, simulator: str) -> Task:
    """The example made into a pendulum."""
    rng = np.random.default_rng(0)
    table = rng.uniform(-1.0, 1.0, (60, 6)).astype(np.float32)
    ends = np.arange(1, 61) % 10 == 0
    Trajectories.from_arrays(
        *(table[:, :3], table[:, 3:4], table[:, 4], np.abs(table[:, 5])), ends & False, ends
    ).save(toml.with_name("reach.hdf5"))
    edit(toml, "reach.py:Reach", simulator)
    return resolve_task(str(toml))


def test_an_environment_may_be_named_as_gymnasium_names_it(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (toml.parent / "own_pendulum.py").write_text(REGISTERED)
    monkeypatch.syspath_prepend(toml.parent)
    task = registered(toml, "own_pendulum:SafePendulum-v0")
    assert (task.observation_dim, task.action_dim) == (3, 1)
    simulator = Simulator(task)
    take_first_step(simulator)
    simulator.reset(0)
    for k in range(1, 8):
        step = simulator.step(np.ones(1, dtype=np.float32))
        assert simulator._env.unwrapped.last_u == pytest.approx(2.0)
        assert (step.cost, step.terminated, step.truncated) == (1.0, False, k == 7)


def test_an_environment_of_gymnasiums_own_reports_no_cost(toml: Path) -> None:
    with pytest.raises(UserError, match=r'Pendulum-v1: step must return info\["cost"\]$'):
        take_first_step(Simulator(registered(toml, "Pendulum-v1")))
