"""Counts where updates wait for the device: between two log points they should nowhere.

A GPU works through what the processor has queued. Reading a value of a tensor, as `item()` and
conditions do, stops the processor until the queue is empty, and the GPU idles afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.datasets.trajectories import Trajectories
from benchmarks.measures.timing import repeat
from benchmarks.measures.updates import prepared_updates
from benchmarks.methods.algorithm import Problem
from benchmarks.methods.capture import WARM_UP
from benchmarks.methods.registry import configure, find_method
from benchmarks.tasks.tasks import Task

ON_GPU = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")
"""Calls of CUDA during which the processor waits."""
ON_CPU = ("aten::_local_scalar_dense", "aten::masked_select")
"""Operations that would wait on a GPU. Copies to a device are not seen on a CPU, and searches for
non-zero rows not counted, as `baselines.osrl.ensemble` makes them on a CPU only."""
_OPTIMISER = "Optimizer.step#"
"""On a CPU, steps of fused optimisers read their own counters."""
_WARM_UP = WARM_UP + 2
"""Updates before the count: a captured method has then been recorded and replayed once."""
_RANGE = "updates between log points"


@dataclass(frozen=True)
class Waits:
    """How often the processor waited during the updates of a method."""

    name: str
    updates: int
    counts: dict[str, int]

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return {"name": self.name, "updates": self.updates, "waits": self.counts}


def count_waits(
    name: str,
    data: Trajectories,
    task: Task,
    *,
    budget: str,
    device: str,
    updates: int = 5,
    trace: Path | None = None,
) -> Waits:
    """The waits of a method's updates with the options of `budget`.

    `trace` is the file for the profiler's trace, which a browser's tracing page shows.
    """
    cls = find_method(name).cls
    config, _ = configure(cls, budget, {}, {})
    problem = Problem.of(data, task.horizon, task.max_cost)
    limit = task.limit(0.2) if cls.trains_per_limit else None
    algorithm = cls(problem, config, limit=limit, device=device)
    update = repeat(prepared_updates(algorithm, data))
    with algorithm.random():
        update(_WARM_UP)
        return Waits(name, updates, waits_of(lambda: update(updates), device, trace))


def waits_of(work: Callable[[], object], device: str, trace: Path | None = None) -> dict[str, int]:
    """How often `work` waits for `device`, by what waits."""
    activities = [ProfilerActivity.CPU]
    if device != "cpu":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        with record_function(_RANGE):
            work()
        if device != "cpu":
            torch.cuda.synchronize(device)
    if trace is not None:
        profiler.export_chrome_trace(str(trace))
    events = profiler.events()
    # on a GPU the range is listed again, with the times of its kernels
    (whole,) = (
        event.time_range
        for event in events
        if event.name == _RANGE and event.device_type.name == "CPU"
    )
    steps = [event.time_range for event in events if event.name.startswith(_OPTIMISER)]
    names = ON_CPU if device == "cpu" else ON_GPU
    waits = [event for event in events if event.name in names and _within(event, whole)]
    if device == "cpu":
        waits = [event for event in waits if not any(_within(event, step) for step in steps)]
    return dict(Counter(event.name for event in waits))


def _within(event: Any, time_range: Any) -> bool:
    return bool(time_range.start <= event.time_range.start <= time_range.end)
