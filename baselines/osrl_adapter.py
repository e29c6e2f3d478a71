"""What the wrapped baselines share: osrl's modules, imported cleanly, as methods of this suite.

osrl (Apache-2.0) brings the networks and the update rules; this suite brings the batches, the
acting and the checkpoints. osrl is imported when a method is built, not before.
"""

from __future__ import annotations

import importlib
import io
import sys
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from types import ModuleType
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from benchmarks.algorithm import Algorithm, Config, Problem
from benchmarks.errors import UserError


class LossLog:
    """All that osrl's trainers ask of a logger: it keeps the values stored last, by name."""

    def __init__(self) -> None:
        self.losses: dict[str, Tensor | float] = {}

    def store(self, tab: str | None = None, **values: Tensor | float) -> None:
        """Keep `values`; osrl's prefix "loss/" is dropped from their names."""
        self.losses |= {name.removeprefix("loss/"): value for name, value in values.items()}


def import_osrl(module: str) -> ModuleType:
    """The module `osrl.<module>`; a `UserError` where osrl or what it needs is not installed.

    `osrl.algorithms` wants two loggers of fsrl, which would import tensorboard and wandb: stand-ins
    take their place during the import, and are gone afterwards. What osrl prints is not shown.
    """
    try:
        with _fsrl_stand_in(), redirect_stdout(io.StringIO()):
            return importlib.import_module(f"osrl.{module}")
    except ModuleNotFoundError as error:
        raise UserError(
            f"this baseline needs the package {error.name}, which is not installed: "
            "install everything with `make setup`"
        ) from None


@contextmanager
def _fsrl_stand_in() -> Iterator[None]:
    if "fsrl" in sys.modules:
        yield
        return
    package, loggers = ModuleType("fsrl"), ModuleType("fsrl.utils")
    vars(loggers).update(DummyLogger=LossLog, WandbLogger=LossLog)
    sys.modules |= {"fsrl": package, "fsrl.utils": loggers}
    try:
        yield
    finally:
        del sys.modules["fsrl"], sys.modules["fsrl.utils"]


class WrappedAlgorithm(Algorithm):
    """A method whose networks and update are osrl's: subclasses build them and feed them."""

    loose_tensors: ClassVar[tuple[str, ...]] = ()
    """Attributes of the model that training changes and its `state_dict` leaves out."""

    def __init__(
        self,
        problem: Problem,
        config: Config | None = None,
        *,
        limit: float | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        config = config or self.config_class()
        super().__init__(problem, config, limit=limit, seed=seed, device=device)
        self.log = LossLog()
        with self.random():
            self.model, self.trainer = self.build()

    @abstractmethod
    def build(self) -> tuple[Any, Any]:
        """The model and the trainer of osrl; it logs to `self.log` and gets no environment."""

    def parts(self) -> dict[str, Any]:
        """The model, its loose tensors, and every optimiser and schedule of model and trainer."""
        parts = {"model": self.model}
        for owner in (self.model, self.trainer):
            for name, value in vars(owner).items():
                if isinstance(value, Optimizer | LRScheduler):
                    parts[name] = value
        return parts | {name: getattr(self.model, name) for name in self.loose_tensors}
