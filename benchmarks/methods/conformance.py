"""The conformance test: does a class fulfil the contract of `benchmarks.methods.algorithm`?"""

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
from benchmarks.methods.algorithm import Algorithm, Config, Problem, TrainingProgress, outdated
from benchmarks.methods.stacking import Stack

HORIZON, EPISODES, STEPS = 20, 6, 8
UPDATES, BREAKS = 9, (1, 2, 6)


def _ignore(passed: str) -> None:
    """Report nothing."""


def check_algorithm(
    cls: type[Algorithm],
    config: Config | None = None,
    report: Callable[[str], None] = _ignore,
) -> None:
    """Train and evaluate `cls` on small synthetic data, in seconds and without a simulator.

    `config` should make the method small; None takes the defaults with a batch of 16. `report`
    receives a line for each check that passed. Raises an `AssertionError` that names the fault and
    what the contract asks for.
    """
    _check_class(cls)
    config = config or cls.config_class(batch=16)
    _check_config(config)
    report("the class states what the contract asks for, and its options survive JSON")
    data = synthetic_data()
    problem, cost = Problem.of(data, HORIZON), float(np.median(data.episode_costs))
    limit, wrong_limit = (cost, None) if cls.trains_per_limit else (None, cost)
    with suppress(ValueError):
        cls(problem, config, limit=wrong_limit)
        raise AssertionError("a limit against trains_per_limit is accepted: leave __init__ alone")
    with _globals_untouched("constructing it"):
        first, same, other = (cls(problem, config, limit=limit, seed=seed) for seed in (0, 0, 1))
    report("a cost limit is accepted or refused as stated; construction changes no globals")
    training = first.fit(data, 5, every=1)
    for run in (training, same.fit(data, 5, every=1), other.fit(data, 5, every=1)):
        _train(run, 3)
    report("updates give finite losses and change no global state")
    saved = first.state()
    where = _difference(saved["parts"], same.state()["parts"])
    assert not where, f"{where} differs in two trainings with one seed: draw from torch's generator"
    where = _difference(saved["parts"], other.state()["parts"])
    assert where, "different seeds gave identical parameters"
    report("equal seeds give equal trainings, different seeds different ones")
    actions = _check_policy(first, problem)
    report("actions are in [-1, 1], deterministic, and independent of the other episodes")
    loaded, unused = (cls.from_state(_through_a_file(saved)) for _ in range(2))
    where = _difference(saved, loaded.state())
    assert not where, f"{where} of state() differs after from_state()"
    where = _difference(actions, _check_policy(loaded, problem))
    assert not where, "a restored method acts differently: parts() must name all that acting reads"
    report("a saved and restored method has equal parts and equal actions")
    _train(training, 2)
    _train(unused.fit(data, 5, every=1), 2)
    where = _difference(first.state(), unused.state())
    assert not where, (
        f"two updates after loading, {where} differs from a training without a break: parts() must "
        "name all that training changes (optimisers too), and acting must not affect training"
    )
    report("the next updates of a restored method equal those of the original")
    _check_resuming(lambda: cls(problem, config, limit=limit), data)
    report("a training that is interrupted again and again ends as an uninterrupted one")
    if cls.stackable:
        _check_stack(lambda seed: cls(problem, config, limit=limit, seed=seed), data)
        report("seeds trained as one end as each does alone")


def synthetic_data(episodes: int = 24, seed: int = 0) -> Trajectories:
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
    assert not (message := outdated(cls)), message
    name = getattr(cls, "name", None)
    assert re.fullmatch(r"[\w-]+", str(name or "")), f"name {name!r} is not a single word"
    for attribute in ("trains_per_limit", "heeds_limit"):
        value = getattr(cls, attribute, None)
        assert isinstance(value, bool), f"{attribute} is {value!r}, not True or False"
    assert cls.heeds_limit or not cls.trains_per_limit, (
        "trains_per_limit is True and heeds_limit False: train once if the limit is ignored"
    )
    config_class = cls.config_class
    is_config = issubclass(config_class, Config) and "__dataclass_params__" in vars(config_class)
    assert is_config, (
        f"{config_class.__name__} is no subclass of Config that is @dataclass(frozen=True)"
    )
    bare = [f.name for f in fields(config_class) if f.default is f.default_factory is MISSING]
    assert not bare, f"options without a default: {', '.join(bare)}"
    for name, budget in cls.budgets.items():
        unknown = set(budget.options) - {field.name for field in fields(config_class)}
        assert not unknown, f"budget {name!r} sets unknown options: {', '.join(unknown)}"
        _check_config(config_class(**budget.options))


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
        f"{doing} changes {', '.join(changed)} globally: leave __init__ alone, and draw random "
        "numbers from torch's default generator in build(), prepare() and update() only"
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


def _train(training: Iterator[TrainingProgress], updates: int) -> None:
    with _globals_untouched("training"):
        try:
            losses = [progress.losses for progress in islice(training, updates)]
        except FloatingPointError as error:
            raise AssertionError(f"{error}: losses must be finite") from error
    assert all(losses), "update() returns no loss"


