"""VOCE: the dual's optimum, conservative terms, and the E- and M-step, by hand."""

import itertools
import math

import numpy as np
import pytest
import torch

from baselines import dual
from baselines.voce import VOCE, FullGaussian, log_density
from tests.support.by_hand import built, disturb, reached, transitions

SMALL = {"batch": 16, "hidden": 16, "samples": 3, "improved_samples": 8, "gamma": 0.9}


def problem(seed: int = 0, states: int = 30, actions: int = 40):
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.randn(states, actions, generator=generator, dtype=torch.float64)
    costs = torch.rand(states, actions, generator=generator, dtype=torch.float64)
    return rewards, costs + 0.3 * rewards  # what earns more costs more


def start(value: float = 0.1):
    return torch.tensor(value, dtype=torch.float64), torch.tensor(value, dtype=torch.float64)


def divergence(w: torch.Tensor) -> float:
    return float((w * (w * w.shape[-1]).log()).sum(-1).mean())


def test_derivatives_are_those_of_finite_differences() -> None:
    given = (*problem(), 0.1, 0.4)
    at, h = (start(0.7)[0], start(0.5)[0]), 1e-4
    gradient, (a, b, d) = dual.derivatives(*given, *at)

    def g(eta: float, multiplier: float) -> float:
        points = torch.tensor([at[0] + eta, at[1] + multiplier], dtype=torch.float64)
        return float(dual.dual(*given, *points))

    assert float(gradient[0]) == pytest.approx((g(h, 0) - g(-h, 0)) / (2 * h), abs=1e-6)
    assert float(gradient[1]) == pytest.approx((g(0, h) - g(0, -h)) / (2 * h), abs=1e-6)
    assert float(a) == pytest.approx((g(h, 0) - 2 * g(0, 0) + g(-h, 0)) / h**2, abs=1e-4)
    assert float(d) == pytest.approx((g(0, h) - 2 * g(0, 0) + g(0, -h)) / h**2, abs=1e-4)
    mixed = (g(h, h) - g(h, -h) - g(-h, h) + g(-h, -h)) / (4 * h**2)
    assert float(b) == pytest.approx(mixed, abs=1e-4)


def test_a_limit_that_binds_is_met_and_the_divergence_too() -> None:
    rewards, costs = problem()
    found = dual.minimise(rewards, costs, 0.1, 0.4, start(), 30)
    w = dual.weights(rewards, costs, *found)
    assert float((w * costs).sum(-1).mean()) == pytest.approx(0.4, abs=1e-4)
    assert divergence(w) == pytest.approx(0.1, abs=1e-4)
    assert float(found[1]) > 0.1


def test_a_limit_that_does_not_bind_has_no_price() -> None:
    rewards, costs = problem()
    found = dual.minimise(rewards, costs, 0.1, 9.0, start(), 30)
    assert float(found[1]) == pytest.approx(dual.SMALLEST)
    assert divergence(dual.weights(rewards, costs, *found)) == pytest.approx(0.1, abs=1e-4)


def test_ten_steps_from_the_last_optimum_suffice_and_none_makes_it_worse() -> None:
    rewards, costs = problem()
    best = dual.dual(
        rewards, costs, 0.1, 0.4, *dual.minimise(rewards, costs, 0.1, 0.4, start(), 60)
    )
    for initial in (1e-6, 0.1, 50.0):
        eta, multiplier = start(initial)
        values = [float(dual.dual(rewards, costs, 0.1, 0.4, eta, multiplier))]
        for _ in range(40):
            eta, multiplier = dual.minimise(rewards, costs, 0.1, 0.4, (eta, multiplier), 1)
            values.append(float(dual.dual(rewards, costs, 0.1, 0.4, eta, multiplier)))
        assert all(b <= a + 1e-12 for a, b in itertools.pairwise(values))
        if initial == 0.1:
            assert values[10] == pytest.approx(float(best), abs=1e-6)
        assert values[-1] == pytest.approx(float(best), abs=1e-3)


def test_several_problems_at_once_are_solved_as_one_by_one() -> None:
    many = [torch.stack(pair) for pair in zip(problem(0), problem(1), strict=True)]
    both = dual.minimise(*many, 0.1, 0.4, tuple(v.expand(2) for v in start()), 15)
    for k in (0, 1):
        alone = dual.minimise(*problem(k), 0.1, 0.4, start(), 15)
        assert [float(v[k]) for v in both] == pytest.approx([float(v) for v in alone], rel=1e-6)


def test_the_density_is_that_of_a_normal_distribution() -> None:
    torch.manual_seed(0)
    mean, factor = FullGaussian(3, 2, 8)(torch.randn(5, 3))
    actions = torch.randn(5, 4, 2)
    expected = torch.distributions.MultivariateNormal(mean[:, None], scale_tril=factor[:, None])
    torch.testing.assert_close(log_density(mean, factor, actions), expected.log_prob(actions))
    assert float(mean.abs().max()) < 1.0


def small(**options) -> VOCE:
    voce = built(VOCE, limit=8.0, **{**SMALL, **options})
    disturb(voce.actor, voce.target_actor, voce.rewards, voce.costs, size=0.2)
    return voce


def modules(voce: VOCE) -> dict:
    names = "actor", "target_actor", "rewards", "costs", "reward_targets", "cost_targets"
    return {name: getattr(voce, name) for name in names}


