"""osrl's models, evaluated faster: the same numbers and random draws, but for rounding.

What cost time beside the products of matrices, by the profiles in `python -m benchmarks.speed`:
optimisers and targets that go tensor by tensor, log-probabilities that nothing reads, and
activations of thousands of rows, each a fresh allocation that outgrows the cache.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.optim import Adam, Optimizer

from baselines.networks import track

_ROWS = 512
"""Rows that pass a network together: they stay in the cache."""
_LOG_STD = (-20.0, 2.0)
"""Bounds of the actors' log standard deviation, as in osrl."""
_IN_PLACE: dict[type[nn.Module], Any] = {nn.ReLU: torch.relu_, nn.Tanh: torch.tanh_}


def accelerate(model: nn.Module, *owners: object) -> None:
    """Speed up the networks of `model` in place, and the Adam optimisers that `owners` hold.

    The model's parameters, their names and its attributes stay as they are.
    """
    for module in model.modules():
        kind = type(module).__name__
        if isinstance(module, nn.Sequential):
            module.forward = partial(_sequential, module)  # type: ignore[method-assign]
        elif kind == "SquashedGaussianMLPActor":
            module.forward = partial(_squashed_gaussian, module)
        elif kind == "VAE":
            module.decode = partial(_decode, module)  # type: ignore[assignment]
            module.decode_multiple = partial(_decode_multiple, module)  # type: ignore[assignment]
    if hasattr(model, "_soft_update"):
        model._soft_update = track  # type: ignore[assignment]
    for owner in owners:
        for optimiser in vars(owner).values():
            if isinstance(optimiser, Adam):
                fuse(optimiser)


def fuse(optimiser: Optimizer) -> None:
    """Let an Adam that has made no step yet update all its parameters in one kernel."""
    for group in optimiser.param_groups:
        if all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in group["params"]):
            group["fused"], group["foreach"] = True, False


def _sequential(network: nn.Sequential, x: Tensor) -> Tensor:
    if x.dim() != 2 or len(x) <= _ROWS:
        return _in_place(network, x)
    return torch.cat([_in_place(network, rows) for rows in x.split(_ROWS)])


def _in_place(network: nn.Sequential, x: Tensor) -> Tensor:
    """The layers in turn; activations overwrite what a linear layer gave, which nothing saves."""
    linear = False
    for layer in network:
        x = _IN_PLACE.get(type(layer), layer)(x) if linear else layer(x)
        linear = isinstance(layer, nn.Linear)
    return x


def _squashed_gaussian(
    actor: Any,
    observations: Tensor,
    deterministic: bool = False,
    with_logprob: bool = True,
    with_distribution: bool = False,
    return_pretanh_value: bool = False,
) -> tuple[Any, ...]:
    """As osrl's forward; the log-probability of the action, which no update reads, is None."""
    features = actor.net(observations)
    mean, log_std = actor.mu_layer(features), actor.log_std_layer(features)
    std = log_std.clamp(*_LOG_STD).exp()
    # validation reads every value of the distribution's parameters, and again of each argument
    gaussian = Normal(mean, std, validate_args=False)
    before = mean if deterministic else gaussian.rsample()
    action = torch.tanh(before)
    if return_pretanh_value:
        return action, before
    return (action, None, gaussian) if with_distribution else (action, None)


def _decode(vae: Any, observations: Tensor, code: Tensor | None = None) -> Tensor:
    if code is None:
        code = _code(vae, len(observations))
    raw = _decoded(vae, torch.cat([observations, code], 1))
    result: Tensor = vae.act_lim * torch.tanh(raw)
    return result


@torch.no_grad()
def _decode_multiple(
    vae: Any, observations: Tensor, z: Tensor | None = None, num_decode: int = 10
) -> tuple[Tensor, Tensor]:
    """As osrl's, which asks it for no gradient."""
    code = _code(vae, len(observations), num_decode) if z is None else z
    joined = torch.cat([observations.repeat_interleave(num_decode, 0), code.flatten(0, 1)], 1)
    raw = _decoded(vae, joined).view(len(observations), num_decode, -1)
    return torch.tanh(raw), raw


def _code(vae: Any, *shape: int) -> Tensor:
    code: Tensor = torch.randn((*shape, vae.latent_dim)).clamp(-0.5, 0.5).to(vae.d1.weight.device)
    return code


def _decoded(vae: Any, x: Tensor) -> Tensor:
    def rows(part: Tensor) -> Tensor:
        result: Tensor = vae.d3(torch.relu_(vae.d2(torch.relu_(vae.d1(part)))))
        return result

    return torch.cat([rows(part) for part in x.split(_ROWS)])
