"""The main command when methods fail, processes are killed, and the user presses Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.common.interrupts import stop_on_interrupt
from benchmarks.run import main
from benchmarks.runs.jobs import ExitStatus, Job
from benchmarks.scheduling.protocol import ProcessExit, WorkItem
from tests.support.forked import ForkedRun
from tests.support.runs import FAILING, children, command, evaluations, small, start, wait_for
from tests.support.small_data import SmallData


@pytest.mark.usefixtures("workers_here", "blank_boards")
def test_a_failing_method_harms_no_other(
    small_data: SmallData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(FAILING)
    methods = (f"{plugin}:Failing", "bc-all", *small("failing", "bc-all"))
    arguments = command(small_data, tmp_path, "--algorithms", *methods, tasks=("BallRun",))
    assert main(arguments) == 1
    table = pd.read_csv(tmp_path / "tight" / "leaderboard.csv").set_index("algorithm")
    assert list(table.loc["failing", "status"]) == ["failed"] * 3
    assert np.isfinite(table.loc["bc-all", "reward"]).all()
    (failure,) = (tmp_path / "runs").glob("*failing*/failure.json")
    assert "a planted fault" in json.loads(failure.read_text())["traceback"]
    assert "a planted fault" in (tmp_path / "tight" / "leaderboard.md").read_text()
    capsys.readouterr()
    assert main(arguments) == 1, "a failure stays one"
    assert "0 to do" in capsys.readouterr().out
    assert main([*arguments, "--retry-failed"]) == 1
    assert "1 to do" in capsys.readouterr().out


def trained(results: Path) -> list[Path]:
    return list((results / "runs").glob("*/training.json"))


@pytest.mark.slow  # tests/scheduling/test_chaos.py kills workers each time
def test_a_killed_worker_goes_on_in_the_same_run(small_data: SmallData, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(FAILING)
    options = ("--algorithms", "bc-all", f"{plugin}:Slow", *small("bc-all", "slow"))
    options = (*options, "--stage", "train", "--workers", "1")
    options = (*options, "--updates", "60", "--checkpoint-seconds", "0.1")
    arguments = command(small_data, tmp_path, *options, tasks=("BallRun",))
    runner = start(arguments)
    wait_for(lambda: list((tmp_path / "runs").glob("*slow*/resume.pt")))
    (worker,) = children(runner.pid)
    os.kill(worker, signal.SIGKILL)
    output, _ = runner.communicate(timeout=300)
    assert runner.returncode == 0, output
    assert "will be retried (ended by SIGKILL" in output
    assert len(trained(tmp_path)) == 2


def test_a_killed_runner_leaves_no_worker_and_can_go_on(
    small_data: SmallData, tmp_path: Path, workers_here: list[Job]
) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(FAILING)
    options = ("--algorithms", f"{plugin}:Slow", *small("slow"), "--workers", "2")
    arguments = command(small_data, tmp_path, *options, "--updates", "60", "--stage", "train")
    runner = ForkedRun(arguments, tmp_path / "output")
    wait_for(lambda: list((tmp_path / "runs").glob("*slow*/job.json")))
    workers = children(runner.pid)
    runner.process.kill()
    runner.wait()
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    assert main(arguments) == 0
    assert workers_here
    assert len(trained(tmp_path)) == 2


def test_ctrl_c_twice_stops_at_once(small_data: SmallData, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(FAILING)
    options = ("--algorithms", f"{plugin}:Deaf", "--workers", "1", "--stage", "train")
    arguments = command(small_data, tmp_path, *options, tasks=("BallRun",))
    runner = ForkedRun(arguments, tmp_path / "output", patient=True)
    wait_for(lambda: list((tmp_path / "runs").glob("*deaf*/begun")))
    workers = children(runner.pid)
    runner.interrupt()
    wait_for(lambda: list((tmp_path / "runs").glob("*deaf*/asked")))
    assert runner.process.is_alive(), "it waits for what is asked to save itself"
    runner.interrupt()
    status, output = runner.wait()
    assert status == 130
    assert "Traceback" not in output
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_the_system_asks_to_stop_as_ctrl_c_does(kind: int) -> None:
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(one) for one in kinds]
    with stop_on_interrupt() as stopping:
        assert callable(signal.getsignal(kind)), "this process would end"
        assert not stopping()
        signal.raise_signal(kind)
        assert stopping()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(kind)
    assert [signal.getsignal(one) for one in kinds] == before, "no handler is left behind"


@pytest.mark.usefixtures("blank_boards")
def test_each_fault_of_a_method_is_recorded_told_and_logged(
    small_data: SmallData, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(FAILING)
    reasons = {
        "nan": "FloatingPointError: policy_loss not finite at update 20",
        "segfault": "ended by SIGSEGV",
    }
    methods = [f"{plugin}:{name.title()}" for name in reasons]
    methods += ["bc-all", *small(*reasons, "bc-all")]
    arguments = command(small_data, tmp_path, "--algorithms", *methods, tasks=("BallRun",))
    assert main(arguments) == 1
    captured = capfd.readouterr()
    assert "2 jobs failed" in captured.err
    assert "Traceback" not in captured.err
    for name, reason in reasons.items():
        (path,) = (tmp_path / "runs").glob(f"*{name}*/failure.json")
        failure = json.loads(path.read_text())
        assert reason in failure["reason"]
        assert not failure["interrupted"]
        assert f"{name} seed 0: failed" in captured.err
        assert failure["traceback"]
    (path,) = (tmp_path / "runs").glob("*segfault*/failure.json")
    assert "in update" in json.loads(path.read_text())["traceback"], "where it was"
    (log,) = (tmp_path / "runs").glob("*nan*/log.txt")
    logged = log.read_text()
    assert "said by a library" in logged
    assert f"failed: {reasons['nan']}" in logged
    assert "Traceback" in logged
    assert len(evaluations(tmp_path)) == 3


def test_a_full_disk_is_told_and_no_table_is_made(
    small_data: SmallData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Full:
        def __init__(self, item: WorkItem, on_message, **_: object) -> None:
            on_message({"phase": "failed", "reason": "No space left on device"})
            on_message(ProcessExit(ExitStatus.NO_SPACE, ""))

    monkeypatch.setattr("benchmarks.scheduling.engines.WorkerProcess", Full)
    arguments = command(small_data, tmp_path, "--algorithms", "bc-all", "gas")
    assert main([*arguments, "--workers", "1"]) == 1
    error = capsys.readouterr().err
    assert "no more jobs were started (No space left on device): repair that" in error
    assert error.count("interrupted") == 1, "the others were not begun"
    assert not list(tmp_path.rglob("leaderboard.*"))


def test_ctrl_c_stops_and_the_run_can_go_on(small_data: SmallData, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(FAILING)
    options = ("--algorithms", f"{plugin}:Slow", "--workers", "1", "--updates", "100000")
    options = (*options, *small("slow"), "--stage", "train")
    runner = start(command(small_data, tmp_path, *options, tasks=("BallRun",)))
    wait_for(lambda: list((tmp_path / "runs").glob("*slow*/losses.csv")))
    workers = children(runner.pid)
    runner.send_signal(signal.SIGINT)
    output, _ = runner.communicate(timeout=120)
    assert runner.returncode == 130
    assert "Traceback" not in output
    assert "run the same command again" in output
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert list((tmp_path / "runs").glob("*slow*/resume.pt")), "what was trained is kept"
