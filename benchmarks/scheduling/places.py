"""Where there is room for a process: slots on each device, and the memory of GPUs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Protocol

from benchmarks.jobs import Job
from benchmarks.scheduling.events import Piece

GIB = 2**30


class Inventory(Protocol):
    """What is known of the devices of this machine."""

    def free(self, place: str) -> int | None:
        """Free memory of a GPU in bytes at this moment; None where that is not known."""


class MemoryEstimates:
    """Memory of a GPU that the processes of a method take: a guess, until one was seen."""

    def __init__(self, guess: int = 2 * GIB) -> None:
        self.guess = guess
        self._seen: dict[str, int] = {}

    def of(self, job: Job) -> int:
        """Bytes that a process of `job` may take: a tenth above the most that was seen."""
        seen = self._seen.get(self._kind(job))
        return self.guess if seen is None else seen + seen // 10

    def see(self, job: Job, memory: int) -> None:
        """A process of `job` has taken `memory` bytes."""
        kind = self._kind(job)
        self._seen[kind] = max(memory, self._seen.get(kind, 0))

    def fell_short(self, job: Job) -> None:
        """A process of `job` ran out of memory: expect half as much again."""
        self.see(job, self.of(job) * 3 // 2)

    @staticmethod
    def _kind(job: Job) -> str:
        """Trainings that differ in task, seed or limit only are alike."""
        return job.training.algorithm + json.dumps(job.training.config, sort_keys=True)


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
        promised = sum(max(self.estimates.of(one.job) - one.memory, 0) for one in there)
        return self.estimates.of(piece.job) + promised <= free


def _load(place: str, running: Sequence[Piece]) -> int:
    return sum(one.place == place for one in running)
