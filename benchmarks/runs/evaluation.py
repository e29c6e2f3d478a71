"""Evaluation of a policy: all episodes of all limits advance in step, as memory allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.methods.algorithm import Algorithm
from benchmarks.simulators.vector import Lockstep
from benchmarks.tasks.tasks import Task


class Episode(NamedTuple):
    """One evaluated episode, not normalised."""

    limit: float
    episode: int
    episode_return: float
    episode_cost: float
    length: int

    @property
    def finite(self) -> bool:
        """Whether its return and cost are numbers to rank by."""
        return math.isfinite(self.episode_return) and math.isfinite(self.episode_cost)


def evaluate(
    algorithm: Algorithm,
    task: Task,
    limits: Sequence[float],
    episodes: int,
    *,
    seed: int,
    processes: int = 0,
    simulators: Lockstep | None = None,
) -> list[Episode]:
    """Roll out `algorithm` for `episodes` episodes at each of `limits`.

    Episode k starts from the same state at every limit and for every method: its simulator seed is
    drawn from (`seed`, k). The number of `processes` of the simulators changes no result. Given
    `simulators` are used instead of new ones and stay open. Episodes for whose simulators there is
    no memory follow in further batches. Raises `FloatingPointError` for actions that are no numbers
    and `UserError` for what a simulator must not return.
    """
    if simulators is not None and simulators.task != task:
        raise ValueError(
            f"the evaluation needs simulators of {task.name}, not of {simulators.task.name}"
        )
    limit = np.repeat(np.asarray(limits, dtype=np.float64), episodes)
    number = np.tile(np.arange(episodes), len(limits))
    starts = episode_seeds(seed, episodes)
    seeds = [starts[k] for k in number]
    totals, lengths = np.zeros((2, len(limit))), np.zeros(len(limit), dtype=int)
    opened = (
        Lockstep(task, len(limit), processes) if simulators is None else nullcontext(simulators)
    )
    with opened as vector:
        done = 0
        while done < len(limit):
            done += _play(algorithm, vector, limit, seeds, done, totals, lengths)
    columns = zip(limit.tolist(), number.tolist(), *totals.tolist(), lengths.tolist(), strict=True)
    return [Episode(*values) for values in columns]


def episode_seeds(seed: int, episodes: int) -> list[int]:
    """The simulator's seed of each episode of an evaluation."""
    return [int(start) for start in np.random.SeedSequence(seed).generate_state(episodes)]


def _play(
    algorithm: Algorithm,
    vector: Lockstep,
    limit: NDArray[np.float64],
    seeds: Sequence[int],
    first: int,
    totals: NDArray[np.float64],
    lengths: NDArray[np.int64],
) -> int:
    """Play as many episodes from number `first` on as memory allows; return how many.

    The last bit of an action may depend on its place in the batch of the policy. So the policy gets
    the episodes of other batches as well, as long as episodes may last, with observations that
    stand for theirs.
    """
    device = algorithm.device
    policy = algorithm.policy(torch.as_tensor(limit, dtype=torch.float32, device=device))
    begun = vector.reset_fitting(seeds[first:])
    count = len(begun)
    batch = np.arange(first, first + count)
    observations = np.zeros((len(limit), begun.shape[1]), dtype=np.float32)
    observations[batch] = begun
    rewards, costs = np.zeros((2, len(limit)))
    running = batch
    others = np.setdiff1d(np.arange(len(limit)), batch)
    while len(running):
        acting = np.sort(np.concatenate([running, others]))
        rows = torch.as_tensor(acting, device=device)
        actions = policy.act(torch.as_tensor(observations[acting], device=device), rows)
        ours = np.searchsorted(acting, running)
        chosen = _checked(actions, len(acting), vector.task)[ours]
        if not np.isfinite(chosen).all():
            bad = running[~np.isfinite(chosen).all(axis=1)][0]
            raise FloatingPointError(
                f"an action is NaN or infinite at step {lengths[bad] + 1} of an episode at limit "
                f"{limit[bad]:g}"
            )
        step = vector.step(chosen, running - first)
        totals[:, running] += step.rewards, step.costs
        lengths[running] += 1
        rewards[running], costs[running] = step.rewards, step.costs
        policy.observe(
            torch.as_tensor(rewards[acting], dtype=torch.float32, device=device),
            torch.as_tensor(costs[acting], dtype=torch.float32, device=device),
            rows,
        )
        observations[running] = step.observations
        running = running[~(step.terminated | step.truncated)]
    return count


def _checked(actions: torch.Tensor, count: int, task: Task) -> NDArray[np.float32]:
    """Actions as the simulators take them; `ValueError` for those of another shape."""
    if tuple(actions.shape) != (count, task.action_dim):
        raise ValueError(
            f"the policy's actions have shape {tuple(actions.shape)} where the observations ask "
            f"for {(count, task.action_dim)}"
        )
    values: NDArray[np.float32] = actions.clamp(-1.0, 1.0).cpu().numpy()
    return values
