"""CAPS: heads between reward and cost, their losses by hand, and when they are switched."""

import numpy as np
import pytest
import torch

from baselines.caps import CAPS, CAPSConfig
from baselines.caps_sac import CAPSSAC
from baselines.switching import Proposals, choice
from tests.support.by_hand import (
    act,
    built,
    disturb,
    one_step_episodes,
    reached,
    train,
    transitions,
)

SMALL = {"batch": 32, "hidden": 16}


def small(cls=CAPS, **options):
    caps = built(cls, **SMALL, gamma=0.9, **options)
    parts = (caps.rewards, caps.costs, caps.actor) if cls is CAPS else (caps.critics, caps.actor)
    disturb(*parts, size=0.2)
    return caps


def modules(caps) -> dict:
    parts = {"rewards": caps.rewards, "costs": caps.costs}
    named = {f"{k} {n}": getattr(v, n) for k, v in parts.items() for n in ("q", "v", "target")}
    return {**named, "actor": caps.actor}


def expectile(residual, level):
    return np.where(residual < 0, 1 - level, level) * residual**2


def test_the_heads_of_a_bandit_and_when_they_act() -> None:
    """One state and two actions with reward and cost 1, or neither."""
    data = one_step_episodes([[0.0], [0.0]], [[0.5], [-0.5]], [1.0, 0.0], [1.0, 0.0])
    caps = built(
        CAPS, data, horizon=1, batch=64, hidden=16, learning_rate=2e-2, tau=0.2, reward_scale=1.0
    )
    train(caps, data, 120)
    first, last = caps.proposals(torch.zeros(1, 1)).actions[:, 0, 0].tolist()
    assert first > 0.25
    assert last < -0.25
    below, above = act(caps, [0.0], [0.6, 1.4])[:, 0]
    assert below == pytest.approx(last, abs=1e-6)
    assert above == pytest.approx(first, abs=1e-6)


def test_the_most_rewarding_head_within_the_limit_acts_else_the_cheapest() -> None:
    rewards = torch.tensor([[3.0, 3.0, 3.0], [2.0, 2.0, 2.0], [1.0, 1.0, 1.0]])
    costs = torch.tensor([[5.0, 5.0, 5.0], [2.0, 2.0, 2.0], [3.0, 3.0, 3.0]])
    assert choice(rewards, costs, torch.tensor([5.1, 5.0, 2.0])).tolist() == [0, 1, 1]


def test_the_switch_follows_what_is_left() -> None:
    caps = small()
    caps.proposals = lambda observations: Proposals(
        torch.tensor([1.0, -1.0])[:, None, None].expand(2, len(observations), 2),
        torch.tensor([[1.0], [0.0]]).expand(2, len(observations)),
        torch.tensor([[2.0], [0.0]]).expand(2, len(observations)),
    )
    policy, rows = caps.policy(torch.tensor([5.0, 4.0])), torch.arange(2)
    # discounted over 20 steps at .9 a limit of 5 allows 2.196, one of 4 allows 1.757
    assert policy.act(torch.zeros(2, 3), rows)[:, 0].tolist() == [1.0, -1.0]
    policy.observe(torch.zeros(2), torch.tensor([1.0, 0.0]), rows)
    assert policy.act(torch.zeros(2, 3), rows)[:, 0].tolist() == [-1.0, -1.0]


def test_heads_are_judged_by_the_critics_that_learn() -> None:
    caps, states = small(), torch.randn(5, 3)
    found = caps.proposals(states)
    for head in (0, 1):
        at = states, caps.actor(states)[head]
        torch.testing.assert_close(found.rewards[head], caps.rewards.q(*at).amin(0))
        torch.testing.assert_close(found.costs[head], caps.costs.q(*at).amax(0))


