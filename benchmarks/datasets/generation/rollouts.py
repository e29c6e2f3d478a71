"""Data made here: shipped behaviour policies rolled out in the real simulators.

Candidates come in rounds. The first spreads preferences evenly over all snapshots. Each later round
looks for costs that few candidates have had so far, within the range of the published set, and asks
a snapshot for the preference at which the earlier rounds suggest such a cost. Only candidates whose
cost and return lie in the published range are kept, and these are thinned on a grid of cost and
return to about as many as the published set holds (DSRL, arXiv 2306.09303, section 3).
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
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from benchmarks.common.errors import UserError
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

    version: int = 3
    seed: int = 0
    candidates: int = 1536
    """Episodes rolled out, over all rounds."""
    per_round: int = 256
    """Candidates of a round."""
    cost_bins: int = 60
    """Cells of the grid between no cost and the task's maximum, as DSRL's."""
    return_bins: int = 50
    """Cells between the published least and largest return, as DSRL's."""
    most: int = 2000
    """Trajectories kept at most; fewer where the published set holds fewer."""


RECIPES = {
    "CarRun": Recipe(candidates=1280),
    "DroneRun": Recipe(candidates=2560),
    "AntRun": Recipe(candidates=2048),
    "CarCircle": Recipe(candidates=896),
    "DroneCircle": Recipe(candidates=2048),
    "AntCircle": Recipe(candidates=896),
    "PointCircle2": Recipe(candidates=1280),
    "CarCircle1": Recipe(candidates=1280),
    "CarCircle2": Recipe(candidates=1024),
}
"""Recipes of the tasks that have not the default's number of candidates.

More where the published set is larger, as far as a set is made in three minutes on two cores.
"""


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

    @property
    def cost(self) -> float:
        """Undiscounted cost of the episode."""
        return float(self.costs.sum(dtype=np.float64))

    @property
    def total_reward(self) -> float:
        """Undiscounted return of the episode."""
        return float(self.rewards.sum(dtype=np.float64))


def published_trajectories(task: Task) -> int:
    """The number of trajectories in the published set, which its file's name ends with."""
    return int(Path(task.dataset_file).stem.rpartition("-")[2])


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
    """
    recipe = recipe or recipe_of(task)
    path = generated_path(task, cache, recipe)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if path.exists():
            return path
        require_simulators(task.engine)
        rollouts = _roll_out_all(task, recipe, processes, progress)
        kept = _thin(_within_range(rollouts, task), task, recipe)
        with replacing(path) as part:
            _pack(kept).save(part, task=task.name)
    return path


def _roll_out_all(
    task: Task, recipe: Recipe, processes: int, progress: Callable[[int, int], None]
) -> list[Rollout]:
    """All candidates; those that cost more than the task's maximum are broken off there."""
    rng = np.random.default_rng(recipe.seed)
    count = len(load_snapshots(snapshot_path(task.name)))
    tried: list[Candidate] = []
    done: list[Rollout] = []
    with _pool(task, processes) as roll_out:
        while len(done) < recipe.candidates:
            size = min(recipe.per_round, recipe.candidates - len(done))
            chosen = (
                _aim(tried, done, size, task, recipe, rng) if tried else _spread(count, size, rng)
            )
            tried += chosen
            for rollout in roll_out(chosen):
                done.append(rollout)
                progress(len(done), recipe.candidates)
    return done


def _spread(snapshots: int, size: int, rng: np.random.Generator) -> list[Candidate]:
    """Candidates of the first round: all snapshots in turn, at any preference."""
    return [
        Candidate(i % snapshots, float(rng.random()), float(rng.random()), int(rng.integers(2**31)))
        for i in range(size)
    ]


