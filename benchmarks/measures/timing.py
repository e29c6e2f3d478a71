"""Timing of two workloads in alternation in one process, so that a busy machine slows both."""

from __future__ import annotations

import gc
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.common.hardware import peak_memory

Workload = Callable[[int], object]
"""Does the given number of units of work."""


@dataclass(frozen=True)
class Comparison:
    """Times of ours and of the reference, in seconds of processor time per unit of work."""

    name: str
    ours: list[float]
    reference: list[float]
    unit: str = "update"
    ours_mib: float | None = None
    """Peak memory, if measured: resident memory beyond the imports, or memory of the GPU."""
    reference_mib: float | None = None

    @property
    def ratios(self) -> list[float]:
        """The speed-up of ours over the reference in each round."""
        return [theirs / ours for ours, theirs in zip(self.ours, self.reference, strict=True)]

    def record(self) -> dict[str, Any]:
        """As plain values: the numbers of the table, and the times of each round."""
        return {
            "name": self.name,
            "unit": self.unit,
            "ours_ms": 1e3 * statistics.median(self.ours),
            "reference_ms": 1e3 * statistics.median(self.reference),
            "ratio": statistics.median(self.ratios),
            "ratio_least": min(self.ratios),
            "ratio_most": max(self.ratios),
            "ours_mib": self.ours_mib,
            "reference_mib": self.reference_mib,
            "rounds": {"ours_s": self.ours, "reference_s": self.reference},
        }


def compare(
    name: str,
    ours: Workload,
    reference: Workload,
    *,
    rounds: int,
    seconds: float,
    unit: str = "update",
    multiple: int = 1,
    clock: Callable[[], float] = time.process_time,
) -> Comparison:
    """Time both in alternation for `rounds` rounds of about `seconds` each, after a warm-up.

    The default `clock` is processor time, which excludes other jobs on the machine. The amount of
    work of ours is a multiple of `multiple` units.
    """
    sides = ours, reference
    amounts = []
    for side, unit_amount in zip(sides, (multiple, 1), strict=True):
        side(unit_amount)
        each = max(measure_time(side, unit_amount, clock), 1e-9)
        amounts.append(unit_amount * max(1, round(seconds / each)))
    times: list[list[float]] = [[], []]
    for _ in range(rounds):
        for side, amount, spent in zip(sides, amounts, times, strict=True):
            spent.append(measure_time(side, amount, clock) / amount)
    return Comparison(name, times[0], times[1], unit=unit)


def repeat(action: Callable[[], object]) -> Workload:
    """A workload whose unit of work is one call of `action`."""

    def run(times: int) -> None:
        for _ in range(times):
            action()

    return run


def processor_seconds(workload: Workload, amount: int = 1) -> float:
    """Processor time of `amount` units of work."""
    return measure_time(workload, amount, time.process_time)


def measure_time(workload: Workload, amount: int, clock: Callable[[], float]) -> float:
    """Seconds of `amount` units of work, by `clock`."""
    start = clock()
    workload(amount)
    return clock() - start


def clock_of(device: str) -> Callable[[], float]:
    """The clock for workloads on `device`.

    Wall-clock time on a GPU, as the processor waits for it when a workload reads its losses;
    processor time otherwise.
    """
    return time.process_time if device == "cpu" else time.perf_counter


def peak_mib(
    build: Callable[..., Workload], *arguments: Any, amount: int = 3, device: str = "cpu"
) -> float:
    """Peak memory that `build(*arguments)` and its work add, in MiB.

    On a CPU the resident memory of a separate process; on a GPU what torch allocates there.
    """
    if device != "cpu":
        return _gpu_peak_mib(build, arguments, amount, device)
    context = multiprocessing.get_context("spawn")
    parent_end, child_end = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(child_end, build, arguments, amount))
    child.start()
    child_end.close()
    try:
        peak: float = parent_end.recv()
    except EOFError:
        raise RuntimeError("the process for the memory measurement died") from None
    finally:
        child.join()
    return peak


def _gpu_peak_mib(
    build: Callable[..., Workload], arguments: tuple[Any, ...], amount: int, device: str
) -> float:
    import torch

    gc.collect()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    build(*arguments)(amount)
    return (torch.cuda.max_memory_allocated(device) - before) / 2**20


def _work(
    pipe: Any, build: Callable[..., Workload], arguments: tuple[Any, ...], amount: int
) -> None:
    import torch

    torch.set_num_threads(1)
    before = peak_memory()
    build(*arguments)(amount)
    pipe.send((peak_memory() - before) / 2**20)
