"""COptiDICE's update for K seeds as one (see `stacked_networks`)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn import functional

from baselines.osrl.stacked_networks import gaussian, min_q
from benchmarks.common.random_streams import Draws
from benchmarks.datasets.sampling import Transitions
from benchmarks.methods.networks import optimizer_step

LossInfo = tuple[Tensor, dict[str, Tensor]]


class Estimate(NamedTuple):
    """Of each transition [K, B]."""

    nu: Tensor
    td_error: Tensor
    """r - lambda c + gamma nu' - nu."""
    ratio: Tensor
    """Density ratio of the optimal policy's state-action distribution to the dataset's."""


def estimate(model: Any, b: Transitions, lmbda: Tensor) -> Estimate:
    """nu, the TD error and the density ratio under the multiplier `lmbda`."""
    nu, next_nu = (min_q(model.nu_network, s) for s in (b.observations, b.next_observations))
    td_error = b.rewards - lmbda * b.costs + (model.gamma * (1 - b.done) * next_nu - nu)
    return Estimate(nu, td_error, functional.relu(model.f_prime_inv_fn(td_error / model.alpha)))


def chi_loss(model: Any, b: Transitions, ratio: Tensor, tau: Tensor) -> LossInfo:
    """Upper bound of the mean cost, minimised over chi; `info` holds the bound as "cost"."""
    size = ratio.shape[-1]
    chi, next_chi = (min_q(model.chi_network, s) for s in (b.observations, b.next_observations))
    initial = chi * b.initial / model.init_state_propotion
    td_error = b.costs + model.gamma * (1 - b.done) * next_chi - chi
    bound = (1 - model.gamma) * initial + ratio * td_error
    logits = bound / tau
    weights = logits.softmax(-1) * size
    kl = (weights * (logits.log_softmax(-1) + math.log(size)) - weights + 1).mean(-1)
    loss = (weights * bound).mean(-1)
    cost = (weights * ratio * b.costs).mean(-1)
    return loss, {"chi_loss": loss.detach(), "D_kl": kl.detach(), "cost": cost.detach()}


def tau_loss(model: Any, tau: Tensor, kl: Tensor) -> LossInfo:
    """Drives the divergence of the weights in the cost's upper bound to `cost_ub_epsilon`."""
    loss = tau.squeeze(-1) * (model.cost_ub_epsilon - kl)
    return loss, {"tau_loss": loss.detach(), "tau": tau.squeeze(-1).detach()}


def nu_loss(model: Any, b: Transitions, of: Estimate) -> LossInfo:
    """The dual objective of COptiDICE, minimised over nu."""
    initial = (of.nu * b.initial).mean(-1) / model.init_state_propotion
    gain = (of.ratio * of.td_error - model.alpha * model.f_fn(of.ratio)).mean(-1)
    loss = (1 - model.gamma) * initial + gain
    return loss, {"td_error": of.td_error.square().mean(-1).detach(), "nu_loss": loss.detach()}


def lambda_loss(model: Any, lmbda: Tensor, cost: Tensor) -> LossInfo:
    """Raises the multiplier of the cost while the cost exceeds its threshold."""
    loss = lmbda.squeeze(-1) * (model.qc_thres - cost)
    return loss, {"lmbda_loss": loss.detach()}


def actor_loss(model: Any, b: Transitions, lmbda: Tensor, draws: Draws) -> LossInfo:
    """Behaviour cloning with noise on states and actions, weighted by the density ratio."""
    states = b.observations + draws.normal_like(b.observations) * model.observations_std * 0.1
    actions = b.actions + draws.normal_like(b.actions) * model.actions_std * 0.1
    mean, std = gaussian(model.actor, states)
    draws.normal_like(mean)  # osrl samples an action here that nothing uses
    with torch.no_grad():
        ratio = estimate(model, b, lmbda).ratio
    log_prob = Normal(mean, std, validate_args=False).log_prob(actions).sum(-1)
    loss = -(ratio * log_prob).mean(-1)
    return loss, {"actor_loss": loss.detach()}


def update(model: Any, b: Transitions, draws: Draws) -> dict[str, Tensor | float]:
    """Update chi, tau, nu, lambda and the actor."""
    lmbda = functional.softplus(model.lmbda)
    of = estimate(model, b, lmbda.detach())
    ratio = of.ratio.detach()
    info: dict[str, Tensor] = {"Df": model.f_fn(ratio).mean(-1)}
    if model.cost_ub_epsilon:
        tau = functional.softplus(model.tau)
        loss, chi_info = chi_loss(model, b, ratio, tau.detach())
        optimizer_step(model.chi_optim, loss)
        loss, tau_info = tau_loss(model, tau, chi_info["D_kl"])
        optimizer_step(model.tau_optim, loss)
        cost = chi_info.pop("cost")
        info |= chi_info | tau_info
    else:
        cost = (ratio * b.costs).mean(-1)
    loss, nu_info = nu_loss(model, b, of)
    optimizer_step(model.nu_optim, loss)
    loss, lambda_info = lambda_loss(model, lmbda, cost)
    optimizer_step(model.lmbda_optim, loss)
    loss, actor_info = actor_loss(model, b, lmbda, draws)
    optimizer_step(model.actor_optim, loss)
    return {**info, **nu_info, **lambda_info, **actor_info, "lmbda": lmbda.squeeze(-1).detach()}
