"""Timing of every method's updates against osrl's, at the same batch size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.datasets.trajectories import Trajectories
from benchmarks.measures import reference
from benchmarks.measures.cases import CASES
from benchmarks.measures.timing import Comparison, Workload, clock_of, compare, peak_mib
from benchmarks.measures.updates import workload_of
from benchmarks.methods.algorithm import Config, Problem
from benchmarks.methods.registry import find_method
from benchmarks.tasks.tasks import Task


def config_of(method: str, budget: str, batch: int, options: dict[str, Any]) -> Config:
    """The options of `method` at `budget`, with another batch size."""
    cls = find_method(method).cls
    config = cls.config_class(**{**cls.budgets[budget].options, **options})
    return replace(config, batch=batch)


def our_training(
    method: str,
    data: Trajectories,
    task: Task,
    config: Config,
    limit: float,
    device: str = "cpu",
    cuda_graphs: bool = False,
) -> Workload:
    """Updates as in a job; the losses are read once per call."""
    cls = find_method(method).cls
    algorithm = cls(
        Problem.of(data, task.horizon, task.max_cost),
        config,
        limit=limit if cls.trains_per_limit else None,
        device=device,
    )
    algorithm.cuda_graphs = cuda_graphs
    return workload_of(algorithm, data)


def their_training(
    method: str, data: Trajectories, task: Task, config: Config, limit: float, device: str = "cpu"
) -> Workload:
    """Updates of osrl's trainer with osrl's loader."""
    cls: Any = find_method(method).cls
    trained_limit = limit if cls.trains_per_limit else None
    return reference.training(cls, data, task.horizon, config, trained_limit, device)


def compare_training(
    names: Sequence[str],
    data: Trajectories,
    task: Task,
    *,
    budget: str,
    batch: int | None,
    rounds: int,
    seconds: float,
    memory: bool,
    device: str = "cpu",
    cuda_graphs: bool = False,
) -> list[Comparison]:
    """A comparison for each of `names` in `CASES`, at the limit of 20 % of the maximum cost.

    `cuda_graphs` replays the updates of ours.
    """
    results = []
    for name in names:
        case = CASES[name]
        size = batch or (case.batch if device == "cpu" else _own_batch(case.method, budget))
        limit = task.limit(0.2)
        ours = data, task, config_of(case.method, budget, size, case.options), limit, device
        rival = data, task, config_of(case.rival, budget, size, {}), limit, device
        result = compare(
            f"{name} ({size}{', CUDA graph' if cuda_graphs else ''})",
            our_training(case.method, *ours, cuda_graphs),
            their_training(case.rival, *rival),
            rounds=rounds,
            seconds=seconds,
            clock=clock_of(device),
        )
        if memory:
            result = replace(
                result,
                ours_mib=peak_mib(our_training, case.method, *ours, device=device),
                reference_mib=peak_mib(their_training, case.rival, *rival, device=device),
            )
        results.append(result)
    return results


def _own_batch(method: str, budget: str) -> int:
    """The batch size of a budget."""
    cls = find_method(method).cls
    return cls.config_class(**cls.budgets[budget].options).batch
