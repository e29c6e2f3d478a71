"""Which data sets can be had, and getting hold of those that are missing."""

import h5py
import pytest

from benchmarks.common.errors import UserError
from benchmarks.datasets import source
from benchmarks.datasets.generation.policies import recorded_checksum
from benchmarks.datasets.source import (
    choose,
    obtain,
    usable,
)
from benchmarks.tasks.tasks import TASKS
from tests.support.published import BALL, CAR, OFFLINE, ONLINE, put

pytestmark = pytest.mark.usefixtures("folders")


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
        f"(CarRun, AntRun: neither in {folders / 'published'} nor downloaded before, and offline); "
    )
    assert said.endswith("; --skip-missing runs the other 1")
    assert usable(sets, OFFLINE, skip=True) == (sets[:1], False)
    (note,) = capsys.readouterr().err.splitlines()
    assert note.startswith("note: ")
    assert "2 of 3 tasks (CarRun, AntRun: " in note
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
    assert f"no usable data for 1 of 2 tasks (CarRun: {sets[1].path}: it lacks costs)" in said
    assert usable(sets, ONLINE, skip=True) == (sets[:1], True)
    assert "lacks costs" in capsys.readouterr().err


def watch(monkeypatch):
    """Let standard error be a terminal, where progress is shown."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)


def test_a_missing_published_file_is_fetched_into_the_cache_with_progress(
    folders, fetched, monkeypatch, capsys
):
    watch(monkeypatch)
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
    notes = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert notes == ["note: CarRun is left out: could not fetch it (HTTP 404)"]
    assert refused(obtain, sets[:1], ONLINE, True) == "no task has data: see the notes above"
    assert obtain([], ONLINE) == []


def test_a_missing_generated_set_is_made_with_progress(folders, fetched, monkeypatch, capsys):
    watch(monkeypatch)
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
