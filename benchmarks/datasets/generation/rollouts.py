"""Data made here: shipped behaviour policies rolled out in the real simulators.

Candidates come in two rounds. The first spreads preferences evenly over all snapshots; the second
asks each snapshot for the preferences at which the first round suggests a cost drawn evenly from
the task's range, so that no part of the range is left bare. All candidates are then thinned on a
grid of cost and return, as the published sets were.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from benchmarks.common.files import replacing
from benchmarks.common.os_env import variables
from benchmarks.datasets.generation.kernels import common_kernels, numpy_features
from benchmarks.datasets.generation.policies import (
    Snapshot,
    load_snapshots,
    snapshot_checksum,
    snapshot_path,
)
from benchmarks.datasets.generation.views import view_of
from benchmarks.datasets.trajectories import Floats, Trajectories
from benchmarks.simulators.simulator import require_simulators
from benchmarks.simulators.vector import Lockstep
from benchmarks.tasks.tasks import Task

_TOGETHER = 16
"""Episodes that a process advances in lockstep; part of what the data depend on."""


@dataclass(frozen=True)
class Recipe:
    """What a generated set depends on besides the snapshots; a change makes a new file."""

    version: int = 2
    seed: int = 0
    even: int = 400
    """Candidates of the first round."""
    aimed: int = 600
    """Candidates of the second round."""
    cost_bins: int = 40
    return_bins: int = 40
    per_cell: int = 6
    """Trajectories kept in a cell of the grid."""
    beyond: float = 1.1
    """The second round aims at costs up to this multiple of the task's maximum cost."""


_SMALLER = Recipe(even=256, aimed=384, per_cell=10)
RECIPES = {
    "CarRun": _SMALLER,
    "DroneRun": _SMALLER,
    "CarCircle": Recipe(even=320, aimed=480),
    "AntCircle": replace(_SMALLER, per_cell=14),
}
"""Recipes of the tasks whose simulators take longest, where they are not the default."""


def recipe_of(task: Task) -> Recipe:
    """The recipe that the set of `task` is made by unless told otherwise."""
    return RECIPES.get(task.name, Recipe())


class Candidate(NamedTuple):
    """One episode to roll out."""

    snapshot: int
    preference: float
    noise: float
    """Scale of the exploration noise: 0 is the mean action, 1 the policy as it was trained."""
    seed: int


class Rollout(NamedTuple):
    """One episode as it went: observations [T + 1, o], actions [T, a], rewards and costs [T]."""

    observations: Floats
    actions: Floats
    rewards: Floats
    costs: Floats
    terminated: bool


def generated_path(task: Task, cache: Path, recipe: Recipe | None = None) -> Path:
    """Where the set of `task` lies in the cache: the name tells recipe and snapshots."""
    facts = [asdict(recipe or recipe_of(task)), snapshot_checksum(task.name), _TOGETHER]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return cache / "generated" / f"{task.name}-{digest[:12]}.hdf5"


