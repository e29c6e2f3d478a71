"""What a job is, and what it hashes to: values that say everything that changes a result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import IntEnum
from functools import cached_property
from typing import Any

_RENAMED = {
    "method": "method_spec",
    "label": "variant",
    "acting": "eval_options",
    "together": "seeds_per_job",
    "beside": "stacked_seeds",
}
"""Fields of `Job` by the names that earlier versions wrote into plan.json."""
_REMOVED = ("compiled",)
"""Fields of earlier versions that have no counterpart."""


class ExitStatus(IntEnum):
    """The exit status of a job's process."""

    DONE = 0
    FAILED = 1
    STOPPED = 3
    """The process was asked to stop and has saved its progress."""
    BUSY = 4
    """Another process works on this run."""
    NO_SPACE = 5
    """The disk is full or no longer writable, or its file system gives no locks."""
    OUT_OF_MEMORY = 6
    """The machine or a GPU ran out of memory; the job may succeed with fewer neighbours."""


def joined_code(method: str, task: str) -> str:
    """The identity of a plugin's code and of a user's task, either of which may be empty."""
    return "+".join(code for code in (method, task) if code)


@dataclass(frozen=True)
class Training:
    """One training: a method on a data set with a seed, for one cost limit or for all."""

    algorithm: str
    """The method's name."""
    code: str
    """sha256 of the user's own files that take part (see `joined_code`); empty for none."""
    config: dict[str, Any]
    """The options that the training depends on."""
    task: str
    checksum: str
    """sha256 of the data file."""
    seed: int
    limit: float | None
    """The cost limit trained for; None where one training serves all limits."""
    updates: int

    @cached_property
    def key(self) -> str:
        """sha256 of the fields: equal trainings have equal keys on every machine."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training and the limits at which its policy is evaluated: the work of one process.

    Only `training`, `limits`, `episodes` and `eval_options` change a result. The other fields say
    where and how the job runs.
    """

    training: Training
    limits: tuple[float, ...]
    episodes: int
    method_spec: str
    """Finds the method in another process (`benchmarks.methods.registry.find_method`)."""
    data: str
    """Path of the data file."""
    source: str
    """Name of the data source, as tables show it."""
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
    evaluate_every: int = 0
    """Updates between two evaluations during the training; 0 for none."""
    trackers: tuple[str, ...] = ()
    """Where losses are logged besides losses.csv (`benchmarks.runs.trackers`)."""
    command: str = ""
    """The command that asked for the job, kept as provenance."""
    variant: str = ""
    """Name of the variant in tables; empty for the method itself."""
    eval_options: dict[str, Any] = field(default_factory=dict)
    """The options used only at evaluation."""
    seeds_per_job: int = 1
    """Most seeds that one process may train as one (`benchmarks.methods.stacking`)."""
    cuda_graphs: bool = False
    """On a GPU, replay the updates of `capturable` methods as CUDA graphs."""
    stacked_seeds: tuple[int, ...] = ()
    """Further seeds that this process trains as one with `training.seed`."""

    @property
    def per_seed(self) -> list[Job]:
        """The same job once a seed: `training.seed` and each of `stacked_seeds`."""
        single = replace(self, stacked_seeds=())
        trainings = (replace(self.training, seed=seed) for seed in self.stacked_seeds)
        return [single, *(replace(single, training=training) for training in trainings)]

    @property
    def display_name(self) -> str:
        """Name of the method or variant in tables and messages."""
        return self.variant or self.training.algorithm

    @property
    def task(self) -> str:
        """Finds the task in another process (`benchmarks.datasets.custom_task.resolve_task`)."""
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
        """The job whose fields are `stored`, also under the names of earlier versions."""
        values = {_RENAMED.get(k, k): value for k, value in stored.items() if k not in _REMOVED}
        values["training"] = Training(**values["training"])
        for name in ("limits", "trackers", "stacked_seeds"):
            values[name] = tuple(values.get(name, ()))
        return Job(**values)
