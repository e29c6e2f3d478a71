"""The conformance test: whether a class fulfils the contract of `benchmarks.methods.algorithm`."""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import MISSING, asdict, fields
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Algorithm, Config, Problem, Progress
from benchmarks.methods.stacking import Stack

HORIZON, EPISODES, STEPS = 20, 6, 8
UPDATES, BREAKS = 9, (1, 2, 6)


def _tell_nobody(passed: str) -> None:
    """Ignore what has passed."""


def check_algorithm(
    cls: type[Algorithm],
    config: Config | None = None,
    tell: Callable[[str], None] = _tell_nobody,
) -> None:
    """Try `cls` on small made-up data, in seconds and without a simulator.

    `config` should make it small; without it the method's own is taken, with a batch of 16. Raises
    an `AssertionError` that says what is wrong and what the contract asks for. `tell` hears of
    each check that has passed.
    """
    _check_class(cls)
    config = config or cls.config_class(batch=16)
    _check_config(config)
    tell("the class states what the contract asks for, and its options survive JSON")
    data = made_up_data()
    problem, cost = Problem.of(data, HORIZON), float(np.median(data.episode_costs))
    limit, wrong = (None, cost) if cls.conditions_on_limit else (cost, None)
    with suppress(ValueError):
        cls(problem, config, limit=wrong)
        raise AssertionError("a limit against conditions_on_limit is taken: call super().__init__")
    with _globals_untouched("constructing it"):
        one, same, other = (cls(problem, config, limit=limit, seed=seed) for seed in (0, 0, 1))
    tell("a cost limit is taken or refused as the class states; construction changes no globals")
    training = one.fit(data, 5, every=1)
    for run in (training, same.fit(data, 5, every=1), other.fit(data, 5, every=1)):
        _train(run, 3)
    tell("updates give finite losses and change no global state")
    saved = one.state()
    where = _difference(saved["parts"], same.state()["parts"])
    assert not where, f"{where} differs in two trainings with one seed: draw from torch's generator"
    assert _difference(saved["parts"], other.state()["parts"]), "the seed decides nothing"
    tell("equal seeds give equal trainings, other seeds others")
    actions = _check_acting(one, problem)
    tell("actions are in [-1, 1], deterministic, and independent of the other episodes")
    loaded, unused = (cls.from_state(_through_a_file(saved)) for _ in range(2))
    where = _difference(saved, loaded.state())
    assert not where, f"{where} of state() is not as it was saved after from_state()"
    where = _difference(actions, _check_acting(loaded, problem))
    assert not where, "a loaded method acts otherwise: parts() must name all that acting reads"
    tell("a saved and loaded method has equal parts and equal actions")
    _train(training, 2)
    _train(unused.fit(data, 5, every=1), 2)
    where = _difference(one.state(), unused.state())
    assert not where, (
        f"two updates after loading, {where} is not as without the break: parts() must name all "
        "that training changes (optimisers too), and acting must leave no trace in training"
    )
    tell("its next updates equal those of the original")
    _check_breaks(lambda: cls(problem, config, limit=limit), data)
    tell("a training that is interrupted again and again ends as an uninterrupted one")
    if cls.stackable:
        _check_stack(lambda seed: cls(problem, config, limit=limit, seed=seed), data)
        tell("seeds trained as one end as each does alone")


