"""Where there is room for a process: slots on each device, and the memory of GPUs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from benchmarks.common.files import write_atomic
from benchmarks.runs.jobs import Job
from benchmarks.scheduling.protocol import Piece

GIB = 2**30


class Inventory(Protocol):
    """What is known of the devices of this machine."""

    def free(self, place: str) -> int | None:
        """Free memory of a GPU in bytes at this moment; None where that is not known."""


class MemoryEstimates:
    """Memory of a GPU that the processes of a method take: a guess, until one was seen.

    What was seen is kept in `path` for later runs. Several runners may share the file: each adds
    to what it finds there.
    """

    def __init__(self, guess: int = 2 * GIB, path: Path | None = None) -> None:
        self.guess, self.path = guess, path
        self._seen = self._kept()
        self._expected: dict[str, int] = {}

    def of(self, job: Job) -> int:
        """Bytes that a process of `job` may take: a tenth above the most that was seen."""
        kind = self._kind(job)
        seen = self._seen.get(kind)
        likely = self.guess if seen is None else seen + seen // 10
        return max(likely, self._expected.get(kind, 0))

    def see(self, job: Job, memory: int) -> None:
        """A process of `job` has taken `memory` bytes."""
        kind = self._kind(job)
        if memory > self._seen.get(kind, 0):
            self._seen[kind] = memory
            self._keep()

    def fell_short(self, job: Job) -> None:
        """A process of `job` ran out of memory: expect half as much again.

        Only in this run: it may have been others who took the memory, and what a process takes
        that succeeds is seen.
        """
        self._expected[self._kind(job)] = self.of(job) * 3 // 2

    @staticmethod
    def _kind(job: Job) -> str:
        """Trainings that differ in task, seed or limit only are alike; so many seeds as one."""
        one, seeds = job.training, 1 + len(job.stacked_seeds)
        options = json.dumps(one.config, sort_keys=True)
        several = f"{seeds} seeds" if seeds > 1 else ""
        return " ".join(filter(None, (one.algorithm, one.code, options, several)))

    def _kept(self) -> dict[str, int]:
        """What the file says; of a damaged one, what can be read."""
        try:
            content = json.loads(self.path.read_text()) if self.path else {}
        except (OSError, ValueError):
            return {}
        items = content.items() if isinstance(content, dict) else ()
        return {kind: memory for kind, memory in items if type(memory) is int and memory > 0}

    def _keep(self) -> None:
        if self.path is None:
            return
        for kind, memory in self._kept().items():
            self._seen[kind] = max(memory, self._seen.get(kind, 0))
        with suppress(OSError):  # a disk that takes nothing stops the jobs, not the estimates
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.path, json.dumps(self._seen, indent=1, sort_keys=True))


class Places:
    """Devices with so many `slots` each: "cpu", "cuda:0" and so on.

    A GPU takes a further process only while the memory that is free there covers the estimate of
    the newcomer and what its neighbours may still take.
    """

    def __init__(
        self,
        slots: Mapping[str, int],
        inventory: Inventory | None = None,
        estimates: MemoryEstimates | None = None,
        *,
        one_machine: bool = True,
    ) -> None:
        """`one_machine`: those in one place share its memory, as the nodes of a cluster do not."""
        self.slots = dict(slots)
        self.inventory, self.one_machine = inventory, one_machine
        self.estimates = estimates or MemoryEstimates()
        self.gpus = [place for place in self.slots if place != "cpu"]

    @property
    def count(self) -> int:
        """Processes at a time at most, those that only evaluate beside a GPU left out."""
        return sum(self.slots[place] for place in self.gpus) or self.slots["cpu"]

    def room(self, running: Sequence[Piece]) -> bool:
        """Whether any slot is free."""
        return len(running) < sum(self.slots.values())

    def choose(self, piece: Piece, running: Sequence[Piece]) -> str | None:
        """The place for a piece, the emptiest that has room; None while there is none."""
        candidates = self.gpus if piece.gpu and self.gpus else ["cpu"]
        for place in sorted(candidates, key=lambda one: _load(one, running)):
            if self._has_room(place, piece, [one for one in running if one.place == place]):
                return place
        return None

    def _has_room(self, place: str, piece: Piece, there: Sequence[Piece]) -> bool:
        if len(there) >= self.slots.get(place, 0):
            return False
        if piece.neighbours is not None and len(there) > piece.neighbours:
            return False
        if any(one.neighbours is not None and len(there) > one.neighbours for one in there):
            return False
        if place == "cpu" or not there or self.inventory is None:
            return True  # alone, it may try
        free = self.inventory.free(place)
        if free is None:
            return True
        promised = sum(max(self.estimates.of(one.work) - one.memory, 0) for one in there)
        return self.estimates.of(piece.work) + promised <= free


def _load(place: str, running: Sequence[Piece]) -> int:
    return sum(one.place == place for one in running)
