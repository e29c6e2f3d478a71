"""CPQ's update for K seeds as one, without the inert penalty (see `stacked_networks`)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from baselines.osrl.stacked_networks import min_q, sample_action, td_loss
from benchmarks.common.random_streams import Draws
from benchmarks.datasets.sampling import Transitions
from benchmarks.methods.networks import optimizer_step

LossInfo = tuple[Tensor, dict[str, Tensor]]


def critic_loss(model: Any, b: Transitions, draws: Draws) -> LossInfo:
    """TD loss of the reward critics, which bootstrap through safe actions only."""
    with torch.no_grad():
        next_actions = sample_action(model.actor, b.next_observations, draws)
        next_q = min_q(model.critic_old, b.next_observations, next_actions)
        safe = min_q(model.cost_critic_old, b.next_observations, next_actions) <= model.q_thres
        q_target = b.rewards + model.gamma * (1 - b.done) * safe * next_q
    loss = td_loss(model.critic, b, q_target)
    return loss, {"critic_loss": loss.detach()}


def cost_critic_loss(model: Any, b: Transitions, draws: Draws) -> LossInfo:
    """TD loss of the cost critics, which bootstrap through the end of an episode as in osrl."""
    with torch.no_grad():
        next_actions = sample_action(model.actor, b.next_observations, draws)
        next_qc = min_q(model.cost_critic_old, b.next_observations, next_actions)
        qc_target = b.costs + model.gamma * next_qc
    loss = td_loss(model.cost_critic, b, qc_target)
    return loss, {"cost_critic_loss": loss.detach()}


def actor_loss(model: Any, b: Transitions, draws: Draws) -> LossInfo:
    """Minus the value of the actor's actions, counting safe actions only."""
    actions = sample_action(model.actor, b.observations, draws)
    q = min_q(model.critic, b.observations, actions)
    qc = min_q(model.cost_critic, b.observations, actions)
    loss = -((qc <= model.q_thres) * q).mean(-1)
    return loss, {"actor_loss": loss.detach()}


def update(model: Any, b: Transitions, draws: Draws) -> dict[str, Tensor | float]:
    """Update the critics, the actor and the target networks."""
    loss, critic_info = critic_loss(model, b, draws)
    optimizer_step(model.critic_optim, loss)
    loss, cost_critic_info = cost_critic_loss(model, b, draws)
    optimizer_step(model.cost_critic_optim, loss)
    critics = model.critic, model.cost_critic
    for critic in critics:
        critic.requires_grad_(False)
    loss, actor_info = actor_loss(model, b, draws)
    optimizer_step(model.actor_optim, loss)
    for critic in critics:
        critic.requires_grad_(True)
    model.sync_weight()
    return {**critic_info, **cost_critic_info, **actor_info}
