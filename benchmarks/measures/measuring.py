"""The work of `benchmarks.speed`: measure, print a table, and keep the results as JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from benchmarks.common.errors import UserError, unknown_name
from benchmarks.common.files import replacing
from benchmarks.common.hardware import available_cores, devices, processor
from benchmarks.datasets.source import choose
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.measures.cases import CASES, ROLLOUTS
from benchmarks.measures.growth import measure_growth
from benchmarks.measures.loading import compare_loading
from benchmarks.measures.rollouts import compare_rollouts
from benchmarks.measures.schedule import sleeping, working
from benchmarks.measures.stacks import compare_stacks
from benchmarks.measures.suite import predict_suites
from benchmarks.measures.tables import growth_table, suite_tables, table, usage_table
from benchmarks.measures.timing import Comparison
from benchmarks.measures.training import compare_training
from benchmarks.methods.algorithm import Algorithm
from benchmarks.methods.names import BUILT_IN
from benchmarks.methods.registry import find_method
from benchmarks.tasks.tasks import find_task


class Recorded(Protocol):
    """What is written as JSON."""

    def record(self) -> dict[str, Any]:
        """As plain values."""
        ...


Measured = tuple[str, Sequence[Recorded]]
"""A table in Markdown and what it shows."""


def machine(device: str = "cpu") -> dict[str, Any]:
    """What the times depend on besides the code."""
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    features = torch.backends.cpu.get_cpu_capability()
    gpu = {} if device == "cpu" else {"gpu": torch.cuda.get_device_name(device)}
    cores = {"processor": processor(), "features": features, "cores": available_cores()}
    return {**gpu, **cores, **versions}


def compare(
    kind: str,
    *,
    task: str,
    data: str,
    rounds: int,
    seconds: float,
    cases: Sequence[str] = (),
    **more: Any,
) -> list[Comparison]:
    """The comparisons of a `kind`: "train", "rollout", "data" or "stack".

    `more` are the options that the kind has besides: those of `compare_training`,
    `compare_rollouts` and `compare_stacks`.
    """
    where = find_task(task)
    (found,) = choose(data, [where])
    if not found.present:
        raise UserError(
            f"no data of {where.name} at hand: `python -m benchmarks.data generate {where.name}`"
        )
    for name in cases:
        if name not in (known := _known_cases(kind)):
            raise unknown_name("case", name, known)
    if kind == "data":
        return compare_loading(found.path, rounds=rounds, seconds=seconds)
    if "device" in more:
        more["device"] = devices(more["device"])[0]
    measures: dict[str, Callable[..., list[Comparison]]] = {
        "train": compare_training,
        "rollout": compare_rollouts,
        "stack": compare_stacks,
    }
    loaded = Trajectories.load(found.path, found.source)
    return measures[kind](cases, loaded, where, rounds=rounds, seconds=seconds, **more)


def _known_cases(kind: str) -> Sequence[str]:
    if kind == "stack":
        return [name for name in BUILT_IN if find_method(name).cls.stackable]
    return list(CASES if kind == "train" else ROLLOUTS)


def beside_osrl(kind: str, **options: Any) -> Measured:
    """A table of what `compare` measures."""
    results = compare(kind, **options)
    return table(results, "alone" if kind == "stack" else "osrl"), results


def schedule(*, jobs: int, workers: int) -> Measured:
    """How much of the workers' time their jobs get."""
    usages = [
        sleeping(jobs, workers, 1.0),
        working(max(jobs // 5, 1), workers, afresh=True),
        working(max(jobs // 5, 1), workers),
    ]
    return usage_table(usages), usages


def growth(*, task: str, rounds: int) -> Measured:
    """Times and memory as sizes grow tenfold."""
    tables = measure_growth(find_task(task), rounds=rounds)
    return growth_table(tables), tables


def suite(
    *,
    algorithms: Sequence[str],
    tasks: Sequence[str],
    num_seeds: int,
    budgets: Sequence[str],
    seconds: float,
) -> Measured:
    """Core hours of the suites `tight` and `loose`, from measured pieces."""
    for name in budgets:
        if name not in (known := Algorithm.budgets):
            raise unknown_name("budget", name, known)
    estimates, predictions = predict_suites(algorithms, tasks, num_seeds, budgets, seconds=seconds)
    return suite_tables(estimates, predictions), [*estimates, *predictions]


def measure(command: str, options: Mapping[str, Any], out: Path | None) -> None:
    """Measure what a subcommand of `benchmarks.speed` asks for, print it, and keep it in `out`."""
    torch.set_num_threads(1)
    whole: dict[str, Callable[..., Measured]] = {
        "schedule": schedule,
        "growth": growth,
        "suite": suite,
    }
    if command in whole:
        text, results = whole[command](**options)
    else:
        text, results = beside_osrl(command, **options)
    print(text)
    if out is None:
        return
    content = {
        "options": {"command": command, **{name: str(value) for name, value in options.items()}},
        "machine": machine(options.get("device", "cpu")),
        "results": [result.record() for result in results],
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as path:
        path.write_text(json.dumps(content, indent=1) + "\n")
