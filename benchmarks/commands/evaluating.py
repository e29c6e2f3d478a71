"""The work of `benchmarks.evaluate`: stored policies at other limits."""

from __future__ import annotations

from pathlib import Path

from benchmarks.commands.config import EvaluateConfig
from benchmarks.common.errors import UserError
from benchmarks.common.files import require_writable
from benchmarks.common.locks import require_locks
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.methods.registry import find_method
from benchmarks.runs.film import Film
from benchmarks.runs.jobs import Job
from benchmarks.runs.store import Run, is_done
from benchmarks.runs.stored import evaluation_job, stored_runs
from benchmarks.scheduling import engines
from benchmarks.scheduling.progress import print_failures, run_jobs
from benchmarks.simulators.trial import require_simulators_of
from benchmarks.tasks.suites import parse_limit


def evaluate_stored(config: EvaluateConfig, command: str) -> int:
    """Evaluate what `config` names and print the results; the exit status.

    `command` is kept as provenance.
    """
    engines.check(config.engine)
    limits = [parse_limit(text) for text in config.limits]
    methods = [find_method(spec) for spec in config.algorithms]
    tasks = [resolve_task(spec) for spec in config.tasks]
    jobs = [
        evaluation_job(folder, limits, config.episodes, methods, tasks, command)
        for folder in dict.fromkeys(one for run in config.runs for one in stored_runs(run))
    ]
    film = None if config.video is None else Film.of(config.video, jobs)
    stores = list(dict.fromkeys(Path(job.results) for job in jobs))
    for results in stores:
        require_writable(results)
        require_locks(results)
    if config.engine.engine != "local" and len(stores) > 1:
        raise UserError(
            f"--engine {config.engine.engine} evaluates the runs of one results folder at a time: "
            f"leave out those of {stores[1]}"
        )
    used = {job.task: resolve_task(job.task) for job in jobs}
    require_simulators_of(used.values())
    left = [job for job in jobs if not is_done(job)]
    with engines.open_scheduler(config.engine, stores[0]) as scheduler:
        lost, stopped = run_jobs(scheduler, left)
    for job in jobs:
        _print(job)
    print_failures(lost, scheduler.halt_reason, "the same command")
    status = 130 if stopped else int(bool(lost or scheduler.halt_reason))
    if film and status == 0:
        film.record()
    return status


def _print(job: Job) -> None:
    """Mean return and cost at each limit of a run."""
    run, training = Run.of(job), job.training
    trained = "" if training.limit is None else f", trained for {training.limit:g}"
    print(f"{training.task} {training.algorithm} seed {training.seed}{trained}")
    for limit in job.limits:
        if not run.evaluated(limit, job.episodes):
            print(f"  limit {limit:g}: not evaluated")
            continue
        episodes = run.episodes(limit, job.episodes)
        reward = sum(one.episode_return for one in episodes) / len(episodes)
        cost = sum(one.episode_cost for one in episodes) / len(episodes)
        safe = "safe" if cost <= limit else "not safe"
        print(f"  limit {limit:g}: return {reward:.2f}, cost {cost:.2f}, {safe}")
