"""Timing of reading data and drawing batches, against osrl's data sets and torch's DataLoader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from baselines.cdt import CDTConfig
from benchmarks.datasets.sampling import TransitionSampler
from benchmarks.datasets.sequences import SequenceSampler
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.measures import reference
from benchmarks.measures.timing import Comparison, Workload, compare, repeat

_TRANSITIONS, _WINDOWS = 512, 2048
"""Batch sizes of osrl."""


def compare_loading(path: Path, *, rounds: int, seconds: float) -> list[Comparison]:
    """Compare reading the file, computing returns-to-go, both, and drawing batches."""
    config = CDTConfig()
    data = Trajectories.load(path, "speed")

    def load() -> Trajectories:
        return Trajectories.load(path, "speed")

    def sampler(data: Trajectories = data) -> SequenceSampler:
        return SequenceSampler(data, _WINDOWS, config.seq_len, reward_scale=config.reward_scale)

    def their_load() -> dict[str, Any]:
        with h5py.File(path, "r") as file:
            return {name: column[()] for name, column in file.items()}

    def next_batch(dataset: Any, batch: int) -> Workload:
        loader = reference.batches(dataset, batch)
        return repeat(lambda: next(loader))

    workloads = {
        "reading a file": (repeat(load), repeat(their_load)),
        "episodes and returns to go": (
            repeat(sampler),
            repeat(lambda: reference.sequence_set(data, config)),
        ),
        "both, from the file": (
            repeat(lambda: sampler(load())),
            repeat(lambda: reference.sequence_set(data, config, their_load())),
        ),
        f"batch of {_TRANSITIONS} transitions": (
            repeat(TransitionSampler(data, _TRANSITIONS)),
            next_batch(reference.transition_set(data), _TRANSITIONS),
        ),
        f"batch of {_WINDOWS} windows": (
            repeat(sampler()),
            next_batch(reference.sequence_set(data, config), _WINDOWS),
        ),
    }
    return [
        compare(name, ours, theirs, rounds=rounds, seconds=seconds, unit="once")
        for name, (ours, theirs) in workloads.items()
    ]
