"""The command that lists, makes and fetches data."""

import subprocess
import sys

import pytest

from benchmarks import data as command
from benchmarks.commands import data_sets
from benchmarks.datasets import mirror, source
from benchmarks.datasets.source import (
    choose,
)
from benchmarks.tasks.tasks import ALL_TASKS, TASKS
from tests.support.published import BALL, CAR, put

pytestmark = pytest.mark.usefixtures("folders")


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
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert all(word in error for word in ("error: fetch ", "--offline", "OSRL_BENCH_OFFLINE"))
    assert fetched == []
