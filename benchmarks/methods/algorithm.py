"""The contract that every method fulfils, GAS and the baselines alike.

A method is one class. It declares its options once in a frozen config dataclass, creates its
networks in `build`, trains in `update`, and returns a policy that acts on a batch of episodes.
`Problem` holds everything that a method may know of the task and the dataset before `prepare`;
checkpoints store it.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import Field, asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from benchmarks.common.random_streams import Draws
from benchmarks.common.ranges import Batch
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.capture import updates_of
from benchmarks.methods.generators import get_states, seeded_states, set_states

LOG_EVERY = 500
"""Updates between two reports of the losses."""


@dataclass(frozen=True)
class Config:
    """Options that every method has; the config of a method adds to them."""

    batch: Batch = 512
    """Batch size of one update."""


def eval_only(default: Any) -> Any:
    """A config field used only at evaluation; training does not depend on it.

    A policy reads it from `Algorithm.config` when it is created, so that one training serves all
    values.
    """
    return field(default=default, metadata={"eval_only": True})


def is_eval_only(option: Field[Any]) -> bool:
    """Whether a config field is `eval_only`."""
    return bool(option.metadata.get("eval_only"))


def training_options(config: Config) -> dict[str, Any]:
    """The fields that a training depends on."""
    options = (option for option in fields(config) if not is_eval_only(option))
    return {option.name: getattr(config, option.name) for option in options}


def eval_options(config: Config) -> dict[str, Any]:
    """The `eval_only` fields."""
    options = (option for option in fields(config) if is_eval_only(option))
    return {option.name: getattr(config, option.name) for option in options}


@dataclass(frozen=True)
class Budget:
    """Number of updates, and the options that go with it."""

    updates: int
    options: Mapping[str, Any]
    update_ms: float
    """Milliseconds of one update on one core; only the plan's time estimate uses it."""

    @staticmethod
    def of(updates: int, *, update_ms: float = 10.0, **options: Any) -> Budget:
        """`Budget.of(6000, update_ms=12, batch=512)`."""
        return Budget(updates, options, update_ms)

    def extended(self, updates: int) -> Budget:
        """The same options with another number of updates."""
        return replace(self, updates=updates)


@dataclass(frozen=True)
class Problem:
    """Statistics of a task and its dataset: all that a method is built from.

    Means and standard deviations are over all transitions. `returns` and `costs` [E] are the return
    and the cost return of each trajectory.
    """

    horizon: int
    observation_mean: Tensor
    observation_std: Tensor
    action_std: Tensor
    initial_fraction: float
    """Fraction of the transitions that start an episode."""
    returns: Tensor
    costs: Tensor
    max_cost: float
    """The task's maximum cost return; cost limits in percent refer to it."""
    min_segment_return: float
    max_segment_return: float
    """Smallest and largest sum of rewards over consecutive steps of a trajectory."""

    @property
    def observation_dim(self) -> int:
        """Number of components of an observation."""
        return len(self.observation_mean)

    @property
    def action_dim(self) -> int:
        """Number of components of an action, each in [-1, 1]."""
        return len(self.action_std)

    @staticmethod
    def of(data: Trajectories, horizon: int, max_cost: float | None = None) -> Problem:
        """The statistics of `data` for a task of `horizon` steps.

        `max_cost` is the task's maximum cost; None takes the largest cost return in `data`.
        """

        def tensor(values: Any) -> Tensor:
            return torch.as_tensor(np.asarray(values), dtype=torch.float32)

        return Problem(
            horizon,
            tensor(data.observations.mean(0, dtype=np.float64)),
            tensor(data.observations.std(0, dtype=np.float64)),
            tensor(data.actions.std(0, dtype=np.float64)),
            len(data) / len(data.rewards),
            tensor(data.returns),
            tensor(data.episode_costs),
            float(data.episode_costs.max()) if max_cost is None else max_cost,
            *data.sum_range(data.rewards),
        )

    def state(self) -> dict[str, Any]:
        """Plain values and tensors for a checkpoint; `Problem(**state)` restores the problem."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


class TrainingProgress(NamedTuple):
    """The state of a training when its losses are reported."""

    updates: int
    losses: dict[str, float]
    seconds: float
    """Time spent in updates since `fit` began."""


def checked_progress(updates: int, losses: dict[str, float], seconds: float) -> TrainingProgress:
    """A `TrainingProgress`; raises `FloatingPointError` if a loss is not finite."""
    bad = [name for name, value in losses.items() if not np.isfinite(value)]
    if bad:
        raise FloatingPointError(f"{', '.join(bad)} not finite at update {updates}")
    return TrainingProgress(updates, losses, seconds)


class Policy(ABC):
    """Acts in B episodes at once, each with its own cost limit.

    `env_ids` [n] are the indices of the episodes that still run; observations, rewards and costs
    are in that order. The actions of an episode may depend on its own limit and history only.
    """

    @abstractmethod
    def act(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """Actions [n, a] in [-1, 1] for the observations [n, o] of the episodes `env_ids`."""

    def observe(self, rewards: Tensor, costs: Tensor, env_ids: Tensor) -> None:  # noqa: B027
        """Receive the rewards and costs [n] of the last actions."""


class MemorylessPolicy(Policy):
    """Acts by a function of the observation alone; limits and history are ignored."""

    def __init__(self, actor: Callable[[Tensor], Tensor]) -> None:
        self.actor = actor

    @torch.no_grad()
    def act(self, observations: Tensor, env_ids: Tensor) -> Tensor:
        """The actor's actions, clamped to [-1, 1]."""
        return self.actor(observations).clamp(-1.0, 1.0)


