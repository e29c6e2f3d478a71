"""Timing of evaluation against osrl's, and against the simulators without a policy."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import closing, redirect_stderr
from functools import partial
from typing import Any

import numpy as np

from benchmarks.datasets.trajectories import Trajectories
from benchmarks.measures.cases import ROLLOUTS
from benchmarks.measures.timing import Comparison, compare, repeat
from benchmarks.measures.training import config_of
from benchmarks.methods.algorithm import Algorithm, Problem
from benchmarks.methods.registry import find_method
from benchmarks.runs.evaluation import evaluate
from benchmarks.simulators.simulator import Simulator
from benchmarks.simulators.vector import Lockstep
from benchmarks.tasks.tasks import Task

_LIMITS = (0.1, 0.2, 0.3)
"""Fractions of the maximum cost."""


class _Environment:
    """A simulator with the interface that osrl expects; each episode uses the next seed."""

    def __init__(self, task: Task) -> None:
        self.simulator, self.seed = Simulator(task), 0

    def reset(self) -> tuple[Any, dict[str, Any]]:
        self.seed += 1
        return self.simulator.reset(self.seed), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, float]]:
        step = self.simulator.step(action)
        return (
            step.observation,
            step.reward,
            step.terminated,
            step.truncated,
            {"cost": step.cost},
        )


def compare_rollouts(
    names: Sequence[str],
    data: Trajectories,
    task: Task,
    *,
    episodes: int,
    rounds: int,
    seconds: float,
) -> list[Comparison]:
    """Time `episodes` episodes at each of three limits, against osrl's and against no policy.

    Policies are untrained. Everything runs in one process; osrl uses our simulators, so that its
    resets are as fast as ours. The warm-up builds all simulators before the clock starts.
    """
    turns: dict[str, Any] = {"rounds": rounds, "seconds": seconds, "unit": "once"}
    results = []
    limits = [task.limit(fraction) for fraction in _LIMITS]
    with Lockstep(task, len(limits) * episodes) as vector, closing(Simulator(task)) as single:
        bare = repeat(lambda: _simulate(single, len(limits) * episodes))
        for name, rival in ROLLOUTS.items():
            if name not in names:
                continue
            algorithm = _method(name, data, task, limits[1])
            run = partial(evaluate, algorithm, task, limits, episodes, seed=0)
            ours = repeat(partial(run, simulators=vector))
            theirs = repeat(_their_evaluation(rival, data, task, limits, episodes))
            results.append(compare(f"{name} beside osrl's {rival}", ours, theirs, **turns))
            results.append(compare(f"{name} beside the bare simulator", ours, bare, **turns))
    return results


def _method(name: str, data: Trajectories, task: Task, limit: float) -> Algorithm:
    cls: Any = find_method(name).cls
    config = config_of(name, "paper", 16, {})
    trained_limit = limit if cls.trains_per_limit else None
    problem = Problem.of(data, task.horizon, task.max_cost)
    algorithm: Algorithm = cls(problem, config, limit=trained_limit)
    return algorithm


def _their_evaluation(
    name: str, data: Trajectories, task: Task, limits: list[float], episodes: int
) -> Any:
    algorithm: Any = _method(name, data, task, limits[1])
    _, trainer = algorithm.build_osrl()
    trainer.env = _Environment(task)

    def run() -> None:
        with redirect_stderr(io.StringIO()):  # hides osrl's progress bars
            for limit in limits:
                if name == "cdt":
                    trainer.evaluate(episodes, float(data.returns.max()), limit)
                else:
                    trainer.evaluate(episodes)

    return run


def _simulate(simulator: Simulator, episodes: int) -> None:
    actions, width = np.random.default_rng(0), simulator.task.action_dim
    for seed in range(episodes):
        simulator.reset(seed)
        while True:
            action = actions.uniform(-1.0, 1.0, width).astype(np.float32)
            step = simulator.step(action)
            if step.terminated or step.truncated:
                break
