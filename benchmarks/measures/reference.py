"""osrl as in its own examples: its models, trainers and data sets, with torch's DataLoader.

Models and trainers are those of the wrapped methods, without our accelerations. The examples use
eight loader processes. So does the comparison on a GPU; on a CPU the loader runs in the same
process, to compare one thread with one.
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

_LOADERS = 8
"""Loader processes of osrl's examples."""


def arrays(data: Trajectories) -> dict[str, Any]:
    """The data in DSRL's form: flat arrays by name, with the ends of episodes as timeouts."""
    ends = np.zeros(len(data.rewards), dtype=bool)
    ends[data.starts[1:] - 1] = True
    names = "observations", "next_observations", "actions", "rewards", "costs", "terminals"
    columns: dict[str, Any] = {name: getattr(data, name) for name in names}
    return columns | {"timeouts": ends & ~data.terminals}


def transition_set(data: Trajectories, reward_scale: float = 1.0, initial: bool = False) -> Any:
    """Osrl's `TransitionDataset` of the data."""
    return import_osrl("common.dataset").TransitionDataset(
        arrays(data), reward_scale=reward_scale, state_init=initial
    )


def sequence_set(data: Trajectories, config: Any, columns: dict[str, Any] | None = None) -> Any:
    """Osrl's `SequenceDataset` with the options of CDT, except for the augmentation.

    The augmentation needs a package that is not installed; without it osrl is faster. `columns` are
    the columns of the file, if they were already read.
    """
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        # Trajectories above the offset are never drawn, so at least one must be below it.
        offset = config.cost_sample_offset
        by_cost = bool(config.cost_sample and (data.episode_costs < offset).any())
        return import_osrl("common.dataset").SequenceDataset(
            columns or arrays(data),
            seq_len=config.seq_len,
            reward_scale=config.reward_scale,
            cost_sample=by_cost,
            cost_transform=lambda cost: offset - cost,
        )


def batches(dataset: Any, batch: int, device: str = "cpu") -> Iterator[list[torch.Tensor]]:
    """Endless batches of an osrl data set from a DataLoader.

    It works in this process beside a CPU, and in osrl's number of processes beside a GPU.
    """
    if device == "cpu":
        return iter(DataLoader(dataset, batch_size=batch))
    return iter(DataLoader(dataset, batch_size=batch, pin_memory=True, num_workers=_LOADERS))


def training(
    cls: type[WrappedAlgorithm],
    data: Trajectories,
    horizon: int,
    config: Config,
    limit: Any,
    device: str = "cpu",
) -> Workload:
    """Updates of osrl's trainer on batches of osrl's loader; ends with an idle device."""
    if not issubclass(cls, WrappedAlgorithm):
        raise UserError(f"{cls.name} has no counterpart in osrl: leave it out")
    algorithm = cls(Problem.of(data, horizon), config, limit=limit, device=device)
    _, trainer = algorithm.build_osrl()
    name = type(trainer).__name__
    if name == "CDTTrainer":
        dataset = sequence_set(data, config)
    else:
        dataset = transition_set(
            data, getattr(config, "reward_scale", 1.0), initial=name == "COptiDICETrainer"
        )
    loader = batches(dataset, config.batch, device)

    def run(updates: int) -> None:
        for _ in range(updates):
            batch = [column.to(device) for column in next(loader)]
            if name == "BCTrainer":
                trainer.train_one_step(batch[0], batch[2])
            elif name == "COptiDICETrainer":
                trainer.train_one_step(batch)
            else:
                trainer.train_one_step(*batch)
        if device != "cpu":
            torch.cuda.synchronize(device)

    return run
