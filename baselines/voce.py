"""VOCE: variational optimisation with conservative estimation (NeurIPS 2023), from the paper.

Critics of reward and cost are conservative: unseen actions are worth less and cost more. An E-step
finds the best weights of sampled actions under the cost limit and a bound on the KL divergence; an
M-step fits the policy, a normal distribution with full covariance, to them.

Our reading where paper and released code disagree or leave room: the cost critics are the mirror
image of the reward critics (the released code pushes the cost of the policy's own actions down, the
paper wants unseen actions to cost more), and the larger of two counts; actions are clipped to [-1,
1]; the E-step's problem in two variables is solved by Newton steps where the code calls SLSQP. As
in the released code, the M-step has no KL penalty, and the cost's backup does not end with the
episode. No figures on DSRL are published.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from baselines import dual
from benchmarks.common.ranges import (
    Batch,
    Count,
    Discount,
    Expectile,
    LearningRate,
    NotNegative,
    Positive,
    Width,
)
from benchmarks.datasets.sampling import Transitions, TransitionSampler
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Algorithm, Budget, Config, MemorylessPolicy, Policy
from benchmarks.methods.limits import discounted_limit
from benchmarks.methods.networks import (
    DoubleCritic,
    adam,
    make_target,
    mlp,
    optimizer_step,
    polyak_update,
)


@dataclass(frozen=True)
class VOCEConfig(Config):
    """Options of VOCE; defaults are those of the released code."""

    batch: Batch = 600
    actor_lr: LearningRate = 2e-3
    critic_lr: LearningRate = 1e-3
    """Also of the weights of the conservative terms."""
    hidden: Width = 256
    """Width of the two hidden layers of every network."""
    gamma: Discount = 0.99
    tau: Expectile = 0.005
    """Polyak coefficient of all target networks."""
    samples: Count = 10
    """Actions of each of three kinds in the conservative term."""
    gap: NotNegative = 10.0
    """The conservative term beyond which its weight rises."""
    improved_samples: Count = 32
    """Actions at each state in the E-step."""
    epsilon: Positive = 0.1
    """Largest KL divergence of the E-step."""
    dual_steps: Count = 10
    policy_steps: Count = 6
    """Gradient steps of the M-step."""
    max_grad_norm: Positive = 0.01
    """Largest norm of a gradient of the policy."""


_QUICK = Budget.of(
    1_500,
    update_ms=33,
    batch=128,
    hidden=128,
    samples=4,
    improved_samples=16,
    dual_steps=4,
    policy_steps=2,
    critic_lr=3e-3,
    tau=0.02,
)


class FullGaussian(nn.Module):
    """Normal distributions of actions with full covariance; the mean is within [-1, 1]."""

    def __init__(self, states: int, actions: int, hidden: int) -> None:
        super().__init__()
        self.actions = actions
        self.trunk = nn.Sequential(*mlp(states, hidden, hidden), nn.ReLU())
        self.mean = nn.Linear(hidden, actions)
        self.factor = nn.Linear(hidden, actions * (actions + 1) // 2)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Mean [..., B, a] and Cholesky factor of the covariance [..., B, a, a]."""
        features = self.trunk(states)
        mean = 2.0 * self.mean(features).clamp(-5.0, 5.0).sigmoid() - 1.0
        entries = self.factor(features).clamp(-5.0, 20.0)
        size = self.actions
        rows, columns = torch.tril_indices(size, size, device=states.device)
        factor = entries.new_zeros(*entries.shape[:-1], size, size)
        factor[..., rows, columns] = entries
        diagonal = nn.functional.softplus(factor.diagonal(dim1=-2, dim2=-1)) + 1e-4
        return mean, factor.tril(-1) + torch.diag_embed(diagonal)


def log_density(mean: Tensor, factor: Tensor, actions: Tensor) -> Tensor:
    """Ln N(a; mean, L L^T) of actions [..., B, N, a] at B states [..., B, N]."""
    off = (actions - mean[..., None, :]).transpose(-1, -2)
    whitened = torch.linalg.solve_triangular(factor, off, upper=False)
    volume = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)[..., None]
    size = mean.shape[-1]
    density: Tensor = -0.5 * (whitened.square().sum(-2) + size * math.log(2.0 * math.pi)) - volume
    return density