def made_up_data(episodes: int = 24, seed: int = 0) -> Trajectories:
    """Episodes of unequal length, up to `HORIZON`, whose return and cost rise together."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, HORIZON + 1, episodes)
    level = np.repeat(rng.uniform(0.1, 1.0, episodes), lengths)
    size = int(lengths.sum())
    ends = np.isin(np.arange(size), np.cumsum(lengths) - 1)
    return Trajectories.from_arrays(
        observations=rng.normal(2.0, 3.0, (size, 3)),
        actions=rng.uniform(-1.0, 1.0, (size, 2)),
        rewards=3.0 * level + rng.normal(size=size),
        costs=rng.random(size) < level,
        terminals=ends & (rng.random(size) < 0.5),
        timeouts=ends,
    )


def _check_class(cls: type[Algorithm]) -> None:
    name, conditions = (getattr(cls, key, None) for key in ("name", "conditions_on_limit"))
    assert re.fullmatch(r"[\w-]+", str(name or "")), f"name {name!r} is no word"
    assert isinstance(conditions, bool), f"conditions_on_limit is {conditions!r}, not True or False"
    kind = cls.config_class
    is_config = issubclass(kind, Config) and "__dataclass_params__" in vars(kind)
    assert is_config, f"{kind.__name__} is no subclass of Config that is @dataclass(frozen=True)"
    bare = [f.name for f in fields(kind) if f.default is f.default_factory is MISSING]
    assert not bare, f"options without a default: {', '.join(bare)}"
    for budget, given in cls.budgets.items():
        unknown = set(given.options) - {field.name for field in fields(kind)}
        assert not unknown, f"budget {budget!r} sets what is no option: {', '.join(unknown)}"
        _check_config(kind(**given.options))


def _check_config(config: Config) -> None:
    for name, value in asdict(config).items():
        assert value is None or isinstance(value, int | float | str), (
            f"option {name!r} is a {type(value).__name__}: use int, float, bool, str or None"
        )
    restored = type(config)(**json.loads(json.dumps(asdict(config))))
    assert restored == config, f"{config} comes back from JSON as {restored}"


@contextmanager
def _globals_untouched(doing: str) -> Iterator[None]:
    before = _globals()
    yield
    changed = [name for name, value in _globals().items() if value != before[name]]
    assert not changed, (
        f"{doing} changes {', '.join(changed)} globally: draw inside `with self.random():`"
    )


def _globals() -> dict[str, Any]:
    numpy_state = np.random.get_state(legacy=False)["state"]
    return {
        "torch's random state": torch.get_rng_state().tolist(),
        "numpy's random state": (numpy_state["key"].tolist(), numpy_state["pos"]),
        "Python's random state": random.getstate(),
        "the default dtype": torch.get_default_dtype(),
        "the number of threads": torch.get_num_threads(),
        "the gradient mode": torch.is_grad_enabled(),
    }


def _train(training: Iterator[Progress], updates: int) -> None:
    with _globals_untouched("training"):
        try:
            losses = [progress.losses for progress in islice(training, updates)]
        except FloatingPointError as error:
            raise AssertionError(f"{error}: losses must be finite") from error
    assert all(losses), "update() returns no loss"


def _check_breaks(build: Callable[[], Algorithm], data: Trajectories) -> None:
    """A training that breaks off again and again, at whatever update, ends as one that does not."""
    whole = build()
    losses = {progress.updates: progress.losses for progress in whole.fit(data, UPDATES, every=3)}
    broken = build()
    for pause in (*BREAKS, UPDATES):
        for progress in broken.fit(data, UPDATES, every=3, due=lambda: broken.updates == pause):  # noqa: B023
            if progress.updates in losses:
                where = _difference(losses[progress.updates], progress.losses)
                assert not where, f"after a break, the loss {where} is not as without"
            if progress.updates == pause:
                break
        broken = type(broken).from_state(_through_a_file(broken.state()))
    where = _difference(whole.state(), broken.state())
    assert not where, (
        f"after breaks at {', '.join(map(str, BREAKS))} of {UPDATES} updates, {where} is not as "
        "without: parts() must name all that training changes, counters too"
    )


def _check_stack(build: Callable[[int], Algorithm], data: Trajectories) -> None:
    """Two seeds trained as one end as each does alone, but for rounding."""
    together = [build(seed) for seed in (0, 1)]
    progress = list(Stack(together).fit(data, 3, every=1))
    for k, one in enumerate(together):
        alone = build(one.seed)
        for own, row in zip(alone.fit(data, 3, every=1), progress, strict=True):
            for name, loss in own.losses.items():
                error = abs(row[k].losses[name] - loss)
                assert error <= 1e-4 * max(abs(loss), 1.0), (
                    f"trained as one with another seed, {name} is {row[k].losses[name]:.6g} after "
                    f"{own.updates} updates, alone {loss:.6g}: `benchmarks.methods.stacking` says "
                    "what a stackable method keeps apart"
                )


def _check_acting(algorithm: Algorithm, problem: Problem) -> dict[tuple[int, int], Tensor]:
    """Actions by episode and step, of six episodes at once, which must be those of each alone."""
    width, generator = problem.observation_dim, torch.Generator().manual_seed(0)
    observations = 5.0 * torch.randn(STEPS, EPISODES, width, generator=generator)
    rewards, costs = torch.randn(2, STEPS, EPISODES, generator=generator)
    limits = torch.linspace(0.0, float(problem.costs.max()), EPISODES)

    def roll(batch: Sequence[int], running: Sequence[Any]) -> dict[tuple[int, int], Tensor]:
        """Act in the episodes `batch`, at each step in those of its rows that are `running`."""
        actions: dict[tuple[int, int], Tensor] = {}
        with _globals_untouched("acting"):
            policy = algorithm.policy(limits[list(batch)])
            for step, rows in enumerate(map(torch.as_tensor, running)):
                now = torch.as_tensor(batch)[rows]
                acted = policy.act(observations[step, now], rows)
                _check_actions(acted, (len(rows), problem.action_dim))
                actions |= {(e, step): a for e, a in zip(now.tolist(), acted, strict=True)}
                policy.observe(rewards[step, now], costs[step, now].abs(), rows)
        return actions

    every, rng = range(EPISODES), np.random.default_rng(0)
    together = roll(every, [every] * STEPS)
    assert not _difference(together, roll(every, [every] * STEPS)), "acting is not deterministic"
    ending = [[e for e in every if step <= 3 * e % STEPS + 1] for step in range(STEPS)]
    cases: list[tuple[str, Sequence[int], Sequence[Any]]] = [
        ("the order of the rows", every, [rng.permutation(EPISODES) for _ in range(STEPS)]),
        ("which episodes run", every, ending),
        *(("other episodes", [episode], [[0]] * STEPS) for episode in every),
    ]
    for cause, batch, running in cases:
        actions = roll(batch, running)
        error = max(float((action - together[at]).abs().max()) for at, action in actions.items())
        assert error <= 1e-5, (
            f"actions depend on {cause} in the batch (by {error:.2g}): what an episode is given "
            "may depend on its own limit and history only; use eval() and index state by `rows`"
        )
    return together


def _check_actions(actions: Tensor, shape: tuple[int, int]) -> None:
    assert tuple(actions.shape) == shape, f"actions are {tuple(actions.shape)}, not {shape}"
    assert actions.dtype == torch.float32, f"actions are {actions.dtype}, not torch.float32"
    assert not actions.requires_grad, "actions carry a gradient: act under torch.no_grad()"
    assert float(actions.abs().max()) <= 1.0, "actions leave [-1, 1] or are not finite: clamp them"


def _through_a_file(state: Mapping[str, Any]) -> Any:
    torch.save(state, file := io.BytesIO())
    try:
        return torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    except Exception as error:
        raise AssertionError(f"state() holds more than plain values and tensors: {error}") from None


def _difference(one: Any, other: Any, path: str = "") -> str:
    """The path to the first leaf in which two nested states differ; empty where they are equal."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        one, other = dict(enumerate(one)), dict(enumerate(other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            return f"{path} (its keys)"
        found = (_difference(one[key], other[key], f"{path}/{key}") for key in one)
        return next(filter(None, found), "")
    tensors = isinstance(one, Tensor) and isinstance(other, Tensor)
    return "" if (torch.equal(one, other) if tensors else one == other) else path or "value"
