"""A store as `python -m benchmarks.run` leaves it, with scores that are known beforehand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.runs.evaluation import Episode
from benchmarks.runs.jobs import Job, Training
from benchmarks.runs.store import Run

Score = tuple[float, float]
"""An episode's return and cost."""
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Plan:
    """What the store holds: every method at every task, limit and seed, but for what is lost."""

    methods: Sequence[str]
    tasks: dict[str, tuple[float, float, float]]
    """Of each task its maximum cost, R_min and R_max."""
    fractions: Sequence[float]
    seeds: Sequence[int]
    episodes: int
    score: Callable[[str, str, float, int, int], Score]
    """Method, task, limit, seed and episode to return and cost."""
    one_for_all: Sequence[str] = ()
    """Methods that are trained once for all limits."""
    failed: dict[tuple[str, str, int], str] = field(default_factory=dict)
    """Tracebacks of trainings, by method, task and seed."""
    unrun: Sequence[tuple[str, str, int]] = ()
    budget: str = "paper"
    source: str = "dsrl"
    config: dict[str, dict[str, Any]] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=dict)
    """Of each method, where it is not `COMMIT`."""
    updates: int = 1000


def limits_of(plan: Plan, task: str) -> list[float]:
    """The absolute limits of a task."""
    return [round(fraction * plan.tasks[task][0], 9) for fraction in plan.fractions]


def jobs_of(plan: Plan, results: Path) -> Iterable[Job]:
    """The jobs, one a training."""
    for seed in plan.seeds:
        for task in plan.tasks:
            for method in plan.methods:
                limits = limits_of(plan, task)
                groups = [limits] if method in plan.one_for_all else [[one] for one in limits]
                for group in groups:
                    training = Training(
                        method,
                        "",
                        plan.config.get(method, {"alpha": 0.8}),
                        task,
                        f"sum-{task}",
                        seed,
                        None if method in plan.one_for_all else group[0],
                        plan.updates,
                    )
                    yield Job(
                        training=training,
                        limits=tuple(group),
                        episodes=plan.episodes,
                        method_spec=method,
                        data="",
                        source=plan.source,
                        results=str(results),
                    )


def write_store(plan: Plan, folder: Path) -> Path:
    """Make `folder`, a leaderboard's, and the store beside it; `folder`."""
    folder.mkdir(parents=True)
    jobs = list(jobs_of(plan, folder.parent))
    for job in jobs:
        _write_run(plan, job)
    entries = [
        {
            "training": asdict(job.training),
            "limits": list(job.limits),
            "episodes": job.episodes,
            "method": job.method_spec,
            "source": job.source,
        }
        for job in jobs
    ]
    content = {
        "title": folder.name,
        "budget": plan.budget,
        "limits": {
            task: list(zip(limits_of(plan, task), plan.fractions, strict=True))
            for task in plan.tasks
        },
        "ranges": {task: [low, high] for task, (_, low, high) in plan.tasks.items()},
        "jobs": entries,
    }
    (folder / "plan.json").write_text(json.dumps(content))
    return folder


def seconds_of(method: str, seed: int) -> float:
    """How long each training's updates took."""
    return 10.0 * (1 + seed) + len(method)


def _write_run(plan: Plan, job: Job) -> None:
    training = job.training
    run = Run(Path(job.results), training)
    name = (training.algorithm, training.task, training.seed)
    if name in plan.unrun:
        return
    if name in plan.failed:
        run.record_failure("ArithmeticError: planted", plan.failed[name])
        return
    run.folder.mkdir(parents=True)
    # as the worker leaves it, without a checkpoint, which no leaderboard reads
    seconds = seconds_of(training.algorithm, training.seed)
    summary = {"seconds": seconds + 5, "update_seconds": seconds, "device": "cpu", "torch": "2"}
    (run.folder / "training.json").write_text(json.dumps(summary))
    record = {
        "commit": COMMIT,
        "dirty": False,
        "versions": {"python": "3.11.0", "torch": "2.13.0"},
        "platform": "Linux x86_64",
        "device": "cpu: some make",
        "command": "python -m benchmarks.run --suite tight",
        "commits": [plan.commits.get(training.algorithm, COMMIT)],
        "peak_memory_mb": 500.0 + training.seed,
        "data_frontier": [[0.0, 10.0], [20.0, 60.0]],
    }
    (run.folder / "provenance-training.json").write_text(json.dumps(record))
    rows = [f"{k * 10},{k}.0,{1 / k},{-k}" for k in range(1, 101)]
    (run.folder / "losses.csv").write_text("\n".join(["updates,seconds,a_loss,b", *rows]) + "\n")
    for limit in job.limits:
        episodes = [
            Episode(limit, k, *plan.score(*name[:2], limit, training.seed, k), 100)._asdict()
            for k in range(job.episodes)
        ]
        content = {"limit": limit, "episodes": episodes, "seconds": 2.5}
        path = run.folder / f"evaluation-{limit:.10g}x{job.episodes}.json"
        path.write_text(json.dumps(content))
