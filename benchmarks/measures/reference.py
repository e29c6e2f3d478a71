"""osrl as its own examples run it: its models, trainers, data sets and torch's DataLoader.

Models and trainers are those that the wrapped methods start from, before anything is made faster.
The examples use eight loader processes; here there are none, since one thread is compared with one.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from baselines.osrl.adapter import WrappedAlgorithm, import_osrl
from benchmarks.common.errors import UserError
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.measures.timing import Workload
from benchmarks.methods.algorithm import Config, Problem


def arrays(data: Trajectories) -> dict[str, Any]:
    """The data as DSRL hands them out: flat arrays by name, in which episodes end by timeout."""
    ends = np.zeros(len(data.rewards), dtype=bool)
    ends[data.starts[1:] - 1] = True
    names = "observations", "next_observations", "actions", "rewards", "costs", "terminals"
    columns: dict[str, Any] = {name: getattr(data, name) for name in names}
    return columns | {"timeouts": ends & ~data.terminals}


def transition_set(data: Trajectories, reward_scale: float = 1.0, initial: bool = False) -> Any:
    """The `TransitionDataset` of osrl on the data."""
    return import_osrl("common.dataset").TransitionDataset(
        arrays(data), reward_scale=reward_scale, state_init=initial
    )


def sequence_set(data: Trajectories, config: Any, columns: dict[str, Any] | None = None) -> Any:
    """The `SequenceDataset` of osrl with the options of CDT, but for the augmentation.

    That one needs a package that is not installed; without it, osrl's is the faster. `columns` are
    the data as they come from a file, if they did.
    """
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        # what costs more than the offset is never drawn; the data may hold nothing else
        offset = config.cost_sample_offset
        drawn = bool(config.cost_sample and (data.episode_costs < offset).any())
        return import_osrl("common.dataset").SequenceDataset(
            columns or arrays(data),
            seq_len=config.seq_len,
            reward_scale=config.reward_scale,
            cost_sample=drawn,
            cost_transform=lambda cost: offset - cost,
        )


def batches(dataset: Any, batch: int) -> Iterator[list[torch.Tensor]]:
    """What a DataLoader in this process makes of an osrl data set, without end."""
    return iter(DataLoader(dataset, batch_size=batch))


def training(
    cls: type[WrappedAlgorithm], data: Trajectories, horizon: int, config: Config, limit: Any
) -> Workload:
    """Updates by osrl's own trainer on batches of its own loader."""
    if not issubclass(cls, WrappedAlgorithm):
        raise UserError(f"{cls.name} has no counterpart in osrl: compare it with another method")
    algorithm = cls(Problem.of(data, horizon), config, limit=limit)
    _, trainer = algorithm.build()
    name = type(trainer).__name__
    if name == "CDTTrainer":
        dataset = sequence_set(data, config)
    else:
        dataset = transition_set(
            data, getattr(config, "reward_scale", 1.0), initial=name == "COptiDICETrainer"
        )
    loader = batches(dataset, config.batch)

    def run(updates: int) -> None:
        for _ in range(updates):
            batch = next(loader)
            if name == "BCTrainer":
                trainer.train_one_step(batch[0], batch[2])
            elif name == "COptiDICETrainer":
                trainer.train_one_step(batch)
            else:
                trainer.train_one_step(*batch)

    return run
