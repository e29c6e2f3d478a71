"""Faster evaluation of osrl's models: the same values and random draws, up to rounding.

Profiles by `python -m benchmarks.speed` show what takes time besides matrix products: optimisers
and target networks that are updated tensor by tensor, log-probabilities that nothing reads, newly
allocated activations of thousands of rows that exceed the cache, zero gradients (see
`baselines.osrl.ensemble`), networks evaluated ten times at one state, and hyperbolic tangents.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.optim import Adam, Optimizer

from baselines.osrl.ensemble import ensemble_values, min_q
from benchmarks.methods.networks import polyak_update

_ROWS = 512
"""Rows that are evaluated together, few enough to stay in the cache."""
LOG_STD = (-20.0, 2.0)
"""Bounds of the actors' log standard deviation, as in osrl."""
_RELU = nn.ReLU()


def _tanh(x: Tensor) -> Tensor:
    """In place; without gradients by the sigmoid, which takes half the time on a CPU."""
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return torch.tanh_(x)
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


_IN_PLACE: dict[type[nn.Module], Any] = {nn.ReLU: torch.relu_, nn.Tanh: _tanh}


def accelerate(model: nn.Module, *owners: object) -> None:
    """Speed up, in place, the networks of `model` and the Adam optimisers of `owners`.

    The model's parameters, their names and its attributes stay the same.
    """
    # osrl repeats each state in a batch this often, to evaluate as many actions
    repeats = {getattr(model, name, 1) for name in ("sample_action_num", "num_samples_mmd_match")}
    for module in model.modules():
        kind, attributes = type(module).__name__, vars(module)
        if isinstance(module, nn.Sequential):
            module.forward = partial(_sequential, module)  # type: ignore[method-assign]
        elif kind == "SquashedGaussianMLPActor":
            module.forward = partial(_squashed_gaussian, module, repeats)
        elif kind == "EnsembleDoubleQCritic":
            attributes["predict"] = partial(_double_critics, module, repeats, module.predict)
        elif kind == "MLPGaussianPerturbationActor":
            module.forward = partial(_perturbed, module, repeats, module.forward)
        elif kind == "VAE":
            module.decode = partial(_decode, module, repeats)  # type: ignore[assignment]
            module.decode_multiple = partial(_decode_multiple, module)  # type: ignore[assignment]
        elif kind == "EnsembleQCritic" and type(model).__name__ == "COptiDICE":
            attributes["predict"] = partial(_min_of_ensemble, module)
        elif kind == "EnsembleQCritic":
            attributes["predict"] = partial(_critics, module, module.predict)
    if hasattr(model, "_soft_update"):
        model._soft_update = polyak_update  # type: ignore[assignment]
    for owner in owners:
        for optimiser in vars(owner).values():
            if isinstance(optimiser, Adam):
                fuse(optimiser)


def fuse(optimiser: Optimizer) -> None:
    """Let an Adam optimiser without any step so far update all parameters in one kernel."""
    for group in optimiser.param_groups:
        if all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in group["params"]):
            group["fused"], group["foreach"] = True, False


def _sequential(network: nn.Sequential, x: Tensor) -> Tensor:
    if x.dim() != 2 or len(x) <= _ROWS:
        return _in_place(network, x)
    return torch.cat([_in_place(network, rows) for rows in x.split(_ROWS)])


def _in_place(network: Iterable[nn.Module], x: Tensor, overwrite: bool = False) -> Tensor:
    """Apply the layers in turn; activations overwrite the output of a linear layer.

    Autograd does not save such an output. `overwrite` says that `x` may be overwritten too.
    """
    for layer in network:
        x = _IN_PLACE.get(type(layer), layer)(x) if overwrite else layer(x)
        overwrite = isinstance(layer, nn.Linear)
    return x


def _distinct_states(states: Tensor, repeats: set[int]) -> Tensor | None:
    """The distinct states if each is repeated in a row, as often as `repeats` allows; else None.

    On a GPU the check would take longer than it saves.
    """
    if states.device.type != "cpu" or len(states) < 2 or not torch.equal(states[0], states[1]):
        return None
    for count in repeats:
        if count > 1 and len(states) % count == 0:
            grouped = states.unflatten(0, (-1, count))
            if torch.equal(grouped, grouped[:, :1].expand_as(grouped)):
                distinct: Tensor = grouped[:, 0]
                return distinct
    return None