def _check_resuming(build: Callable[[], Algorithm], data: Trajectories) -> None:
    """A training that is resumed at several updates ends like one without breaks."""
    whole = build()
    losses = {progress.updates: progress.losses for progress in whole.fit(data, UPDATES, every=3)}
    resumed = build()
    for pause in (*BREAKS, UPDATES):
        for progress in resumed.fit(data, UPDATES, every=3, due=lambda: resumed.updates == pause):  # noqa: B023
            if progress.updates in losses:
                where = _difference(losses[progress.updates], progress.losses)
                assert not where, f"after a break, the loss {where} differs"
            if progress.updates == pause:
                break
        resumed = type(resumed).from_state(_through_a_file(resumed.state()))
    where = _difference(whole.state(), resumed.state())
    assert not where, (
        f"after breaks at {', '.join(map(str, BREAKS))} of {UPDATES} updates, {where} differs: "
        "parts() must name all that training changes, counters too"
    )


def _check_stack(build: Callable[[int], Algorithm], data: Trajectories) -> None:
    """Two stacked seeds end as each does alone, up to rounding."""
    stacked = [build(seed) for seed in (0, 1)]
    reports = list(Stack(stacked).fit(data, 3, every=1))
    for k, algorithm in enumerate(stacked):
        alone = build(algorithm.seed)
        for progress, report in zip(alone.fit(data, 3, every=1), reports, strict=True):
            for name, loss in progress.losses.items():
                error = abs(report[k].losses[name] - loss)
                assert error <= 1e-4 * max(abs(loss), 1.0), (
                    f"stacked with another seed, {name} is {report[k].losses[name]:.6g} after "
                    f"{progress.updates} updates, alone {loss:.6g}: "
                    "`benchmarks.methods.stacking` says what a stackable method keeps apart"
                )


def _check_policy(algorithm: Algorithm, problem: Problem) -> dict[tuple[int, int], Tensor]:
    """Actions by episode and step of six episodes at once; each must act as it does alone."""
    width, generator = problem.observation_dim, torch.Generator().manual_seed(0)
    observations = 5.0 * torch.randn(STEPS, EPISODES, width, generator=generator)
    rewards, costs = torch.randn(2, STEPS, EPISODES, generator=generator)
    limits = torch.linspace(0.0, float(problem.costs.max()), EPISODES)

    def rollout(
        episodes: Sequence[int], running: Sequence[Any], limits: Tensor = limits
    ) -> dict[tuple[int, int], Tensor]:
        """Act in `episodes`; `running` gives the indices of those that still run at each step."""
        actions: dict[tuple[int, int], Tensor] = {}
        with _globals_untouched("acting"):
            policy = algorithm.policy(limits[list(episodes)])
            for step, env_ids in enumerate(map(torch.as_tensor, running)):
                now = torch.as_tensor(episodes)[env_ids]
                acted = policy.act(observations[step, now], env_ids)
                _check_actions(acted, (len(env_ids), problem.action_dim))
                actions |= {(e, step): a for e, a in zip(now.tolist(), acted, strict=True)}
                policy.observe(rewards[step, now], costs[step, now].abs(), env_ids)
        return actions

    every, rng = range(EPISODES), np.random.default_rng(0)
    together = rollout(every, [every] * STEPS)
    assert not _difference(together, rollout(every, [every] * STEPS)), "acting is not deterministic"
    if not algorithm.heeds_limit:
        other = rollout(every, [every] * STEPS, limits.flip(0))
        assert not _difference(together, other), (
            "heeds_limit is False, but actions depend on limits"
        )
    ending = [[e for e in every if step <= 3 * e % STEPS + 1] for step in range(STEPS)]
    cases: list[tuple[str, Sequence[int], Sequence[Any]]] = [
        ("the order of env_ids", every, [rng.permutation(EPISODES) for _ in range(STEPS)]),
        ("which episodes run", every, ending),
        *(("other episodes", [episode], [[0]] * STEPS) for episode in every),
    ]
    for cause, episodes, running in cases:
        actions = rollout(episodes, running)
        error = max(float((action - together[at]).abs().max()) for at, action in actions.items())
        assert error <= 1e-5, (
            f"actions depend on {cause} in the batch (by {error:.2g}): the actions of an episode "
            "may depend on its own limit and history only; use eval() and index state by `env_ids`"
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


def _difference(left: Any, right: Any, path: str = "") -> str:
    """The path to the first leaf in which two nested states differ; empty if they are equal."""
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        left, right = dict(enumerate(left)), dict(enumerate(right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        if left.keys() != right.keys():
            return f"{path} (its keys)"
        differences = (_difference(left[key], right[key], f"{path}/{key}") for key in left)
        return next(filter(None, differences), "")
    tensors = isinstance(left, Tensor) and isinstance(right, Tensor)
    equal = torch.equal(left, right) if tensors else left == right
    return "" if equal else path or "value"
