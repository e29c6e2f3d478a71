"""What it gains to train several seeds as one, or to compile an update: on a CPU or a GPU."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from benchmarks.common.errors import UserError
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.measures.timing import Comparison, Piece, compare
from benchmarks.methods.algorithm import Problem
from benchmarks.methods.registry import configure, find_method
from benchmarks.methods.stacking import Stack
from benchmarks.tasks.tasks import Task

_WARM_UP = 3
"""Updates before the clock starts: code is made for a compiled one in the first."""


def seeds_update(
    method: str,
    data: Trajectories,
    task: Task,
    *,
    budget: str,
    seeds: int,
    device: str,
    compiled: bool = False,
) -> Piece:
    """A seed's updates, of so many that are trained as one (1: alone), losses read at the end."""
    cls = find_method(method).cls
    if not cls.stackable:
        raise UserError(f"{method} is not stackable: its seeds are trained alone")
    problem, (config, _) = (
        Problem.of(data, task.horizon, task.max_cost),
        configure(cls, budget, {}, {}),
    )
    limit = None if cls.conditions_on_limit else task.limit(0.2)
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
    """For each method and way a seed's update beside that of one trained alone, uncompiled."""
    # on a GPU the processor waits: reading a loss ends when the GPU has done its part
    clock = time.process_time if device == "cpu" else time.perf_counter
    results = []
    for name in names:
        for count in seeds:
            for way in compiled:
                if count == 1 and not way:
                    continue
                told = f"{name}, {count} as one{', compiled' if way else ''}"
                own = seeds_update(
                    name, data, task, budget=budget, seeds=count, device=device, compiled=way
                )
                alone = seeds_update(name, data, task, budget=budget, seeds=1, device=device)
                results.append(
                    compare(
                        told,
                        own,
                        alone,
                        rounds=rounds,
                        seconds=seconds,
                        unit="a seed's update",
                        multiple=count,
                        clock=clock,
                    )
                )
    return results
