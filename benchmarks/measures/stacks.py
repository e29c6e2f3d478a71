"""Timing of stacked seeds and of compiled updates, on a CPU or a GPU."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from benchmarks.common.errors import UserError
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.measures.timing import Comparison, Workload, compare
from benchmarks.methods.algorithm import Problem
from benchmarks.methods.registry import configure, find_method
from benchmarks.methods.stacking import Stack
from benchmarks.tasks.tasks import Task

_WARM_UP = 3
"""Updates before the clock starts; the first compiles the code."""


def seeds_update(
    method: str,
    data: Trajectories,
    task: Task,
    *,
    budget: str,
    seeds: int,
    device: str,
    compiled: bool = False,
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
    trained = agents[0] if seeds == 1 else Stack(agents).leader
    if compiled:
        trained.compile()
    trained.planned_updates = 10**9
    with trained.random():
        trained.prepare(data)

    def run(amount: int) -> None:
        with trained.random():
            for _ in range(max(amount // seeds, 1)):
                losses = trained.update()
                trained.updates += 1
        for loss in losses.values():
            torch.as_tensor(loss).sum().item()

    run(_WARM_UP * seeds)
    return run


def compare_stacks(
    names: Sequence[str],
    data: Trajectories,
    task: Task,
    *,
    budget: str,
    seeds: Sequence[int],
    compiled: Sequence[bool],
    device: str,
    rounds: int,
    seconds: float,
) -> list[Comparison]:
    """For each method, compare a seed's update in a stack with one trained alone, not compiled."""
    # On a GPU, wall-clock time: the processor waits for the GPU when it reads a loss.
    clock = time.process_time if device == "cpu" else time.perf_counter
    results = []
    for name in names:
        for count in seeds:
            for compile_updates in compiled:
                if count == 1 and not compile_updates:
                    continue
                label = f"{name}, {count} as one{', compiled' if compile_updates else ''}"
                stacked = seeds_update(
                    name,
                    data,
                    task,
                    budget=budget,
                    seeds=count,
                    device=device,
                    compiled=compile_updates,
                )
                single = seeds_update(name, data, task, budget=budget, seeds=1, device=device)
                results.append(
                    compare(
                        label,
                        stacked,
                        single,
                        rounds=rounds,
                        seconds=seconds,
                        unit="a seed's update",
                        multiple=count,
                        clock=clock,
                    )
                )
    return results
