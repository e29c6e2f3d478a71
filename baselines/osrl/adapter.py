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
from dataclasses import dataclass
from operator import attrgetter
from types import ModuleType
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from baselines.osrl.acceleration import accelerate
from benchmarks.common.errors import UserError
from benchmarks.datasets.sampling import TransitionSampler
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Algorithm, Config, Problem


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
    """Tensors of the model, by dotted name, that training changes and `state_dict` leaves out."""

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
        accelerate(self.model, self.model, self.trainer)

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
        return parts | {name: attrgetter(name)(self.model) for name in self.loose_tensors}


@dataclass(frozen=True)
class TransitionConfig(Config):
    """Options of every method that learns from transitions."""

    batch: int = 512
    actor_lr: float = 1e-3
    critic_lr: float = 1e-3
    hidden: int = 256
    """Width of the hidden layers of actor and critics."""
    hidden_layers: int = 2
    gamma: float = 0.99
    reward_scale: float = 0.1


class TransitionAlgorithm(WrappedAlgorithm):
    """A method that learns from transitions, trained for one limit."""

    conditions_on_limit = False
    config: TransitionConfig

    def model_options(self) -> dict[str, Any]:
        """What all of osrl's models of this kind ask for, by osrl's names."""
        c = self.config
        return {
            "state_dim": self.problem.observation_dim,
            "action_dim": self.problem.action_dim,
            "max_action": 1.0,
            "a_hidden_sizes": [c.hidden] * c.hidden_layers,
            "c_hidden_sizes": [c.hidden] * c.hidden_layers,
            "gamma": c.gamma,
            "cost_limit": self.limit,
            "episode_len": self.problem.horizon,
            "device": str(self.device),
        }

    def trainer_options(self) -> dict[str, Any]:
        """What all of osrl's trainers of this kind ask for, by osrl's names."""
        c = self.config
        return {
            "env": None,
            "logger": self.log,
            "actor_lr": c.actor_lr,
            "critic_lr": c.critic_lr,
            "reward_scale": c.reward_scale,
            "device": str(self.device),
        }

    def prepare(self, data: Trajectories) -> None:
        """Put the transitions on the device."""
        c = self.config
        self.sampler = TransitionSampler(data, c.batch, self.device, reward_scale=c.reward_scale)

    def update(self) -> dict[str, Tensor | float]:
        """One step of osrl's trainer, on one batch."""
        self.trainer.train_one_step(*self.sampler()[:6])  # the columns of osrl's own batches
        return self.log.losses


@dataclass(frozen=True)
class VAEConfig(TransitionConfig):
    """Options of every method that models the data's actions by a VAE."""

    vae_lr: float = 1e-3
    vae_hidden: int = 400
    """Width of the VAE's hidden layers."""
    sample_action_num: int = 10
    """Actions drawn at each state: for a target's maximum, or to find those unlike the data's."""
    tau: float = 0.005
    """Share of the networks that enters their targets at each update."""
    beta: float = 0.5
    """Weight of the divergence in the VAE's loss."""
    num_q: int = 2
    num_qc: int = 2


class VAEAlgorithm(TransitionAlgorithm):
    """A method with ensembles of critics, their targets, and a VAE of the data's actions."""

    config: VAEConfig

    def model_options(self) -> dict[str, Any]:
        """Those of all, and those of the VAE, the targets and the ensembles."""
        c = self.config
        return super().model_options() | {
            "vae_hidden_sizes": c.vae_hidden,
            "sample_action_num": c.sample_action_num,
            "tau": c.tau,
            "beta": c.beta,
            "num_q": c.num_q,
            "num_qc": c.num_qc,
        }

    def trainer_options(self) -> dict[str, Any]:
        """Those of all, and the VAE's rate."""
        return super().trainer_options() | {"vae_lr": self.config.vae_lr}


@dataclass(frozen=True)
class LagrangianConfig(VAEConfig):
    """Options of the methods with a Lagrange multiplier set by a PID controller."""

    lmbda: float = 0.75
    """Weight of the least of two critics in a target; the greatest has the rest."""
    kp: float = 0.1
    """Multiplier per unit by which the cost's value exceeds the discounted limit."""
    ki: float = 0.003
    """The same of the excess summed over the updates; the sum never falls below 0."""
    kd: float = 0.001
    """The same of the excess's growth since the last update."""


class LagrangianAlgorithm(VAEAlgorithm):
    """A method whose actor pays for cost beyond the discounted limit, at a controller's price."""

    loose_tensors: ClassVar[tuple[str, ...]] = ("controller.error_old", "controller.error_integral")
    config: LagrangianConfig

    def model_options(self) -> dict[str, Any]:
        """Those with a VAE, and those of the targets and the controller."""
        c = self.config
        return super().model_options() | {"lmbda": c.lmbda, "PID": [c.kp, c.ki, c.kd]}

    def start_controller(self, model: Any) -> None:
        """Make the controller's memory tensors from the start, so that a checkpoint holds it."""
        model.controller.error_old = torch.zeros((), device=self.device)
        model.controller.error_integral = torch.zeros((), device=self.device)
