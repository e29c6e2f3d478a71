"""Updates of a method outside a job, to be timed or traced."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks.datasets.trajectories import Trajectories
from benchmarks.measures.timing import Workload
from benchmarks.methods.algorithm import Algorithm
from benchmarks.methods.capture import WARM_UP, Losses, updates_of


def prepared_updates(algorithm: Algorithm, data: Trajectories) -> Callable[[], Losses]:
    """The next update of a method, as in a long training; to be called in its `random()`."""
    algorithm.planned_updates = 10**9
    with algorithm.random():
        algorithm.prepare(data)
    return updates_of(algorithm)


def workload_of(algorithm: Algorithm, data: Trajectories, seeds: int = 1) -> Workload:
    """Updates of a method, or of a stack of `seeds` seeds; losses are read once a call."""
    update = prepared_updates(algorithm, data)

    def run(amount: int) -> None:
        with algorithm.random():
            for _ in range(max(amount // seeds, 1)):
                losses = update()
        for loss in losses.values():
            torch.as_tensor(loss).sum().item()

    run((WARM_UP + 1) * seeds)  # before a clock starts: they allocate and, if asked, record
    return run
