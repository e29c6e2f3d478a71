"""A task of one's own: a TOML file, a Gymnasium environment and an HDF5 file, and no fork."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from benchmarks.common.errors import UserError
from benchmarks.data import main as data_command
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.datasets.source import choose
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.leaderboard import main as leaderboard
from benchmarks.methods.registry import find_method
from benchmarks.run import main
from benchmarks.runs.jobs import Job
from benchmarks.runs.plan import RunSpec
from benchmarks.runs.store import Run, is_done
from benchmarks.runs.worker import run_job
from benchmarks.simulators.simulator import Simulator, check_simulator
from benchmarks.simulators.vector import Lockstep
from benchmarks.tasks.suites import parse_limit
from benchmarks.tasks.tasks import ALL_TASKS, Task
from tests.support.runs import files
from tests.tasks.own_task.reach import GOAL, Reach

EXAMPLE = Path(__file__).parent / "own_task"


def episodes(count: int) -> Trajectories:
    """Of a scripted policy: from around the zone to straight through it, hasty or slow."""
    env, rng, rows = Reach(), np.random.default_rng(0), []
    for seed, boldness in enumerate(np.linspace(0.0, 1.0, count)):
        height, speed = 0.6 * (1.0 - boldness), rng.uniform(0.4, 1.0)
        place, _ = env.reset(seed=seed)
        going = True
        while going:
            way = [(-0.5, height), (0.5, height), tuple(GOAL)][int(np.sum(place[0] > [-0.6, 0.4]))]
            direction = np.array(way) - place
            action = speed * direction / (np.linalg.norm(direction) + 0.01)
            action = np.clip(action + rng.normal(0.0, 0.1, 2), -1.0, 1.0)
            after, reward, terminated, truncated, info = env.step(2.0 * action)
            rows.append([*place, *action, reward, info["cost"], terminated, truncated, *after])
            place, going = after, not (terminated or truncated)
    table = np.array(rows)
    scalars = table[:, 4:8].T
    return Trajectories.from_arrays(table[:, :2], table[:, 2:4], *scalars, table[:, 8:])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data file that the example's task file names."""
    path = tmp_path_factory.mktemp("data") / "reach.hdf5"
    made = episodes(40)
    assert made.episode_costs.min() == 0
    assert made.episode_costs.max() > 5
    assert made.lengths.max() <= 30
    made.save(path)
    return path


def example(folder: Path, data: Path) -> Path:
    """A copy of the example and its data; the task file."""
    folder.mkdir(exist_ok=True)
    for path in (EXAMPLE / "reach.py", EXAMPLE / "reach.toml", data):
        shutil.copy(path, folder)
    return folder / "reach.toml"


@pytest.fixture
def toml(tmp_path: Path, data: Path) -> Path:
    return example(tmp_path / "mine", data)


def edit(path: Path, old: str, new: str) -> None:
    """Replace what stands in a file just once."""
    text = path.read_text()
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new))


def command(toml: Path, results: Path, *more: str) -> list[str]:
    """Arguments of a run that takes seconds."""
    return [
        *("--tasks", str(toml), "--limits", "10%", "50%", "--algorithms", "gas", "bc-safe"),
        *("--budget", "quick", "--updates", "20", "--episodes", "2", "--workers", "2"),
        *("--results", str(results), *more),
    ]


# --- a run -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example in mine/ and, run by two workers, its results in results/."""
    folder = tmp_path_factory.mktemp("finished")
    assert main(command(example(folder / "mine", data), folder / "results")) == 0
    return folder


def test_a_run_ends_in_a_leaderboard(finished: Path) -> None:
    folder = finished / "results" / "custom"
    table = pd.read_csv(folder / "leaderboard.csv")
    assert set(table["task"]) == {"Reach"}
    assert set(zip(table["algorithm"], table["limit"], strict=True)) == {
        *(("gas", 1.0), ("gas", 5.0), ("bc-safe", 1.0), ("bc-safe", 5.0))  # of a max_cost of 10
    }
    assert np.isfinite(table[["reward", "cost"]]).all(axis=None)
    report = (folder / "leaderboard.md").read_text()
    assert "Reach" in report
    assert "10%" in report


