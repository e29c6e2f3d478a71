"""Create osrl's critic ensembles and Gaussian actors with a leading dimension of K seeds.

osrl's losses average over everything that they are given and step their optimisers, so they cannot
batch over seeds. `stacked_cpq` and `stacked_coptidice` implement the same losses in the same order
with the same random draws, one value [K] a loss. Tests check that each seed ends as with osrl.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from baselines.osrl.acceleration import LOG_STD
from benchmarks.common.random_streams import Draws
from benchmarks.datasets.sampling import Transitions


def min_q(critic: Any, states: Tensor, actions: Tensor | None = None) -> Tensor:
    """The minimum over an ensemble [K, B]."""
    minimum: Tensor = torch.stack(critic(states, actions)).min(0).values
    return minimum


def td_loss(critic: Any, batch: Transitions, q_target: Tensor) -> Tensor:
    """Mean squared TD error, summed over the ensemble [K]."""
    td_error = torch.stack(critic(batch.observations, batch.actions)) - q_target
    return td_error.square().mean(-1).sum(0)


def gaussian(actor: Any, states: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of an action before the tanh [K, B, a]."""
    features = actor.net(states)
    return actor.mu_layer(features), actor.log_std_layer(features).clamp(*LOG_STD).exp()


def sample_action(actor: Any, states: Tensor, draws: Draws) -> Tensor:
    """A sampled action [K, B, a]."""
    mean, std = gaussian(actor, states)
    return torch.tanh(mean + draws.normal_like(mean) * std)
