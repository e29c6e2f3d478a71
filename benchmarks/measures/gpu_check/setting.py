"""What the stages of the check share: their arguments, their data and their sizes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.common.errors import UserError
from benchmarks.common.hardware import devices
from benchmarks.datasets.source import DataSet, choose
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.measures.synthetic import trajectories
from benchmarks.tasks.tasks import Task, find_task

TASKS = ("BallRun", "CarRun")
_EPISODES = 40
"""Episodes of made-up data."""


@dataclass(frozen=True)
class Setting:
    """What a stage is asked for."""

    device: str
    data: str
    """A data source; empty for generated data if they are there, otherwise made-up data."""
    out: Path

    @property
    def rehearsal(self) -> bool:
        """Whether only small sizes are asked for, to see that everything runs."""
        return self.device == "cpu"

    @property
    def budget(self) -> str:
        """The budget that batch sizes and networks are taken from."""
        return "quick" if self.rehearsal else "paper"

    def data_set(self, name: str) -> DataSet | None:
        """The data file of a task; None for made-up data. `UserError` if it is not there."""
        task = find_task(name)
        if not self.data and self.rehearsal:
            return None
        (found,) = choose(self.data or "generated", [task])
        if found.present:
            return found
        if self.data:
            raise UserError(f"{found.path} is missing: carry it here, or leave out --data")
        return None

    def trajectories(self, name: str) -> tuple[Trajectories, Task]:
        """The data of a task, and the task."""
        task, found = find_task(name), self.data_set(name)
        if found is None:
            return trajectories(task, _EPISODES), task
        return Trajectories.load(found.path, found.source), task


def setting(program: str, arguments: Sequence[str] | None) -> Setting:
    """The setting that a stage's command line asks for."""
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("--device", required=True)
    parser.add_argument("--data", default="")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    return Setting(devices(args.device)[0], args.data, args.out)