def _repeated_states(layers: Iterable[nn.Module], states: Tensor, actions: Tensor) -> Tensor:
    """Evaluate `layers` on states [n, o], each joined with its actions [n x repeats, a].

    The first layer evaluates each state once. Without gradients.
    """
    first, *rest = layers
    assert isinstance(first, nn.Linear)
    weights = first.weight.split([states.shape[1], actions.shape[1]], 1)
    state_part = torch.addmm(first.bias, states, weights[0].t())
    repeats = len(actions) // len(states)
    block = max(_ROWS // repeats, 1)
    results = []
    blocks = zip(state_part.split(block), actions.split(block * repeats), strict=True)
    for block_states, block_actions in blocks:
        x = (block_actions @ weights[1].t()).unflatten(0, (-1, repeats))
        x = x.add_(block_states[:, None]).flatten(0, 1)
        results.append(_in_place(rest, x, overwrite=True))
    return torch.cat(results)


def _min_of_ensemble(critic: Any, states: Tensor, _: None) -> tuple[Tensor, None]:
    """The minimum only: COptiDICE does not read the values."""
    if torch.is_grad_enabled():
        return min_q(list(critic.q_nets), states), None
    return torch.stack([network(states)[:, 0] for network in critic.q_nets]).min(0).values, None


def _critics(critic: Any, original: Any, states: Tensor, actions: Tensor) -> Any:
    """The minimum and all values, as osrl returns them."""
    if not torch.is_grad_enabled():
        return original(states, actions)
    q = ensemble_values(list(critic.q_nets), torch.cat([states, actions], 1))
    return q.min(0).values, list(q)


def _double_critics(
    critic: Any, repeats: set[int], original: Any, states: Tensor, actions: Tensor
) -> Any:
    """The minimum of each of two ensembles and all values of both, as osrl returns them."""
    ensembles = critic.q1_nets, critic.q2_nets
    if torch.is_grad_enabled():
        x = torch.cat([states, actions], 1)
        q = ensemble_values([network for networks in ensembles for network in networks], x)
        q1, q2 = q.split([len(networks) for networks in ensembles])
        return q1.min(0).values, q2.min(0).values, list(q1), list(q2)
    distinct = _distinct_states(states, repeats)
    if distinct is None:
        return original(states, actions)
    q1_list, q2_list = (
        [_repeated_states(network, distinct, actions)[:, 0] for network in networks]
        for networks in ensembles
    )
    minima = (torch.stack(values).min(0).values for values in (q1_list, q2_list))
    return *minima, q1_list, q2_list


def _perturbed(
    actor: Any, repeats: set[int], original: Any, states: Tensor, actions: Tensor
) -> Tensor:
    """The actions with the actor's perturbation, as osrl returns them."""
    distinct = None if torch.is_grad_enabled() else _distinct_states(states, repeats)
    if distinct is None:
        result: Tensor = original(states, actions)
        return result
    step = actor.phi * actor.act_limit * _repeated_states(actor.pi, distinct, actions)
    perturbed: Tensor = (step + actions).clamp(-actor.act_limit, actor.act_limit)
    return perturbed


def _squashed_gaussian(
    actor: Any,
    repeats: set[int],
    observations: Tensor,
    deterministic: bool = False,
    with_logprob: bool = True,
    with_distribution: bool = False,
    return_pretanh_value: bool = False,
) -> tuple[Any, ...]:
    """As osrl's forward; the log-probability of the action, which no update reads, is None."""
    distinct = None if deterministic else _distinct_states(observations, repeats)
    features = actor.net(observations if distinct is None else distinct)
    mean, log_std = actor.mu_layer(features), actor.log_std_layer(features)
    std = log_std.clamp(*LOG_STD).exp()
    if distinct is not None:
        count = len(observations) // len(distinct)
        mean, std = (values.repeat_interleave(count, 0) for values in (mean, std))
    # validation would read every value of the parameters and of each argument
    gaussian = Normal(mean, std, validate_args=False)
    pretanh = mean if deterministic else gaussian.rsample()
    action = torch.tanh(pretanh)
    if return_pretanh_value:
        return action, pretanh
    return (action, None, gaussian) if with_distribution else (action, None)


def _decode(
    vae: Any, repeats: set[int], observations: Tensor, code: Tensor | None = None
) -> Tensor:
    if code is None:
        code = _code(vae, len(observations))
    distinct = None if torch.is_grad_enabled() else _distinct_states(observations, repeats)
    raw = _decoded(vae, observations if distinct is None else distinct, code)
    result: Tensor = vae.act_lim * torch.tanh(raw)
    return result


@torch.no_grad()
def _decode_multiple(
    vae: Any, observations: Tensor, z: Tensor | None = None, num_decode: int = 10
) -> tuple[Tensor, Tensor]:
    """As osrl's `decode_multiple`, without gradients: osrl uses none."""
    code = _code(vae, len(observations), num_decode) if z is None else z
    raw = _decoded(vae, observations, code.flatten(0, 1)).unflatten(0, (-1, num_decode))
    return torch.tanh(raw), raw


def _code(vae: Any, *shape: int) -> Tensor:
    code: Tensor = torch.randn((*shape, vae.latent_dim)).clamp(-0.5, 0.5).to(vae.d1.weight.device)
    return code


def _decoded(vae: Any, observations: Tensor, code: Tensor) -> Tensor:
    """Output of the decoder's last layer for codes [n x repeats, z] at observations [n, o]."""
    layers = [vae.d1, _RELU, vae.d2, _RELU, vae.d3]
    if len(code) > len(observations):
        return _repeated_states(layers, observations, code)
    x = torch.cat([observations, code], 1)
    return torch.cat([_in_place(layers, rows) for rows in x.split(_ROWS)])
