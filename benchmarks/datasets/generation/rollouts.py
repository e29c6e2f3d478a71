"""Generates data sets: rolls out the shipped behaviour policies in the real simulators.

Episodes ("candidates") are rolled out in rounds. The first spreads preferences evenly over all
snapshots. Each later round aims at costs that few candidates have had so far, within the range of
the published set: it interpolates the preference at which a snapshot should have such a cost. Only
candidates with cost and return in the published range are kept, and these are thinned on a grid of
cost and return to about the size of the published set (DSRL, arXiv 2306.09303, section 3).
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
from numpy.typing import NDArray

from benchmarks.common.errors import UserError
from benchmarks.common.files import replacing
from benchmarks.common.locks import waiting_lock
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

_BATCH = 16
"""Episodes that a process advances in step; the data depend on it."""


@dataclass(frozen=True)
class Recipe:
    """The settings of a generated set, which enter its file name."""

    version: int = 3
    seed: int = 0
    candidates: int = 1536
    """Number of episodes over all rounds."""
    per_round: int = 256
    """Number of episodes in a round."""
    cost_bins: int = 60
    """Cells of the grid between 0 and the task's maximum cost, as in DSRL."""
    return_bins: int = 50
    """Cells between the published minimum and maximum return, as in DSRL."""
    most: int = 2000
    """Maximum number of trajectories; the size of the published set if that is smaller."""


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
"""Recipes of the tasks that do not use the default number of candidates.

Larger published sets get more, as long as generation takes at most three minutes on two cores.
"""


def recipe_of(task: Task) -> Recipe:
    """The default recipe of `task`."""
    return RECIPES.get(task.name, Recipe())


def generation_seconds(task: Task) -> float:
    """Estimated time that generating the set of `task` takes on one core."""
    return task.simulation_seconds(recipe_of(task).candidates)


class Candidate(NamedTuple):
    """One episode to roll out."""

    snapshot: int
    preference: float
    noise: float
    """Scale of the exploration noise: 0 is the mean action, 1 the trained policy's own noise."""
    seed: int


class Rollout(NamedTuple):
    """One episode: observations [T + 1, o], actions [T, a], rewards and costs [T]."""

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
    """The number of trajectories in the published set, from the end of its file name."""
    return int(Path(task.dataset_file).stem.rpartition("-")[2])


def generated_path(task: Task, cache: Path, recipe: Recipe | None = None) -> Path:
    """Path of the set of `task` in the cache; the name includes a hash of recipe and snapshots."""
    facts = [asdict(recipe or recipe_of(task)), snapshot_checksum(task.name), _BATCH]
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
    """Generate the set of `task` as a DSRL file in `cache`, unless it exists; return its path.

    The number of `processes` does not change the file. `progress` receives the candidates done and
    in all.
    """
    recipe = recipe or recipe_of(task)
    path = generated_path(task, cache, recipe)
    path.parent.mkdir(parents=True, exist_ok=True)
    with waiting_lock(Path(f"{path}.lock"), f"makes {path.name}"):
        if path.exists():
            return path
        require_simulators(task.engine)
        rollouts = _roll_out_all(task, recipe, processes, progress)
        selected = _thin(_within_range(rollouts, task), task, recipe)
        with replacing(path) as part:
            _pack(selected).save(part, task=task.name)
    return path


def _roll_out_all(
    task: Task, recipe: Recipe, processes: int, progress: Callable[[int, int], None]
) -> list[Rollout]:
    """Roll out all candidates; an episode is cut off where it exceeds the task's maximum cost."""
    rng = np.random.default_rng(recipe.seed)
    count = len(load_snapshots(snapshot_path(task.name)))
    candidates: list[Candidate] = []
    done: list[Rollout] = []
    with _pool(task, processes) as roll_out:
        while len(done) < recipe.candidates:
            size = min(recipe.per_round, recipe.candidates - len(done))
            if candidates:
                batch = _aim(candidates, done, size, task, recipe, rng)
            else:
                batch = _spread(count, size, rng)
            candidates += batch
            for rollout in roll_out(batch):
                done.append(rollout)
                progress(len(done), recipe.candidates)
    return done


def _spread(snapshots: int, size: int, rng: np.random.Generator) -> list[Candidate]:
    """Candidates of the first round: all snapshots in turn, at uniform preferences."""
    return [
        Candidate(i % snapshots, float(rng.random()), float(rng.random()), int(rng.integers(2**31)))
        for i in range(size)
    ]


