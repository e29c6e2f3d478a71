"""The contract that every method fulfils, GAS and the baselines alike.

A method is one class. It declares its options once in a frozen config dataclass, trains by
`update`, and gives a policy that acts on a batch of episodes. What it may know of the task and of
the data besides the data themselves stands in `Problem`, which a checkpoint carries along.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.common.random_streams import Draws
from benchmarks.datasets.trajectories import Trajectories

LOG_EVERY = 500
"""Updates from one reading of the losses to the next."""


@dataclass(frozen=True)
class Config:
    """Options that every method has; a method's own config adds its own."""

    batch: int = 512
    """Samples in one update."""


def acting(default: Any) -> Any:
    """A config's field that changes how the trained policy acts, and nothing of the training.

    Policies read it from `Algorithm.config` when they are made; one training serves all its values.
    """
    return field(default=default, metadata={"acting": True})


def acting_options(config: Config) -> dict[str, Any]:
    """The fields declared with `acting` that are not at their defaults."""
    return {
        one.name: getattr(config, one.name)
        for one in fields(config)
        if one.metadata.get("acting") and getattr(config, one.name) != one.default
    }


def training_options(config: Config) -> dict[str, Any]:
    """All fields, those declared with `acting` at their defaults: what a training depends on."""
    return {
        one.name: one.default if one.metadata.get("acting") else getattr(config, one.name)
        for one in fields(config)
    }


@dataclass(frozen=True)
class Budget:
    """How long a method trains, and the options that differ at that length."""

    updates: int
    options: Mapping[str, Any]
    update_ms: float
    """Time of one update on one core, in milliseconds: for the plan's estimate only."""

    @staticmethod
    def of(updates: int, *, update_ms: float = 10.0, **options: Any) -> Budget:
        """`Budget.of(6000, update_ms=12, batch=512)`."""
        return Budget(updates, options, update_ms)

    def extended(self, updates: int) -> Budget:
        """The same options and updates of the same cost, more of them."""
        return replace(self, updates=updates)


@dataclass(frozen=True)
class Problem:
    """A task and its data in a few statistics: all that a method is built from.

    Moments are over all transitions, `returns` and `costs` [E] over the trajectories.
    """

    horizon: int
    observation_mean: Tensor
    observation_std: Tensor
    action_std: Tensor
    initial_fraction: float
    """Share of the transitions that start an episode."""
    returns: Tensor
    costs: Tensor
    max_cost: float
    """Largest cost that counts: the task's maximum, which limits in percent refer to."""
    min_segment_return: float
    max_segment_return: float
    """Least and largest reward over consecutive steps of a trajectory, however many."""

    @property
    def observation_dim(self) -> int:
        """Width of an observation."""
        return len(self.observation_mean)

    @property
    def action_dim(self) -> int:
        """Width of an action; actions lie in [-1, 1]."""
        return len(self.action_std)

    @staticmethod
    def of(data: Trajectories, horizon: int, max_cost: float | None = None) -> Problem:
        """The statistics of `data` for a task of `horizon` steps.

        `max_cost` is the task's maximum cost, the largest of `data` where None.
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
        """As plain values and tensors, for a checkpoint; `Problem(**state)` restores it."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


class Progress(NamedTuple):
    """How far a training is."""

    updates: int
    losses: dict[str, float]
    seconds: float
    """Time spent in updates since `fit` began."""


def progress(updates: int, losses: dict[str, float], seconds: float) -> Progress:
    """How far a training is; `FloatingPointError` for a loss that is not finite."""
    bad = [name for name, value in losses.items() if not np.isfinite(value)]
    if bad:
        raise FloatingPointError(f"{', '.join(bad)} not finite at update {updates}")
    return Progress(updates, losses, seconds)


class Policy(ABC):
    """Acts in a batch of B episodes, each with its own limit.

    `rows` [n] names the episodes that still run; observations, rewards and costs come in that
    order. What an episode is given may depend on its own history only.
    """

    @abstractmethod
    def act(self, observations: Tensor, rows: Tensor) -> Tensor:
        """Actions [n, a] in [-1, 1] for observations [n, o] of the episodes `rows`."""

    def observe(self, rewards: Tensor, costs: Tensor, rows: Tensor) -> None:  # noqa: B027
        """Take in what the last action brought: rewards and costs [n]."""


class MemorylessPolicy(Policy):
    """Acts by a function of the observation alone, whatever the limit and the history."""

    def __init__(self, actor: Callable[[Tensor], Tensor]) -> None:
        self.actor = actor

    @torch.no_grad()
    def act(self, observations: Tensor, rows: Tensor) -> Tensor:
        """The actor's actions, clamped to [-1, 1]."""
        return self.actor(observations).clamp(-1.0, 1.0)


