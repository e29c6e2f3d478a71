"""Which data a run uses, and the command that lists and makes them."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from benchmarks.data import __main__ as command
from benchmarks.data.snapshots import shipped_tasks
from benchmarks.data.source import cache_folder, can_generate, choose, dsrl_folder
from benchmarks.data.trajectories import Trajectories
from benchmarks.errors import UserError
from benchmarks.tasks import TASKS

BALL, CAR = TASKS["BallRun"], TASKS["CarRun"]


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Folders of this test alone for published and generated files."""
    monkeypatch.setenv("DSRL_DATASET_DIR", str(tmp_path / "published"))
    monkeypatch.setenv("OSRL_BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "published").mkdir()
    return tmp_path


def put(path, task, **attributes):
    """A data file of `task` at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    ends = np.arange(8) % 4 == 3
    Trajectories.from_arrays(
        rng.normal(size=(8, task.observation_dim)),
        rng.normal(size=(8, task.action_dim)),
        rng.normal(size=8),
        np.ones(8),
        np.zeros(8),
        ends,
    ).save(path, **attributes)
    return path


# --- the choice ------------------------------------------------------------------------------


def test_auto_is_dsrl_only_if_every_file_is_there(folders):
    put(folders / "published" / BALL.dataset_file, BALL)
    assert [one.source for one in choose("auto", [BALL])] == ["dsrl"]
    assert [one.source for one in choose("auto", [BALL, CAR])] == ["generated", "generated"]
    put(folders / "published" / CAR.dataset_file, CAR)
    both = choose("auto", iter([BALL, CAR]))
    assert [one.source for one in both] == ["dsrl", "dsrl"]
    assert [one.task for one in both] == [BALL, CAR]
    assert all(one.present for one in both)


def test_dsrl_is_the_folder_that_dsrl_uses(folders, monkeypatch):
    (one,) = choose("dsrl", [BALL])
    assert one.path == folders / "published" / "SafetyBallRun-v0-80-940.hdf5"
    assert not one.present
    put(one.path, BALL)
    assert one.present
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


# --- the file --------------------------------------------------------------------------------


def test_the_range_of_returns_is_the_files_own_or_the_tasks(folders):
    path = put(folders / "published" / BALL.dataset_file, BALL)
    (one,) = choose("dsrl", [BALL])
    assert one.return_range() == (BALL.min_return, BALL.max_return)
    put(path, BALL, min_return=-3.5, max_return=12.25)
    assert one.return_range() == (-3.5, 12.25)


def test_a_sound_file_has_no_problem(folders):
    put(folders / "published" / BALL.dataset_file, BALL)
    (one,) = choose("dsrl", [BALL])
    assert one.problem() is None


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
        (spoil_keys, "lacks costs, timeouts"),
        (spoil_widths, "has widths (7, 5) of observations and actions instead of (7, 2)"),
        (spoil_dimensions, "has widths (2,) of observations and actions instead of (7, 2)"),
        (spoil_kind, "is damaged or not HDF5 ("),
    ],
)
def test_a_problem_is_told_in_words(folders, spoil, wording):
    path = put(folders / "published" / BALL.dataset_file, BALL)
    with h5py.File(path, "a") as file:
        spoil(file)
    (one,) = choose("dsrl", [BALL])
    assert one.problem().startswith(wording)
    assert "\n" not in one.problem()


@pytest.mark.parametrize("content", [b"", b"<html>502</html>", None])
def test_a_file_that_is_none_is_a_problem(folders, content):
    path = put(folders / "published" / BALL.dataset_file, BALL)
    path.write_bytes(path.read_bytes()[:1000] if content is None else content)
    (one,) = choose("dsrl", [BALL])
    assert one.problem().startswith("is damaged or not HDF5 (")


# --- python -m benchmarks.data ---------------------------------------------------------------


def test_list_tells_every_task(folders, capsys):
    put(folders / "published" / CAR.dataset_file, CAR)
    put(choose("generated", [BALL])[0].path, BALL)
    assert command.main(["list"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert str(folders / "published") in head
    assert str(folders / "cache") in head
    assert [line.split()[0] for line in lines] == list(TASKS)
    told = {line.split()[0]: line for line in lines}
    assert "published: missing" in told["BallRun"]
    assert told["BallRun"].endswith("generated: at hand")
    assert "published: at hand" in told["CarRun"]
    assert told["BallCircle"].endswith("generated: can be made")


def test_the_module_runs():
    command_line = [sys.executable, "-m", "benchmarks.data"]
    listed = subprocess.run([*command_line, "list"], capture_output=True, text=True)
    assert listed.returncode == 0
    assert listed.stderr == ""
    assert len(listed.stdout.splitlines()) == 1 + len(TASKS)


@pytest.mark.parametrize("verb", ["generate", "train-behaviour"])
def test_a_wrong_task_is_one_line_and_status_two(verb, capsys, monkeypatch, folders):
    monkeypatch.chdir(folders)
    assert command.main([verb, "BalRun"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith("error: unknown task 'BalRun': did you mean BallRun?")


def test_a_wrong_task_among_others_stops_before_the_work(capsys, monkeypatch):
    monkeypatch.setattr(command, "generate", None)
    assert command.main(["generate", "BallRun", "BalRun"]) == 2
    monkeypatch.setattr(command, "shipped_tasks", lambda: ["BallRun"])
    assert command.main(["generate", "BallRun", "CarRun"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "unknown task" in first
    assert "no behaviour policy of CarRun is shipped" in second
    assert "train-behaviour CarRun" in second


def test_generate_sums_up_what_it_made(folders, capsys, monkeypatch):
    path = put(folders / "made.hdf5", BALL)
    monkeypatch.setattr(command, "generate", lambda task, cache, **_: path)
    assert command.main(["generate", "BallRun"]) == 0
    out = capsys.readouterr().out
    assert "2 episodes, 8 transitions" in out
    assert "costs 4 to 4" in out
    assert out.rstrip().endswith("cost range 2 0 0 0 0 0 0 0 0 0")


def test_ctrl_c_is_no_traceback(capsys, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "generate", stop)
    assert command.main(["generate", "BallRun"]) == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("stopped: run the same command")
