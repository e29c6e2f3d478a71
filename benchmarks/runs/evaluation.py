"""Evaluation of a policy: all episodes of all limits advance in step, as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import torch

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
    `simulators` are used instead of new ones and stay open.
    """
    if simulators is not None and (
        simulators.task != task or simulators.count < len(limits) * episodes
    ):
        raise ValueError(
            f"the evaluation needs {len(limits) * episodes} simulators of {task.name}, "
            f"got {simulators.count} of {simulators.task.name}"
        )
    limit = np.repeat(np.asarray(limits, dtype=np.float64), episodes)
    number = np.tile(np.arange(episodes), len(limits))
    starts = np.random.SeedSequence(seed).generate_state(episodes)
    device = algorithm.device
    policy = algorithm.policy(torch.as_tensor(limit, dtype=torch.float32, device=device))
    totals, lengths = np.zeros((2, len(limit))), np.zeros(len(limit), dtype=int)
    running = np.arange(len(limit))
    opened = (
        Lockstep(task, len(limit), processes) if simulators is None else nullcontext(simulators)
    )
    with opened as vector:
        observations = vector.reset([int(starts[k]) for k in number], running)
        while len(running):
            rows = torch.as_tensor(running, device=device)
            actions = policy.act(torch.as_tensor(observations, device=device), rows)
            step = vector.step(actions.clamp(-1.0, 1.0).cpu().numpy(), running)
            totals[:, running] += step.rewards, step.costs
            lengths[running] += 1
            policy.observe(
                torch.as_tensor(step.rewards, dtype=torch.float32, device=device),
                torch.as_tensor(step.costs, dtype=torch.float32, device=device),
                rows,
            )
            continues = ~(step.terminated | step.truncated)
            running, observations = running[continues], step.observations[continues]
    columns = zip(limit.tolist(), number.tolist(), *totals.tolist(), lengths.tolist(), strict=True)
    return [Episode(*values) for values in columns]
