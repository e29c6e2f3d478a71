"""WSAC: pessimism, Bellman errors and the reference by hand; a bandit that stays with it."""

import numpy as np
import pytest
import torch

from baselines.wsac import WSAC
from benchmarks.common.errors import UserError
from tests.support.by_hand import built, disturb, one_step_episodes, reached, train, transitions

SMALL = {"batch": 32, "hidden": 16, "gamma": 0.9}
NETWORKS = "actor", "reference", "rewards", "costs", "reward_targets", "cost_targets"


def small(**options) -> WSAC:
    wsac = built(WSAC, limit=8.0, **{**SMALL, **options})
    disturb(*(getattr(wsac, name) for name in NETWORKS), size=0.1)
    wsac.draws.normal_like = lambda values: torch.full_like(values, 0.5)
    return wsac


def modules(wsac: WSAC) -> dict:
    return {name: getattr(wsac, name) for name in NETWORKS}


def action(policy, states):
    mean, log_std = policy(states)
    return (mean + 0.5 * log_std.exp()).tanh()


def value(critics, states, actions):
    return critics(torch.cat([states, actions], 1))


@pytest.mark.parametrize("beta", [0.5, 3.0])
def test_critics_by_hand(beta: float) -> None:
    wsac, batch = small(beta=beta, multiplier=0.7), transitions()
    states, after, going = batch.observations, batch.next_observations, 0.9 * (1 - batch.terminal)
    expected = 0.0
    with torch.no_grad():
        now, later = action(wsac.actor, states), action(wsac.actor, after)
        for critics, gained, next_q, sign in (
            (wsac.rewards, batch.rewards, value(wsac.reward_targets, after, later).amin(0), 1.0),
            (wsac.costs, batch.costs, value(wsac.cost_targets, after, later).amax(0), -0.7),
        ):
            known = value(critics, states, batch.actions)
            pessimism = sign * (value(critics, states, now) - known).mean(1)
            error = 0.5 * (known - gained - going * next_q).square().mean(1)
            error += 0.5 * (known - gained - going * value(critics, after, later)).square().mean(1)
            whole = pessimism + beta * error if beta <= 1 else pessimism / beta + error
            expected += whole.sum()
    loss, _ = wsac.critic_loss(batch)
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4)
    assert reached(loss, **modules(wsac)) == {"rewards", "costs"}


def test_the_residual_has_a_gradient_through_the_next_value() -> None:
    """One critic that is the same everywhere: only that gradient differs from 0 at (1 - gamma)."""
    wsac, batch = small(multiplier=0.0), transitions()
    batch = batch._replace(terminal=torch.zeros(64), rewards=torch.ones(64))
    v = torch.tensor(2.0, requires_grad=True)
    wsac.rewards = lambda given: v.expand(2, len(given))
    wsac.reward_targets = lambda given: torch.full((2, len(given)), 3.0)
    wsac.costs = wsac.cost_targets = lambda given: torch.zeros(2, len(given))
    loss, _ = wsac.critic_loss(batch)
    (slope,) = torch.autograd.grad(loss, [v])
    # two critics: (v - 1 - .9 * 3) of the target's half, (v - 1 - .9 v) * .1 of the residual's
    assert float(slope) == pytest.approx(2 * ((2 - 3.7) + (0.2 - 1) * 0.1), rel=1e-4)


def test_a_policy_like_the_data_is_seen_without_pessimism() -> None:
    wsac, batch = small(), transitions()
    wsac.sampled = lambda policy, states: (batch.actions, None)
    _, info = wsac.critic_loss(batch)
    assert float(info["reward_optimism"]) == pytest.approx(0.0, abs=1e-6)
    assert float(info["cost_optimism"]) == pytest.approx(0.0, abs=1e-6)


