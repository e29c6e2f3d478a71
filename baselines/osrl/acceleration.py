"""osrl's models, evaluated faster: the same numbers and random draws, but for rounding.

What cost time beside the products of matrices, by the profiles in `python -m benchmarks.speed`:
optimisers and targets that go tensor by tensor, log-probabilities that nothing reads,
activations of thousands of rows, each a fresh allocation that outgrows the cache, gradients that
are zero (see `baselines.osrl.least`), networks asked ten times about one state, and hyperbolic
tangents.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.optim import Adam, Optimizer

from baselines.networks import track
from baselines.osrl.least import least, values

_ROWS = 512
"""Rows that pass a network together: they stay in the cache."""
LOG_STD = (-20.0, 2.0)
"""Bounds of the actors' log standard deviation, as in osrl."""
_RELU = nn.ReLU()


def _tanh(x: Tensor) -> Tensor:
    """In place; where no gradient is asked, by the sigmoid, which takes a CPU half the time."""
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return torch.tanh_(x)
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


_IN_PLACE: dict[type[nn.Module], Any] = {nn.ReLU: torch.relu_, nn.Tanh: _tanh}


def accelerate(model: nn.Module, *owners: object) -> None:
    """Speed up the networks of `model` in place, and the Adam optimisers that `owners` hold.

    The model's parameters, their names and its attributes stay as they are.
    """
    # how often osrl repeats a state in a batch, to ask about as many actions
    times = {getattr(model, name, 1) for name in ("sample_action_num", "num_samples_mmd_match")}
    for module in model.modules():
        kind, given = type(module).__name__, vars(module)
        if isinstance(module, nn.Sequential):
            module.forward = partial(_sequential, module)  # type: ignore[method-assign]
        elif kind == "SquashedGaussianMLPActor":
            module.forward = partial(_squashed_gaussian, module, times)
        elif kind == "EnsembleDoubleQCritic":
            given["predict"] = partial(_double_critics, module, times, module.predict)
        elif kind == "MLPGaussianPerturbationActor":
            module.forward = partial(_perturbed, module, times, module.forward)
        elif kind == "VAE":
            module.decode = partial(_decode, module, times)  # type: ignore[assignment]
            module.decode_multiple = partial(_decode_multiple, module)  # type: ignore[assignment]
        elif kind == "EnsembleQCritic" and type(model).__name__ == "COptiDICE":
            given["predict"] = partial(_least_of_ensemble, module)
        elif kind == "EnsembleQCritic":
            given["predict"] = partial(_critics, module, module.predict)
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


def _in_place(network: Iterable[nn.Module], x: Tensor, fresh: bool = False) -> Tensor:
    """The layers in turn; activations overwrite what a linear layer gave, which nothing saves.

    `fresh` says that `x` is such a thing.
    """
    linear = fresh
    for layer in network:
        x = _IN_PLACE.get(type(layer), layer)(x) if linear else layer(x)
        linear = isinstance(layer, nn.Linear)
    return x


def _unrepeated(states: Tensor, times: set[int]) -> Tensor | None:
    """The states of which `states` repeats each so many times in a row; None if it does not.

    On a GPU the question would cost more than it saves.
    """
    if states.device.type != "cpu" or len(states) < 2 or not torch.equal(states[0], states[1]):
        return None
    for count in times:
        if count > 1 and len(states) % count == 0:
            grouped = states.unflatten(0, (-1, count))
            if torch.equal(grouped, grouped[:, :1].expand_as(grouped)):
                alone: Tensor = grouped[:, 0]
                return alone
    return None


