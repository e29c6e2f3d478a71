"""Which data a run uses, getting hold of them, and the command that lists and makes them."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from benchmarks.commands.options import Parser, add_network
from benchmarks.common.errors import UserError
from benchmarks.datasets import dsrl, mirror
from benchmarks.datasets.generation.policies import shipped_tasks
from benchmarks.datasets.source import (
    DataSet,
    Network,
    cache_folder,
    can_generate,
    choose,
    dsrl_folder,
    obtain,
    usable,
)
from benchmarks.datasets.trajectories import file_checksum
from benchmarks.tasks.tasks import TASKS
from tests.support.published import BALL, CAR, OFFLINE, ONLINE, put

pytestmark = pytest.mark.usefixtures("folders")


def sources(sets):
    return [one.source for one in sets]


# --- the choice ------------------------------------------------------------------------------


@pytest.fixture
def reach(monkeypatch):
    """Names of tasks within reach, and what was asked for."""

    class Reach(set):
        asked: list

    within = Reach()
    within.asked = []

    def reachable(task, addresses):
        within.asked.append((task, list(addresses)))
        return task.name in within

    monkeypatch.setattr(mirror, "reachable", reachable)
    return within


def test_auto_is_dsrl_only_if_every_file_is_there(folders):
    put(folders / "published" / BALL.dataset_file, BALL)
    assert sources(choose("auto", [BALL])) == ["dsrl"]
    assert sources(choose("auto", [BALL, CAR])) == ["generated", "generated"]
    put(folders / "cache" / "dsrl" / CAR.dataset_file, CAR)
    both = choose("auto", iter([BALL, CAR]))
    assert sources(both) == ["dsrl", "dsrl"]
    assert [one.task for one in both] == [BALL, CAR]
    assert all(one.present for one in both)


def test_auto_is_dsrl_if_every_missing_file_is_within_reach(folders, reach):
    put(folders / "published" / CAR.dataset_file, CAR)
    reach |= {"BallRun", "BallCircle"}
    asked = [BALL, CAR, TASKS["BallCircle"]]
    chosen = choose("auto", iter(asked), ONLINE)
    assert sources(chosen) == ["dsrl"] * 3
    assert [one.present for one in chosen] == [False, True, False]
    assert reach.asked == [(task, list(ONLINE.mirrors)) for task in (BALL, TASKS["BallCircle"])]


def test_auto_is_generated_if_a_missing_file_is_out_of_reach(folders, reach):
    put(folders / "published" / CAR.dataset_file, CAR)
    reach |= {"BallRun"}
    asked = [CAR, BALL, TASKS["BallCircle"]]
    assert sources(choose("auto", asked, ONLINE)) == ["generated"] * 3


def test_auto_asks_nobody_offline(reach):
    reach |= set(TASKS)
    for network in (OFFLINE, None):
        assert sources(choose("auto", TASKS.values(), network)) == ["generated"] * len(TASKS)
    assert reach.asked == []


def test_any_other_choice_asks_nobody(folders, reach):
    for choice in ("dsrl", "generated", str(folders / "published")):
        choose(choice, [BALL], ONLINE)
    assert reach.asked == []


def test_dsrl_is_the_folder_that_dsrl_uses_and_then_the_cache(folders, monkeypatch):
    name = "SafetyBallRun-v0-80-940.hdf5"
    (one,) = choose("dsrl", [BALL])
    assert one.path == folders / "cache" / "dsrl" / name
    assert not one.present
    put(one.path, BALL)
    assert one.present
    assert choose("dsrl", [BALL]) == [one]
    put(folders / "published" / name, BALL)
    (one,) = choose("dsrl", [BALL])
    assert one.path == folders / "published" / name
    assert one.source == "dsrl"
    monkeypatch.delenv("DSRL_DATASET_DIR")
    monkeypatch.setenv("HOME", str(folders / "home"))
    assert dsrl_folder() == folders / "home" / ".dsrl" / "datasets"
    monkeypatch.setenv("DSRL_DATASET_DIR", "")
    assert dsrl_folder() == folders / "home" / ".dsrl" / "datasets"


def test_generated_files_lie_in_the_cache(folders, monkeypatch):
    (one,) = choose("generated", [BALL])
    assert one.source == "generated"
    assert one.path.parent == folders / "cache" / "generated"
    assert one.path.name.startswith("BallRun-")
    monkeypatch.delenv("OSRL_BENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folders / "xdg"))
    assert cache_folder() == folders / "xdg" / "osrl-bench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(folders / "home"))
    assert cache_folder() == folders / "home" / ".cache" / "osrl-bench"


def test_a_task_without_policies_has_no_generated_file():
    unshipped = [task for task in TASKS.values() if task.name not in shipped_tasks()]
    assert can_generate(BALL)
    assert not any(map(can_generate, unshipped))
    assert not any(one.present for one in choose("generated", unshipped))


def test_a_folder_of_ones_own_gives_its_name(folders):
    put(folders / "mine" / BALL.dataset_file, BALL)
    for folder in (folders / "mine", folders / "published" / ".." / "mine"):
        one, other = choose(str(folder), [BALL, CAR])
        assert one.source == other.source == "mine"
        assert one.present
        assert not other.present


@pytest.mark.parametrize("name", ["generated", "dsrl"])
def test_a_folder_of_that_name_is_not_mistaken_for_the_choice(folders, name):
    put(folders / name / BALL.dataset_file, BALL)
    (one,) = choose(str(folders / name), [BALL])
    assert one.source == f"folder {name}"
    assert one.path == folders / name / BALL.dataset_file


@pytest.mark.parametrize("name", ["dslr", "no/such/folder", ""])
def test_anything_else_is_refused_in_one_line(name, folders, monkeypatch):
    monkeypatch.chdir(folders)
    with pytest.raises(UserError, match="use auto, generated, dsrl, or a folder") as caught:
        choose(name, [BALL])
    assert repr(name) in str(caught.value)


def own(folders, name="Mine"):
    """A task of the user's own, with its data."""
    path = put(folders / f"{name}.hdf5", BALL)
    return replace(BALL, name=name, dataset_file=str(path), file=str(folders / f"{name}.toml"))