class Algorithm(ABC):
    """A method: built from a problem, trained on a dataset, saved to and restored from checkpoints.

    Subclasses set the class attributes and implement `build`, `prepare`, `update` and `policy`;
    `parts` only if they train tensors outside modules. Random numbers come from torch's default
    generator, which is seeded and private to the method during `build`, `prepare` and `update`.
    """

    name: ClassVar[str]
    """The method's name in commands and tables, e.g. "cdt"."""
    trains_per_limit: ClassVar[bool]
    """Each cost limit needs its own training; False if one training serves all limits."""
    heeds_limit: ClassVar[bool]
    """The policy aims at keeping the cost limit; False if it is the same at every limit."""
    config_class: ClassVar[type[Config]] = Config
    stackable: ClassVar[bool] = False
    """Several seeds can train as one batched model; `benchmarks.methods.stacking` says how."""
    capturable: ClassVar[bool] = False
    """`update` can be recorded as a CUDA graph and replayed (`benchmarks.methods.capture`): it
    launches the same kernels each time, reads no tensor, and uses fused Adam or AdamW."""
    stacked = False
    """This instance trains several seeds: its tensors have a leading dimension of seeds."""
    cuda_graphs = False
    """Replay the updates of this instance as a CUDA graph, if it is on a GPU and `capturable`."""
    budgets: ClassVar[Mapping[str, Budget]] = {
        "quick": Budget.of(2_000),
        "standard": Budget.of(10_000),
        "paper": Budget.of(100_000),
    }

    @final
    def __init__(
        self,
        problem: Problem,
        config: Config | None = None,
        *,
        limit: float | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        """`config` None means the defaults.

        `limit` is the cost limit to train for; None if one training serves all limits.
        """
        if (limit is not None) != self.trains_per_limit:
            expected = "a cost limit" if self.trains_per_limit else "no cost limit"
            raise ValueError(f"{self.name} is trained with {expected}, got limit={limit}")
        self.problem, self.config, self.limit = problem, config or self.config_class(), limit
        self.device = torch.device(device)
        self.seed, self.updates = seed, 0
        self.planned_updates = 1
        self.draws = Draws()
        self.generators = seeded_states(seed, self.device)
        with self.random():
            self.build()

    @classmethod
    def options_on(cls, task: str, source: str) -> Mapping[str, Any]:
        """Default options for a task, by its name, or a data source; budget options override them.

        `source` is "dsrl", "generated", "own" or the name of a folder.
        """
        return {}

    @abstractmethod
    def build(self) -> None:
        """Create networks and optimisers as attributes, from `problem`, `config` and `limit`."""

    @abstractmethod
    def prepare(self, data: Trajectories) -> None:
        """Set up the samplers of `update`; called when a training starts and when it is resumed.

        Random numbers drawn here depend on the seed only, so that both calls give the same.
        """

    def schedule(self) -> None:  # noqa: B027
        """Set what depends on the number of updates, as learning rates; called before `update`."""

    @abstractmethod
    def update(self) -> dict[str, Tensor | float]:
        """Update all networks once; returns the losses by name, detached and not yet read."""

    @abstractmethod
    def policy(self, limits: Tensor) -> Policy:
        """A deterministic policy for B episodes with cost limits `limits` [B]."""

    def parts(self) -> dict[str, Any]:
        """Everything that training changes, by name, for checkpoints.

        By default all modules, optimisers and learning-rate schedules that are attributes. Values
        have `state_dict` and `load_state_dict`, or are tensors, which are restored in place.
        """
        kinds = nn.Module | Optimizer | LRScheduler
        return {name: value for name, value in vars(self).items() if isinstance(value, kinds)}

    def fit(
        self,
        data: Trajectories,
        updates: int,
        every: int = LOG_EVERY,
        due: Callable[[], bool] = lambda: False,
    ) -> Iterator[TrainingProgress]:
        """Train up to `updates` updates in all; report every `every` updates and at the end.

        `due` is asked after each update; if it returns True, progress is reported at once. After
        each report `state()` may be saved: `from_state` and another `fit` end with the same result.
        """
        for done, losses, seconds in self.advance(data, updates, every, due):
            yield checked_progress(done, losses, seconds)

    def advance(
        self, data: Trajectories, updates: int, every: int, due: Callable[[], bool]
    ) -> Iterator[tuple[int, dict[str, Any], float]]:
        """Train as `fit` does, without checking the losses: yields updates, losses and seconds.

        The losses of a stack are lists, with one value a seed.
        """
        self.planned_updates = updates
        generators = self.generators
        self.generators = seeded_states(self.seed, self.device)
        with self.random():
            self.prepare(data)
        self.generators = generators
        update, seconds = updates_of(self), 0.0
        while self.updates < updates:
            start = time.perf_counter()
            with self.random():
                while True:
                    losses = update()
                    if self.updates % every == 0 or self.updates == updates or due():
                        break
            read = {name: _number(value, self.stacked) for name, value in losses.items()}
            seconds += time.perf_counter() - start
            yield self.updates, read, seconds

    @contextmanager
    def random(self) -> Iterator[None]:
        """Inside, torch's default generator continues this method's stream; restored after."""
        outside = get_states(self.device)
        set_states(self.generators)
        try:
            yield
        finally:
            self.generators = get_states(self.device)
            set_states(outside)

    def state(self) -> dict[str, Any]:
        """A checkpoint: plain values and copied tensors, enough to act and to resume training."""
        parts = {
            name: _copy(part if isinstance(part, Tensor) else part.state_dict())
            for name, part in self.parts().items()
        }
        return {
            "problem": self.problem.state(),
            "config": asdict(self.config),
            "limit": self.limit,
            "seed": self.seed,
            "updates": self.updates,
            "generators": self.generators,
            "parts": parts,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], device: torch.device | str = "cpu") -> Algorithm:
        """Restore a method from what `state()` returned."""
        algorithm = cls(
            Problem(**state["problem"]),
            cls.config_class(**state["config"]),
            limit=state["limit"],
            seed=state["seed"],
            device=device,
        )
        for name, part in algorithm.parts().items():
            saved = state["parts"][name]
            if isinstance(part, Tensor):
                part.data.copy_(saved)
            else:
                part.load_state_dict(deepcopy(saved))  # optimisers keep the tensors they are given
        algorithm.updates = state["updates"]
        algorithm.generators = {**algorithm.generators, **state["generators"]}
        return algorithm


def outdated(cls: type[Algorithm]) -> str:
    """What to change in a class written for an earlier contract, in one line; empty if nothing."""
    if not hasattr(cls, "conditions_on_limit"):
        return ""
    return (
        "replace conditions_on_limit by trains_per_limit (True if each cost limit needs its own "
        "training) and heeds_limit (True if the policy depends on the cost limit), and create "
        "networks in build() instead of __init__"
    )


def _copy(value: Any) -> Any:
    """Clone tensors; `deepcopy` would copy a view's whole storage."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return type(value)((key, _copy(item)) for key, item in value.items())  # type: ignore[call-arg]
    return [_copy(item) for item in value] if isinstance(value, list) else deepcopy(value)


def _number(value: Tensor | float, stacked: bool) -> Any:
    return value.tolist() if stacked and isinstance(value, Tensor) else float(value)
