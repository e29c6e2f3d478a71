"""Trains behaviour policies and writes their learning curve, checkpoint and snapshots."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.datasets.generation.policies import save_snapshots
from benchmarks.datasets.generation.ppo import STEPS, train_behaviour
from benchmarks.tasks.tasks import Task

Episode = tuple[float, float, float]
"""Preference, return and cost of a training episode."""
_PREFERENCES = ("0-0.2", "0.2-0.4", "0.4-0.6", "0.6-0.8", "0.8-1")


def train_and_save(task: Task, steps: int | None, folder: Path, seed: int) -> tuple[int, Path]:
    """Train on one thread, with a progress bar; resume an earlier training.

    `steps` None is the number of the shipped policies. Writes TASK.csv, TASK.pt and TASK.npz in
    `folder`; returns the number of snapshots and the path of the last.
    """
    name = task.name
    steps = STEPS.get(name, 1_000_000) if steps is None else steps
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    recent: list[Episode] = []
    with (
        (folder / f"{name}.csv").open("a", buffering=1) as file,
        tqdm(total=steps, unit=" steps", mininterval=2.0) as bar,
    ):
        curve = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            curve.writerow(["steps", *(f"return@cost at preference {p}" for p in _PREFERENCES)])

        def report(done: int, episodes: list[Episode]) -> None:
            recent.extend(episodes)
            del recent[:-200]
            curve.writerow([done, *frontier(episodes)])
            bar.update(done - bar.n)
            bar.set_postfix_str(" ".join(frontier(recent)), refresh=False)

        checkpoint = folder / f"{name}.pt"
        snapshots = train_behaviour(task, steps, checkpoint, seed=seed, report=report)
    path = folder / f"{name}.npz"
    save_snapshots(path, snapshots)
    return len(snapshots), path


def frontier(episodes: Sequence[Episode]) -> list[str]:
    """Mean return@cost in five ranges of preference, from reward-seeking to safe."""
    table = np.array(episodes).reshape(-1, 3)
    parts = []
    for low, high in pairwise(np.linspace(0.0, 1.0, len(_PREFERENCES) + 1)):
        rows = table[(table[:, 0] >= low) & (table[:, 0] < high)]
        parts.append(f"{rows[:, 1].mean():.4g}@{rows[:, 2].mean():.4g}" if len(rows) else "-")
    return parts