def test_the_policy_by_hand() -> None:
    wsac, batch = small(multiplier=0.7), transitions()
    with torch.no_grad():
        wsac.log_alpha.fill_(-1.0)
    states = batch.observations
    with torch.no_grad():
        now, usual = action(wsac.actor, states), action(wsac.reference, states)
        beyond = value(wsac.costs, states, now)[0] - value(wsac.costs, states, usual)[0]
        assert 0 < float((beyond > 0).float().mean()) < 1
        mean, log_std = wsac.actor(states)
        density = torch.distributions.Normal(mean, log_std.exp()).log_prob(now.atanh())
        density = (density - (1 - now**2).log()).sum(1)
        gain = value(wsac.rewards, states, now)[0] - 0.7 * beyond.clamp(min=0)
        expected = (np.exp(-1) * density - gain).mean()
    loss, info = wsac.actor_loss(batch)
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-3)
    assert float(info["entropy"]) == pytest.approx(-float(density.mean()), rel=1e-3)
    loss.backward()
    assert wsac.log_alpha.grad is None
    assert all(p.grad is None for p in wsac.reference.parameters())
    ours = [p.grad.clone() for p in wsac.costs.parameters() if p.grad is not None]
    assert ours  # through the policy's own action; the reference's is fixed


def test_a_policy_that_is_the_reference_pays_nothing() -> None:
    wsac, batch = small(multiplier=50.0), transitions()
    wsac.reference.load_state_dict(wsac.actor.state_dict())
    with_price, _ = wsac.actor_loss(batch)
    wsac.config = type(wsac.config)(**SMALL, multiplier=0.0)
    without, _ = wsac.actor_loss(batch)
    assert float(with_price.detach()) == pytest.approx(float(without.detach()), rel=1e-5)


@pytest.mark.parametrize(("entropy", "falls"), [(-1.0, True), (-3.0, False)])
def test_the_entropys_weight_falls_where_there_is_enough(entropy: float, falls: bool) -> None:
    wsac = small()
    loss, _ = wsac.alpha_loss(torch.tensor(entropy))
    loss.backward()
    assert (float(wsac.log_alpha.grad) > 0) == falls


def test_large_layers_are_scaled_back() -> None:
    wsac = small(largest_norm=2.0, cloning_share=0.0)
    weights = [p for p in wsac.rewards.parameters() if p.dim() == 2]
    with torch.no_grad():
        weights[0].mul_(3.0 / weights[0].norm())
        weights[1].mul_(1.5 / weights[1].norm())
    wsac.scale_back()
    assert [float(w.detach().norm()) for w in weights[:2]] == pytest.approx([2.0, 1.5])
    with torch.no_grad():
        weights[1].mul_(9.0)
    with wsac.random():
        wsac.update()
    assert max(float(w.detach().norm()) for w in weights) <= 2.0 + 1e-5


def arms():
    """Four kinds of episodes of one step: what earns more costs more."""
    actions = np.linspace(-0.9, 0.9, 12)
    gains = (actions > 0).astype(float)
    return one_step_episodes(np.zeros((12, 1)), actions[:, None], gains, gains, repeat=20)


def test_the_reference_is_cloned_within_the_limit_and_the_policy_stays_as_safe() -> None:
    wsac = built(
        WSAC, arms(), limit=0.5, horizon=1, batch=64, hidden=16, cloning_lr=1e-2, critic_lr=1e-2,
        actor_lr=3e-3, cloning_share=0.4, multiplier=5.0,
    )  # fmt: skip
    train(wsac, arms(), 150)
    state = torch.zeros(1, 1)
    assert float(wsac.reference(state)[0].tanh()) == pytest.approx(-0.5, abs=0.2)
    assert float(wsac.actor(state)[0].tanh()) < 0.0
    with pytest.raises(UserError, match="wsac cannot be trained for the cost limit -1"):
        built(WSAC, arms(), limit=-1.0, horizon=1)


def test_cloning_comes_first_and_its_end_is_the_reference() -> None:
    wsac = built(WSAC, limit=8.0, **SMALL, cloning_share=0.5)
    wsac.planned_updates = 2
    with wsac.random():
        wsac.updates = 0
        wsac.update()
        cloned = [p.clone() for p in wsac.actor.parameters()]
        wsac.updates = 1
        wsac.update()
    for ours, theirs in zip(wsac.reference.parameters(), cloned, strict=True):
        assert torch.equal(ours, theirs)