def test_values_by_hand() -> None:
    caps, batch = small(reward_expectile=0.7, cost_expectile=0.3), transitions()
    at, after = (batch.observations, batch.actions), batch.next_observations
    going = 0.9 * (1 - batch.done.numpy())
    with torch.no_grad():
        r, c = caps.rewards, caps.costs
        gain = r.target(*at).amin(0).numpy() - r.v(at[0]).numpy()
        dearer = c.target(*at).amax(0).numpy() - c.v(at[0]).numpy()
        errors = (r.q(*at).numpy() - (batch.rewards.numpy() + going * r.v(after).numpy())) ** 2
        cost_errors = (c.q(*at).numpy() - (batch.costs.numpy() + going * c.v(after).numpy())) ** 2
    loss, info = caps.value_loss(batch)
    assert float(info["value_loss"]) == pytest.approx(expectile(gain, 0.7).mean(), rel=1e-4)
    # .7 of the negative cost, as in the paper
    assert float(info["cost_value_loss"]) == pytest.approx(expectile(-dearer, 0.7).mean(), rel=1e-4)
    assert float(loss.detach()) == pytest.approx(float(sum(info.values())), rel=1e-4)
    assert reached(loss, **modules(caps)) == {"rewards v", "costs v"}
    loss, info = caps.critic_loss(batch)
    assert float(info["critic_loss"]) == pytest.approx(errors.mean(), rel=1e-4)
    assert float(info["cost_critic_loss"]) == pytest.approx(cost_errors.mean(), rel=1e-4)
    assert float(loss.detach()) == pytest.approx(float(sum(info.values())), rel=1e-4)
    assert reached(loss, **modules(caps)) == {"rewards q", "costs q"}


@pytest.mark.parametrize("heads", [2, 4])
def test_heads_are_weighted_from_reward_to_cost(heads: int) -> None:
    caps, batch = small(heads=heads, temperature=0.7, max_weight=1.2), transitions()
    at = batch.observations, batch.actions
    with torch.no_grad():
        gain = caps.rewards.target(*at).amin(0) - caps.rewards.v(at[0])
        saving = caps.costs.v(at[0]) - caps.costs.target(*at).amax(0)
        reward, cost = ((0.7 * a).exp().clamp(max=1.2) for a in (gain, saving))
        assert 0 < float((reward == 1.2).float().mean()) < 1
        middle = [reward + 2 * k / (heads - 1) * cost for k in range(1, heads - 1)]
        weights = torch.stack([reward, *middle, cost])
        errors = 0.5 * (caps.actor(at[0]) - at[1]).square().sum(-1)
    loss, _ = caps.actor_loss(batch)
    assert float(loss.detach()) == pytest.approx(float((weights * errors).mean()), rel=1e-4)
    assert reached(loss, **modules(caps)) == {"actor"}


def test_every_network_steps_from_where_the_others_were() -> None:
    caps, other = small(), small()
    with caps.random():
        state = torch.get_rng_state()
        caps.update()
        torch.set_rng_state(state)
        batch = other.sampler()
    weights = other.weights(batch)
    caps.weights = other.weights = lambda _: weights  # those from before the values moved
    loss, _ = other.actor_loss(batch)
    other.actor_optimiser.zero_grad()
    loss.backward()
    other.actor_optimiser.step()
    for ours, theirs in zip(caps.actor.parameters(), other.actor.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_policys_rate_falls_slowly_and_targets_follow() -> None:
    caps = small(learning_rate=2.0, decay_updates=100, tau=0.25)
    for caps.updates, rate in ((0, 2.0), (50, 1.0), (200, 0.0)):
        assert caps.learning_rate() == pytest.approx(rate)
    old = {k: v.clone() for k, v in caps.costs.target.state_dict().items()}
    with caps.random():
        caps.update()
    for name, value in caps.costs.target.state_dict().items():
        torch.testing.assert_close(value, old[name].lerp(caps.costs.q.state_dict()[name], 0.25))


def test_one_head_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 heads"):
        CAPSConfig(heads=1)


def drawn_by_hand(caps, states):
    """Actions and log-densities of every head, with noise of one half."""
    found = []
    for mean, log_std in caps.actor(states):
        before = mean + 0.5 * log_std.exp()
        density = torch.distributions.Normal(mean, log_std.exp()).log_prob(before)
        density = density - (1 - before.tanh() ** 2).log()
        found.append((before.tanh(), density.sum(-1)))
    return found


def half_noise(caps) -> None:
    caps.draws.normal_like = lambda values: torch.full_like(values, 0.5)


def test_sac_critics_by_hand() -> None:
    caps, batch = small(CAPSSAC, heads=3, init_alpha=0.3), transitions()
    half_noise(caps)
    after, going = batch.next_observations, 0.9 * (1 - batch.done)
    with torch.no_grad():
        expected = {}
        for name, now in (("reward", batch.rewards), ("cost", -batch.costs)):
            backup = torch.stack(
                [
                    now + going * caps.targets[name](after, a).amin(0) - 0.3 * p
                    for a, p in drawn_by_hand(caps, after)
                ]
            ).mean(0)
            errors = caps.critics[name](batch.observations, batch.actions) - backup
            expected[name] = float(errors.square().mean(1).sum())
    loss, info = caps.critic_loss(batch)
    for name, value in expected.items():
        assert float(info[f"{name}_critic_loss"]) == pytest.approx(value, rel=1e-4)
    parts = {**dict(caps.critics.items()), "targets": caps.targets, "actor": caps.actor}
    assert reached(loss, **parts) == {"reward", "cost"}


def test_sac_heads_by_hand() -> None:
    caps, batch = small(CAPSSAC, heads=3, init_alpha=0.3), transitions()
    half_noise(caps)
    states, expected, entropy = batch.observations, 0.0, 0.0
    with torch.no_grad():
        for head, (a, density) in enumerate(drawn_by_hand(caps, states)):
            r, c = (caps.critics[name](states, a).amin(0) for name in ("reward", "cost"))
            value = (r, r + 1.0 * c, c)[head]
            expected += 0.3 * density.mean() - 2.5 * value.mean() / value.abs().mean()
            expected += (a - batch.actions).square().mean()
            entropy -= float(density.mean()) / 3
    loss, info = caps.actor_loss(batch)
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4)
    assert float(info["entropy"]) == pytest.approx(entropy, rel=1e-4)
    caps.actor.zero_grad()
    loss.backward()
    assert all(bool(p.grad.any()) for p in caps.actor.parameters())
    assert caps.log_alpha.grad is None


