"""Small methods on a device, with the random numbers of a CPU wherever they are trained."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.methods.algorithm import Algorithm, Problem
from benchmarks.methods.conformance import HORIZON, synthetic_data
from benchmarks.methods.registry import find_method

DATA = synthetic_data()
_RATES = ("learning_rate", "critic_lr", "actor_lr", "vae_lr", "alpha_lr", "scalar_lr")
# small rates: what a sum rounds to decides Adam's first steps where a gradient is nearly nothing
_SMALL = dict.fromkeys((*_RATES, "temperature_rate"), 1e-4) | {
    "width": 24,
    "blocks": 2,
    "expansion": 2,
    "dropout": 0.1,
    "hidden": 24,
    "vae_hidden": 24,
    "embedding": 8,
    "embedding_dim": 16,
    "num_layers": 1,
    "num_heads": 2,
    "warmup": 4,
    "lr_warmup_steps": 4,
    "max_grad_norm": 0.05,
}
_RANDOM = {
    *("rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like"),
    *("normal", "normal_", "uniform_", "random_", "bernoulli", "bernoulli_", "multinomial"),
}


def build(name: str, seed: int = 0, device: str = "cpu", **options: Any) -> Algorithm:
    """A small method on `DATA`."""
    cls = find_method(name).cls
    known = cls.config_class.__dataclass_fields__
    small = {key: value for key, value in _SMALL.items() if key in known}
    config = cls.config_class(**{"batch": 16, **small, **options})
    limit = 8.0 if cls.trains_per_limit else None
    return cls(Problem.of(DATA, HORIZON), config, limit=limit, seed=seed, device=device)


def learned(algorithm: Algorithm) -> dict[str, Any]:
    """What acts: the parts but for the optimisers, whose moments are sums of large numbers."""
    return {k: v for k, v in algorithm.state()["parts"].items() if "optim" not in k}


def difference(one: Any, other: Any) -> float:
    """The largest between two states, relative where numbers are large, wherever they lie."""
    if isinstance(one, Tensor):
        a, b = one.detach().cpu().double(), other.detach().cpu().double()
        return float(((a - b).abs() / b.abs().clamp(min=1.0)).max()) if a.numel() else 0.0
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        return max((difference(one[key], other[key]) for key in one), default=0.0)
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        return max(map(difference, one, other), default=0.0)
    return abs(one - other) if isinstance(one, float) else float(one != other)


class HostDraws(TorchDispatchMode):
    """Inside, every random number comes from the CPU's generator, on whichever device it is used.

    So a training on a GPU sees the batches and the noise of the same training on a CPU.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        if name not in _RANDOM:
            return func(*args, **kwargs)
        device = next((a.device for a in args if isinstance(a, Tensor)), kwargs.get("device"))
        if kwargs.get("device") is not None:
            kwargs["device"] = torch.device("cpu")
        drawn = func(*(_on_cpu(a) for a in args), **kwargs)
        if name.endswith("_"):
            return args[0].copy_(drawn)
        return drawn if device is None else drawn.to(device)


def _on_cpu(value: Any) -> Any:
    return value.cpu() if isinstance(value, Tensor) else value
