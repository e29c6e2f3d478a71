"""CCAC: losses and multipliers by hand, and what is learned for a policy that ignores kappa."""

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from baselines.ccac import CCAC, straight
from benchmarks.datasets.sampling import Transitions
from benchmarks.methods.conformance import synthetic_data
from tests.support.by_hand import built, disturb, reached, transitions

SMALL = {"batch": 32, "hidden": 16, "vae_hidden": 16, "latent": 4, "gamma": 0.9}
NETWORKS = (
    *("actor", "rewards", "costs", "encoder", "decoder", "classifier"),
    *("push_multiplier", "multiplier", "reward_targets", "cost_targets"),
)


def small(**options) -> CCAC:
    ccac = built(CCAC, **{**SMALL, **options})
    disturb(*(getattr(ccac, name) for name in NETWORKS), size=0.1)
    return ccac


def batch_of(size: int = 64) -> Transitions:
    """A batch whose last observation is a cost-to-go."""
    batch = transitions(size)
    to_go = torch.linspace(0.0, 6.0, size)[:, None]
    return batch._replace(
        observations=torch.cat([batch.observations, to_go], 1),
        next_observations=torch.cat([batch.next_observations, (to_go - 0.5).clamp(min=0)], 1),
    )


def modules(ccac: CCAC) -> dict:
    return {name: getattr(ccac, name) for name in NETWORKS}


def fixed_actions(ccac: CCAC) -> torch.Tensor:
    """Make the policy's samples known: tanh(mean + std / 2)."""
    ccac.draws.normal_like = lambda values: torch.full_like(values, 0.5)


def action(ccac: CCAC, given: torch.Tensor) -> torch.Tensor:
    mean, log_std = ccac.actor(given)
    return (mean + 0.5 * log_std.exp()).tanh()


def value(network, given, actions):
    return softplus(network(torch.cat([given, actions], 1)))


def test_kappa_is_the_cost_to_go_including_this_step() -> None:
    data = synthetic_data()
    ccac = built(CCAC, data, **SMALL)
    packed = ccac.sampler._packed
    to_go = data.to_go(data.costs)
    assert packed[:, 3].numpy() == pytest.approx(to_go)
    last = data.starts[1:] - 1
    following = np.append(to_go[1:], 0.0)
    following[last] = 0.0
    assert packed[:, 7].numpy() == pytest.approx(following)
    assert packed[:, 7].numpy() == pytest.approx(to_go - data.costs)


def test_critics_by_hand() -> None:
    ccac, batch = small(), batch_of()
    fixed_actions(ccac)
    given, after = batch.observations, batch.next_observations
    going = 0.9 * (1 - batch.done)
    pairs = (given, batch.actions.flip(0), (torch.arange(64) % 2).float())
    with torch.no_grad():
        next_q = value(ccac.reward_targets, after, action(ccac, after)).amin(0)
        error = value(ccac.rewards, given, batch.actions) - (batch.rewards + going * next_q)
        reward = error.square().mean(1).sum()
        next_q = value(ccac.cost_targets, after, action(ccac, after)).amin(0)
        error = value(ccac.costs, given, batch.actions) - (batch.costs + going * next_q)
        cost = error.square().mean(1).sum()
        over = value(ccac.costs, given, pairs[1]).amin(0) - given[:, -1]
        lam = ccac.push_multiplier(given[:, -1:]).exp()
        push = (lam * over)[pairs[2] > 0].mean()
    loss, _ = ccac.critic_loss(batch)
    assert float(loss.detach()) == pytest.approx(float(reward), rel=1e-4)
    assert reached(loss, **modules(ccac)) == {"rewards"}
    loss, info = ccac.cost_critic_loss(batch, pairs)
    assert float(info["push"]) == pytest.approx(float(push), rel=1e-4)
    assert float(loss.detach()) == pytest.approx(float(cost - push), rel=1e-4)
    assert reached(loss, **modules(ccac)) == {"costs"}
    nothing = (*pairs[:2], torch.zeros(64))
    assert float(ccac.cost_critic_loss(batch, nothing)[0].detach()) == pytest.approx(float(cost))