def generate(
    task: Task,
    cache: Path,
    *,
    processes: int,
    recipe: Recipe | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """The generated set of `task` as a DSRL file in `cache`, made if it is not there yet.

    The file is the same whatever `processes` is. `progress` is told the candidates done and due.
    The file's attributes hold the range of its returns, for normalising.
    """
    recipe = recipe or recipe_of(task)
    path = generated_path(task, cache, recipe)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if path.exists():
            return path
        require_simulators(task.engine)
        rollouts = _roll_out_all(task, recipe, processes, progress)
        data = _thin(_pack(rollouts), recipe)
        returns = data.returns
        with replacing(path) as part:
            data.save(part, task=task.name, min_return=returns.min(), max_return=returns.max())
    return path


def _roll_out_all(
    task: Task, recipe: Recipe, processes: int, progress: Callable[[int, int], None]
) -> list[Rollout]:
    rng = np.random.default_rng(recipe.seed)
    count = len(load_snapshots(snapshot_path(task.name)))
    total = recipe.even + recipe.aimed
    first = [
        Candidate(i % count, float(rng.random()), float(rng.random()), int(rng.integers(2**31)))
        for i in range(recipe.even)
    ]
    done: list[Rollout] = []
    with _pool(task, processes) as roll_out:
        for rollout in roll_out(first):
            done.append(rollout)
            progress(len(done), total)
        costs = np.array([float(rollout.costs.sum()) for rollout in done])
        for rollout in roll_out(_aim(first, costs, task, recipe, rng)):
            done.append(rollout)
            progress(len(done), total)
    return done


def _aim(
    first: list[Candidate],
    costs: NDArray[np.float64],
    task: Task,
    recipe: Recipe,
    rng: np.random.Generator,
) -> list[Candidate]:
    """Candidates whose cost, read off the first round, is spread evenly over the task's range.

    For a cost drawn at random, a neighbouring pair (in preference) of first-round episodes of one
    snapshot that brackets it is chosen at random, and a preference between the two taken.
    """
    pairs = []
    for k in range(1 + max(candidate.snapshot for candidate in first)):
        own = [i for i, candidate in enumerate(first) if candidate.snapshot == k]
        own.sort(key=lambda i: first[i].preference)
        pairs += [(k, i, j) for i, j in pairwise(own)]
    low = np.array([min(costs[i], costs[j]) for _, i, j in pairs])
    high = np.array([max(costs[i], costs[j]) for _, i, j in pairs])
    aimed = []
    for _ in range(recipe.aimed):
        cost = recipe.beyond * task.max_cost * rng.random()
        distance = np.maximum(np.maximum(low - cost, cost - high), 0.0)
        k, i, j = pairs[rng.choice(np.flatnonzero(distance == distance.min()))]
        share = rng.random()
        preference = share * first[i].preference + (1.0 - share) * first[j].preference
        aimed.append(Candidate(k, preference, float(rng.random()), int(rng.integers(2**31))))
    return aimed


def _pack(rollouts: list[Rollout]) -> Trajectories:
    ends = [np.arange(1, len(r.rewards) + 1) == len(r.rewards) for r in rollouts]
    terminals = [end & r.terminated for end, r in zip(ends, rollouts, strict=True)]
    return Trajectories.from_arrays(
        np.concatenate([r.observations[:-1] for r in rollouts]),
        np.concatenate([r.actions for r in rollouts]),
        np.concatenate([r.rewards for r in rollouts]),
        np.concatenate([r.costs for r in rollouts]),
        np.concatenate(terminals),
        np.concatenate(ends),
        np.concatenate([r.observations[1:] for r in rollouts]),
        source="generated",
    )


def _thin(data: Trajectories, recipe: Recipe) -> Trajectories:
    """At most `per_cell` trajectories, drawn at random, in each cell of the grid."""
    rng = np.random.default_rng([recipe.seed, 1])

    def cell(values: NDArray[np.float64], bins: int) -> NDArray[np.intp]:
        edges = np.linspace(values.min(), values.max(), bins + 1)[1:-1]
        return np.searchsorted(edges, values, side="right")

    cells = cell(data.episode_costs, recipe.cost_bins) * recipe.return_bins
    cells = cells + cell(data.returns, recipe.return_bins)
    order = rng.permutation(len(data))
    ranked = order[np.argsort(cells[order], kind="stable")]
    first_of_cell = np.searchsorted(cells[ranked], cells[ranked], side="left")
    keep = ranked[np.arange(len(ranked)) - first_of_cell < recipe.per_cell]
    return data.select(np.sort(keep))


_worker: tuple[list[Snapshot], Lockstep]
"""A pool process's own policies and simulators."""


@contextmanager
def _pool(task: Task, processes: int) -> Iterator[Callable[[list[Candidate]], Iterator[Rollout]]]:
    """A function that rolls out candidates in order, `processes` groups at a time."""
    context = multiprocessing.get_context("spawn")
    start = task, snapshot_path(task.name)
    pool = ProcessPoolExecutor(processes, context, initializer=_start_worker, initargs=start)

    def roll_out(candidates: list[Candidate]) -> Iterator[Rollout]:
        groups = [candidates[i : i + _TOGETHER] for i in range(0, len(candidates), _TOGETHER)]
        for rollouts in pool.map(_roll_out_group, groups):
            yield from rollouts

    try:
        with variables(common_kernels(*numpy_features())):
            yield roll_out
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(task: Task, snapshots: Path) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the pool
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = (load_snapshots(snapshots), Lockstep(task, _TOGETHER))


def _end_with_parent() -> None:
    """End this process when its parent is killed: a pool's own would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _roll_out_group(candidates: list[Candidate]) -> list[Rollout]:
    snapshots, simulators = _worker
    task, n = simulators.task, len(candidates)
    view = view_of(task.name)
    policies = Snapshot.stack([snapshots[candidate.snapshot] for candidate in candidates])
    preferences = np.array([candidate.preference for candidate in candidates])
    noise = np.stack(
        [
            one.noise
            * np.random.default_rng([one.seed, 1]).standard_normal((task.horizon, task.action_dim))
            for one in candidates
        ]
    )
    seen = np.zeros((n, task.horizon + 1, task.observation_dim), dtype=np.float32)
    acted = np.zeros((n, task.horizon, task.action_dim), dtype=np.float32)
    received = np.zeros((n, task.horizon, 2), dtype=np.float32)
    lengths, terminated = np.zeros(n, dtype=int), np.zeros(n, dtype=bool)
    running = np.arange(n)
    seen[:, 0] = simulators.reset([candidate.seed for candidate in candidates], running)
    for t in range(task.horizon):
        views = view(seen[running, t].astype(np.float64))  # doubles: see `Snapshot`
        acted[running, t] = policies.act(views, preferences[running], noise[running, t])
        step = simulators.step(acted[running, t], running)
        seen[running, t + 1] = step.observations
        received[running, t, 0], received[running, t, 1] = step.rewards, step.costs
        lengths[running] += 1
        terminated[running] = step.terminated
        going = ~(step.terminated | step.truncated)
        if not going.all():
            running = running[going]
            if not len(running):
                break
            policies = policies.rows(np.flatnonzero(going))
    return [
        Rollout(
            seen[i, : lengths[i] + 1].copy(),
            acted[i, : lengths[i]].copy(),
            received[i, : lengths[i], 0].copy(),
            received[i, : lengths[i], 1].copy(),
            bool(terminated[i]),
        )
        for i in range(n)
    ]
