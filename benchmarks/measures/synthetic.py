"""Synthetic data and stored results of a given size, for measurements of growth."""

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
"""Episodes of every request, at each limit."""


def trajectories(task: Task, episodes: int) -> Trajectories:
    """Random episodes with the task's widths and horizon; returns and costs are correlated."""
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
    """A request with `EPISODES` at each limit; the data files of `tasks` need not exist."""
    data = [DataSet(find_task(name), Path(name), "synthetic") for name in tasks]
    limits = [limit for suite in suites for limit in find_suite(suite).limits]
    resolved = [find_method(name) for name in methods]
    return RunSpec(
        methods=resolved,
        data=data,
        limits=limits,
        seeds=range(seeds),
        budget=budget,
        episodes=EPISODES,
    )


def planned(requested: RunSpec, results: Path) -> list[Job]:
    """The jobs of a request, with made-up checksums of its data."""
    checksums = {data.task.name: "ab" for data in requested.data}
    return requested.jobs(str(results), checksums)


def store_results(folder: Path, requested: RunSpec) -> int:
    """Store random results of a request next to the leaderboard `folder`; return their number."""
    jobs, stored = planned(requested, folder.parent), 0
    for job in jobs:
        run = Run.of(job)
        run.folder.mkdir(parents=True)
        summary = {"seconds": 2.0, "update_seconds": 1.0, "device": "cpu"}
        # Written directly, as the store's own writer waits for the disk at each file.
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
    write_manifest(folder, "synthetic", jobs, requested.data, requested.limits, requested.budget)
    return stored
