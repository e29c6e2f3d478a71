"""Simulators: reproducible whatever ran before, and faithful to the packages that they repair."""

import contextlib
import random
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from benchmarks.common.errors import UserError
from benchmarks.simulators import bullet, mujoco
from benchmarks.simulators.isolation import quiet
from benchmarks.simulators.mujoco import strip_textures
from benchmarks.simulators.simulator import Simulator, require_simulators
from benchmarks.tasks.tasks import TASKS
from tests.support.marks import mostly_slow

BULLET = [name for name, task in TASKS.items() if task.engine == "bullet"]
a_robot_each = mostly_slow(BULLET, "BallCircle", "CarRun", "DroneCircle", "AntRun")
every_kind = mostly_slow(
    TASKS, "BallRun", "CarRun", "DroneCircle", "AntCircle", "PointCircle1", "CarCircle2"
)
every_task = pytest.mark.parametrize("name", TASKS)


def random_actions(task, seed=0):
    rng = np.random.default_rng(seed)
    while True:
        yield rng.uniform(-1.0, 1.0, task.action_dim).astype(np.float32)


def constant(*action):
    while True:
        yield np.array(action, dtype=np.float32)


def play(simulator, seed, actions):
    """Every number of an episode, one row a step; the first row holds the reset's observation."""
    rows = [np.append(simulator.reset(seed), np.zeros(4))]
    for action in actions:
        step = simulator.step(action)
        rows.append(np.append(step.observation, step[1:]))
        if step.terminated or step.truncated:
            break
    return np.stack(rows)


def same(one, other):
    return one.shape == other.shape and np.array_equal(one, other)


@pytest.fixture
def make():
    """Simulators that are closed when the test is over."""
    with contextlib.ExitStack() as stack:

        def build(task):
            simulator = Simulator(task)
            stack.callback(simulator.close)
            return simulator

        yield build


def upstream(name, first_actions=()):
    """The package's own environment, one discarded reset and these steps old."""
    import gymnasium

    with quiet():
        env = gymnasium.make(TASKS[name].simulator, disable_env_checker=True).unwrapped
    env.reset()
    for action in first_actions:
        env.step(action)
    return env


def upstream_reset(env, seed):
    state = np.random.get_state()
    np.random.seed(seed)  # the only seed that it heeds
    observation, _ = env.reset()
    np.random.set_state(state)
    return observation.astype(np.float32)


# --- the episode -----------------------------------------------------------------------------


@every_task
def test_widths_are_those_of_the_table(make, name):
    task, simulator = TASKS[name], make(TASKS[name])
    assert simulator.reset(0).shape == (task.observation_dim,)
    assert simulator._env.action_space.shape == (task.action_dim,)


@pytest.mark.parametrize("name", every_kind)
def test_an_episode_depends_on_its_seed_and_actions_alone(make, name):
    task = TASKS[name]
    fresh, used = make(task), make(task)
    actions = list(islice(random_actions(task), 40))
    expected = play(fresh, 7, actions)
    play(used, 1, islice(random_actions(task, 1), 60))
    used.reset(2)  # abandoned at once
    play(used, 3, islice(constant(*np.ones(task.action_dim)), 30))
    np.random.seed(123)
    random.seed(123)
    assert same(play(used, 7, actions), expected)
    assert same(play(fresh, 7, actions), expected)
    used.close()
    assert same(play(used, 7, actions), expected)  # closing is no end
    other = play(used, 8, actions)
    assert not np.array_equal(other[0], expected[0])


def test_simulators_that_take_turns_do_not_disturb_each_other(make):
    task = TASKS["CarRun"]
    actions = list(islice(random_actions(task), 20))
    one, two = make(task), make(task)
    expected = [play(one, seed, actions) for seed in (1, 2)]
    observations = [[one.reset(1)], [two.reset(2)]]
    for action in actions:
        for simulator, seen in zip((one, two), observations, strict=True):
            seen.append(simulator.step(action).observation)
    for seen, rows in zip(observations, expected, strict=True):
        assert same(np.stack(seen), rows[:, : task.observation_dim].astype(np.float32))