@pytest.mark.parametrize("choice", ["generated", "dsrl", "no/such/folder"])
def test_a_task_of_ones_own_takes_no_other_data(folders, choice):
    with pytest.raises(UserError, match=f"^--data {choice}: Mine states its data in its task file"):
        choose(choice, [own(folders)], ONLINE)


def test_a_task_of_ones_own_has_its_own_data(folders, reach):
    tasks = [own(folders), own(folders, "Other")]
    chosen = choose("auto", tasks, ONLINE)
    assert sources(chosen) == ["own", "own"]
    assert [one.path for one in chosen] == [folders / "Mine.hdf5", folders / "Other.hdf5"]
    assert usable(chosen, OFFLINE, skip=False) == (chosen, False)
    assert obtain(chosen, OFFLINE) == chosen
    assert reach.asked == []


@pytest.mark.parametrize("choice", ["auto", "generated", "dsrl"])
def test_a_task_of_ones_own_is_not_mixed_with_others(folders, choice):
    with pytest.raises(UserError) as caught:
        choose(choice, [own(folders), BALL, own(folders, "Other")])
    named, _, remedy = str(caught.value).partition(": ")
    assert named == "Mine, Other"
    assert "apart from the others" in remedy


# --- the network -----------------------------------------------------------------------------


def network(*arguments):
    parser = Parser()
    add_network(parser)
    return Network.of(**parser.given(arguments))


def test_options_and_environment_tell_the_network(monkeypatch):
    monkeypatch.setattr(mirror, "mirrors", lambda extra: [*extra, "http://known.invalid"])
    assert network("--mirror", "http://mine.invalid") == OFFLINE  # so tests are offline
    monkeypatch.setenv("OSRL_BENCH_OFFLINE", "")
    assert list(network().mirrors) == ["http://known.invalid"]
    several = network("--mirror", "http://a.invalid", "--mirror", "http://b.invalid")
    assert list(several.mirrors) == ["http://a.invalid", "http://b.invalid", "http://known.invalid"]
    assert network("--offline", "--mirror", "http://mine.invalid") == OFFLINE
    monkeypatch.delenv("OSRL_BENCH_OFFLINE")
    assert list(network().mirrors) == ["http://known.invalid"]
    assert network("--offline") == OFFLINE