def test_the_push_raises_the_cost_of_what_is_found_too_costly() -> None:
    ccac, batch = small(), batch_of()
    pairs = batch.observations, batch.actions, torch.ones(64)
    ccac.td_loss = lambda *_: torch.zeros(())
    before = value(ccac.costs, *pairs[:2]).amin(0).mean()
    loss, _ = ccac.cost_critic_loss(batch, pairs)
    ccac.critic_optimiser.zero_grad()
    loss.backward()
    ccac.critic_optimiser.step()
    assert float(value(ccac.costs, *pairs[:2]).amin(0).mean()) > float(before)


def test_the_policy_by_hand() -> None:
    ccac, batch = small(), batch_of()
    fixed_actions(ccac)
    given = batch.observations
    with torch.no_grad():
        actions = action(ccac, given)
        lam = ccac.multiplier(given[:, -1:]).exp()
        over = value(ccac.costs, given, actions).amin(0) - given[:, -1]
        expected = (lam * over - value(ccac.rewards, given, actions).amin(0)).mean()
    loss, _ = ccac.actor_loss(batch)
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4)
    assert reached(loss, **modules(ccac)) >= {"actor"}
    ccac.multiplier.zero_grad()
    loss, _ = ccac.actor_loss(batch)
    loss.backward()
    assert all(p.grad is None or not p.grad.any() for p in ccac.multiplier.parameters())


@pytest.mark.parametrize(("over", "rises"), [(2.0, True), (-2.0, False)])
def test_the_multiplier_rises_only_where_the_policy_costs_too_much(over, rises) -> None:
    ccac, batch = small(decay=0.0), batch_of()
    ccac.smallest = lambda critics, given, actions: given[..., -1] + over
    kappa = batch.observations[:, -1]
    with torch.no_grad():
        before = ccac.multiplier_of(kappa).mean()
    loss, _ = ccac.multiplier_loss(batch)
    assert reached(loss, **modules(ccac)) == {"multiplier"}
    torch.optim.SGD(ccac.multiplier.parameters(), 0.01).step()
    with torch.no_grad():
        assert (float(ccac.multiplier_of(kappa).mean()) > float(before)) == rises


@pytest.mark.parametrize(("over", "rises"), [(2.0, False), (-2.0, True)])
def test_the_pushs_multiplier_rises_until_the_cost_is_above_kappa(over, rises) -> None:
    ccac, batch = small(decay=0.0), batch_of()
    ccac.smallest = lambda critics, given, actions: given[..., -1] + over
    pairs = batch.observations, batch.actions, torch.ones(64)
    with torch.no_grad():
        before = ccac.push_multiplier_of(batch.observations[:, -1]).mean()
    loss, _ = ccac.push_multiplier_loss(pairs)
    assert reached(loss, **modules(ccac)) == {"push_multiplier"}
    torch.optim.SGD(ccac.push_multiplier.parameters(), 0.01).step()
    with torch.no_grad():
        after = ccac.push_multiplier_of(batch.observations[:, -1]).mean()
    assert (float(after) > float(before)) == rises


def test_multipliers_decay() -> None:
    ccac, batch = small(decay=0.5), batch_of()
    ccac.smallest = lambda critics, given, actions: given[..., -1]
    norm = sum(float(p.detach().square().sum()) for p in ccac.multiplier.parameters())
    loss, _ = ccac.multiplier_loss(batch)
    assert float(loss.detach()) == pytest.approx(0.5 * norm, rel=1e-4)


def test_vae_and_classifier_by_hand() -> None:
    ccac, batch = small(vae_beta=0.3), batch_of()
    fixed_actions(ccac)
    made = ccac.reconstructed(batch)
    with torch.no_grad():
        mean, log_std = ccac.encoder(torch.cat([batch.observations, batch.actions], 1))
        code = mean + 0.5 * log_std.exp()
        raw = ccac.decoder(torch.cat([code, batch.observations[:, -1:]], 1))
        states = raw[:, :3].clamp(ccac._low, ccac._high)
        actions = raw[:, 3:].clamp(-1, 1)
        torch.testing.assert_close(made.states, states)
        error = torch.cat([states - batch.observations[:, :3], actions - batch.actions], 1)
        kl = torch.distributions.kl_divergence(
            torch.distributions.Normal(mean, log_std.exp()), torch.distributions.Normal(0.0, 1.0)
        )
        expected = error.square().mean() + 0.3 * kl.mean()
    loss, _ = ccac.vae_loss(batch, made)
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4)
    assert reached(loss, **modules(ccac)) == {"encoder", "decoder"}
    kappa = batch.observations[:, -1].flip(0)  # the first row has the largest cost-to-go no more
    batch = batch._replace(
        observations=torch.cat([batch.observations[:, :3], kappa.roll(20)[:, None]], 1)
    )
    kappa = batch.observations[:, -1]
    over = (kappa > kappa[0]).float()
    assert 0.1 < float(over.mean()) < 0.9
    with torch.no_grad():
        pairs = torch.cat([batch.observations[:, :3], states]), torch.cat([batch.actions, actions])
        given = torch.cat([pairs[0], kappa[:1].expand(128)[:, None], pairs[1]], 1)
        score = ccac.classifier(given)
        expected = binary_cross_entropy_with_logits(score, torch.cat([over, over]))
    loss, _ = ccac.classifier_loss(batch, made)
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4)
    assert reached(loss, **modules(ccac)) == {"classifier"}


