"""Base classes of the wrapped baselines, which turn osrl's models into methods of this suite.

osrl (Apache-2.0) provides the networks and update rules; this suite provides batches, policies and
checkpoints. osrl is imported when a method is built, not before.
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
from benchmarks.common.ranges import (
    Batch,
    Count,
    Discount,
    Expectile,
    LearningRate,
    NotNegative,
    Positive,
    Share,
    Width,
)
from benchmarks.datasets.sampling import TransitionSampler
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Algorithm, Config


class LossLog:
    """The logger that osrl's trainers expect; it keeps the last value stored under each name."""

    def __init__(self) -> None:
        self.losses: dict[str, Tensor | float] = {}

    def store(self, tab: str | None = None, **values: Tensor | float) -> None:
        """Keep `values`; the prefix "loss/" of their names is dropped."""
        self.losses |= {name.removeprefix("loss/"): value for name, value in values.items()}


def import_osrl(module: str) -> ModuleType:
    """Import `osrl.<module>`; raises `UserError` if osrl or a package it needs is not installed.

    `osrl.algorithms` imports two loggers of fsrl, which would import tensorboard and wandb.
    Stand-ins replace them during the import only. The output of osrl's import is discarded.
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
    """A method whose networks and update rule are osrl's."""

    loose_tensors: ClassVar[tuple[str, ...]] = ()
    """Tensors of the model, by dotted name, that training changes but `state_dict` lacks."""

    def build(self) -> None:
        """Create osrl's model and trainer, with faster network evaluation."""
        self.log = LossLog()
        self.model, self.trainer = self.build_osrl()
        accelerate(self.model, self.model, self.trainer)

    @abstractmethod
    def build_osrl(self) -> tuple[Any, Any]:
        """Create osrl's model and trainer, which logs to `self.log` and has no environment."""

    def parts(self) -> dict[str, Any]:
        """The model, its loose tensors, and all optimisers and schedules of model and trainer."""
        parts = {"model": self.model}
        for owner in (self.model, self.trainer):
            for name, value in vars(owner).items():
                if isinstance(value, Optimizer | LRScheduler):
                    parts[name] = value
        return parts | {name: attrgetter(name)(self.model) for name in self.loose_tensors}


@dataclass(frozen=True)
class TransitionConfig(Config):
    """Options of all methods that train on transitions."""

    batch: Batch = 512
    actor_lr: LearningRate = 1e-3
    critic_lr: LearningRate = 1e-3
    hidden: Width = 256
    """Width of the hidden layers of actor and critics."""
    hidden_layers: Count = 2
    gamma: Discount = 0.99
    reward_scale: Positive = 0.1


class TransitionAlgorithm(WrappedAlgorithm):
    """A method that trains on transitions, once for each cost limit."""

    trains_per_limit = True
    heeds_limit = True
    config: TransitionConfig

    def model_options(self) -> dict[str, Any]:
        """Arguments that all osrl models of this kind take, by osrl's names."""
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
        """Arguments that all osrl trainers of this kind take, by osrl's names."""
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
        """One update by osrl's trainer, which computes its losses and steps its optimisers."""
        self.trainer.train_one_step(*self.sampler()[:6])  # the columns of osrl's batches
        return self.log.losses


@dataclass(frozen=True)
class VAEConfig(TransitionConfig):
    """Options of all methods with a VAE, which models the behaviour policy."""

    vae_lr: LearningRate = 1e-3
    vae_hidden: Width = 400
    """Width of the VAE's hidden layers."""
    sample_action_num: Count = 10
    """Actions sampled at each state, for a maximum of target values or for the penalty of CPQ."""
    tau: Expectile = 0.005
    """Polyak coefficient of the target networks."""
    beta: NotNegative = 0.5
    """Weight of the KL divergence in the VAE's loss."""
    num_q: Count = 2
    num_qc: Count = 2


class VAEAlgorithm(TransitionAlgorithm):
    """A method with ensembles of critics, target networks and a VAE of the behaviour policy."""

    config: VAEConfig

    def model_options(self) -> dict[str, Any]:
        """Also the arguments of the VAE, the target networks and the ensembles."""
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
        """Also the learning rate of the VAE."""
        return super().trainer_options() | {"vae_lr": self.config.vae_lr}


@dataclass(frozen=True)
class LagrangianConfig(VAEConfig):
    """Options of the methods whose Lagrange multiplier is set by a PID controller.

    The controller's error is the cost critic's value minus the discounted cost limit.
    """

    lmbda: Share = 0.75
    """Weight of the smaller of two critics in a target value; the larger has 1 - lmbda."""
    kp: NotNegative = 0.1
    """Proportional gain: multiplier per unit of error."""
    ki: NotNegative = 0.003
    """Integral gain, on the error summed over updates; the sum never falls below 0."""
    kd: NotNegative = 0.001
    """Derivative gain, on the growth of the error since the last update."""


class LagrangianAlgorithm(VAEAlgorithm):
    """A method whose actor is penalised for cost beyond the discounted limit.

    The Lagrange multiplier of the penalty is set by a PID controller.
    """

    loose_tensors: ClassVar[tuple[str, ...]] = ("controller.error_old", "controller.error_integral")
    config: LagrangianConfig

    def model_options(self) -> dict[str, Any]:
        """Also the weight of the smaller critic and the controller's gains."""
        c = self.config
        return super().model_options() | {"lmbda": c.lmbda, "PID": [c.kp, c.ki, c.kd]}

    def start_controller(self, model: Any) -> None:
        """Make the controller's state tensors, so that checkpoints hold it."""
        model.controller.error_old = torch.zeros((), device=self.device)
        model.controller.error_integral = torch.zeros((), device=self.device)
