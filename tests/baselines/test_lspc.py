"""LSPC: values of a bandit, losses by hand, and both ways to act."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.lspc import LSPC, LSPCConfig
from benchmarks.common.errors import UserError
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.conformance import synthetic_data
from tests.support.by_hand import built, disturb, reached, transitions

SMALL = {"batch": 32, "hidden": 16, "latent": 4, "gamma": 0.9}


def small(data: Trajectories | None = None, **options) -> LSPC:
    lspc = built(LSPC, data, **{**SMALL, **options})
    disturb(lspc.rewards, lspc.costs, lspc.encoder, lspc.decoder, lspc.actor, size=0.2)
    return lspc


def modules(lspc: LSPC) -> dict:
    parts = {"rewards": lspc.rewards, "costs": lspc.costs}
    named = {f"{k} {n}": getattr(v, n) for k, v in parts.items() for n in ("q", "v", "target")}
    return {**named, "encoder": lspc.encoder, "decoder": lspc.decoder, "actor": lspc.actor}


def expectile(residual, level):
    return np.where(residual < 0, 1 - level, level) * residual**2


def test_values_by_hand() -> None:
    lspc, batch = small(), transitions()
    at, after = (batch.observations, batch.actions), batch.next_observations
    going = 0.9 * (1 - batch.done.numpy())
    with torch.no_grad():
        r, c = lspc.rewards, lspc.costs
        gain = r.target(*at).amin(0).numpy() - r.v(at[0]).numpy()
        saving = c.v(at[0]).numpy().clip(min=0) - c.target(*at).amax(0).numpy().clip(min=0)
        errors = (r.q(*at).numpy() - (batch.rewards.numpy() + going * r.v(after).numpy())) ** 2
        cost_backup = batch.costs.numpy() + going * c.v(after).numpy().clip(min=0)
        cost_errors = (c.q(*at).numpy() - cost_backup) ** 2
        assert 0 < float((c.v(after) < 0).float().mean()) < 1
    loss, info = lspc.value_loss(batch)
    assert float(info["value_loss"]) == pytest.approx(expectile(gain, 0.7).mean(), rel=1e-4)
    cost = expectile(saving, 0.7).mean()  # .7 of the saving is .3 of the cost
    assert float(info["cost_value_loss"]) == pytest.approx(cost, rel=1e-4)
    assert reached(loss, **modules(lspc)) == {"rewards v", "costs v"}
    loss, info = lspc.critic_loss(batch)
    assert float(info["critic_loss"]) == pytest.approx(errors.mean(), rel=1e-4)
    assert float(info["cost_critic_loss"]) == pytest.approx(cost_errors.mean(), rel=1e-4)
    assert reached(loss, **modules(lspc)) == {"rewards q", "costs q"}


def test_the_cost_value_is_the_low_expectile_of_a_bandit() -> None:
    """Costs of 0 and 1 in equal parts: the .3-expectile v solves .3 (1 - v) = .7 v."""
    lspc, batch = small(), transitions()
    v = torch.tensor(0.9, requires_grad=True)
    costs = (torch.arange(64) % 2).float()
    lspc.costs.target_q = lambda *_: costs
    lspc.costs.v.forward = lambda states: v.expand(len(states))
    optimiser = torch.optim.SGD([v], 0.5)
    for _ in range(60):
        optimiser.zero_grad()
        lspc.value_loss(batch)[0].backward()
        optimiser.step()
    assert float(v) == pytest.approx(0.3, abs=1e-3)
    with torch.no_grad():
        v.fill_(-0.5)
    optimiser.zero_grad()
    lspc.value_loss(batch)[0].backward()
    assert float(v.grad) == 0.0  # nothing pulls where the value is negative


def test_the_generator_is_weighted_by_the_saving() -> None:
    lspc, batch = small(temperature=0.5, max_weight=0.9, cost_bound=0.2), transitions()
    lspc.draws.normal_like = lambda values: torch.full_like(values, 0.5)
    states, actions = batch.observations, batch.actions
    with torch.no_grad():
        q, v = lspc.costs.target(states, actions).amax(0), lspc.costs.v(states)
        weights = (0.5 * (v - q)).exp().clamp(max=0.9) * ((v < 0.2) & (q < 0.2))
        assert 0.1 < float((weights > 0).float().mean()) < 0.9
        mean, log_std = lspc.encoder(torch.cat([states, actions], 1))
        code = mean + 0.5 * log_std.exp()
        error = (lspc.decoder(torch.cat([states, code], 1)) - actions).square().sum(1)
        kl = torch.distributions.kl_divergence(
            torch.distributions.Normal(mean, log_std.exp()), torch.distributions.Normal(0.0, 1.0)
        )
        expected = (weights * (error + 0.5 * kl.mean(1))).mean()
    loss, _ = lspc.vae_loss(batch)
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4)
    assert reached(loss, **modules(lspc)) == {"encoder", "decoder"}


def test_the_codes_policy_is_weighted_by_the_gain() -> None:
    lspc, batch = small(temperature=0.5, max_weight=1.3, restriction=0.3), transitions()
    lspc.draws.normal_like = lambda values: torch.full_like(values, 0.5)
    states, actions = batch.observations, batch.actions
    with torch.no_grad():
        gain = lspc.rewards.target(states, actions).amin(0) - lspc.rewards.v(states)
        weights = (0.5 * gain).exp().clamp(max=1.3)
        assert 0.1 < float((weights < 1.3).float().mean()) < 0.9
        mean, log_std = lspc.actor(states)
        code = 0.3 * (mean + 0.5 * log_std.exp()).tanh()
        error = (lspc.decoder(torch.cat([states, code], 1)) - actions).square().sum(1)
        expected = (weights * error).mean()
    loss, _ = lspc.actor_loss(batch)
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4)
    before = [p.clone() for p in lspc.decoder.parameters()]
    lspc.actor_optimiser.zero_grad()
    loss.backward()
    lspc.actor_optimiser.step()  # the decoder stands still
    assert all(torch.equal(a, b) for a, b in zip(before, lspc.decoder.parameters(), strict=True))
    assert any(bool(p.grad.any()) for p in lspc.actor.parameters())


@pytest.mark.parametrize("acting", ["optimal", "safe"])
def test_without_room_for_the_code_both_act_alike(acting: str) -> None:
    lspc = small(restriction=0.0, acting=acting)
    states = torch.randn(5, 3)
    expected = lspc.decoder(torch.cat([states, torch.zeros(5, 4)], 1)).detach()
    torch.testing.assert_close(lspc.act(states, torch.randn(5, 4)), expected)


def test_the_safe_form_draws_from_the_clipped_prior() -> None:
    lspc, states, noise = (
        small(acting="safe", restriction=0.5),
        torch.randn(5, 3),
        torch.randn(5, 4),
    )
    code = noise.clamp(-0.5, 0.5)
    expected = lspc.decoder(torch.cat([states, code], 1)).detach()
    torch.testing.assert_close(lspc.act(states, noise), expected)


def test_noise_belongs_to_the_start_of_an_episode() -> None:
    lspc = small()
    policy = lspc.policy(torch.tensor([1.0, 2.0, 3.0]))
    starts = torch.tensor([[0.1, 0.2, 0.3], [0.1, 0.2, 0.4], [0.1, 0.2, 0.3]])
    first = policy.act(starts, torch.arange(3))
    later = policy.act(starts, torch.arange(3))
    torch.testing.assert_close(first[0], first[2])  # a row's last bit depends on its place
    assert not torch.allclose(first[0], later[0])


def test_observations_are_standardised_if_asked() -> None:
    data = synthetic_data()
    by_hand = replace(
        data,
        observations=(data.observations - data.observations.mean(0)) / data.observations.std(0),
    )
    scaled = small(data, standardise=True)
    expected = small(by_hand)
    for lspc in (scaled, expected):
        with lspc.random():
            lspc.update()
    states, noise = torch.as_tensor(data.observations[:5]), torch.randn(5, 4)
    same = torch.as_tensor(by_hand.observations[:5])
    torch.testing.assert_close(
        scaled.act(states, noise), expected.act(same, noise), atol=1e-4, rtol=1e-4
    )


def test_other_ways_to_act_are_refused() -> None:
    with pytest.raises(UserError, match="acting is optimal or safe, not 'S'"):
        LSPCConfig(acting="S")