@pytest.mark.parametrize(
    ("name", "push", "cases"),
    [
        (
            "BallRun",
            0.0,
            [(24, 524, 44), (28, 528, 46), (37, 537, 31), (38, 538, 35), (40, 540, 24)],
        ),
        ("DroneRun", -1.0, [(3, 103, 80)]),
    ],
)
def test_contacts_with_the_ground_are_forgotten(make, name, push, cases):
    """Restoring Bullet's saved state alone leaves cached contacts: these seeds then differed."""
    task = TASKS[name]
    actions = list(islice(random_actions(task), 8))
    used = make(task)
    for seed, seed_before, steps in cases:
        expected = play(make(task), seed, actions)
        play(used, seed_before, islice(constant(*np.full(task.action_dim, push)), steps))
        assert same(play(used, seed, actions), expected)


@pytest.mark.parametrize("name", ["BallRun", "CarRun", "BallCircle", "PointCircle1"])
def test_the_horizon_truncates(make, name):
    task = TASKS[name]
    rows = play(make(task), 0, random_actions(task))
    *_, terminated, truncated = rows.T
    assert len(rows) == task.horizon + 1
    assert truncated.tolist() == [0.0] * task.horizon + [1.0]
    assert not terminated.any()


@pytest.mark.parametrize("name", ["DroneRun", "AntCircle"])
def test_an_early_end_is_a_termination(make, name):
    task, simulator = TASKS[name], make(TASKS[name])
    if name == "DroneRun":  # two strong rotors on one side overturn it, random ones do not
        actions = list(islice(constant(1.0, 1.0, -1.0, -1.0), task.horizon))
    else:
        actions = list(islice(random_actions(task, 3), task.horizon))
    rows = play(simulator, 3, actions)
    steps = len(rows) - 1
    assert steps < task.horizon
    assert rows[-1, -2:].tolist() == [1.0, 0.0]
    assert not rows[:-1, -2:].any()
    exact = make(replace(task, horizon=steps))  # both at once: the task's own end counts
    assert same(play(exact, 3, actions), rows)


@every_task
def test_costs_are_zero_or_one_a_step_and_reachable(make, name):
    task, simulator = TASKS[name], make(TASKS[name])
    push = np.zeros(task.action_dim)
    push[0] = 1.0
    rows = play(simulator, 0, islice(constant(*push), 100))
    assert set(rows[:, -3]) <= {0.0, 1.0}
    if name in ("BallRun", "CarRun", "BallCircle", "PointCircle2"):
        assert rows[:, -3].any()


# --- nothing is left behind ------------------------------------------------------------------


def global_state():
    import mujoco
    import safety_gymnasium.assets.color as colours
    import safety_gymnasium.world as world
    from pybullet_utils.bullet_client import BulletClient

    kind, keys, *rest = np.random.get_state()
    return (
        (kind, keys.tolist(), rest),
        random.getstate(),
        {name: (id(colour), type(colour)) for name, colour in colours.COLOR.items()},
        world.mujoco is mujoco,
        sorted(vars(BulletClient)),
        list(warnings.filters),
        (sys.stdout, sys.stderr),
    )


@pytest.mark.parametrize("name", ["BallRun", "CarCircle", "PointCircle1"])
def test_global_state_is_as_it_was(make, name):
    simulator = make(TASKS[name])
    before = global_state()
    simulator.reset(5)
    simulator.step(np.zeros(TASKS[name].action_dim))
    simulator.reset(6)
    assert global_state() == before


@pytest.mark.parametrize("name", ["BallRun", "PointCircle1"])
def test_global_state_is_as_it_was_after_a_failure(name):
    before = global_state()
    with pytest.raises(Exception, match="Nowhere"):
        Simulator(replace(TASKS[name], simulator="SafetyNowhere-v0")).reset(0)
    assert global_state() == before


def test_importing_the_module_imports_no_simulator():
    code = "import sys, benchmarks.simulators.simulator; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "benchmarks.simulators.simulator" in loaded
    packages = {"bullet_safety_gym", "gymnasium", "mujoco", "pybullet", "safety_gymnasium"}
    assert not packages & set(loaded)


