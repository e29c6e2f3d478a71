"""What whole suites take, from measured pieces: updates, acting, simulators, a job's rest.

`Budget.update_ms` and `Task.steps_per_second`, which the plan's estimate rests on, are written
down; here they stand beside what this machine does.
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
    """A piece as measured, and what the plan takes it for, if it does."""

    name: str
    part: str
    """A budget, "acting at" one, or "simulator"."""
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
    """Starting processes, reading data, storing results."""

    @property
    def total(self) -> float:
        """All of it."""
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
    """Measure every piece for about `seconds`, with made-up data of CarCircle, and add up."""
    simulated, shape = [find_task(name) for name in tasks], find_task("CarCircle")
    for name in methods:
        find_method(name)
    data = trajectories(shape, 200)
    found = [
        *(_update(name, budget, data, shape, seconds) for name in methods for budget in budgets),
        *(_acting(name, budget, data, shape, seconds) for name in methods for budget in budgets),
        *(_simulator(task, seconds) for task in simulated),
    ]
    # of two workers beside each other, and enough jobs that what starts once counts little
    rest = working(40, 2).overhead
    return found, [_predict(budget, methods, tasks, seeds, found, rest) for budget in budgets]


def _update(name: str, budget: str, data: Trajectories, task: Task, seconds: float) -> Estimate:
    cls = find_method(name).cls
    config, _ = configure(cls, budget, {})
    piece = our_training(name, data, task, config, task.limit(0.2))
    spent = 1e3 * _each(lambda: piece(1), seconds)
    return Estimate(name, budget, "ms an update", spent, cls.budgets[budget].update_ms)


def _acting(name: str, budget: str, data: Trajectories, task: Task, seconds: float) -> Estimate:
    """Of a job's batch of episodes: one limit's or all limits'."""
    cls = find_method(name).cls
    limits = _LIMITS if cls.conditions_on_limit else 1
    method = cls(
        Problem.of(data, task.horizon, task.max_cost),
        configure(cls, budget, {})[0],
        limit=None if cls.conditions_on_limit else task.limit(0.2),
    )
    count = limits * EPISODES
    policy, rows = method.policy(torch.full((count,), task.limit(0.2))), torch.arange(count)
    observations = torch.randn(count, task.observation_dim)

    def act() -> None:
        policy.act(observations, rows)
        policy.observe(torch.ones(count), torch.zeros(count), rows)

    return Estimate(name, f"acting at {budget}", "ms a step", 1e3 * _each(act, min(seconds, 0.5)))


def _simulator(task: Task, seconds: float) -> Estimate:
    simulator, rng = Simulator(task), np.random.default_rng(0)

    def episode() -> None:
        simulator.reset(0)
        for action in rng.uniform(-1.0, 1.0, (task.horizon, task.action_dim)):
            if simulator.step(action.astype(np.float32)).terminated:
                simulator.reset(0)

    speed = task.horizon / _each(episode, seconds)
    simulator.close()
    return Estimate(task.name, "simulator", "steps a second", speed, task.steps_per_second)


def _each(action: Callable[[], object], seconds: float) -> float:
    """Processor time of one call, of as many as take `seconds`, after one that is not counted."""
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
    found: Sequence[Estimate],
    rest: float,
) -> Prediction:
    measured = {(one.name, one.part): one.measured for one in found}
    asked = request(methods, seeds, tasks=tasks, suites=SUITES, budget=budget)
    jobs = planned(asked, Path())
    training, acting, simulation = dict.fromkeys(methods, 0.0), 0.0, 0.0
    for job in jobs:
        name, task = job.training.algorithm, find_task(job.training.task)
        training[name] += job.training.updates * measured[name, budget] / 3.6e6
        acting += task.horizon * measured[name, f"acting at {budget}"] / 3.6e6
        steps = len(job.limits) * job.episodes * task.horizon
        simulation += steps / measured[task.name, "simulator"] / 3600
    return Prediction(budget, len(jobs), training, acting, simulation, len(jobs) * rest / 3600)
