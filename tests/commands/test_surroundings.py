"""What surrounds a command does not matter: streams, locale, home folder, notebook, readers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from tests.support import own_task
from tests.support.marks import mostly_slow

REPOSITORY = Path(__file__).parents[2]


def run(*words: str, shell: str = "", **variables: str | None) -> subprocess.CompletedProcess[str]:
    """A command of the suite with these variables; `shell` is what follows it in a shell."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    for name, value in variables.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    line = [sys.executable, "-m", "benchmarks", *words]
    if shell:
        line = ["bash", "-c", f'"$@" {shell}', "bash", *line]
    return subprocess.run(line, capture_output=True, env=environment, text=True, errors="replace")


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    own_task.episodes(6).save(tmp_path / "reach.hdf5")
    return own_task.example(tmp_path / "own", tmp_path / "reach.hdf5")


def planned(toml: Path | str, *more: str) -> list[str]:
    words = ("run", "--tasks", str(toml), "--limits", "5", "--algorithms", "bc-all", "--dry-run")
    return [*words, *more]


SURROUNDINGS: dict[str, dict[str, str | None]] = {
    "a notebook": {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    "another notebook": {"MPLBACKEND": "no such backend"},
    "a terminal of ASCII": {"PYTHONIOENCODING": "ascii"},
    "a plain locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "a home that is a file": {"HOME": "/dev/null"},
    "an unknown home": {"HOME": "/proc/1/nohome"},
    "an empty home": {"HOME": ""},
}
_TOGETHER = ("a notebook", "a plain locale", "a terminal of ASCII", "an unknown home")
SURROUNDINGS["all at once"] = {k: v for kind in _TOGETHER for k, v in SURROUNDINGS[kind].items()}


@pytest.mark.parametrize("kind", mostly_slow(SURROUNDINGS, "all at once"))
def test_a_picture_is_drawn_in_any_surroundings(kind: str, toml: Path, tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("backend: nonsense\ntext.usetex: True\n")
    out = tmp_path / "bild-ä.png"
    surroundings = {"MATPLOTLIBRC": str(tmp_path), **SURROUNDINGS[kind]}
    done = run("data", "inspect", str(toml), "--out", str(out), **surroundings)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert out.read_bytes().startswith(b"\x89PNG")


STREAMS = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "| true", ">/dev/full"]


@pytest.mark.parametrize("closed", mostly_slow(STREAMS, "<&- >&- 2>&-", "| true", ">/dev/full"))
def test_streams_may_be_closed(closed: str) -> None:
    done = run("data", "list", shell=closed)
    assert "Traceback" not in done.stderr
    if closed != ">/dev/full":
        assert done.returncode == 0


def test_a_home_that_no_shell_has_expanded(
    toml: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = {"HOME": str(toml.parent), "OSRL_BENCH_CACHE": "~/cache", "DSRL_DATASET_DIR": "~/dsrl"}
    for name, value in home.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(toml.parent)
    for line in toml.read_text().splitlines():
        if line.startswith("data"):
            own_task.edit(toml, line, 'data = "~/reach.hdf5"')
    words = planned("~/reach.toml", "--results", "~/r", "--save-config", "~/p.toml")
    assert main(words) == 0
    assert (toml.parent / "p.toml").is_file()
    capsys.readouterr()
    assert main(["data", "list"]) == 0
    listed = capsys.readouterr().out.splitlines()[0]
    assert f"{toml.parent}/cache" in listed
    assert f"{toml.parent}/dsrl" in listed
    assert not Path("~").exists()


def test_byte_order_marks_in_task_files_and_protocols(toml: Path, tmp_path: Path) -> None:
    toml.write_text(toml.read_text(), encoding="utf-8-sig")
    protocol = tmp_path / "p.toml"
    protocol.write_text(f'tasks = ["{toml}"]\nlimits = [5]\n', encoding="utf-8-sig")
    assert main(["run", "--config", str(protocol), "--algorithms", "bc-all", "--dry-run"]) == 0


LONG = "a" * 300
MISTAKES = {
    "a long name": ["--name", LONG],
    "a long folder": ["--results", f"/tmp/{LONG}"],
    "a long task": ["--tasks", f"{LONG}.toml"],
    "a long plugin": ["--algorithms", f"{LONG}.py:X"],
    "long data": ["--data", LONG],
    "an unknown user": ["--results", "~no-such-user/r"],
    "a budget": ["--budget", "tiny"],
    "many workers": ["--workers", "100000"],
    "no episodes": ["--episodes", "0"],
    "a limit beyond all": ["--limits", "1e300"],
    "a seed below 0": ["--seeds=-1"],
    "a seed beyond all": ["--seeds", str(2**70)],
    "endless updates": ["--updates", str(10**30)],
    "no time": ["--timeout", "nan"],
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_line_before_any_work(
    kind: str, toml: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results = () if "folder" in kind or "user" in kind else ("--results", str(tmp_path / "r"))
    tasks = () if kind in ("a long task", "long data") else ("--tasks", str(toml))
    limits = () if "limit" in kind else ("--limits", "5")
    algorithms = () if "plugin" in kind else ("--algorithms", "bc-all")
    assert main(["run", *tasks, *limits, *algorithms, *results, *MISTAKES[kind]]) == 2
    told = capfd.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert not list(tmp_path.glob("r/*"))


def test_a_file_where_the_leaderboard_belongs(
    toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "custom").touch()
    assert main(planned(toml, "--results", str(tmp_path / "r"))) == 2
    told = capsys.readouterr().err
    assert told == f"error: {tmp_path / 'r' / 'custom'} is a file: choose another --name\n"
