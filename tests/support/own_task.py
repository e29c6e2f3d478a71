"""A task of one's own: its files, its data, and a run on it that takes seconds."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.datasets.convert import Range, convert
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.datasets.source import choose
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.registry import find_method
from benchmarks.run import main
from benchmarks.runs.jobs import Job
from benchmarks.runs.plan import RunSpec
from benchmarks.tasks.suites import parse_limit

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_task"


def episodes(count: int) -> Trajectories:
    """The example's logs, as its commands convert them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "logs.csv"
        _make_logs().logs(count).to_csv(path, index=False)
        return convert(path, actions=Range([-2.0], [2.0]))


def _make_logs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_logs", EXAMPLE / "make_logs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def example(folder: Path, data: Path) -> Path:
    """A copy of the example and its data; the task file."""
    folder.mkdir(exist_ok=True)
    for path in (EXAMPLE / "reach.py", EXAMPLE / "reach.toml", data):
        shutil.copy(path, folder)
    return folder / "reach.toml"


def edit(path: Path, old: str, new: str) -> None:
    """Replace what stands in a file just once."""
    text = path.read_text()
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new))


def command(toml: Path, results: Path, *more: str) -> list[str]:
    """Arguments of a run that takes seconds."""
    return [
        *("--tasks", str(toml), "--limits", "10%", "50%", "--algorithms", "gas", "bc-safe"),
        *("--budget", "quick", "--updates", "20", "--episodes", "2", "--workers", "2"),
        *("--results", str(results), *more),
    ]


def planned(task: str | Path, results: Path, stage: str = "both", data: str = "auto") -> list[Job]:
    """The jobs of two updates of bc-all and bc-safe on the task at a limit of 5."""
    methods = [find_method(name) for name in ("bc-all", "bc-safe")]
    sets = choose(data, [resolve_task(str(task))])
    spec = RunSpec(
        methods=methods,
        data=sets,
        limits=[parse_limit("5")],
        seeds=[0],
        budget="quick",
        episodes=2,
        stage=stage,
        updates=2,
    )
    return spec.jobs(str(results), {sets[0].task.name: sets[0].checksum()})


def as_planned(task: str | Path, results: Path, *more: str) -> list[str]:
    """The arguments that make those jobs."""
    chosen = "--limits", "5", "--algorithms", "bc-all", "bc-safe", "--updates", "2", *more
    return command(Path(task), results, *chosen)


def refused(arguments: list[str], results: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that `main` says; nothing is written but perhaps the empty folder."""
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not results.exists() or list(results.iterdir()) == []
    return error