def test_critics_by_hand() -> None:
    voce, batch = small(gap=2.0), transitions(16)
    with torch.no_grad():
        voce.log_alphas.copy_(torch.tensor([0.5, -0.5]))
    after, at = batch.next_observations, (batch.observations, batch.actions)
    later = torch.linspace(-0.5, 0.5, 32).view(16, 2)
    made = torch.linspace(-1, 1, 16 * 9 * 2).view(16, 9, 2), torch.linspace(-3, 0, 144).view(16, 9)
    voce.drawn = lambda policy, states, n: (
        [later[:, None], None] if policy is voce.target_actor else 1 / 0
    )
    voce.proposals = lambda _: made
    expected = {}
    with torch.no_grad():
        going = 0.9 * (1 - batch.terminal)
        backups = {
            "reward": batch.rewards + going * voce.reward_targets(after, later).amin(0),
            "cost": batch.costs + 0.9 * voce.cost_targets(after, later).amax(0),
        }
        for name, critics, sign in (("reward", voce.rewards, 1), ("cost", voce.costs, -1)):
            td = (critics(*at) - backups[name]).square().mean(1).sum()
            states = batch.observations[:, None].expand(16, 9, 3)
            worth = sign * critics(states.flatten(0, 1), made[0].flatten(0, 1)).view(2, 16, 9)
            term = ((worth - made[1]).exp().sum(2).log() - sign * critics(*at)).mean(1)
            alpha = math.exp(0.5 if sign > 0 else -0.5)
            expected[name] = td, term, td + alpha * (term - 2.0).sum()
    loss, info = voce.critic_loss(batch)
    for name, (td, term, _) in expected.items():
        assert float(info[f"{name}_critic_loss"]) == pytest.approx(float(td), rel=1e-4)
        assert float(info[f"{name}_term"]) == pytest.approx(float(term.mean()), rel=1e-3)
    whole = sum(float(value) for *_, value in expected.values())
    assert float(loss.detach()) == pytest.approx(whole, rel=1e-4)
    assert reached(loss, **modules(voce)) == {"rewards", "costs"}
    assert voce.log_alphas.grad is None


def test_unseen_actions_are_worth_less_and_cost_more() -> None:
    voce, batch = small(), transitions(16)
    with voce.random():
        pairs = voce.proposals(batch)
    for critics, sign in ((voce.rewards, 1.0), (voce.costs, -1.0)):
        with torch.no_grad():
            before = critics(batch.observations, pairs[0][:, 0]) - critics(*batch[0:3:2])
        optimiser = torch.optim.SGD(critics.parameters(), 0.01)
        for _ in range(20):
            optimiser.zero_grad()
            voce.conservative(critics, batch, pairs, sign).sum().backward()
            optimiser.step()
        with torch.no_grad():
            after = critics(batch.observations, pairs[0][:, 0]) - critics(*batch[0:3:2])
        assert sign * float((after - before).mean()) < 0


def test_proposals_are_uniform_then_of_the_policy_at_both_states() -> None:
    voce, batch = small(), transitions(16)
    with voce.random():
        actions, density = voce.proposals(batch)
    assert actions.shape == (16, 9, 2)
    assert float(actions.abs().max()) <= 1.0
    assert density[:, :3].tolist() == pytest.approx(np.full((16, 3), 2 * math.log(0.5)))
    assert not density.requires_grad


@pytest.mark.parametrize(("term", "rises"), [(3.0, True), (1.0, False)])
def test_the_weight_of_a_term_rises_beyond_the_gap(term: float, rises: bool) -> None:
    voce = small(gap=2.0)
    loss, _ = voce.alpha_loss({"reward_term": torch.tensor(term), "cost_term": torch.tensor(2.0)})
    loss.backward()
    assert (float(voce.log_alphas.grad[0]) < 0) == rises
    assert float(voce.log_alphas.grad[1]) == 0.0


def test_the_m_step_by_hand() -> None:
    voce, states = small(), torch.randn(16, 3)
    actions, weights = torch.rand(16, 8, 2) - 0.5, torch.rand(16, 8).softmax(1)

    def density(mean, factor):
        made = torch.distributions.MultivariateNormal(mean[:, None], scale_tril=factor[:, None])
        return made.log_prob(actions)

    with torch.no_grad():
        (mean, factor), (old_mean, old_factor) = voce.actor(states), voce.target_actor(states)
        both = density(mean, old_factor) + density(old_mean, factor)
    loss, _ = voce.actor_loss(states, actions, weights)
    assert float(loss.detach()) == pytest.approx(-float((weights * both).mean()), rel=1e-4)
    assert reached(loss, **modules(voce)) == {"actor"}


def test_the_e_step_judges_the_target_policys_actions_by_the_target_critics() -> None:
    voce, states = small(dual_steps=20), torch.randn(16, 3)
    voce.reward_targets = lambda s, a: torch.stack([a[:, 0] + 5.0, a[:, 0]])
    voce.cost_targets = lambda s, a: torch.stack([a[:, 0] + 3.0, 0 * a[:, 0]])
    voce.rewards = voce.costs = None  # they learn, and judge nothing here
    seen, drawn = [], voce.drawn
    voce.drawn = lambda policy, *more: [seen.append(policy), drawn(policy, *more)][1]
    with voce.random():
        actions, weights = voce.improved(states)
    assert seen == [voce.target_actor]
    assert voce.bound == pytest.approx(8 * (1 - 0.9**20) / (0.1 * 20))
    cost = float((weights * (actions[..., 0] + 3.0)).sum(1).mean())
    assert cost <= max(voce.bound, 0.0) + 0.5
    assert float(voce.eta) != pytest.approx(0.1)  # kept for the next time
    assert weights.sum(1).tolist() == pytest.approx([1.0] * 16)
