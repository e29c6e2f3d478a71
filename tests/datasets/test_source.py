"""Which data a run uses, getting hold of them, and the command that lists and makes them."""

import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest

from benchmarks import data as command
from benchmarks.commands import data_sets
from benchmarks.commands.options import Parser, add_network
from benchmarks.common.errors import UserError
from benchmarks.datasets import dsrl, mirror, source
from benchmarks.datasets.generation.policies import recorded_checksum, shipped_tasks
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
from benchmarks.datasets.trajectories import Trajectories, file_checksum
from benchmarks.tasks.tasks import ALL_TASKS, TASKS

BALL, CAR = TASKS["BallRun"], TASKS["CarRun"]
ONLINE = Network(["http://one.invalid", "http://two.invalid"])
OFFLINE = Network()


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
    assert str(caught.value) == (
        "Mine, Other: a task file names its own data, and a leaderboard must not mix data "
        "sources: run it apart from the others"
    )


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
        (spoil_kind, "lacks observations"),
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


# --- what can be had -------------------------------------------------------------------------


def refused(act, *arguments):
    with pytest.raises(UserError) as caught:
        act(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_there_or_can_be_had_is_usable(folders):
    put(folders / "published" / BALL.dataset_file, BALL)
    there = choose("dsrl", [BALL])
    missing = choose("dsrl", [CAR])
    made = choose("generated", [BALL])
    assert usable([*there, *made], OFFLINE, skip=False) == ([*there, *made], False)
    assert usable([*there, *missing], ONLINE, skip=False) == ([*there, *missing], False)


def test_a_published_file_that_is_missing_is_not_usable_offline(folders, capsys):
    put(folders / "published" / BALL.dataset_file, BALL)
    sets = choose("dsrl", [BALL, CAR, TASKS["AntRun"]])
    said = refused(usable, sets, OFFLINE, False)
    assert said.startswith(
        "no usable data for 2 of 3 tasks "
        f"(CarRun, AntRun: neither in {folders / 'published'} nor downloaded before, and offline). "
    )
    assert said.endswith("; --skip-missing runs the other 1")
    assert usable(sets, OFFLINE, skip=True) == (sets[:1], False)
    (note,) = capsys.readouterr().err.splitlines()
    assert note.startswith("note: no usable data for 2 of 3 tasks (CarRun, AntRun: neither in ")
    assert "no usable data for 2 of 2" in refused(usable, sets[1:], OFFLINE, True)


def test_a_set_that_no_policy_makes_is_not_usable(folders, monkeypatch):
    monkeypatch.setattr(source, "shipped_tasks", lambda: ["BallRun"])
    sets = choose("generated", [BALL, CAR])
    assert "(CarRun: no behaviour policy is shipped)" in refused(usable, sets, ONLINE, False)
    assert usable(sets, ONLINE, skip=True) == (sets[:1], False)
    put(sets[1].path, CAR)
    assert usable(sets, ONLINE, skip=False) == (sets, False)


def test_a_file_missing_in_a_folder_of_ones_own_is_not_usable(folders):
    sets = choose(str(folders / "published"), [BALL])
    assert f"(BallRun: not in {folders / 'published'})" in refused(usable, sets, ONLINE, False)


def test_a_damaged_file_is_not_usable_and_is_told_apart(folders, capsys):
    for task in (BALL, CAR):
        put(folders / "published" / task.dataset_file, task)
    sets = choose("dsrl", [BALL, CAR])
    with h5py.File(sets[1].path, "a") as file:
        del file["costs"]
    said = refused(usable, sets, ONLINE, False)
    assert f"no usable data for 1 of 2 tasks (CarRun: {sets[1].path} lacks costs)" in said
    assert usable(sets, ONLINE, skip=True) == (sets[:1], True)
    assert "lacks costs" in capsys.readouterr().err


# --- getting hold of it ----------------------------------------------------------------------


@pytest.fixture
def fetched(monkeypatch):
    """Pretend to fetch: what was asked for. CarRun's file is out of reach."""
    asked = []

    def fetch(task, folder, addresses, *, progress):
        asked.append((task, folder, list(addresses)))
        for done in (0, 700, 400, 1000):  # a server may make it begin again
            progress(done, None if done == 0 else 1000)
        if task == CAR:
            raise UserError("could not fetch it (HTTP 404)")
        return put(folder / task.dataset_file, task)

    monkeypatch.setattr(dsrl, "fetch", fetch)
    return asked


def test_a_missing_published_file_is_fetched_into_the_cache_with_progress(folders, fetched, capsys):
    put(folders / "published" / TASKS["AntRun"].dataset_file, TASKS["AntRun"])
    sets = choose("dsrl", [BALL, TASKS["AntRun"]])
    assert obtain(sets, ONLINE) == sets
    assert fetched == [(BALL, folders / "cache" / "dsrl", list(ONLINE.mirrors))]
    assert all(one.present for one in sets)
    shown = capsys.readouterr().err
    assert f"downloading {BALL.dataset_file}" in shown
    assert "1.00k/1.00k" in shown
    assert obtain(sets, ONLINE) == sets
    assert len(fetched) == 1


def test_a_file_that_cannot_be_fetched_stops_the_work_unless_it_may_be_left_out(
    folders, fetched, capsys
):
    sets = choose("dsrl", [CAR, BALL])
    assert refused(obtain, sets, ONLINE) == "could not fetch it (HTTP 404)"
    assert [task for task, *_ in fetched] == [CAR]
    capsys.readouterr()
    assert obtain(sets, ONLINE, skip=True) == sets[1:]
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert notes == ["note: CarRun is left out: could not fetch it (HTTP 404)"]
    assert refused(obtain, sets[:1], ONLINE, True) == "no task has data: see the notes above"
    assert obtain([], ONLINE) == []


def test_a_missing_generated_set_is_made_with_progress(folders, fetched, monkeypatch, capsys):
    made = []

    def generate(task, cache, *, processes, progress):
        made.append((task, cache))
        assert processes >= 1
        progress(1, 2)
        progress(2, 2)
        return put(choose("generated", [task])[0].path, task)

    monkeypatch.setattr(source, "generate", generate)
    sets = choose("generated", [BALL, CAR])
    put(sets[1].path, CAR)
    assert obtain(sets, OFFLINE) == sets
    assert made == [(BALL, folders / "cache")]
    shown = capsys.readouterr().err
    assert "generating BallRun" in shown
    assert "2/2" in shown
    assert "note: the data generated for BallRun (sha256 " in shown
    assert fetched == []


@pytest.mark.parametrize("recorded", [True, False])
def test_nothing_is_noted_of_a_set_as_recorded_or_not_recorded(
    recorded, folders, monkeypatch, capsys
):
    (one,) = choose("generated", [BALL])
    monkeypatch.setattr(source, "generate", lambda task, cache, **_: put(one.path, task))
    monkeypatch.setattr(
        source, "recorded_checksum", lambda task: one.checksum() if recorded else None
    )
    assert obtain([one], OFFLINE) == [one]
    assert "note" not in capsys.readouterr().err


def test_the_shipped_sets_checksums_are_recorded():
    assert len({recorded_checksum(task) for task in TASKS}) == len(TASKS)
    assert all(len(recorded_checksum(task) or "") == 64 for task in TASKS)
    assert recorded_checksum("PointGoal1") is None


# --- python -m benchmarks.data ---------------------------------------------------------------


def test_list_tells_every_task(folders, capsys):
    put(folders / "published" / CAR.dataset_file, CAR)
    put(choose("generated", [BALL])[0].path, BALL)
    assert command.main(["list"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert str(folders / "published") in head
    assert str(folders / "cache") in head
    assert [line.split()[0] for line in lines] == list(ALL_TASKS)
    assert [line.split()[0] for line in lines if line.endswith(" in the suites")] == list(TASKS)
    told = {line.split()[0]: " ".join(line.split()[1:]) for line in lines}
    assert told["BallRun"] == "published: missing generated: at hand in the suites"
    assert told["CarRun"].startswith("published: at hand generated: ")
    assert told["BallCircle"] == "published: missing generated: can be made in the suites"
    assert told["PointGoal1"] == "published: missing generated: no behaviour policy"


def test_the_module_runs():
    command_line = [sys.executable, "-m", "benchmarks.data"]
    listed = subprocess.run([*command_line, "list"], capture_output=True, text=True)
    assert listed.returncode == 0
    assert listed.stderr == ""
    assert len(listed.stdout.splitlines()) == 1 + len(ALL_TASKS)


@pytest.mark.parametrize("verb", ["generate", "fetch", "train-behaviour"])
def test_a_wrong_task_is_one_line_and_status_two(verb, capsys, monkeypatch, folders):
    monkeypatch.chdir(folders)
    assert command.main([verb, "BalRun"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith("error: unknown task 'BalRun': did you mean BallRun?")


def test_a_wrong_task_among_others_stops_before_the_work(capsys, monkeypatch):
    monkeypatch.setattr(source, "generate", None)
    assert command.main(["generate", "BallRun", "BalRun"]) == 2
    monkeypatch.setattr(source, "shipped_tasks", lambda: ["BallRun"])
    assert command.main(["generate", "BallRun", "CarRun"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "unknown task" in first
    assert "(CarRun: no behaviour policy is shipped)" in second
    assert "train-behaviour TASK" in second


def test_generate_sums_up_what_it_made(folders, capsys, monkeypatch):
    (one,) = choose("generated", [BALL])
    monkeypatch.setattr(source, "generate", lambda task, cache, **_: put(one.path, task))
    assert command.main(["generate", "BallRun"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("BallRun: 2 episodes, 8 transitions; returns ")
    assert "; costs to 4; by tenth of the cost range 2 0 0 0 0 0 0 0 0 0; " in out
    assert out.endswith(f"; 0.0 MB: {one.path}\n")


def test_ctrl_c_is_no_traceback(capsys, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(source, "generate", stop)
    assert command.main(["generate", "BallRun"]) == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("stopped: run the same command")


@pytest.fixture
def online(monkeypatch):
    """The network is allowed; only what `fetched` pretends may be used."""
    monkeypatch.delenv("OSRL_BENCH_OFFLINE")


def test_fetch_gets_what_is_missing_and_notes_its_checksum(folders, fetched, online, capsys):
    put(folders / "published" / TASKS["AntRun"].dataset_file, TASKS["AntRun"])
    named = "http://mine.invalid"
    assert command.main(["fetch", "BallRun", "AntRun", "--mirror", named]) == 0
    ((task, folder, addresses),) = fetched
    assert task == BALL
    assert addresses == mirror.mirrors([named])
    assert addresses[0] == named
    assert capsys.readouterr().out.splitlines() == [
        f"BallRun: {folder / BALL.dataset_file}",
        f"AntRun: {folders / 'published' / TASKS['AntRun'].dataset_file}",
    ]
    (folder / BALL.dataset_file).write_bytes(b"another")
    assert command.main(["fetch", "BallRun"]) == 2
    assert "has changed since" in capsys.readouterr().err


def test_fetch_is_of_the_tasks_in_the_suites_unless_some_are_named(fetched, online, monkeypatch):
    monkeypatch.setattr(data_sets, "TASKS", ["BallRun", "AntRun"])
    assert command.main(["fetch"]) == 0
    assert [task.name for task, *_ in fetched] == ["BallRun", "AntRun"]


def test_fetch_that_fails_is_one_line_and_status_two(fetched, online, capsys):
    assert command.main(["fetch", "CarRun"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = [line for line in printed.err.splitlines() if "error" in line]
    assert lines == ["error: could not fetch it (HTTP 404)"]
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("by_option", [True, False])
def test_fetch_is_refused_offline(fetched, capsys, monkeypatch, by_option):
    if by_option:
        monkeypatch.delenv("OSRL_BENCH_OFFLINE")
    assert command.main(["fetch", "BallRun", *["--offline"] * by_option]) == 2
    assert capsys.readouterr().err == (
        "error: fetch needs the network: leave --offline and OSRL_BENCH_OFFLINE away\n"
    )
    assert fetched == []
