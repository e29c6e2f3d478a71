"""Where there is room for a process: slots on each device, and the memory of GPUs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from benchmarks.common.files import write_atomic
from benchmarks.runs.jobs import Job
from benchmarks.scheduling.protocol import WorkItem

GIB = 2**30


class Inventory(Protocol):
    """Reads the state of this machine's devices."""

    def free(self, device: str) -> int | None:
        """Free memory of a GPU in bytes at this moment; None if unknown."""


class MemoryEstimates:
    """Estimated GPU memory of one process of a method: `initial` until a process was observed.

    Observed peaks are stored in `path` for later runs. Several runners may share the file: each
    merges its peaks with those already in it.
    """

    def __init__(self, initial: int = 2 * GIB, path: Path | None = None) -> None:
        self.initial, self.path = initial, path
        self._observed = self._read_file()
        self._raised: dict[str, int] = {}

    def of(self, job: Job) -> int:
        """Estimated bytes for a process of `job`: the observed peak and a tenth of it."""
        key = self._key(job)
        peak = self._observed.get(key)
        estimate = self.initial if peak is None else peak + peak // 10
        return max(estimate, self._raised.get(key, 0))

    def observe(self, job: Job, memory: int) -> None:
        """Record that a process of `job` has used `memory` bytes."""
        key = self._key(job)
        if memory > self._observed.get(key, 0):
            self._observed[key] = memory
            self._write_file()

    def raise_after_failure(self, job: Job) -> None:
        """Raise the estimate by half, as a process of `job` ran out of memory.

        The raise lasts for this run only: other processes may have used the memory, and a process
        that succeeds is observed.
        """
        self._raised[self._key(job)] = self.of(job) * 3 // 2

    @staticmethod
    def _key(job: Job) -> str:
        """Key of an estimate: method, code, options and stack size."""
        training, stack_size = job.training, 1 + len(job.stacked_seeds)
        options = json.dumps(training.config, sort_keys=True)
        seeds = f"{stack_size} seeds" if stack_size > 1 else ""
        return " ".join(filter(None, (training.algorithm, training.code, options, seeds)))

    def _read_file(self) -> dict[str, int]:
        """The readable entries of the file; none where it is missing or damaged."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8")) if self.path else {}
        except (OSError, ValueError):
            return {}
        items = content.items() if isinstance(content, dict) else ()
        return {key: memory for key, memory in items if type(memory) is int and memory > 0}

    def _write_file(self) -> None:
        if self.path is None:
            return
        for key, memory in self._read_file().items():
            self._observed[key] = max(memory, self._observed.get(key, 0))
        with suppress(OSError):  # estimates are optional; the jobs report a full disk
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.path, json.dumps(self._observed, indent=1, sort_keys=True))


class DevicePool:
    """Devices with a number of `slots` each: "cpu", "cuda:0" and so on.

    A GPU accepts another process only while its free memory covers the newcomer's estimate and
    what the running processes may still allocate.
    """

    def __init__(
        self,
        slots: Mapping[str, int],
        inventory: Inventory | None = None,
        estimates: MemoryEstimates | None = None,
        *,
        one_machine: bool = True,
    ) -> None:
        """`one_machine`: processes on one device share its memory; on a cluster they do not."""
        self.slots = dict(slots)
        self.inventory, self.one_machine = inventory, one_machine
        self.estimates = estimates or MemoryEstimates()
        self.gpus = [device for device in self.slots if device != "cpu"]

    @property
    def count(self) -> int:
        """Maximum number of processes; with GPUs, those that only evaluate are not counted."""
        return sum(self.slots[device] for device in self.gpus) or self.slots["cpu"]

    def has_free_slot(self, running: Sequence[WorkItem]) -> bool:
        """Whether any device has a free slot."""
        return len(running) < sum(self.slots.values())

    def choose(self, item: WorkItem, running: Sequence[WorkItem]) -> str | None:
        """The least loaded device with room for `item`; None if there is none."""
        candidates = self.gpus if item.needs_gpu and self.gpus else ["cpu"]
        neighbours = {
            device: [other for other in running if other.device == device] for device in candidates
        }
        for device in sorted(candidates, key=lambda device: len(neighbours[device])):
            if self._has_room(device, item, neighbours[device]):
                return device
        return None

    def _has_room(self, device: str, item: WorkItem, neighbours: Sequence[WorkItem]) -> bool:
        count = len(neighbours)
        if count >= self.slots.get(device, 0):
            return False
        if any(
            process.max_neighbours is not None and count > process.max_neighbours
            for process in (item, *neighbours)
        ):
            return False
        if device == "cpu" or not neighbours or self.inventory is None:
            return True  # an empty GPU accepts any process, whatever its estimate
        free = self.inventory.free(device)
        if free is None:
            return True
        still_needed = sum(
            max(self.estimates.of(other.worker_job) - other.gpu_memory, 0) for other in neighbours
        )
        return self.estimates.of(item.worker_job) + still_needed <= free
