"""The table of tasks, against the DSRL package's own."""

import importlib.util
from pathlib import Path

import pytest

from benchmarks.common.errors import UserError
from benchmarks.tasks.tasks import ALL_TASKS, TASKS, find_task

every_task = pytest.mark.parametrize("name", ALL_TASKS)


@pytest.fixture(scope="module")
def infos():
    """`dsrl.infos`, without `import dsrl`, which makes folders and registers simulators."""
    package = importlib.util.find_spec("dsrl")
    if package is None:
        pytest.skip("dsrl is not installed")
    path = Path(package.submodule_search_locations[0]) / "infos.py"
    spec = importlib.util.spec_from_file_location("dsrl_infos", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_limit_in_percent_is_exact() -> None:
    car_circle = TASKS["CarCircle"]
    assert [car_circle.limit(k / 100) for k in range(101)] == list(range(101))


def test_there_are_twelve_tasks_named_as_their_keys():
    assert len(TASKS) == 12
    assert all(ALL_TASKS[name] is task for name, task in TASKS.items())
    assert all(task.name == name for name, task in ALL_TASKS.items())


def test_every_task_of_dsrl_is_there(infos):
    assert set(ALL_TASKS) == set(infos.DATASET_URLS)


@every_task
def test_constants_are_those_of_dsrl(infos, name):
    task = ALL_TASKS[name]
    assert task.max_cost == infos.MAX_EPISODE_COST[name]
    assert task.min_return == infos.MIN_EPISODE_REWARD[name]
    assert task.max_return == infos.MAX_EPISODE_REWARD[name]
    assert task.horizon == infos.DEFAULT_MAX_EPISODE_STEPS[name]
    assert task.dataset_file == infos.DATASET_URLS[name].rsplit("/", 1)[1]


def test_a_limit_is_a_fraction_of_the_maximum_cost():
    assert TASKS["CarRun"].limit(0.1) == pytest.approx(4.0)
    assert TASKS["PointCircle2"].limit(1.0) == 299.0


@every_task
def test_a_known_name_is_found(name):
    assert find_task(name) is ALL_TASKS[name]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("BalRun", "BallRun"), ("ballrun", "BallRun"), ("CarCircle3", "CarCircle")],
)
def test_an_unknown_name_is_met_with_a_near_one(name, meant):
    with pytest.raises(UserError) as caught:
        find_task(name)
    message = str(caught.value)
    assert message.startswith(f"unknown task {name!r}: did you mean {meant}")
    assert all(known in message for known in ALL_TASKS)
    assert "\n" not in message


def test_a_name_like_no_other_is_met_with_the_list():
    with pytest.raises(UserError, match=r"^unknown task 'xyzzy': known are AntCircle, AntRun"):
        find_task("xyzzy")
