"""Data and stored results of a known size, made in no time: what growth is measured on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.datasets.source import DataSet
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.registry import find_method
from benchmarks.results.manifest import write_manifest
from benchmarks.runs.evaluation import Episode
from benchmarks.runs.jobs import Job
from benchmarks.runs.plan import RunSpec
from benchmarks.runs.store import Run
from benchmarks.tasks.suites import find_suite
from benchmarks.tasks.tasks import TASKS, Task, find_task

EPISODES = 10
"""Of every request, at each limit."""


def trajectories(task: Task, episodes: int) -> Trajectories:
    """Episodes of the task's shape and length; their returns and costs rise together."""
    rng = np.random.default_rng(0)
    size = episodes * task.horizon
    level = np.repeat(rng.random(episodes), task.horizon)
    return Trajectories.from_arrays(
        rng.standard_normal((size, task.observation_dim), dtype=np.float32),
        rng.uniform(-1.0, 1.0, (size, task.action_dim)),
        level + rng.standard_normal(size, dtype=np.float32),
        rng.random(size) < level * task.max_cost / task.horizon,
        np.zeros(size),
        np.arange(1, size + 1) % task.horizon == 0,
        source="synthetic",
    )


def request(
    methods: Sequence[str],
    seeds: int,
    *,
    tasks: Sequence[str] = tuple(TASKS),
    suites: Sequence[str] = ("tight",),
    budget: str = "quick",
) -> RunSpec:
    """`EPISODES` a limit; the data of `tasks` need not be there to plan it."""
    data = [DataSet(find_task(name), Path(name), "synthetic") for name in tasks]
    limits = [limit for suite in suites for limit in find_suite(suite).limits]
    found = [find_method(name) for name in methods]
    return RunSpec(
        methods=found,
        data=data,
        limits=limits,
        seeds=range(seeds),
        budget=budget,
        episodes=EPISODES,
    )


def planned(asked: RunSpec, results: Path) -> list[Job]:
    """The jobs of `asked`, whatever its data."""
    return asked.jobs(str(results), {data.task.name: "ab" for data in asked.data})


def store_results(folder: Path, asked: RunSpec) -> int:
    """Store every result of `asked` beside the leaderboard's `folder`; how many there are."""
    jobs, stored = planned(asked, folder.parent), 0
    for job in jobs:
        run = Run.of(job)
        run.folder.mkdir(parents=True)
        summary = {"seconds": 2.0, "update_seconds": 1.0, "device": "cpu"}
        # not by the store's own writer, which waits for the disk at each file
        (run.folder / "training.json").write_text(json.dumps(summary))
        for limit in job.limits:
            stored += 1
            rng = np.random.default_rng(stored)
            rows = [
                Episode(limit, i, episode_return, cost, 100)._asdict()
                for i, (episode_return, cost) in enumerate(
                    rng.uniform(0.0, 2.0 * limit, (job.episodes, 2)).tolist()
                )
            ]
            content = {"limit": limit, "episodes": rows, "seconds": 1.0}
            path = run.folder / f"evaluation-{limit:.10g}x{job.episodes}.json"
            path.write_text(json.dumps(content))
    data = [_Scaled(one.task, one.path, one.source) for one in asked.data]
    write_manifest(folder, "synthetic", jobs, data, asked.limits, asked.budget)
    return stored


class _Scaled(DataSet):
    """Data without a file, whose scale is the task's."""

    def return_range(self) -> tuple[float, float]:
        return self.task.min_return, self.task.max_return
