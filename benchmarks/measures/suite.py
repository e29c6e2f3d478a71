"""Predicts the core hours of whole suites from measured parts: updates, acting, simulators, jobs.

The plan's estimate uses the constants `Budget.update_ms` and `Task.steps_per_second`; here they are
compared with measurements on this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.datasets.trajectories import Trajectories
from benchmarks.measures.schedule import working
from benchmarks.measures.synthetic import EPISODES, planned, request, trajectories
from benchmarks.measures.timing import processor_seconds, repeat
from benchmarks.measures.training import our_training
from benchmarks.methods.algorithm import Problem
from benchmarks.methods.registry import configure, find_method
from benchmarks.simulators.simulator import Simulator
from benchmarks.tasks.suites import find_suite
from benchmarks.tasks.tasks import Task, find_task

SUITES = "tight", "loose"
_LIMITS = sum(len(find_suite(name).limits) for name in SUITES)


class Estimate(NamedTuple):
    """One measured part, and the plan's constant for it, if there is one."""

    name: str
    part: str
    """The budget of an update, "acting at" a budget, or "simulator"."""
    unit: str
    measured: float
    written: float | None = None

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return self._asdict()


class Prediction(NamedTuple):
    """Core hours of `SUITES` at a budget."""

    budget: str
    jobs: int
    training: dict[str, float]
    """By method."""
    acting: float
    simulation: float
    rest: float
    """Overhead of jobs: starting processes, reading data, storing results."""

    @property
    def total(self) -> float:
        """Core hours in total."""
        return sum(self.training.values()) + self.acting + self.simulation + self.rest

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return {**self._asdict(), "total": self.total}


def predict_suites(
    methods: Sequence[str],
    tasks: Sequence[str],
    seeds: int,
    budgets: Sequence[str],
    *,
    seconds: float,
) -> tuple[list[Estimate], list[Prediction]]:
    """Measure every part for about `seconds`, on synthetic data of CarCircle, and add up."""
    simulated, shape = [find_task(name) for name in tasks], find_task("CarCircle")
    for name in methods:
        find_method(name)
    data = trajectories(shape, 200)
    estimates = [
        *(_update(name, budget, data, shape, seconds) for name in methods for budget in budgets),
        *(_acting(name, budget, data, shape, seconds) for name in methods for budget in budgets),
        *(_simulator(task, seconds) for task in simulated),
    ]
    # With two workers, and enough jobs that the start of the server hardly counts.
    rest = working(40, 2).overhead
    predictions = [_predict(budget, methods, tasks, seeds, estimates, rest) for budget in budgets]
    return estimates, predictions


def _update(name: str, budget: str, data: Trajectories, task: Task, seconds: float) -> Estimate:
    cls = find_method(name).cls
    config, _ = configure(cls, budget, {})
    workload = our_training(name, data, task, config, task.limit(0.2))
    spent = 1e3 * _mean_time(lambda: workload(1), seconds)
    return Estimate(name, budget, "ms an update", spent, cls.budgets[budget].update_ms)


def _acting(name: str, budget: str, data: Trajectories, task: Task, seconds: float) -> Estimate:
    """Time of one policy step for all episodes of a job, at one limit or all limits."""
    cls = find_method(name).cls
    limits = 1 if cls.trains_per_limit else _LIMITS
    method = cls(
        Problem.of(data, task.horizon, task.max_cost),
        configure(cls, budget, {})[0],
        limit=task.limit(0.2) if cls.trains_per_limit else None,
    )
    count = limits * EPISODES
    policy, rows = method.policy(torch.full((count,), task.limit(0.2))), torch.arange(count)
    observations = torch.randn(count, task.observation_dim)

    def act() -> None:
        policy.act(observations, rows)
        policy.observe(torch.ones(count), torch.zeros(count), rows)

    return Estimate(
        name, f"acting at {budget}", "ms a step", 1e3 * _mean_time(act, min(seconds, 0.5))
    )


def _simulator(task: Task, seconds: float) -> Estimate:
    simulator, rng = Simulator(task), np.random.default_rng(0)

    def episode() -> None:
        simulator.reset(0)
        for action in rng.uniform(-1.0, 1.0, (task.horizon, task.action_dim)):
            if simulator.step(action.astype(np.float32)).terminated:
                simulator.reset(0)

    speed = task.horizon / _mean_time(episode, seconds)
    simulator.close()
    return Estimate(task.name, "simulator", "steps a second", speed, task.steps_per_second)


def _mean_time(action: Callable[[], object], seconds: float) -> float:
    """Mean processor time of a call, over about `seconds`, after one call to warm up."""
    action()
    calls, spent = 0, 0.0
    while not calls or spent < seconds:
        spent += processor_seconds(repeat(action))
        calls += 1
    return spent / calls


def _predict(
    budget: str,
    methods: Sequence[str],
    tasks: Sequence[str],
    seeds: int,
    estimates: Sequence[Estimate],
    rest: float,
) -> Prediction:
    measured = {(estimate.name, estimate.part): estimate.measured for estimate in estimates}
    requested = request(methods, seeds, tasks=tasks, suites=SUITES, budget=budget)
    jobs = planned(requested, Path())
    training, acting, simulation = dict.fromkeys(methods, 0.0), 0.0, 0.0
    for job in jobs:
        name, task = job.training.algorithm, find_task(job.training.task)
        training[name] += job.training.updates * measured[name, budget] / 3.6e6
        acting += task.horizon * measured[name, f"acting at {budget}"] / 3.6e6
        steps = len(job.limits) * job.episodes * task.horizon
        simulation += steps / measured[task.name, "simulator"] / 3600
    return Prediction(budget, len(jobs), training, acting, simulation, len(jobs) * rest / 3600)
