"""For tests that compute losses by hand: small methods, batches, and what a gradient reaches."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.datasets.sampling import Transitions
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Algorithm, Problem
from benchmarks.methods.conformance import HORIZON, synthetic_data


def built(
    cls: type[Algorithm],
    data: Trajectories | None = None,
    *,
    horizon: int = HORIZON,
    limit: float | None = None,
    seed: int = 0,
    **options: Any,
) -> Any:
    """A method with these options, prepared on `data`."""
    data = data or synthetic_data()
    method = cls(Problem.of(data, horizon), cls.config_class(**options), limit=limit, seed=seed)
    with method.random():
        method.prepare(data)
    return method


def transitions(size: int = 64, seed: int = 1) -> Transitions:
    """A batch with three observations, two actions, and ends of both kinds."""
    rng = np.random.default_rng(seed)
    terminal = rng.integers(0, 2, size)
    columns = {
        "observations": rng.normal(size=(size, 3)),
        "next_observations": rng.normal(size=(size, 3)),
        "actions": rng.uniform(-1, 1, (size, 2)),
        "rewards": rng.normal(size=size),
        "costs": rng.choice([0.0, 0.5, 1.0, 3.0], size),
        "done": np.maximum(terminal, rng.integers(0, 2, size)),
        "initial": np.zeros(size),
        "terminal": terminal,
    }
    return Transitions(**{k: torch.as_tensor(v, dtype=torch.float32) for k, v in columns.items()})


def disturb(*modules: nn.Module, size: float = 0.5) -> None:
    """Add noise to all parameters, so that no two networks are alike and no value is near 0."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for module in modules:
            for parameter in module.parameters():
                parameter += size * torch.randn(parameter.shape, generator=generator)


def reached(loss: Tensor, **modules: nn.Module) -> set[str]:
    """The names of the modules that the loss has a gradient for."""
    for module in modules.values():
        module.zero_grad(set_to_none=True)
    loss.sum().backward(retain_graph=True)
    return {
        name
        for name, module in modules.items()
        if any(p.grad is not None and bool(p.grad.any()) for p in module.parameters())
    }


def one_step_episodes(
    observations: Any, actions: Any, rewards: Any, costs: Any, *, repeat: int = 50
) -> Trajectories:
    """A bandit: each row is an episode of one step, `repeat` times."""
    rows = [np.tile(np.asarray(v, dtype=float), (repeat, 1)) for v in (observations, actions)]
    scalars = [np.tile(np.asarray(v, dtype=float), repeat) for v in (rewards, costs)]
    ends = np.ones(len(scalars[0]), dtype=bool)
    return Trajectories.from_arrays(*rows, *scalars, ends, ends)


def train(method: Algorithm, data: Trajectories, updates: int) -> None:
    """Train `method` to `updates` updates in all."""
    for _ in method.fit(data, updates):
        pass


def act(method: Algorithm, observation: Any, limits: Any) -> np.ndarray:
    """Actions [B, a] at one observation with each of the limits."""
    limits = torch.as_tensor(limits, dtype=torch.float32)
    rows = torch.as_tensor(np.asarray(observation), dtype=torch.float32).expand(len(limits), -1)
    return method.policy(limits).act(rows, torch.arange(len(limits))).numpy()