def _aim(
    tried: list[Candidate],
    done: list[Rollout],
    size: int,
    task: Task,
    recipe: Recipe,
    rng: np.random.Generator,
) -> list[Candidate]:
    """Candidates whose cost, read off those that were tried, is one that few of these had.

    A cell of the cost range is drawn, the likelier the fewer candidates in the published range it
    holds, and a cost in it. A pair of candidates of one snapshot, neighbours in preference, that
    brackets this cost is then drawn among all such, and a preference between the two.
    """
    costs = np.array([rollout.cost for rollout in done])
    returns = np.array([rollout.total_reward for rollout in done])
    pairs = []
    for k in range(1 + max(candidate.snapshot for candidate in tried)):
        own = [i for i, candidate in enumerate(tried) if candidate.snapshot == k]
        own.sort(key=lambda i: tried[i].preference)
        pairs += [(k, i, j) for i, j in pairwise(own)]
    lower, upper = np.array([(i, j) for _, i, j in pairs]).T
    low, high = np.minimum(costs[lower], costs[upper]), np.maximum(costs[lower], costs[upper])
    # a broken-off candidate has a return of its own only up to there, and is not judged by it
    able = np.maximum(returns[lower], returns[upper]) >= task.min_return
    able |= high > task.max_cost
    usable = np.flatnonzero(able) if able.any() else np.arange(len(pairs))
    cells = np.linspace(0.0, task.max_cost, recipe.cost_bins + 1)
    counts, _ = np.histogram(costs[_in_range(costs, returns, task)], cells)
    wanted = 1.0 / (1.0 + counts)
    aimed = []
    for cell in rng.choice(recipe.cost_bins, size, p=wanted / wanted.sum()):
        cost = rng.uniform(cells[cell], cells[cell + 1])
        distance = np.maximum(np.maximum(low[usable] - cost, cost - high[usable]), 0.0)
        k, i, j = pairs[usable[rng.choice(np.flatnonzero(distance == distance.min()))]]
        share = rng.random()
        preference = share * tried[i].preference + (1.0 - share) * tried[j].preference
        aimed.append(Candidate(k, preference, float(rng.random()), int(rng.integers(2**31))))
    return aimed


def _in_range(
    costs: NDArray[np.float64], returns: NDArray[np.float64], task: Task
) -> NDArray[np.bool_]:
    """Which episodes the published set could hold, by their costs and returns [E]."""
    kept: NDArray[np.bool_] = costs <= task.max_cost
    return kept & (returns >= task.min_return) & (returns <= task.max_return)


def _within_range(rollouts: list[Rollout], task: Task) -> list[Rollout]:
    """The rollouts in the published range of costs and returns; an error where none is."""
    costs = np.array([rollout.cost for rollout in rollouts])
    returns = np.array([rollout.total_reward for rollout in rollouts])
    kept = np.flatnonzero(_in_range(costs, returns, task))
    if not len(kept):
        raise UserError(f"no episode of {task.name} lies in the range of the published set")
    return [rollouts[i] for i in kept]


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


def _thin(rollouts: list[Rollout], task: Task, recipe: Recipe) -> list[Rollout]:
    """About as many as the published set holds, taken from the cells of the grid in turns.

    Each turn takes one rollout, drawn at random, from every cell that still holds any.
    """
    rng = np.random.default_rng([recipe.seed, 1])

    def cell(values: list[float], low: float, high: float, bins: int) -> NDArray[np.intp]:
        return np.searchsorted(np.linspace(low, high, bins + 1)[1:-1], values, side="right")

    cells = cell([r.cost for r in rollouts], 0.0, task.max_cost, recipe.cost_bins)
    cells = cells * recipe.return_bins + cell(
        [r.total_reward for r in rollouts], task.min_return, task.max_return, recipe.return_bins
    )
    order = rng.permutation(len(rollouts))
    ranked = order[np.argsort(cells[order], kind="stable")]
    turn = np.arange(len(ranked)) - np.searchsorted(cells[ranked], cells[ranked], side="left")
    most = min(recipe.most, published_trajectories(task))
    by_turn = ranked[np.lexsort((rng.random(len(ranked)), turn))]
    return [rollouts[i] for i in sorted(by_turn[:most])]


_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Environment of a pool process: a second BLAS thread would wait in a loop, at others' cost."""

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
        with variables(common_kernels(*numpy_features()) | _ONE_THREAD):
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
    totals = np.zeros(n)
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
        totals[running] += step.costs
        going = ~(step.terminated | step.truncated | (totals[running] > task.max_cost))
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
