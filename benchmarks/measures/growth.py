"""Growth of time and memory with the data, episodes, limits, seeds and workers."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.datasets.trajectories import Trajectories
from benchmarks.measures.schedule import sleeping
from benchmarks.measures.synthetic import planned, request, store_results, trajectories
from benchmarks.measures.timing import Workload, peak_mib, processor_seconds, repeat
from benchmarks.measures.training import our_training
from benchmarks.methods.algorithm import Algorithm, Problem
from benchmarks.methods.registry import configure, find_method
from benchmarks.results.manifest import jobs_of, load_stored, read_manifest
from benchmarks.runs.evaluation import evaluate
from benchmarks.simulators.vector import Lockstep
from benchmarks.tasks.tasks import Task

_GAS = find_method("gas").cls


class Growth(NamedTuple):
    """Time and memory of one operation at growing sizes."""

    name: str
    sizes: list[str]
    seconds: list[float]
    """Processor time; for workers, wall-clock time."""
    mib: list[float] | None = None
    """Peak memory beyond the imports, in a separate process."""

    def record(self) -> dict[str, Any]:
        """As plain values, with each time as a multiple of the first."""
        return {**self._asdict(), "ratios": [s / self.seconds[0] for s in self.seconds]}


def measure_growth(task: Task, *, rounds: int, base: int = 1, memory: bool = True) -> list[Growth]:
    """Measure every table; each time is the minimum of `rounds`; `base` scales all sizes."""
    return [
        *_with_data(task, [50 * base, 500 * base], rounds, memory),
        _with_evaluations(task, "episodes at one limit", [(3 * base, 1), (30 * base, 1)], rounds),
        _with_evaluations(task, "limits of three episodes", [(3, base), (3, 10 * base)], rounds),
        *_with_seeds([3 * base, 30 * base], rounds),
        _with_workers([1, 2, 4], 12 * base),
    ]


def _with_data(task: Task, sizes: list[int], rounds: int, memory: bool) -> list[Growth]:
    names = [f"{size * task.horizon:,} transitions" for size in sizes]
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{size}.hdf5" for size in sizes]
        for path, size in zip(paths, sizes, strict=True):
            trajectories(task, size).save(path)
        for what, build in (
            ("reading a file", _reading),
            ("gas: setting up", _preparing),
            ("gas: an update at quick", _updating),
        ):
            times = [_min_seconds(build(task, path), rounds) for path in paths]
            peaks = [peak_mib(build, task, path, amount=1) for path in paths] if memory else None
            tables.append(Growth(what, names, times, peaks))
    return tables


def _reading(task: Task, path: Path) -> Workload:
    return repeat(lambda: Trajectories.load(path, "synthetic"))


def _preparing(task: Task, path: Path) -> Workload:
    data = Trajectories.load(path, "synthetic")
    return repeat(lambda: _gas(data, task).prepare(data))


def _updating(task: Task, path: Path) -> Workload:
    data, (config, _) = Trajectories.load(path, "synthetic"), configure(_GAS, "quick", {})
    workload = our_training("gas", data, task, config, task.limit(0.2))
    return lambda amount: workload(20 * amount)


def _gas(data: Trajectories, task: Task) -> Algorithm:
    config, _ = configure(_GAS, "quick", {})
    return _GAS(Problem.of(data, task.horizon, task.max_cost), config)


def _with_evaluations(task: Task, name: str, sizes: list[tuple[int, int]], rounds: int) -> Growth:
    algorithm = _gas(trajectories(task, 20), task)
    times = []
    for episodes, count in sizes:
        limits = [task.limit(0.9 * (i + 1) / count) for i in range(count)]
        with Lockstep(task, episodes * count) as simulators:
            run = partial(evaluate, algorithm, task, limits, episodes, seed=0)
            times.append(_min_seconds(repeat(partial(run, simulators=simulators)), rounds))
    return Growth(f"gas: evaluating, {name}", [f"{e * n} episodes" for e, n in sizes], times)


def _with_seeds(sizes: list[int], rounds: int) -> list[Growth]:
    methods, names, planning, reading = ("bc-safe", "cpq"), [], [], []
    for seeds in sizes:
        requested = request(methods, seeds)
        with tempfile.TemporaryDirectory() as folder:
            board = Path(folder) / "board"
            names.append(f"{store_results(board, requested):,} results")
            planning.append(_min_seconds(repeat(partial(planned, requested, Path(folder))), rounds))
            reading.append(_min_seconds(repeat(partial(_load, board)), rounds))
    return [Growth("planning", names, planning), Growth("reading results", names, reading)]


def _load(board: Path) -> None:
    manifest = read_manifest(board)
    load_stored(jobs_of(manifest, board.parent), manifest)


def _with_workers(counts: list[int], jobs: int) -> Growth:
    """The same number of jobs for each worker: the time should be constant."""
    usages = [sleeping(jobs * count, count, 0.3) for count in counts]
    names = [f"{usage.workers} workers, {usage.jobs} jobs" for usage in usages]
    times = [usage.makespan for usage in usages]
    return Growth("jobs that sleep, as many a worker", names, times)


def _min_seconds(workload: Workload, rounds: int) -> float:
    workload(1)
    return min(processor_seconds(workload) for _ in range(rounds))
