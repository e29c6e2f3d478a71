"""What a job is, and what it hashes to: values that say everything that changes a result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import IntEnum
from functools import cached_property
from typing import Any


class ExitStatus(IntEnum):
    """Exit status of the process of a job."""

    DONE = 0
    FAILED = 1
    STOPPED = 3
    """Stopped on request, with its progress saved."""
    BUSY = 4
    """Another process works on this run."""
    NO_SPACE = 5
    """The disk is full or cannot be written."""
    OUT_OF_MEMORY = 6
    """Of the machine or of a GPU; a retry with fewer neighbours may succeed."""


def joined_code(method: str, task: str) -> str:
    """The identity of a plugin's code and of a user's task, either of which may be empty."""
    return "+".join(code for code in (method, task) if code)


@dataclass(frozen=True)
class Training:
    """One training: a method on a data set with a seed, for one limit or for all."""

    algorithm: str
    """The method's name."""
    code: str
    """sha256 of the files of the user's own that run (see `joined_code`); empty for none."""
    config: dict[str, Any]
    """The options, those of acting (`benchmarks.methods.algorithm.eval_only`) at their defaults."""
    task: str
    checksum: str
    """sha256 of the data file."""
    seed: int
    limit: float | None
    """The cost limit trained for; None where one training serves all."""
    updates: int

    @cached_property
    def key(self) -> str:
        """sha256 of the fields: equal trainings, equal keys, on every machine."""
        known = {one.name: getattr(self, one.name) for one in fields(self)}
        canonical = json.dumps(known, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class Job:
    """A training and the limits its policy is evaluated at: the work of one process.

    All but `training`, `limits`, `episodes` and `acting` tell where and how to run and change no
    result.
    """

    training: Training
    limits: tuple[float, ...]
    episodes: int
    method: str
    """What finds the method in another process (`benchmarks.methods.registry.find_method`)."""
    data: str
    """Path of the data file."""
    source: str
    results: str
    """Folder of the store."""
    stage: str = "both"
    """ "train", "evaluate" or "both"."""
    device: str = "cpu"
    simulator_processes: int = 0
    core_seconds: float = 0.0
    """Estimated time on one core."""
    task_file: str = ""
    """Path of a user's task file; empty for the tasks of the table."""
    checkpoint_seconds: float = 60.0
    """Time between two checkpoints of an unfinished training."""
    trackers: tuple[str, ...] = ()
    """Where else the losses go (`benchmarks.runs.trackers`)."""
    command: str = ""
    """The command that asked for the job, as provenance."""
    label: str = ""
    """What the method is called in tables, where it is a variant."""
    acting: dict[str, Any] = field(default_factory=dict)
    """Options of acting that are not at their defaults."""
    together: int = 1
    """Seeds that may be trained as one (`benchmarks.methods.stacking`)."""
    compiled: bool = False
    """Train by compiled updates, where the method has any."""
    beside: tuple[int, ...] = ()
    """Other seeds that the process trains as one with this one."""

    @property
    def each(self) -> list[Job]:
        """What the process works on: this job, and the same for every seed beside it."""
        alone = replace(self, beside=())
        others = (replace(self.training, seed=seed) for seed in self.beside)
        return [alone, *(replace(alone, training=training) for training in others)]

    @property
    def shown(self) -> str:
        """The name of the method or variant in tables and messages."""
        return self.label or self.training.algorithm

    @property
    def task(self) -> str:
        """How another process finds the task (`benchmarks.datasets.custom_task.resolve_task`)."""
        return self.task_file or self.training.task

    def to_json(self) -> str:
        """One line that `from_json` reads."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Job:
        """The job that `to_json` wrote."""
        return Job.of(json.loads(text))

    @staticmethod
    def of(stored: Mapping[str, Any]) -> Job:
        """The job whose fields `to_json` writes, once they are read."""
        changed = {
            "training": Training(**stored["training"]),
            "limits": tuple(stored["limits"]),
            "trackers": tuple(stored.get("trackers", ())),
            "beside": tuple(stored.get("beside", ())),
        }
        return Job(**{**stored, **changed})