def test_the_scale_of_a_value_takes_no_gradient() -> None:
    """Twice the critics' values pull as much: a gradient through the scale would cancel them."""
    pulls = []
    for factor in (1.0, 2.0):
        caps, batch = small(CAPSSAC, init_alpha=1e-9), transitions()
        half_noise(caps)
        worth = {
            name: lambda s, a, k=factor: torch.stack([k * (a.sum(-1) + 3.0)] * 2)
            for name in ("reward", "cost")
        }
        caps.critics = worth
        cloning = sum((a - batch.actions).square().mean() for a, _ in caps.sampled(batch[0]))
        loss = caps.actor_loss(batch)[0] - cloning
        pulls.append(torch.autograd.grad(loss, caps.actor.means[0].bias)[0])
    torch.testing.assert_close(pulls[0], pulls[1])
    assert float(pulls[0].abs().min()) > 0.1


@pytest.mark.parametrize(("entropy", "falls"), [(-1.0, True), (-3.0, False)])
def test_the_entropys_weight_falls_where_there_is_enough(entropy: float, falls: bool) -> None:
    caps = small(CAPSSAC)  # two action components: the target is -2
    loss, _ = caps.alpha_loss(torch.tensor(entropy))
    loss.backward()
    assert (float(caps.log_alpha.grad) > 0) == falls


def test_sac_proposals_are_means_judged_by_the_worse_critic() -> None:
    caps = small(CAPSSAC)
    caps.critics = {
        "reward": lambda s, a: torch.stack([a[..., 0], a[..., 0] - 1.0]),
        "cost": lambda s, a: torch.stack([a[..., 0] + 9.0, -2.0 - 0 * a[..., 0]]),
    }
    caps.actor = lambda states: [(torch.full((len(states), 2), m), None) for m in (0.3, -0.3)]
    found = caps.proposals(torch.zeros(4, 3))
    action = float(np.tanh(0.3))
    assert found.actions[:, 0, 0].tolist() == pytest.approx([action, -action])
    assert found.rewards[:, 0].tolist() == pytest.approx([action - 1, -action - 1])
    assert found.costs[:, 0].tolist() == [2.0, 2.0]
    caps.critics["cost"] = lambda s, a: torch.ones(2, *a.shape[:-1])
    assert found._replace(costs=caps.proposals(torch.zeros(4, 3)).costs).costs.max() == 0.0
