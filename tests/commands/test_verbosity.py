"""What a run prints and what it keeps in the logs of its jobs."""

import pytest

from benchmarks.run import main
from benchmarks.runs.store import Run
from benchmarks.runs.worker import run_job
from tests.support.jobs import make_job
from tests.support.runs import FAILING, command

WORDS = ("--algorithms", "bc-all", "--workers", "1")


@pytest.mark.usefixtures("workers_here", "blank_boards")
def test_a_quiet_run_prints_warnings_and_where_its_leaderboard_is(small_data, tmp_path, capfd):
    assert main([*command(small_data, tmp_path, *WORDS, tasks=("BallRun",)), "-q"]) == 0
    out, error = capfd.readouterr()
    assert out.splitlines() == [f"leaderboard: {tmp_path / 'tight' / 'leaderboard.md'}"]
    assert all(line.startswith("note:") for line in error.splitlines())


@pytest.mark.usefixtures("workers_here", "blank_boards")
def test_a_quiet_run_tells_failures(small_data, tmp_path, capfd):
    plugin = tmp_path / "failing.py"
    plugin.write_text(FAILING)
    words = ("--algorithms", f"{plugin}:Failing", "--workers", "1", "--quiet")
    assert main(command(small_data, tmp_path, *words, tasks=("BallRun",))) == 1
    assert "a planted fault" in capfd.readouterr().err


@pytest.mark.usefixtures("workers_here", "blank_boards")
def test_a_verbose_run_tells_what_its_jobs_do(small_data, tmp_path, capfd):
    assert main([*command(small_data, tmp_path, *WORDS, tasks=("BallRun",)), "-v"]) == 0
    out = capfd.readouterr().out
    assert "[-/1] BallRun bc-all seed 0: train 100%" in out
    assert "[-/1] BallRun bc-all seed 0: evaluate" in out


def test_quiet_and_verbose_exclude_each_other(capsys):
    assert main(["--suite", "tight", "-q", "-v"]) == 2
    assert "not allowed with" in capsys.readouterr().err


def test_a_job_logs_its_stages(small_data, tmp_path):
    job = make_job("bc-all", small_data, tmp_path)
    run_job(job)
    log = (Run.of(job).folder / "log.txt").read_text()
    stages = ["starts on cpu", "trains", "trained: 7 updates", "evaluated at the limits 8, 40"]
    places = [log.index(stage) for stage in stages]
    assert places == sorted(places)


def test_a_log_that_cannot_be_written_stops_nothing(small_data, tmp_path):
    job = make_job("bc-all", small_data, tmp_path)
    folder = Run.of(job).folder
    folder.mkdir(parents=True)
    (folder / "log.txt").mkdir()
    run_job(job)
    assert Run.of(job).evaluated(8.0, 2)
