"""A task of one's own: its files, its data, and a run on it that takes seconds."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.datasets.custom_task import resolve_task
from benchmarks.datasets.source import choose
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.registry import find_method
from benchmarks.run import main
from benchmarks.runs.jobs import Job
from benchmarks.runs.plan import RunSpec
from benchmarks.tasks.suites import parse_limit
from tests.tasks.own_task.reach import GOAL, Reach

EXAMPLE = Path(__file__).parents[1] / "tasks" / "own_task"


def episodes(count: int) -> Trajectories:
    """Of a scripted policy: from around the zone to straight through it, hasty or slow."""
    env, rng, rows = Reach(), np.random.default_rng(0), []
    for seed, boldness in enumerate(np.linspace(0.0, 1.0, count)):
        height, speed = 0.6 * (1.0 - boldness), rng.uniform(0.4, 1.0)
        place, _ = env.reset(seed=seed)
        going = True
        while going:
            way = [(-0.5, height), (0.5, height), tuple(GOAL)][int(np.sum(place[0] > [-0.6, 0.4]))]
            direction = np.array(way) - place
            action = speed * direction / (np.linalg.norm(direction) + 0.01)
            action = np.clip(action + rng.normal(0.0, 0.1, 2), -1.0, 1.0)
            after, reward, terminated, truncated, info = env.step(2.0 * action)
            rows.append([*place, *action, reward, info["cost"], terminated, truncated, *after])
            place, going = after, not (terminated or truncated)
    table = np.array(rows)
    scalars = table[:, 4:8].T
    return Trajectories.from_arrays(table[:, :2], table[:, 2:4], *scalars, table[:, 8:])


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
