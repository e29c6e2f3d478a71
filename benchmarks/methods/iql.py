"""Implicit Q-learning (IQL; Kostrikov and others, ICLR 2022, arXiv 2110.06169): a shared core.

V is an expectile of Q over the actions of the data, and Q is regressed on one step and V: no action
outside the data is ever valued. The same holds for costs, with a low expectile.
"""

from __future__ import annotations

from torch import Tensor, nn

from benchmarks.datasets.sampling import Transitions
from benchmarks.methods.losses import expectile_loss
from benchmarks.methods.networks import DoubleCritic, critic, make_target, polyak_update


class ImplicitCritic(nn.Module):
    """Two Q, their target networks and V, of rewards or of costs.

    Of two Q the worse counts: the smaller of rewards, the larger of costs.
    """

    def __init__(
        self, states: int, actions: int, hidden: int, *, costs: bool, layer_norm: bool = False
    ) -> None:
        super().__init__()
        self.costs = costs
        self.q = DoubleCritic(states + actions, hidden)
        self.v = critic(states, hidden, layer_norm=layer_norm)
        self.target = make_target(self.q)

    def worse(self, both: Tensor) -> Tensor:
        """Of the values of two Q [2, ..., B] the worse [..., B]."""
        return both.amax(0) if self.costs else both.amin(0)

    def online_q(self, states: Tensor, actions: Tensor) -> Tensor:
        """The worse Q [..., B]."""
        return self.worse(self.q(states, actions))

    def target_q(self, states: Tensor, actions: Tensor) -> Tensor:
        """The worse Q of the target networks [..., B]."""
        return self.worse(self.target(states, actions))

    def value_loss(self, target_q: Tensor, states: Tensor, expectile: float) -> Tensor:
        """Regress V(s) on an expectile of `target_q` [..., B], a target network's."""
        return expectile_loss(target_q - self.v(states), expectile)

    def critic_loss(self, states: Tensor, actions: Tensor, backup: Tensor) -> Tensor:
        """Mean of both Q's squared errors to `backup` [..., B], which takes no gradient."""
        error: Tensor = self.q(states, actions) - backup.detach()
        return error.square().mean((0, -1))

    def least_value_loss(
        self, batch: Transitions, expectile: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Regress V_c on a low expectile of the larger target Q_c, for a critic of costs."""
        q = self.target_q(batch.observations, batch.actions)
        loss = self.value_loss(q, batch.observations, expectile)
        return loss, {"cost_value_loss": loss.detach()}

    def least_critic_loss(
        self, batch: Transitions, gamma: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Regress Q_c on c + gamma V_c', for a critic of costs."""
        going = 1.0 - batch.terminal
        backup = batch.costs + gamma * going * self.v(batch.next_observations)
        loss = self.critic_loss(batch.observations, batch.actions, backup)
        return loss, {"cost_critic_loss": loss.detach()}

    def move_target(self, tau: float) -> None:
        """Move the target networks by the fraction `tau`."""
        polyak_update(self.target, self.q, tau)


def advantage_weight(advantage: Tensor, temperature: float, largest: float) -> Tensor:
    """exp(temperature * advantage), at most `largest`, without gradient."""
    return (temperature * advantage.detach()).exp().clamp(max=largest)