# --- the file --------------------------------------------------------------------------------


def test_the_range_of_returns_is_the_tasks_whatever_the_file_says(folders):
    path = put(folders / "published" / BALL.dataset_file, BALL)
    (one,) = choose("dsrl", [BALL])
    assert one.return_range() == (BALL.min_return, BALL.max_return)
    put(path, BALL, min_return=-3.5, max_return=12.25)
    assert one.return_range() == (BALL.min_return, BALL.max_return)


def test_a_task_file_has_the_last_word_on_the_range(folders):
    task = own(folders)
    put(folders / "Mine.hdf5", BALL, min_return=-3.5, max_return=12.25)
    (one,) = choose("auto", [task])
    assert one.return_range() == (BALL.min_return, BALL.max_return)


@pytest.mark.parametrize("kind", ["generated", "own", "mine"])
def test_equal_contents_have_equal_checksums(tmp_path, kind):
    data = [DataSet(TASKS[name], tmp_path / name, kind) for name in ("BallRun", "CarRun", "AntRun")]
    for one, text in zip(data, ["a", "b", "a"], strict=True):
        one.path.write_text(text)
    ball, car, ant = (one.checksum() for one in data)
    assert ball == ant != car
    assert ball == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    data[0].path.write_text("b")
    assert data[0].checksum() == car


def test_a_published_files_checksum_is_the_one_of_its_first_use(folders, monkeypatch):
    asked = []

    def enforce_checksum(path, records):
        asked.append((path, records))
        return "ab12"

    put(folders / "published" / BALL.dataset_file, BALL)
    (one,) = choose("dsrl", [BALL])
    with monkeypatch.context() as patch:
        patch.setattr(dsrl, "enforce_checksum", enforce_checksum)
        assert one.checksum() == "ab12"
    assert asked == [(one.path, folders / "cache" / "checksums")]

    assert one.checksum() == file_checksum(one.path)
    put(one.path, BALL, changed=1.0)
    with pytest.raises(UserError, match="has changed since"):
        one.checksum()
    assert replace(one, source="mine").checksum() == file_checksum(one.path)


def test_a_sound_file_has_no_problem(folders):
    put(folders / "published" / BALL.dataset_file, BALL)
    (one,) = choose("dsrl", [BALL])
    assert one.findings().faults == []


def spoil_keys(file):
    del file["costs"], file["timeouts"]


def spoil_widths(file):
    del file["actions"]
    file["actions"] = np.zeros((8, 5))


def spoil_dimensions(file):
    del file["observations"]
    file["observations"] = np.zeros(8)


def spoil_kind(file):
    del file["observations"]
    file.create_group("observations")


@pytest.mark.parametrize(
    ("spoil", "wording"),
    [
        (spoil_keys, "it lacks costs, timeouts"),
        (spoil_widths, "actions has shape (8, 5) instead of (8, 2)"),
        (spoil_dimensions, "observations has shape (8,) instead of (8, 7)"),
        (spoil_kind, "it lacks observations (a group stands there)"),
    ],
)
def test_a_problem_is_told_in_words(folders, spoil, wording):
    path = put(folders / "published" / BALL.dataset_file, BALL)
    with h5py.File(path, "a") as file:
        spoil(file)
    (one,) = choose("dsrl", [BALL])
    (fault,) = one.findings().faults
    assert fault.startswith(wording)
    assert "\n" not in fault


@pytest.mark.parametrize("content", [b"", b"<html>502</html>", None])
def test_a_file_that_is_none_is_a_problem(folders, content):
    path = put(folders / "published" / BALL.dataset_file, BALL)
    path.write_bytes(path.read_bytes()[:1000] if content is None else content)
    (one,) = choose("dsrl", [BALL])
    (fault,) = one.findings().faults
    assert fault.startswith("it is damaged or not HDF5 (")