def test_rewards_are_scaled_by_the_datas_returns(finished: Path) -> None:
    returns = Trajectories.load(finished / "mine" / "reach.hdf5", "own").returns
    plan = json.loads((finished / "results" / "custom" / "plan.json").read_text())
    assert plan["ranges"] == {"Reach": [returns.min(), returns.max()]}


def test_the_task_file_has_the_last_word_on_the_scale(toml: Path) -> None:
    toml.write_text(toml.read_text() + "min_return = -3\nmax_return = 4.5\n")
    with h5py.File(toml.with_name("reach.hdf5"), "r+") as file:
        file.attrs.update(min_return=0.0, max_return=1.0)
    (one,) = choose("auto", [resolve_task(str(toml))])
    assert one.return_range() == (-3.0, 4.5)


def test_nothing_is_computed_twice_wherever_the_files_are(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.stat().st_mtime_ns for p in (finished / "results" / "runs").rglob("*.*")}
    assert main(command(finished / "mine" / "reach.toml", finished / "results")) == 0
    assert " 0 to do" in capsys.readouterr().out
    moved = shutil.copytree(finished / "mine", tmp_path / "elsewhere")
    assert main(command(moved / "reach.toml", finished / "results")) == 0
    assert " 0 to do" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in (finished / "results" / "runs").rglob("*.*")} == before


def test_the_leaderboard_needs_no_task_file(finished: Path, tmp_path: Path) -> None:
    alone = shutil.copytree(finished / "results", tmp_path / "results") / "custom"
    kept = files(alone)
    (alone / "leaderboard.md").unlink()
    hidden = (finished / "mine").rename(finished / "hidden")
    try:
        assert leaderboard([str(alone)]) == 0
    finally:
        hidden.rename(finished / "mine")
    assert files(alone) == kept


# --- identity --------------------------------------------------------------------------------


def planned(task: str | Path, results: Path, stage: str = "both", data: str = "auto") -> list[Job]:
    """The jobs of two updates of bc-all and bc-safe on the task at a limit of 5."""
    methods = [find_method(name) for name in ("bc-all", "bc-safe")]
    sets = choose(data, [resolve_task(str(task))])
    spec = RunSpec(
        methods=methods,
        data=sets,
        limits=[parse_limit("5")],
        seeds=[0],
        budget="quick",
        episodes=2,
        stage=stage,
        updates=2,
    )
    return spec.jobs(str(results), {sets[0].task.name: sets[0].checksum()})


def as_planned(task: str | Path, results: Path, *more: str) -> list[str]:
    """The arguments that make those jobs."""
    chosen = "--limits", "5", "--algorithms", "bc-all", "bc-safe", "--updates", "2", *more
    return command(Path(task), results, *chosen)


def keys(toml: Path) -> set[str]:
    return {job.training.key for job in planned(toml, Path("results"))}