def _joined(layers: Iterable[nn.Module], states: Tensor, actions: Tensor) -> Tensor:
    """What `layers` make of repeated `states` [n, o] beside `actions` [n x times, a], ungraded.

    The first layer passes each state once.
    """
    first, *others = layers
    assert isinstance(first, nn.Linear)
    weights = first.weight.split([states.shape[1], actions.shape[1]], 1)
    of_states = torch.addmm(first.bias, states, weights[0].t())
    times = len(actions) // len(states)
    at_once = max(_ROWS // times, 1)
    results = []
    for some, own in zip(of_states.split(at_once), actions.split(at_once * times), strict=True):
        x = (own @ weights[1].t()).unflatten(0, (-1, times))
        x = x.add_(some[:, None]).flatten(0, 1)
        results.append(_in_place(others, x, fresh=True))
    return torch.cat(results)


def _least_of_ensemble(critic: Any, states: Tensor, _: None) -> tuple[Tensor, None]:
    """The least value alone: COptiDICE reads no more."""
    if torch.is_grad_enabled():
        return least(list(critic.q_nets), states), None
    return torch.stack([network(states)[:, 0] for network in critic.q_nets]).min(0).values, None


def _critics(critic: Any, ordinary: Any, states: Tensor, actions: Tensor) -> Any:
    """The least value, and all, as osrl's."""
    if not torch.is_grad_enabled():
        return ordinary(states, actions)
    given = values(list(critic.q_nets), torch.cat([states, actions], 1))
    return given.min(0).values, list(given)


def _double_critics(
    critic: Any, times: set[int], ordinary: Any, states: Tensor, actions: Tensor
) -> Any:
    """The least value of either ensemble, and all values of both, as osrl's."""
    ensembles = critic.q1_nets, critic.q2_nets
    if torch.is_grad_enabled():
        x = torch.cat([states, actions], 1)
        given = values([network for networks in ensembles for network in networks], x)
        one, other = given.split([len(networks) for networks in ensembles])
        return one.min(0).values, other.min(0).values, list(one), list(other)
    asked = _unrepeated(states, times)
    if asked is None:
        return ordinary(states, actions)
    alone = [
        [_joined(network, asked, actions)[:, 0] for network in networks] for networks in ensembles
    ]
    return *(torch.stack(of_one).min(0).values for of_one in alone), *alone


def _perturbed(
    actor: Any, times: set[int], ordinary: Any, states: Tensor, actions: Tensor
) -> Tensor:
    """As osrl's."""
    asked = None if torch.is_grad_enabled() else _unrepeated(states, times)
    if asked is None:
        result: Tensor = ordinary(states, actions)
        return result
    step = actor.phi * actor.act_limit * _joined(actor.pi, asked, actions)
    moved: Tensor = (step + actions).clamp(-actor.act_limit, actor.act_limit)
    return moved


def _squashed_gaussian(
    actor: Any,
    times: set[int],
    observations: Tensor,
    deterministic: bool = False,
    with_logprob: bool = True,
    with_distribution: bool = False,
    return_pretanh_value: bool = False,
) -> tuple[Any, ...]:
    """As osrl's forward; the log-probability of the action, which no update reads, is None."""
    asked = None if deterministic else _unrepeated(observations, times)
    features = actor.net(observations if asked is None else asked)
    mean, log_std = actor.mu_layer(features), actor.log_std_layer(features)
    std = log_std.clamp(*LOG_STD).exp()
    if asked is not None:
        count = len(observations) // len(asked)
        mean, std = (one.repeat_interleave(count, 0) for one in (mean, std))
    # validation reads every value of the distribution's parameters, and again of each argument
    gaussian = Normal(mean, std, validate_args=False)
    before = mean if deterministic else gaussian.rsample()
    action = torch.tanh(before)
    if return_pretanh_value:
        return action, before
    return (action, None, gaussian) if with_distribution else (action, None)


def _decode(vae: Any, times: set[int], observations: Tensor, code: Tensor | None = None) -> Tensor:
    if code is None:
        code = _code(vae, len(observations))
    asked = None if torch.is_grad_enabled() else _unrepeated(observations, times)
    raw = _decoded(vae, observations if asked is None else asked, code)
    result: Tensor = vae.act_lim * torch.tanh(raw)
    return result


@torch.no_grad()
def _decode_multiple(
    vae: Any, observations: Tensor, z: Tensor | None = None, num_decode: int = 10
) -> tuple[Tensor, Tensor]:
    """As osrl's, which asks it for no gradient."""
    code = _code(vae, len(observations), num_decode) if z is None else z
    raw = _decoded(vae, observations, code.flatten(0, 1)).unflatten(0, (-1, num_decode))
    return torch.tanh(raw), raw


def _code(vae: Any, *shape: int) -> Tensor:
    code: Tensor = torch.randn((*shape, vae.latent_dim)).clamp(-0.5, 0.5).to(vae.d1.weight.device)
    return code


def _decoded(vae: Any, observations: Tensor, code: Tensor) -> Tensor:
    """The decoder's last layer for codes [n x times, z] of observations [n, o]."""
    layers = [vae.d1, _RELU, vae.d2, _RELU, vae.d3]
    if len(code) > len(observations):
        return _joined(layers, observations, code)
    x = torch.cat([observations, code], 1)
    return torch.cat([_in_place(layers, rows) for rows in x.split(_ROWS)])
