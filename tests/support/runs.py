"""Commands that run for seconds, what they store, and methods that go wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.small_data import SmallData
from tests.support.small_options import SMALL

FAILING = """
from benchmarks.methods.algorithm import Budget
from gas import GAS

class Failing(GAS):
    name = "failing"
    def update(self):
        if self.updates == 3:
            raise ArithmeticError("a planted fault")
        return super().update()

class Slow(GAS):
    name = "slow"
    def update(self):
        import time
        time.sleep(0.05)
        return super().update()

class Deaf(GAS):
    name = "deaf"
    def update(self):
        import signal, time
        from pathlib import Path
        run = next(Path(__file__).parent.glob("runs/*deaf*"))
        signal.signal(signal.SIGTERM, lambda *_: (run / "asked").touch())
        (run / "begun").touch()
        time.sleep(600)

class Nan(GAS):
    name = "nan"
    def update(self):
        import sys
        print("said by a library", file=sys.stderr)
        return {**super().update(), "policy_loss": float("nan")}

class Segfault(GAS):
    name = "segfault"
    def update(self):
        import ctypes
        ctypes.string_at(0)
"""


def command(small: SmallData, results: Path, *more: str, tasks: tuple[str, ...] = ()) -> list[str]:
    """Arguments of a run that takes seconds."""
    return [
        *("--suite", "tight", "--tasks", *(tasks or small.tasks), "--data", str(small.folder)),
        *("--budget", "quick", "--updates", "20", "--episodes", "2", "--results", str(results)),
        *more,
    ]


def leave_pictures_blank(patch: pytest.MonkeyPatch) -> None:
    """Make leaderboards without drawing their pictures, which takes seconds."""
    patch.setattr(
        "benchmarks.report.render.report.render", lambda _, kinds: dict.fromkeys(kinds, b"")
    )


def leave_blank(patch: pytest.MonkeyPatch) -> None:
    """Make leaderboards whose pictures and page are empty files."""
    leave_pictures_blank(patch)
    patch.setattr("benchmarks.report.render.page.page", lambda *_: "")


def small(*names: str) -> list[str]:
    """Arguments that make the networks of these methods small."""
    options = [
        f"{name}.{key}={value}"
        for name in names
        for key, value in SMALL.get(name, SMALL["gas"]).items()  # those of FAILING are forms of GAS
    ]
    return ["--option", *options]


def evaluations(results: Path) -> dict[str, str]:
    """Every stored evaluation, without the time it took."""
    stored = {}
    for path in sorted((results / "runs").glob("*/evaluation-*.json")):
        content = json.loads(path.read_text())
        del content["seconds"]
        stored[f"{path.parent.name}/{path.name}"] = json.dumps(content)
    return stored


def start(arguments: list[str]) -> subprocess.Popen[str]:
    """A runner as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.run", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def children(pid: int) -> list[int]:
    """Workers of a runner: forks of its server, or processes of their own."""
    found = []
    for child in _children(pid):
        if b"benchmarks.scheduling.fork_server" in _command(child):
            found += _children(child)
        elif b"benchmarks.runs.worker" in _command(child):
            found.append(child)
    return found


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(entry.name))
        except (OSError, ValueError, IndexError):
            continue
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


def wait_for(condition, seconds: float = 300.0):
    """The first true value of `condition()`; fails after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("nothing happened")


def files(folder: Path) -> dict[str, bytes]:
    """Every file in a folder and below."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