def _aim(
    earlier: list[Candidate],
    done: list[Rollout],
    size: int,
    task: Task,
    recipe: Recipe,
    rng: np.random.Generator,
) -> list[Candidate]:
    """Candidates that should have costs which few of the `earlier` candidates had.

    For each, a cell of the cost range is drawn, more often if it holds fewer earlier candidates in
    the published range, and a cost in it. Then a pair of candidates of one snapshot,
    adjacent in preference, is drawn whose costs bracket this cost, and a preference between them.
    """
    costs = np.array([rollout.cost for rollout in done])
    returns = np.array([rollout.total_reward for rollout in done])
    pairs = []
    for k in range(1 + max(candidate.snapshot for candidate in earlier)):
        of_snapshot = [i for i, candidate in enumerate(earlier) if candidate.snapshot == k]
        of_snapshot.sort(key=lambda i: earlier[i].preference)
        pairs += [(k, i, j) for i, j in pairwise(of_snapshot)]
    lower, upper = np.array([(i, j) for _, i, j in pairs]).T
    low, high = np.minimum(costs[lower], costs[upper]), np.maximum(costs[lower], costs[upper])
    # The return of an episode that was cut off is incomplete, so its pair counts as skilled.
    skilled = np.maximum(returns[lower], returns[upper]) >= task.min_return
    skilled |= high > task.max_cost
    usable = np.flatnonzero(skilled) if skilled.any() else np.arange(len(pairs))
    cells = np.linspace(0.0, task.max_cost, recipe.cost_bins + 1)
    counts, _ = np.histogram(costs[_in_range(costs, returns, task)], cells)
    weights = 1.0 / (1.0 + counts)
    candidates = []
    for cell in rng.choice(recipe.cost_bins, size, p=weights / weights.sum()):
        cost = rng.uniform(cells[cell], cells[cell + 1])
        distance = np.maximum(np.maximum(low[usable] - cost, cost - high[usable]), 0.0)
        k, i, j = pairs[usable[rng.choice(np.flatnonzero(distance == distance.min()))]]
        share = rng.random()
        preference = share * earlier[i].preference + (1.0 - share) * earlier[j].preference
        candidates.append(Candidate(k, preference, float(rng.random()), int(rng.integers(2**31))))
    return candidates


def _in_range(
    costs: NDArray[np.float64], returns: NDArray[np.float64], task: Task
) -> NDArray[np.bool_]:
    """Which episodes, by costs and returns [E], lie in the published range."""
    affordable: NDArray[np.bool_] = costs <= task.max_cost
    return affordable & (returns >= task.min_return) & (returns <= task.max_return)


def _within_range(rollouts: list[Rollout], task: Task) -> list[Rollout]:
    """The rollouts in the published range of costs and returns; `UserError` if there is none."""
    costs = np.array([rollout.cost for rollout in rollouts])
    returns = np.array([rollout.total_reward for rollout in rollouts])
    indices = np.flatnonzero(_in_range(costs, returns, task))
    if not len(indices):
        raise UserError(
            f"no episode of {task.name} lies in the range of the published set: train its "
            "behaviour policy for longer"
        )
    return [rollouts[i] for i in indices]


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
    """Thin the rollouts to at most the size of the published set, evenly over the grid's cells.

    In turns, one random rollout is taken from every cell that is not empty yet.
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
"""The policies and simulators of a pool process."""


@contextmanager
def _pool(task: Task, processes: int) -> Iterator[Callable[[list[Candidate]], Iterator[Rollout]]]:
    """Open a pool of processes; yield a function that rolls out candidates in order."""
    context = multiprocessing.get_context("spawn")
    start = task, snapshot_path(task.name)
    try:
        pool = ProcessPoolExecutor(processes, context, initializer=_start_worker, initargs=start)
    except OSError as error:  # its locks lie in shared memory
        raise UserError(
            f"cannot start processes that make data ({error.strerror or error}): they need shared "
            "memory, /dev/shm; in a container, give it some (docker run --shm-size=1g)"
        ) from None

    def roll_out(candidates: list[Candidate]) -> Iterator[Rollout]:
        groups = [candidates[i : i + _BATCH] for i in range(0, len(candidates), _BATCH)]
        for rollouts in pool.map(_roll_out_group, groups):
            yield from rollouts

    try:
        with variables(common_kernels(*numpy_features()) | _ONE_THREAD):
            yield roll_out
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(task: Task, snapshots: Path) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C stops the parent, which stops the pool
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    _worker = (load_snapshots(snapshots), Lockstep(task, _BATCH))


def _exit_with_parent() -> None:
    """Exit when the parent is killed; a pool process would otherwise wait for work for ever."""
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
            c.noise
            * np.random.default_rng([c.seed, 1]).standard_normal((task.horizon, task.action_dim))
            for c in candidates
        ]
    )
    observations = np.zeros((n, task.horizon + 1, task.observation_dim), dtype=np.float32)
    actions = np.zeros((n, task.horizon, task.action_dim), dtype=np.float32)
    rewards_costs = np.zeros((n, task.horizon, 2), dtype=np.float32)
    lengths, terminated = np.zeros(n, dtype=int), np.zeros(n, dtype=bool)
    totals = np.zeros(n)
    running = np.arange(n)
    observations[:, 0] = simulators.reset([candidate.seed for candidate in candidates], running)
    for t in range(task.horizon):
        features = view(observations[running, t].astype(np.float64))  # doubles: see `Snapshot`
        actions[running, t] = policies.act(features, preferences[running], noise[running, t])
        step = simulators.step(actions[running, t], running)
        observations[running, t + 1] = step.observations
        rewards_costs[running, t, 0], rewards_costs[running, t, 1] = step.rewards, step.costs
        lengths[running] += 1
        terminated[running] = step.terminated
        totals[running] += step.costs
        continues = ~(step.terminated | step.truncated | (totals[running] > task.max_cost))
        if not continues.all():
            running = running[continues]
            if not len(running):
                break
            policies = policies.rows(np.flatnonzero(continues))
    return [
        Rollout(
            observations[i, : lengths[i] + 1].copy(),
            actions[i, : lengths[i]].copy(),
            rewards_costs[i, : lengths[i], 0].copy(),
            rewards_costs[i, : lengths[i], 1].copy(),
            bool(terminated[i]),
        )
        for i in range(n)
    ]