@pytest.mark.parametrize(
    ("name", "package"),
    [("BallRun", "bullet_safety_gym"), ("PointCircle1", "safety_gymnasium")],
)
def test_a_missing_package_is_told_in_one_line(monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    task = TASKS[name]
    for act in (lambda: require_simulators(task.engine), lambda: Simulator(task).reset(0)):
        with pytest.raises(UserError) as caught:
            act()
        message = str(caught.value)
        assert message.startswith(f"the {task.engine} simulator cannot be imported")
        assert package in message
        assert "make setup" in message
        assert "\n" not in message


# --- the same task as the package's ----------------------------------------------------------


@pytest.mark.parametrize("name", a_robot_each)
def test_an_episode_starts_as_the_packages_own_after_an_idle_step(make, name):
    """Bit for bit a genuinely fresh environment: a discarded reset, one idle step, a reset."""
    task, simulator = TASKS[name], make(TASKS[name])
    env = upstream(name, [np.zeros(task.action_dim)])
    assert same(simulator.reset(11), upstream_reset(env, 11))
    for action in islice(random_actions(task), 10):
        step = simulator.step(action)
        observation, reward, terminated, _, info = env.step(action.astype(np.float64))
        assert same(step.observation, observation.astype(np.float32))
        assert step[1:4] == (reward, info["cost"], terminated)
    env.close()


@pytest.mark.parametrize("name", a_robot_each)
def test_an_episode_starts_near_the_packages_own_after_a_discarded_reset(make, name):
    """Ball and Ant bit for bit. In the package a Car's and a Drone's motors go on with the last
    action of the last episode, or rest if there was none: the tolerances tell what that makes."""
    task = TASKS[name]
    env = upstream(name)
    ours, theirs = make(task).reset(11), upstream_reset(env, 11)
    env.close()
    if name.startswith(("Ball", "Ant")):
        assert same(ours, theirs)
    elif name.startswith("Car"):
        np.testing.assert_allclose(ours, theirs, atol=0.01)
    else:
        rotors = slice(13, 17)
        np.testing.assert_allclose(np.delete(ours, rotors), np.delete(theirs, rotors), atol=1e-4)
        np.testing.assert_allclose(ours[rotors], 0.0, atol=1e-5)  # they turn so that it hovers
        assert (np.abs(theirs[rotors]) > 1.0).all()  # they rest, as in a first episode only


@pytest.mark.parametrize("name", mostly_slow(["PointCircle1", "CarCircle1"], "CarCircle1"))
def test_textures_change_nothing(make, monkeypatch, name):
    task = TASKS[name]
    actions = list(islice(random_actions(task), 50))
    worlds = []
    monkeypatch.setattr(mujoco, "strip_textures", lambda xml: worlds.append(xml) or xml)
    complete = make(task)
    expected = play(complete, 9, actions)
    monkeypatch.undo()
    stripped = make(task)
    assert same(play(stripped, 9, actions), expected)
    assert complete._env.task.model.ntex > stripped._env.task.model.ntex == 0
    assert complete._env.task.model.nmat == stripped._env.task.model.nmat
    for world in worlds:
        assert "<texture" in world
        assert re.search(r"\stexture=", world)
        assert "<texture" not in strip_textures(world)
        assert not re.search(r"\stexture=", strip_textures(world))


def test_strip_textures_takes_nothing_else():
    xml = """<asset>
    <texture name="a" type="2d" file="x/y.png"/><texture name="b"></texture>
    <texture
       name="c"
       builtin="flat">text</texture>
    <material name="m" texture="a" texrepeat="1 1" rgba="1 0 0 1"/>
    <material texture="b" name="n"></material><mesh name="texture"/>
    </asset><compiler texturedir="x"/>"""
    assert re.sub(r"\s+", " ", strip_textures(xml)) == (
        '<asset> <material name="m" texrepeat="1 1" rgba="1 0 0 1"/> '
        '<material name="n"></material><mesh name="texture"/> </asset><compiler texturedir="x"/>'
    )


@pytest.mark.parametrize("name", ["CarRun", "DroneRun"])
def test_visual_shapes_change_nothing(make, monkeypatch, name):
    task = TASKS[name]
    actions = list(islice(random_actions(task), 60))
    bare = make(task)
    expected = play(bare, 9, actions)
    monkeypatch.setattr(bullet, "without_visual_shapes", contextlib.nullcontext)
    complete = make(task)
    assert same(play(complete, 9, actions), expected)
    files = [
        {shape[4] for shape in one._env.bc.getVisualShapeData(one._env.agent.body_id)}
        for one in (bare, complete)
    ]
    assert len(files[0]) < len(files[1])
