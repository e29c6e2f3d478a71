"""CPQ's and COptiDICE's updates for several seeds as one (`benchmarks.methods.stacking`).

osrl's losses are means over all that they are given, and step their optimisers themselves: they
know no further dimension. These are the same losses in the same order, with the same draws, one
[K] for K seeds. That each seed ends as by osrl's is tested.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn import functional

from baselines.networks import descend
from baselines.osrl.acceleration import LOG_STD
from benchmarks.common.random_streams import Draws
from benchmarks.datasets.sampling import Transitions


def cpq_step(model: Any, b: Transitions, draws: Draws) -> dict[str, Tensor | float]:
    """One step of the critics, the actor and the targets, without the inert penalty."""
    with torch.no_grad():
        following = _drawn(model.actor, b.next_observations, draws)
        worth = _least(model.critic_old, b.next_observations, following)
        safe = _least(model.cost_critic_old, b.next_observations, following) <= model.q_thres
        backup = b.rewards + model.gamma * (1 - b.done) * safe * worth
    critic_loss = _squared_error(model.critic, b, backup)
    descend(model.critic_optim, critic_loss)
    with torch.no_grad():
        following = _drawn(model.actor, b.next_observations, draws)
        backup = b.costs + model.gamma * _least(
            model.cost_critic_old, b.next_observations, following
        )
    cost_critic_loss = _squared_error(model.cost_critic, b, backup)
    descend(model.cost_critic_optim, cost_critic_loss)
    actions = _drawn(model.actor, b.observations, draws)
    critics = model.critic.requires_grad_(False), model.cost_critic.requires_grad_(False)
    worth, cost = (_least(critic, b.observations, actions) for critic in critics)
    actor_loss = -((cost <= model.q_thres) * worth).mean(-1)
    descend(model.actor_optim, actor_loss)
    for critic in critics:
        critic.requires_grad_(True)
    model.sync_weight()
    return {
        "critic_loss": critic_loss.detach(),
        "cost_critic_loss": cost_critic_loss.detach(),
        "actor_loss": actor_loss.detach(),
    }


def coptidice_step(model: Any, b: Transitions, draws: Draws) -> dict[str, Tensor | float]:
    """One step of chi, tau, nu, lambda and the actor."""
    gamma, lmbda = model.gamma, functional.softplus(model.lmbda)
    nu, excess, ratio = _ratio(model, b, lmbda.detach())
    weight = ratio.detach()
    losses = {"Df": model.f_fn(weight).mean(-1)}
    if model.cost_ub_epsilon:
        bound = _bound_step(model, b, weight)
        cost = bound.pop("cost")
        losses |= bound
    else:
        cost = (weight * b.costs).mean(-1)
    at_start = (nu * b.initial).mean(-1) / model.init_state_propotion
    gain = (ratio * excess - model.alpha * model.f_fn(ratio)).mean(-1)
    nu_loss = (1 - gamma) * at_start + gain
    descend(model.nu_optim, nu_loss)
    lmbda_loss = lmbda.squeeze(-1) * (model.qc_thres - cost.detach())
    descend(model.lmbda_optim, lmbda_loss)
    moved = draws.normal_like(b.observations) * model.observations_std * 0.1
    asked = b.actions + draws.normal_like(b.actions) * model.actions_std * 0.1
    mean, std = _gaussian(model.actor, b.observations + moved)
    draws.normal_like(mean)  # an action that osrl draws here and nothing reads
    with torch.no_grad():
        _, _, ratio = _ratio(model, b, lmbda)
    likelihood = Normal(mean, std, validate_args=False).log_prob(asked).sum(-1)
    actor_loss = -(ratio * likelihood).mean(-1)
    descend(model.actor_optim, actor_loss)
    losses |= {
        "td_error": excess.square().mean(-1),
        "nu_loss": nu_loss,
        "lmbda_loss": lmbda_loss,
        "actor_loss": actor_loss,
        "lmbda": lmbda.squeeze(-1),
    }
    return {name: loss.detach() for name, loss in losses.items()}


def _bound_step(model: Any, b: Transitions, weight: Tensor) -> dict[str, Tensor]:
    """A step of chi and tau towards an upper bound of the cost, and that bound."""
    tau, size = functional.softplus(model.tau), weight.shape[-1]
    now, following = (_least(model.chi_network, s) for s in (b.observations, b.next_observations))
    at_start = now * b.initial / model.init_state_propotion
    change = b.costs + model.gamma * (1 - b.done) * following - now
    bounded = (1 - model.gamma) * at_start + weight * change
    logits = bounded / tau.detach()
    shares = logits.softmax(-1) * size
    divergence = (shares * (logits.log_softmax(-1) + math.log(size)) - shares + 1).mean(-1)
    chi_loss = (shares * bounded).mean(-1)
    descend(model.chi_optim, chi_loss)
    tau_loss = tau.squeeze(-1) * (model.cost_ub_epsilon - divergence.detach())
    descend(model.tau_optim, tau_loss)
    return {
        "cost": (shares * weight * b.costs).mean(-1),
        "chi_loss": chi_loss,
        "tau_loss": tau_loss,
        "D_kl": divergence,
        "tau": tau.squeeze(-1),
    }


def _ratio(model: Any, b: Transitions, lmbda: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """nu, what a transition gives beyond it, and the ratio of the distributions [K, B] each."""
    nu, following = (_least(model.nu_network, s) for s in (b.observations, b.next_observations))
    excess = b.rewards - lmbda * b.costs + (model.gamma * (1 - b.done) * following - nu)
    return nu, excess, functional.relu(model.f_prime_inv_fn(excess / model.alpha))


def _least(critic: Any, states: Tensor, actions: Tensor | None = None) -> Tensor:
    """The least value of an ensemble [K, B]."""
    least: Tensor = torch.stack(critic(states, actions)).min(0).values
    return least


def _squared_error(critic: Any, b: Transitions, backup: Tensor) -> Tensor:
    """Of every critic of an ensemble, summed [K]."""
    errors = torch.stack(critic(b.observations, b.actions)) - backup
    return errors.square().mean(-1).sum(0)


def _gaussian(actor: Any, states: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of an action before its tanh."""
    features = actor.net(states)
    return actor.mu_layer(features), actor.log_std_layer(features).clamp(*LOG_STD).exp()


def _drawn(actor: Any, states: Tensor, draws: Draws) -> Tensor:
    """An action of the actor's."""
    mean, std = _gaussian(actor, states)
    return torch.tanh(mean + draws.normal_like(mean) * std)