def test_pairs_are_made_from_the_clipped_prior_and_picked_by_the_classifier() -> None:
    ccac, batch = small(), batch_of(4)
    ccac.draws.normal_like = lambda values: torch.full_like(values, 3.0)
    seen = []
    ccac.decoded = lambda latent, kappa: [
        seen.append(latent),
        (batch.observations[:, :3], batch.actions),
    ][1]
    ccac.classifier = lambda given: torch.tensor([-1.0, 2.0, 0.5, -0.1])
    given, actions, kept = ccac.costly_pairs(batch)
    assert float(seen[0].max()) == float(seen[0].min()) == 1.0
    assert torch.equal(given, batch.observations)
    assert torch.equal(actions, batch.actions)
    assert kept.tolist() == [0.0, 1.0, 1.0, 0.0]


def test_gradients_pass_straight_through_the_bounds() -> None:
    values = torch.tensor([-3.0, 0.5, 9.0], requires_grad=True)
    bounded = straight(values, torch.tensor(-1.0), torch.tensor(1.0))
    assert bounded.tolist() == [-1.0, 0.5, 1.0]
    bounded.sum().backward()
    assert values.grad.tolist() == [1.0, 1.0, 1.0]


def test_the_policy_learns_after_the_generator() -> None:
    ccac = built(CCAC, **SMALL, generating_share=0.5)
    ccac.planned_updates = 2
    moved = []
    with ccac.random():
        for ccac.updates in range(2):
            before = {
                name: [p.clone() for p in m.parameters()] for name, m in modules(ccac).items()
            }
            ccac.update()
            moved.append(
                {
                    name
                    for name, m in modules(ccac).items()
                    if any(
                        not torch.equal(a, b)
                        for a, b in zip(before[name], m.parameters(), strict=True)
                    )
                }
            )
    assert moved[0] == {"encoder", "decoder", "classifier"}
    assert moved[1] >= {"actor", "rewards", "costs", "multiplier", "reward_targets", "cost_targets"}


def test_networks_take_scaled_states_and_parts_of_the_maximum_cost() -> None:
    ccac, batch, seen = small(standardise=True), batch_of(), []
    problem = ccac.problem
    expected = torch.cat(
        [
            (batch.observations[:, :3] - problem.observation_mean) / problem.observation_std,
            batch.observations[:, 3:] / problem.max_cost,
        ],
        1,
    )
    actor, ccac.actor = ccac.actor, lambda given: [seen.append(given), actor(given)][1]
    ccac.sampled(batch.observations)
    torch.testing.assert_close(seen[0], expected, rtol=1e-4, atol=1e-5)
    given = torch.cat([expected, batch.actions], 1)
    found = ccac.values(ccac.costs, batch.observations, batch.actions)
    torch.testing.assert_close(found, softplus(ccac.costs(given)), rtol=1e-4, atol=1e-5)
    lam = ccac.multiplier(expected[:, 3:]).exp()
    torch.testing.assert_close(ccac.multiplier_of(batch.observations[:, 3]), lam)


def test_acting_takes_what_is_left() -> None:
    ccac = built(CCAC, **SMALL)
    ccac.actor = lambda given: (given[:, -1:].expand(-1, 2) / 10, None)
    policy, rows = ccac.policy(torch.tensor([5.0, 0.5])), torch.arange(2)
    policy.observe(torch.zeros(2), torch.tensor([2.0, 2.0]), rows)
    acted = policy.act(torch.zeros(2, 3), rows)[:, 0]
    assert acted.tolist() == pytest.approx([float(np.tanh(0.3)), 0.0])
