"""The check's speed stage: updates of every method, beside osrl's and as stacks of seeds.

Every comparison is a file of its own in the folder `speed`, so that nothing measured is lost and
the next call measures what is missing. The tables are made from these files.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common.errors import UserError, describe, exit_status
from benchmarks.common.files import write_atomic
from benchmarks.measures.cases import CASES, STACKS
from benchmarks.measures.gpu_check.setting import TASKS, Setting, setting
from benchmarks.measures.gpu_check.tables import publish, write_tables
from benchmarks.measures.measuring import machine
from benchmarks.measures.stacks import compare_stacks
from benchmarks.measures.timing import Comparison
from benchmarks.measures.training import compare_training

RESULTS = Path(__file__).resolve().parents[3] / "results" / "speed"
_LEFT_OUT = ("cpq, inert penalty",)
"""Cases that say nothing about a GPU."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    batch: int | None
    rounds: int
    seconds: float
    stacks: tuple[int, ...]
    captured: tuple[str, ...]
    """Methods whose updates are also measured as CUDA graphs."""


FULL = Sizes(None, 3, 0.3, (5, 10, 20), ("gas", "gas-shield", "fisor", "bc-all"))
REHEARSAL = Sizes(16, 1, 1e-9, (2,), ("gas",))


@dataclass(frozen=True)
class Part:
    """One comparison: of a case of `CASES` with osrl, or of a stack with one seed."""

    case: str
    seeds: int = 1
    cuda_graphs: bool = False

    @property
    def file(self) -> str:
        """Name of its file."""
        name = re.sub(r"\W+", "-", self.case)
        return f"{name}-{self.seeds}{'-graph' if self.cuda_graphs else ''}.json"

    def measure(self, asked: Setting, sizes: Sizes) -> Comparison:
        """Measure it."""
        data, task = asked.trajectories(TASKS[0])
        options: dict[str, Any] = {
            "budget": asked.budget,
            "device": asked.device,
            "rounds": sizes.rounds,
            "seconds": sizes.seconds,
            "memory": not asked.rehearsal,
        }
        alone = self.seeds == 1 and self.case in CASES
        if alone:
            options |= {"batch": sizes.batch, "cuda_graphs": self.cuda_graphs}
            (found,) = compare_training([self.case], data, task, **options)
        else:
            options |= {"seeds": [self.seeds], "cuda_graphs": [self.cuda_graphs]}
            (found,) = compare_stacks([self.case], data, task, **options)
        return found


def parts(sizes: Sizes) -> Iterator[Part]:
    """What is measured, in the order of what matters most."""
    yield from (Part(case) for case in CASES if case not in _LEFT_OUT)
    for count in (1, sizes.stacks[0]):
        yield from (Part(name, count, True) for name in sizes.captured)
    for count in sizes.stacks:
        yield from (Part(name, count) for name in STACKS)


def measure(asked: Setting, sizes: Sizes) -> list[str]:
    """Measure the parts that are missing; the faults of those that failed."""
    folder, faults = asked.out / "speed", []
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts(sizes):
        path = folder / part.file
        if path.exists():
            continue
        try:
            result = part.measure(asked, sizes)
        except UserError as error:  # a package is missing
            print(f"{part.file}: skipped, {error}", flush=True)
            continue
        except Exception as error:
            faults.append(f"{part.file}: {describe(error)}")
            print(faults[-1], flush=True)
            continue
        facts = {"case": part.case, "seeds": part.seeds, "cuda graphs": part.cuda_graphs}
        content = {**facts, "machine": machine(asked.device), "result": result.record()}
        write_atomic(path, json.dumps(content, indent=1) + "\n")
        print(f"{part.file}: {result.record()['ratio']:.2f} times", flush=True)
        write_tables(asked.out)
        if not asked.rehearsal:
            publish(asked.out, RESULTS)
    return faults


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 1 if a part failed."""

    def work() -> int:
        asked = setting("speed", arguments)
        faults = measure(asked, REHEARSAL if asked.rehearsal else FULL)
        if faults:
            print(f"{len(faults)} parts failed; {faults[0]}")
        return int(bool(faults))

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