class Algorithm(ABC):
    """A method: built from a problem, trained on data, saved and restored whole.

    Subclasses set the class attributes, build their networks in `__init__` (after calling this
    one), and implement `prepare`, `update`, `policy` and `parts`. Draw random numbers from torch's
    default generator: `fit` and `__init__` keep it private to the method and reproducible. Build
    networks inside `with self.random():`.
    """

    name: ClassVar[str]
    """Under which the method is listed, e.g. "cdt"."""
    conditions_on_limit: ClassVar[bool]
    """One training serves every cost limit; otherwise one training a limit."""
    config_class: ClassVar[type[Config]] = Config
    stackable: ClassVar[bool] = False
    """Several seeds can be trained as one; `benchmarks.methods.stacking` says what that needs."""
    compilable: ClassVar[tuple[str, ...]] = ()
    """Methods that `compile` compiles: functions of tensors, their random numbers from `draws`."""
    stacked = False
    """This one trains several seeds: tensors have a leading dimension for them."""
    budgets: ClassVar[Mapping[str, Budget]] = {
        "quick": Budget.of(2_000),
        "standard": Budget.of(10_000),
        "paper": Budget.of(100_000),
    }

    def __init__(
        self,
        problem: Problem,
        config: Config,
        *,
        limit: float | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        """`limit` is the cost limit to train for, None where one training serves all."""
        if (limit is None) != self.conditions_on_limit:
            wanted = "no limit" if self.conditions_on_limit else "a limit"
            raise ValueError(f"{self.name} is trained with {wanted}, got limit={limit}")
        self.problem, self.config, self.limit = problem, config, limit
        self.device = torch.device(device)
        self.seed, self.updates = seed, 0
        self.planned_updates = 1
        self.draws = Draws()
        self.generators = _generator_states(seed, self.device)

    @classmethod
    def options_on(cls, task: str, source: str) -> Mapping[str, Any]:
        """Options that a task, by its name, or data of a source ask for; a budget's go before."""
        return {}

    @abstractmethod
    def prepare(self, data: Trajectories) -> None:
        """Set up what `update` draws from; called before training and again when it goes on.

        Random draws in here depend on the seed alone, so that both calls agree.
        """

    @abstractmethod
    def update(self) -> dict[str, Tensor | float]:
        """One update of all networks; the losses, detached and not yet read."""

    @abstractmethod
    def policy(self, limits: Tensor) -> Policy:
        """A policy for B episodes with cost limits `limits` [B], deterministic."""

    @abstractmethod
    def parts(self) -> dict[str, Any]:
        """Everything that training changes, by name: objects with `state_dict` and
        `load_state_dict`, or tensors that are restored in place.
        """

    def fit(
        self,
        data: Trajectories,
        updates: int,
        every: int = LOG_EVERY,
        due: Callable[[], bool] = lambda: False,
    ) -> Iterator[Progress]:
        """Train up to `updates` updates in all; progress every `every` updates and at the end.

        `due` is asked after each update: where it holds there is progress at once. Whenever there
        is, `state()` may be saved; `from_state` and another `fit` then end as this one would have.
        """
        for done, losses, seconds in self.advance(data, updates, every, due):
            yield progress(done, losses, seconds)

    def advance(
        self, data: Trajectories, updates: int, every: int, due: Callable[[], bool]
    ) -> Iterator[tuple[int, dict[str, Any], float]]:
        """What `fit` does: updates, losses (of a stack a list each) and seconds, not yet judged."""
        self.planned_updates = updates
        trained = self.generators
        self.generators = _generator_states(self.seed, self.device)
        with self.random():
            self.prepare(data)
        self.generators = trained
        seconds = 0.0
        while self.updates < updates:
            start = time.perf_counter()
            with self.random():
                while True:
                    losses = self.update()
                    self.updates += 1
                    if self.updates % every == 0 or self.updates == updates or due():
                        break
            read = {name: _number(value, self.stacked) for name, value in losses.items()}
            seconds += time.perf_counter() - start
            yield self.updates, read, seconds

    def compile(self) -> None:
        """Compile what is `compilable`; it computes the same, but for rounding."""
        self.draws.leave_out()
        for name in self.compilable:
            setattr(self, name, torch.compile(getattr(self, name), dynamic=False))

    @contextmanager
    def random(self) -> Iterator[None]:
        """Make torch's default generator this method's own inside, and put it back after."""
        outside = _get_generators(self.device)
        _set_generators(self.generators)
        try:
            yield
        finally:
            self.generators = _get_generators(self.device)
            _set_generators(outside)

    def state(self) -> dict[str, Any]:
        """All that is needed to act and to train on exactly: plain values and tensors, copied."""
        parts = {
            name: _copied(part if isinstance(part, Tensor) else part.state_dict())
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
        """The method as `state()` saved it."""
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
                part.load_state_dict(deepcopy(saved))  # an optimiser would share the tensors
        algorithm.updates = state["updates"]
        algorithm.generators = {**algorithm.generators, **state["generators"]}
        return algorithm


def _copied(value: Any) -> Any:
    """A copy that holds no more than what is shown: `deepcopy` takes all that a view is one of."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return type(value)((key, _copied(one)) for key, one in value.items())  # type: ignore[call-arg]
    return [_copied(one) for one in value] if isinstance(value, list) else deepcopy(value)


def _number(value: Tensor | float, stacked: bool) -> Any:
    return value.tolist() if stacked and isinstance(value, Tensor) else float(value)


def _generator_states(seed: int, device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.Generator().manual_seed(seed).get_state()}
    if device.type == "cuda":
        states["cuda"] = torch.Generator(device).manual_seed(seed).get_state()
    return states


def _get_generators(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _set_generators(states: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
