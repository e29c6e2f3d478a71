"""Stages are run, skipped, cut off and taken up again; nothing that is finished is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.common.errors import UserError
from benchmarks.common.os_env import import_path
from benchmarks.measures.gpu_check import stages
from benchmarks.measures.gpu_check.__main__ import main
from benchmarks.measures.gpu_check.stages import Record, Stage, Status, run_stages

COUNT = "open('count-{name}', 'a').write('x');"


def stage(name: str, code: str = "", seconds: float = 60.0, **more) -> Stage:
    """A stage that counts how often it was started, in the current folder."""
    return Stage(name, seconds, ("-c", COUNT.format(name=name) + code), **more)


def run(*asked: Stage, seconds: float = 600.0, **more) -> dict[str, Record]:
    """The records of a call, by stage."""
    records = run_stages(asked, Path(), "cpu", seconds=seconds, report=lambda line: None, **more)
    return {record.stage: record for record in records}


def starts(name: str) -> int:
    path = Path(f"count-{name}")
    return len(path.read_text()) if path.exists() else 0


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stages, "GRACE_SECONDS", 0.5)
    return tmp_path


def test_the_next_call_does_what_did_not_pass() -> None:
    fails_once = "import os, sys; print('planted'); sys.exit(os.path.getsize('count-b') < 2)"
    first = run(stage("a"), stage("b", fails_once), stage("c"))
    assert [one.status for one in first.values()] == ["passed", "failed", "passed"]
    assert "exit status 1, b.log: planted" in first["b"].reason
    again = run(stage("a"), stage("b", fails_once), stage("c"))
    assert [one.status for one in again.values()] == ["passed"] * 3
    assert [starts(name) for name in "abc"] == [1, 2, 1]
    assert Record.read(Path("b.json")) == again["b"]


def test_a_stage_beyond_its_time_is_stopped_with_its_children_and_keeps_its_parts() -> None:
    code = (
        "import pathlib, subprocess, sys, time;"
        "pathlib.Path('part').write_text('kept');"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "pathlib.Path('child').write_text(str(child.pid));"
        "time.sleep(600)"
    )
    got = run(stage("a", code, seconds=6.0), stage("b"))
    assert got["a"].status is Status.CUT_OFF
    assert got["b"].status is Status.PASSED
    assert Path("part").read_text() == "kept"
    assert json.loads(Path("a.json").read_text())["status"] == "cut off"
    assert_ended(int(Path("child").read_text()))


def assert_ended(pid: int) -> None:
    """A process ends, or is one already that nobody has asked for its status."""
    stat, end = Path("/proc", str(pid), "stat"), time.monotonic() + 60
    with suppress(FileNotFoundError, ProcessLookupError):
        while stat.read_text().split()[2] != "Z":
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_call_that_is_stopped_stops_its_stage_and_keeps_what_has_passed() -> None:
    code = (
        "from pathlib import Path\n"
        "from benchmarks.measures.gpu_check.stages import Stage, run_stages, stop_at_sigterm\n"
        "stop_at_sigterm()\n"
        "begun = \"import os, time; open('begun', 'w').write(str(os.getpid())); time.sleep(600)\"\n"
        "stages = [Stage('a', 60.0, ('-c', '')), Stage('b', 600.0, ('-c', begun))]\n"
        "run_stages(stages, Path(), 'cpu', seconds=600.0)\n"
    )
    environment = {**os.environ, **import_path()}
    caller = subprocess.Popen([sys.executable, "-c", code], env=environment)
    end = time.monotonic() + 60
    while not (Path("begun").exists() and Path("begun").read_text()):
        assert time.monotonic() < end
        time.sleep(0.05)
    caller.terminate()
    assert caller.wait(60) != 0
    assert_ended(int(Path("begun").read_text()))
    assert Record.read(Path("a.json")).status is Status.PASSED
    assert not Path("b.json").exists()


def test_a_stage_may_save_its_progress_when_it_is_cut_off() -> None:
    code = (
        "import pathlib, signal, sys, time\n"
        "def save(*_): pathlib.Path('saved').touch(); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, save)\n"
        "time.sleep(600)"
    )
    assert run(stage("a", "\n" + code, seconds=6.0))["a"].status is Status.CUT_OFF
    assert Path("saved").exists()


def test_no_stage_is_started_without_time() -> None:
    got = run(stage("a"), seconds=1.0)
    assert got["a"].status is Status.NOT_STARTED
    assert starts("a") == 0
    assert run(stage("a"))["a"].status is Status.PASSED


def test_a_stage_is_skipped_by_name_or_for_want_of_a_package() -> None:
    asked = stage("a", needs=("numpy", "nowhere")), stage("b"), stage("c")
    got = run(*asked, skip=["b"], missing=lambda module: module == "nowhere")
    assert got["a"].reason == "needs nowhere, not installed here"
    assert got["b"].status is Status.SKIPPED
    assert [starts(name) for name in "abc"] == [0, 0, 1]
    assert run(*asked)["b"].status is Status.PASSED


def test_a_stage_that_cannot_run_here_says_why() -> None:
    got = run(stage("a", "import sys; print('needs data'); sys.exit(77)"))
    assert (got["a"].status, got["a"].reason) == (Status.SKIPPED, "needs data")
    run(stage("a", "pass"))
    assert starts("a") == 2


def test_skipping_what_has_passed_does_not_forget_it() -> None:
    run(stage("a"))
    assert run(stage("a"), skip=["a"])["a"].status is Status.PASSED
    Path("a.json").write_text("{")
    run(stage("a"))
    assert starts("a") == 2


def test_results_of_another_device_are_not_mixed_in() -> None:
    run(stage("a"))
    with pytest.raises(UserError, match=r"holds results of cpu, not of cuda: .* --out"):
        run_stages([stage("a")], Path(), "cuda", seconds=60.0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--minutes", "0"], "--minutes must be more than 0"),
        (["--device", "cuda:77"], "device 'cuda:77' does not exist"),
        (["--device", "gpu"], "unknown device 'gpu'"),
    ],
)
def test_mistakes_are_told_in_a_line(words: list[str], said: str, capsys) -> None:
    assert main(["--out", "x", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_the_command_tells_what_it_found_and_what_it_left_out(capsys) -> None:
    words = ["--device", "cpu", "--out", "x", "--skip", "tests", "speed", "waits", "training"]
    assert main(words) == 0
    found = json.loads(Path("x/machine.json").read_text())
    assert found["torch"]
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert "asked for by --skip" in capsys.readouterr().out


def test_tests_that_have_passed_are_not_run_again(here: Path) -> None:
    Path("test_x.py").write_text(
        "from pathlib import Path\n"
        "def test_a(): pass\n"
        "def test_b(): assert Path('fixed').exists()\n"
    )
    command = [sys.executable, "-m", "pytest", "-v", "-p", "tests.support.passed", "test_x.py"]
    command += ["--record", "passed.txt", "-p", "no:cacheprovider"]
    environment = {**os.environ, **import_path(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    def outcome() -> tuple[int, str]:
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout.strip().splitlines()[-1]

    assert "1 failed, 1 passed" in outcome()[1]
    Path("fixed").touch()
    status, line = outcome()
    assert status == 0
    assert "1 passed, 1 deselected" in line
    status, line = outcome()
    assert status == 0
    assert "2 deselected" in line