CHANGES = {
    "name": ("reach.toml", '"Reach"', '"Reach2"'),
    "horizon": ("reach.toml", "horizon = 30", "horizon = 31"),
    "class": ("reach.toml", "reach.py:Reach", "reach.py:Other"),
    "code": ("reach.py", "0.1 * action", "0.2 * action"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_changes_a_result_makes_new_jobs(change: tuple[str, str, str], toml: Path) -> None:
    before = keys(toml)
    name, old, new = change
    edit(toml.with_name(name), old, new)
    assert len(before | keys(toml)) == 4


def test_other_data_make_new_jobs(toml: Path) -> None:
    before = keys(toml)
    episodes(39).save(toml.with_name("reach.hdf5"))
    assert len(before | keys(toml)) == 4


@pytest.mark.parametrize("change", ["max_cost = 11", "max_cost = 10\nmin_return = -3"])
def test_what_limits_and_scores_refer_to_is_no_part_of_a_training(change: str, toml: Path) -> None:
    before = keys(toml)
    edit(toml, "max_cost = 10", change)
    assert keys(toml) == before


def test_places_speed_and_looks_change_nothing(toml: Path) -> None:
    before = keys(toml)
    (toml.parent / "sub").mkdir()
    for name in ("reach.hdf5", "reach.py"):
        toml.with_name(name).rename(toml.parent / "sub" / f"other-{name}")
        edit(toml, f'"{name}', f'"sub/other-{name}')
    edit(toml, "max_cost = 10 ", "steps_per_second = 77\nmax_cost = 10.0  # as before")
    moved = toml.rename(toml.with_name("other.toml"))
    assert keys(moved) == before


def test_a_task_that_changes_while_it_is_trained_is_not_evaluated(
    toml: Path, tmp_path: Path
) -> None:
    job = planned(toml, tmp_path / "results", "train")[0]
    run_job(job)
    edit(toml.with_name("reach.py"), "0.1 * action", "0.2 * action")
    with pytest.raises(UserError, match=r"reach.toml has changed since the run was planned"):
        run_job(replace(job, stage="evaluate"))
    failure = Run(tmp_path / "results", job.training).failure()
    assert "has changed" in failure["reason"]
    edit(toml.with_name("reach.py"), "0.2 * action", "0.1 * action")
    run_job(replace(job, stage="evaluate"))
    assert is_done(replace(job, stage="evaluate"))


def test_nor_is_one_trained_that_changed_since_it_was_planned(toml: Path, tmp_path: Path) -> None:
    job = planned(toml, tmp_path / "results")[0]
    edit(toml, "horizon = 30", "horizon = 31")
    with pytest.raises(UserError, match=r"reach.toml has changed since the run was planned"):
        run_job(job)
    assert not Run(tmp_path / "results", job.training).trained


# --- the simulator ---------------------------------------------------------------------------


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
    check_simulator(task)
    simulator = Simulator(task)
    simulator.reset(0)
    for k in range(1, 8):
        step = simulator.step(np.ones(1, dtype=np.float32))
        assert simulator._env.unwrapped.last_u == pytest.approx(2.0)
        assert (step.cost, step.terminated, step.truncated) == (1.0, False, k == 7)


def test_an_environment_of_gymnasiums_own_reports_no_cost(toml: Path) -> None:
    with pytest.raises(UserError, match=r'Pendulum-v1: step must return info\["cost"\]$'):
        check_simulator(registered(toml, "Pendulum-v1"))


# --- faults ----------------------------------------------------------------------------------


def of_task_file(old: str, new: str):
    return lambda toml: edit(toml, old, new)


def of_code(old: str, new: str):
    return lambda toml: edit(toml.with_name("reach.py"), old, new)


def of_data(**columns):
    """Replace columns of the data file, or leave them out."""

    def change(toml: Path) -> None:
        with h5py.File(toml.with_name("reach.hdf5"), "r+") as file:
            for name, values in columns.items():
                old = file[name][()]
                del file[name]
                if values is not None:
                    file[name] = values(old)

    return change


CONSTRUCTOR = "    def __init__(self):\n        raise OSError('no\\nlicence')\n\n    def step"
FAULTS = {
    "no task file": (lambda toml: toml.unlink(), "reach.toml: not a readable task file"),
    "broken TOML": (of_task_file("horizon = 30", "horizon ="), "line 4"),
    "not UTF-8": (lambda toml: toml.write_bytes(b"name = '\xff'"), "utf-8"),
    "unknown entry": (of_task_file("horizon", "horizn"), "did you mean horizon?"),
    "missing entries": (
        lambda toml: toml.write_text("name = 'Reach'"),
        "needs simulator, data, horizon, max_cost",
    ),
    "truth for a number": (
        of_task_file("horizon = 30", "horizon = true"),
        "True is not of type int",
    ),
    "half a step": (of_task_file("horizon = 30", "horizon = 30.5"), "30.5 is not of type int"),
    "text for a number": (
        of_task_file("max_cost = 10", "max_cost = '10'"),
        "'10' is not of type float",
    ),
    "number for text": (of_task_file('name = "Reach"', "name = 3"), "name = 3 is not of type str"),
    "NaN": (of_task_file("max_cost = 10", "max_cost = nan"), "max_cost = nan is not of type float"),
    "infinity": (
        of_task_file("max_cost = 10", "max_cost = inf"),
        "max_cost = inf is not of type float",
    ),
    "too large": (of_task_file("max_cost = 10", f"max_cost = {10**400}"), "is not of type float"),
    "horizon 0": (of_task_file("horizon = 30", "horizon = 0"), "horizon = 0 must be above 0"),
    "max_cost 0": (of_task_file("max_cost = 10", "max_cost = 0"), "max_cost = 0 must be above"),
    "a DSRL name": (of_task_file('"Reach"', '"AntRun"'), "'AntRun' must be a plain word, not a"),
    "a path as name": (of_task_file('"Reach"', '"../Reach"'), "'../Reach' must be a plain word"),
    "returns": (of_task_file("max_cost", "min_return = 3\nmax_return = 2\nmax_cost"), "below"),
    "no data": (lambda toml: toml.with_name("reach.hdf5").unlink(), "reach.hdf5: no such data"),
    "not HDF5": (
        lambda toml: toml.with_name("reach.hdf5").write_bytes(b"words" * 1000),
        "not HDF5",
    ),
    "a column too few": (of_data(costs=None), "it lacks costs"),
    "NaN in the data": (of_data(rewards=lambda old: old * np.nan), "rewards holds NaN"),
    "actions unscaled": (of_data(actions=lambda old: 2 * old), "scale them to [-1, 1]"),
    "horizon too short": (of_task_file("horizon = 30", "horizon = 9"), "longest episode is 30"),
    "no simulator file": (
        lambda toml: toml.with_name("reach.py").unlink(),
        "reach.py does not exist",
    ),
    "no class named": (of_task_file("reach.py:Reach", "reach.py"), "reach.py:ClassName"),
    "no such class": (of_task_file("reach.py:Reach", "reach.py:Rech"), "no attribute 'Rech'"),
    "no environment": (of_task_file("reach.py:Reach", "reach.py:GOAL"), "not callable"),
    "no such id": (of_task_file("reach.py:Reach", "Reach-v9"), "Reach-v9 cannot be made"),
    "no such module": (of_task_file("reach.py:Reach", "nowhere:Reach-v9"), "nowhere"),
    "not Python": (of_code("class Reach(", "clas Reach("), "cannot be made (SyntaxError"),
    "a constructor": (of_code("    def step", CONSTRUCTOR), "(OSError: no licence)"),
    "an exit": (of_code("GOAL = ", "raise SystemExit(0)\nGOAL = "), "(SystemExit: 0)"),
    "observations' width": (
        of_data(observations=lambda old: old[:, :1], next_observations=lambda old: old[:, :1]),
        "the data's observations are 1 wide, those of",
    ),
    "actions' width": (
        of_data(actions=lambda old: old[:, :1]),
        "the data's actions are 1 wide, those of",
    ),
    "discrete actions": (
        of_code("Box(-2.0, 2.0, (2,), np.float32)  # how", "Discrete(2)  # how"),
        "are Discrete(2)",
    ),
    "unbounded actions": (
        of_code("Box(-2.0, 2.0, (2,), np.float32)  # how", "Box(-2.0, np.inf, (2,))  # how"),
        "must be bounded",
    ),
    "no cost": (of_code('"cost"', '"costs"'), 'step must return info["cost"]'),
    "an old reset": (of_code(".astype(np.float32), {}", ".astype(np.float32)"), "of shape ()"),
    "an old step": (of_code("self.steps >= 30, info", "info"), "first step (ValueError"),
    "a step that fails": (of_code("0.1 * action", "0.1 / 0"), "first step (ZeroDivisionError: "),
    "undeclared width": (
        of_code("observation = self.place", "observation = self.place[:1]"),
        "returns observations of shape (1,), not of the declared shape (2,)",
    ),
}


def refused(arguments: list[str], results: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that `main` says; nothing is written but perhaps the empty folder."""
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not results.exists() or list(results.iterdir()) == []
    return error


@pytest.mark.parametrize(("spoil", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_told_in_one_line_before_any_work(
    spoil, said: str, toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(toml)
    results = tmp_path / "results"
    error = refused(command(toml, results), results, capsys)
    assert said in error
    assert "reach." in error  # the file that is to be mended


@pytest.mark.parametrize("other", ["BallRun", "twin"])
def test_tasks_that_do_not_go_together(
    other: str, toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if other == "twin":
        other = str(shutil.copytree(toml.parent, tmp_path / "twin") / "reach.toml")
    results = tmp_path / "results"
    error = refused(command(toml, results, "--tasks", str(toml), other), results, capsys)
    assert "run it apart from the others" in error or "two of the tasks are called 'Reach'" in error


def test_a_task_named_twice_is_one(toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice = str(toml), str(toml.parent / ".." / toml.parent.name / toml.name)
    assert main(["--tasks", *twice, "--limits", "5", "--dry-run"]) == 0
    assert "tasks: Reach\n" in capsys.readouterr().out


LATE = {
    "a late fault": (of_code("0.1 * action", "0.1 / (5 - self.steps)"), "ZeroDivisionError"),
    "no cost later": (
        of_code(
            "        observation =",
            "        info = {} if self.steps > 4 else info\n        observation =",
        ),
        'reach.py:Reach: step must return info["cost"]',
    ),
}


@pytest.mark.parametrize(("spoil", "said"), LATE.values(), ids=LATE.keys())
def test_what_shows_in_an_evaluation_only_is_that_jobs_failure(
    spoil, said: str, toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(toml)
    results = tmp_path / "results"
    for job in planned(toml, results):  # what a worker does
        with pytest.raises((UserError, ZeroDivisionError)):
            run_job(job)
        run = Run(results, job.training)
        assert run.trained
        assert said in run.failure()["reason"]
        assert "\n" not in run.failure()["reason"]
    assert main(as_planned(toml, results)) == 1
    assert "2 jobs failed in an earlier run" in capsys.readouterr().out
    missing = pd.read_csv(results / "custom" / "missing.csv")
    assert list(missing["status"]) == ["failed"] * 2
    assert all(said in reason for reason in missing["reason"])


def test_training_needs_no_simulator(
    toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_code("    def step", CONSTRUCTOR)(toml)
    results = tmp_path / "results"
    for job in planned(toml, results, "train"):
        run_job(job)
    assert main(as_planned(toml, results, "--stage", "train")) == 0
    assert " 0 to do" in capsys.readouterr().out
    assert main(as_planned(toml, results)) == 2
    assert "no licence" in capsys.readouterr().err


# --- MetaDrive -------------------------------------------------------------------------------


def test_metadrive_is_trained_and_not_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task, rng = ALL_TASKS["easysparse"], np.random.default_rng(0)
    ends = np.arange(1, 61) % 10 == 0
    Trajectories.from_arrays(
        rng.uniform(-1.0, 1.0, (60, task.observation_dim)),
        rng.uniform(-1.0, 1.0, (60, task.action_dim)),
        *(rng.random(60), rng.random(60), ends & False, ends),
    ).save(tmp_path / task.dataset_file)
    results = tmp_path / "results"
    arguments = as_planned("easysparse", results, "--data", str(tmp_path))
    assert "Use --stage train" in refused(arguments, results, capsys)
    for job in planned("easysparse", results, "train", str(tmp_path)):
        run_job(job)
    assert main([*arguments, "--stage", "train"]) == 0
    assert " 0 to do" in capsys.readouterr().out


def test_the_data_of_ones_own_task_can_be_looked_at(toml: Path, capsys) -> None:
    picture = toml.with_name("reach.svg")
    assert data_command(["inspect", str(toml), "--out", str(picture)]) == 0
    assert capsys.readouterr().out.startswith("Reach: ")
    assert picture.read_text().startswith("<?xml")
    assert data_command(["verify", str(toml.with_name("reach.hdf5")), "--task", str(toml)]) == 0
    assert "a whole data set. Reach: " in capsys.readouterr().out