class VOCE(Algorithm):
    """Expectation-maximisation over conservative critics, trained for one cost limit."""

    name = "voce"
    trains_per_limit = True
    heeds_limit = True
    stackable = True
    config_class = VOCEConfig
    budgets: ClassVar = {
        "quick": _QUICK,
        "standard": _QUICK.extended(5_000),
        "paper": Budget.of(100_000, update_ms=500),
    }
    config: VOCEConfig

    # networks

    def build(self) -> None:
        """Policy, critics, targets, weights of the conservative terms, and the dual variables."""
        c, problem = self.config, self.problem
        states, actions = problem.observation_dim, problem.action_dim
        self.actor = FullGaussian(states, actions, c.hidden).to(self.device)
        self.rewards, self.costs = (
            DoubleCritic(states + actions, c.hidden).to(self.device) for _ in range(2)
        )
        self.target_actor = make_target(self.actor)
        self.reward_targets, self.cost_targets = map(make_target, (self.rewards, self.costs))
        self.actor_optimiser = adam(c.actor_lr, self.actor)
        self.critic_optimiser = adam(c.critic_lr, self.rewards, self.costs)
        self.log_alphas = torch.zeros(2, device=self.device, requires_grad=True)
        """Of the conservative terms of reward and cost."""
        self.alpha_optimiser = torch.optim.Adam([self.log_alphas], c.critic_lr)
        self.eta, self.multiplier = (torch.full((), 0.1, device=self.device) for _ in range(2))
        assert self.limit is not None
        self.bound = discounted_limit(self.limit, problem.horizon, c.gamma)

    def parts(self) -> dict[str, Any]:
        """Also the tensors outside modules."""
        names = "log_alphas", "eta", "multiplier"
        return {**super().parts(), **{name: getattr(self, name) for name in names}}

    def drawn(self, policy: nn.Module, states: Tensor, samples: int) -> tuple[Tensor, Tensor]:
        """Actions [..., B, samples, a], and their log-densities, without gradient."""
        with torch.no_grad():
            mean, factor = policy(states)
            noise = self.draws.normal_like(mean[..., None, :].expand(*mean.shape[:-1], samples, -1))
            actions = mean[..., None, :] + (factor[..., None, :, :] @ noise[..., None]).squeeze(-1)
            return actions.clamp(-1.0, 1.0), log_density(mean, factor, actions)

    # losses

    def critic_loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """TD errors of both kinds of critics, and their conservative terms."""
        going = self.config.gamma * (1.0 - batch.terminal)
        after = batch.next_observations
        actions = self.drawn(self.target_actor, after, 1)[0].squeeze(-2)
        pairs = self.proposals(batch)
        reward_backup = batch.rewards + going * self.reward_targets(after, actions).amin(0)
        cost_backup = batch.costs + self.config.gamma * self.cost_targets(after, actions).amax(0)
        alphas = self.log_alphas.detach().exp().clamp(max=1e6)
        total, info = torch.zeros_like(batch.rewards[..., 0]), dict[str, Tensor]()
        for k, (name, critics, backup, sign) in enumerate(
            (("reward", self.rewards, reward_backup, 1.0), ("cost", self.costs, cost_backup, -1.0))
        ):
            td = (critics(batch.observations, batch.actions) - backup).square().mean(-1).sum(0)
            term = self.conservative(critics, batch, pairs, sign)
            total = total + td + alphas[..., k] * (term - self.config.gap).sum(0)
            info |= {f"{name}_critic_loss": td.detach(), f"{name}_term": term.detach().mean(0)}
        return total, info

    def proposals(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """Uniform actions, and the policy's at s' and s [..., B, 3 n, a], with log-densities."""
        n, at = self.config.samples, batch.observations
        empty = batch.actions[..., None, :].expand(*batch.actions.shape[:-1], n, -1)
        uniform = 2.0 * self.draws.uniform_like(empty) - 1.0
        density = uniform.new_full(uniform.shape[:-1], self.problem.action_dim * math.log(0.5))
        later, now = (self.drawn(self.actor, s, n) for s in (batch.next_observations, at))
        actions = torch.cat([uniform, later[0], now[0]], dim=-2)
        return actions, torch.cat([density, later[1], now[1]], dim=-1)

    def conservative(
        self, critics: nn.Module, batch: Transitions, pairs: tuple[Tensor, Tensor], sign: float
    ) -> Tensor:
        """How much more than the data's actions the proposals seem worth, of each critic [2, ...].

        Worth is the value times `sign`: costs are worth less the higher they are.
        """
        actions, density = pairs
        proposed = sign * values(critics, batch.observations, actions)
        known = sign * critics(batch.observations, batch.actions)
        term: Tensor = ((proposed - density).logsumexp(-1) - known).mean(-1)
        return term

    def alpha_loss(self, info: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Raise the weight of a conservative term that exceeds the gap."""
        terms = torch.stack([info[f"{name}_term"] for name in ("reward", "cost")], dim=-1)
        alphas = self.log_alphas.exp().clamp(max=1e6)
        return -(alphas * (terms - self.config.gap)).sum(-1), {"alpha": alphas.detach().mean(-1)}

    def improved(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """E-step: actions of the target policy [..., B, N, a] and weights [..., B, N]."""
        c = self.config
        actions, _ = self.drawn(self.target_actor, states, c.improved_samples)
        with torch.no_grad():
            rewards = values(self.reward_targets, states, actions).amin(0)
            costs = values(self.cost_targets, states, actions).amax(0)
            # in double precision: where g is nearly flat, rounding decides between two steps
            found = dual.minimise(
                *(rewards.double(), costs.double(), c.epsilon, self.bound),
                (self.eta.double(), self.multiplier.double()),
                c.dual_steps,
            )
            self.eta.copy_(found[0])
            self.multiplier.copy_(found[1])
            return actions, dual.weights(rewards, costs, self.eta, self.multiplier)

    def actor_loss(
        self, states: Tensor, actions: Tensor, weights: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """M-step: weighted likelihood of the mean and of the covariance, the other kept old."""
        mean, factor = self.actor(states)
        with torch.no_grad():
            old_mean, old_factor = self.target_actor(states)
        likelihood = log_density(mean, old_factor, actions) + log_density(old_mean, factor, actions)
        loss = -(weights * likelihood).mean((-2, -1))
        return loss, {"actor_loss": loss.detach()}

    # update

    def prepare(self, data: Trajectories) -> None:
        """Put the transitions on the device."""
        self.sampler = TransitionSampler(data, self.config.batch, self.device)

    def update(self) -> dict[str, Tensor | float]:
        """Update the critics and their weights, then the policy by an E-step and an M-step."""
        c, batch = self.config, self.sampler(self.draws)
        loss, info = self.critic_loss(batch)
        optimizer_step(self.critic_optimiser, loss)
        loss, alpha_info = self.alpha_loss(info)
        optimizer_step(self.alpha_optimiser, loss)
        actions, weights = self.improved(batch.observations)
        for _ in range(c.policy_steps):
            loss, actor_info = self.actor_loss(batch.observations, actions, weights)
            optimizer_step(
                self.actor_optimiser, loss, largest=c.max_grad_norm, stacked=self.stacked
            )
        for target, network in (
            (self.target_actor, self.actor),
            (self.reward_targets, self.rewards),
            (self.cost_targets, self.costs),
        ):
            polyak_update(target, network, c.tau)
        return {
            **info,
            **alpha_info,
            **actor_info,
            "eta": self.eta.clone(),
            "multiplier": self.multiplier.clone(),
        }

    # policy

    def policy(self, limits: Tensor) -> Policy:
        """The mean of the learned policy."""
        return MemorylessPolicy(lambda observations: self.actor(observations)[0])


def values(critics: nn.Module, states: Tensor, actions: Tensor) -> Tensor:
    """Values of both critics [2, ..., B, N] of N actions [..., B, N, a] at each state."""
    repeated = states[..., None, :].expand(*actions.shape[:-1], states.shape[-1])
    flat: Tensor = critics(repeated.flatten(-3, -2), actions.flatten(-3, -2))
    return flat.view(2, *actions.shape[:-1])
