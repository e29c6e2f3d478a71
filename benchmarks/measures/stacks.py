"""Timing of stacked seeds, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from benchmarks.common.errors import UserError
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.measures.timing import Comparison, Workload, clock_of, compare, peak_mib
from benchmarks.measures.updates import workload_of
from benchmarks.methods.algorithm import Problem
from benchmarks.methods.registry import configure, find_method
from benchmarks.methods.stacking import Stack
from benchmarks.tasks.tasks import Task


def seeds_update(
    method: str,
    data: Trajectories,
    task: Task,
    *,
    budget: str,
    seeds: int,
    device: str,
    cuda_graphs: bool = False,
) -> Workload:
    """Updates of a stack of `seeds` seeds; the losses are read at the end."""
    cls = find_method(method).cls
    if not cls.stackable:
        raise UserError(f"{method} is not stackable: leave it out")
    problem, (config, _) = (
        Problem.of(data, task.horizon, task.max_cost),
        configure(cls, budget, {}, {}),
    )
    limit = task.limit(0.2) if cls.trains_per_limit else None
    agents = [cls(problem, config, limit=limit, seed=k, device=device) for k in range(seeds)]
    for agent in agents:
        agent.cuda_graphs = cuda_graphs
    trained = agents[0] if seeds == 1 else Stack(agents).leader
    return workload_of(trained, data, seeds)


def compare_stacks(
    names: Sequence[str],
    data: Trajectories,
    task: Task,
    *,
    budget: str,
    seeds: Sequence[int],
    cuda_graphs: Sequence[bool],
    device: str,
    rounds: int,
    seconds: float,
    memory: bool = False,
) -> list[Comparison]:
    """For each method, compare a seed's update in a stack with one alone, without a graph."""
    results = []
    for name in names:
        update = partial(seeds_update, name, data, task, budget=budget, device=device)
        for count in seeds:
            for graphs in cuda_graphs:
                if count == 1 and not graphs:
                    continue
                stacked = partial(update, seeds=count, cuda_graphs=graphs)
                result = compare(
                    f"{name}, {count} as one{', CUDA graph' if graphs else ''}",
                    stacked(),
                    update(seeds=1),
                    rounds=rounds,
                    seconds=seconds,
                    unit="a seed's update",
                    multiple=count,
                    clock=clock_of(device),
                )
                if memory:
                    result = replace(
                        result,
                        ours_mib=peak_mib(stacked, device=device),
                        reference_mib=peak_mib(partial(update, seeds=1), device=device),
                    )
                results.append(result)
    return results
