"""Two ways of doing the same, timed in turns in one process, so that a busy machine slows both."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.common.hardware import peak_memory

Workload = Callable[[int], object]
"""Does so many units of work."""


@dataclass(frozen=True)
class Comparison:
    """Times of ours and of the reference, in seconds of processor time for each unit of work."""

    name: str
    ours: list[float]
    reference: list[float]
    unit: str = "update"
    ours_mib: float | None = None
    """Largest resident memory beyond the imports, where it was measured; the reference's next."""
    reference_mib: float | None = None

    @property
    def ratios(self) -> list[float]:
        """How many times faster ours was, round by round."""
        return [theirs / own for own, theirs in zip(self.ours, self.reference, strict=True)]

    def record(self) -> dict[str, Any]:
        """As plain values: the numbers of the table, and each round's."""
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
    """Time both in turns for `rounds` rounds of about `seconds` a side, after a warm-up.

    Processor time is taken unless `clock` says otherwise: other jobs on the machine do not enter
    it. Ours does multiples of `multiple` units of work.
    """
    sides = ours, reference
    amounts = []
    for side, least in zip(sides, (multiple, 1), strict=True):
        side(least)
        each = max(taken(side, least, clock), 1e-9)
        amounts.append(least * max(1, round(seconds / each)))
    times: list[list[float]] = [[], []]
    for _ in range(rounds):
        for side, amount, spent in zip(sides, amounts, times, strict=True):
            spent.append(taken(side, amount, clock) / amount)
    return Comparison(name, times[0], times[1], unit=unit)


def repeat(action: Callable[[], object]) -> Workload:
    """A piece whose unit of work is one call of `action`."""

    def run(times: int) -> None:
        for _ in range(times):
            action()

    return run


def processor_seconds(piece: Workload, amount: int = 1) -> float:
    """Processor time that `amount` units of work take."""
    return taken(piece, amount, time.process_time)


def taken(piece: Workload, amount: int, clock: Callable[[], float]) -> float:
    """Seconds by `clock` that `amount` units of work take."""
    start = clock()
    piece(amount)
    return clock() - start


def peak_mib(build: Callable[..., Workload], *arguments: Any, amount: int = 3) -> float:
    """By how much `build(*arguments)` and its work raise the memory of a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(theirs, build, arguments, amount))
    child.start()
    theirs.close()
    try:
        peak: float = ours.recv()
    except EOFError:
        raise RuntimeError("the process whose memory was measured died") from None
    finally:
        child.join()
    return peak


def _work(
    pipe: Any, build: Callable[..., Workload], arguments: tuple[Any, ...], amount: int
) -> None:
    import torch

    torch.set_num_threads(1)
    before = peak_memory()
    build(*arguments)(amount)
    pipe.send((peak_memory() - before) / 2**20)
