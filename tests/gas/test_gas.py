"""GAS against its definition: losses, schedule, checkpoints, and training from end to end."""

import copy
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Problem
from benchmarks.methods.registry import find_method
from gas import GAS, GASConfig
from gas.algorithm import Conditioning, Goals
from gas.segments import Segments
from tests.support.gas_cases import QUICK, batch_of, built, trained
from tests.support.two_rooms import BEST, HALF, SAFE, play_rooms, two_rooms


def by_hand(gas, segments, conditioning, goals):
    """The three losses, written after the paper in numpy."""
    c = gas.config
    r, cost, asked, v_r, v_c = (
        x.detach().numpy().astype(np.float64)
        for x in (segments.rewards, segments.costs, conditioning.cost, goals.reward, goals.cost)
    )
    feasible = np.where(v_c < asked, 1.0, 0.0)
    advantage = (feasible * r if c.indicator else r) - v_r
    weight = np.where(advantage < 0, 1 - c.alpha, c.alpha)
    with torch.no_grad():
        inputs = [*conditioning, goals.reward, goals.cost]
        columns = [x if x.dim() == 2 else x[:, None] for x in inputs]
        acted = np.tanh(gas.actor.layers(torch.cat(columns, 1)).numpy())
    error = ((acted - segments.actions.numpy()) ** 2).sum(1)
    kept = feasible if c.mask else 1.0
    if c.cost_filter:
        kept = kept * (cost <= np.maximum(v_c, 0.01 / gas.cost_scale))
    losses = {
        "reward_goal_loss": (weight * advantage**2).mean(),
        "cost_goal_loss": (weight * (cost - v_c) ** 2).mean(),
        "actor_loss": (kept * weight * error).mean(),
    }
    return advantage, weight, losses


@pytest.mark.parametrize("indicator", [True, False])
@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("cost_filter", [True, False])
@settings(QUICK, max_examples=8)
@given(seed=st.integers(0, 10_000), alpha=st.floats(0.5, 0.99))
def test_advantage_weight_and_losses(indicator, mask, cost_filter, seed, alpha):
    gas = built(indicator=indicator, mask=mask, cost_filter=cost_filter, alpha=alpha)
    segments, conditioning, goals = batch_of(seed)
    advantage, weight, losses = by_hand(gas, segments, conditioning, goals)
    computed = gas.reward_advantage(segments, conditioning, goals)
    np.testing.assert_allclose(computed, advantage, atol=1e-6)
    assert 0 < (advantage < 0).mean() < 1
    np.testing.assert_allclose(gas.expectile_weight(computed), weight, atol=1e-6)
    for loss, info in (
        gas.value_loss(segments, conditioning, goals),
        gas.actor_loss(segments, conditioning, goals),
    ):
        assert loss.item() == pytest.approx(sum(info.values()).item(), rel=1e-5)
        for name, value in info.items():
            np.testing.assert_allclose(value.item(), losses.pop(name), rtol=1e-5)
    assert not losses


def update_on(gas, segments, conditioning):
    """One update on a batch that is given."""
    gas.sampler = lambda draws: segments
    gas.scaled = lambda same: same
    gas.relabelled = lambda _: conditioning
    return gas.update()


@pytest.mark.parametrize("indicator", [True, False])
@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("cost_filter", [True, False])
def test_an_update_descends_the_papers_losses(indicator, mask, cost_filter):
    gas = built(indicator=indicator, mask=mask, cost_filter=cost_filter, max_grad_norm=1e9)
    segments, conditioning, _ = batch_of(1, size=200)
    conditioning = conditioning._replace(
        cost=segments.costs + 0.3 * torch.randn(200)
    )  # some infeasible
    goals = gas.goals(conditioning)
    _, weight, expected = by_hand(gas, segments, conditioning, goals)
    feasible = (goals.cost < conditioning.cost).float().detach()
    assert 0 < feasible.mean() < 1
    kept = (segments.costs <= goals.cost.clamp(min=0.01 / gas.cost_scale)).float()
    assert 0 < kept.mean() < 1
    weight = torch.as_tensor(weight, dtype=torch.float32)
    counted = segments.rewards * feasible if indicator else segments.rewards
    inputs = [*conditioning, goals.reward.detach(), goals.cost.detach()]
    error = (torch.tanh(gas.actor(*inputs)) - segments.actions).square().sum(1)
    alone = {
        gas.reward_goal: (weight * (counted - goals.reward) ** 2).mean(),
        gas.cost_goal: (weight * (segments.costs - goals.cost) ** 2).mean(),
        gas.actor: (
            weight * (feasible if mask else 1.0) * (kept if cost_filter else 1.0) * error
        ).mean(),
    }
    gradients = {
        net: torch.autograd.grad(loss, list(net.parameters())) for net, loss in alone.items()
    }
    losses = update_on(gas, segments, conditioning)
    assert list(losses) == list(expected)
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(expected[name], rel=1e-4)
        assert not loss.requires_grad
    for net, own in gradients.items():
        for parameter, gradient in zip(net.parameters(), own, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("goal", [-1.0, 0.0, 0.3])
def test_the_filter_keeps_what_costs_no_more_than_the_goal_or_next_to_nothing(goal):
    gas = built(mask=False)
    costs = torch.tensor([0.0, 0.01, 0.02, 0.29, 0.31]) / gas.cost_scale
    segments, conditioning, goals = batch_of(4, size=5)
    segments = segments._replace(costs=costs)
    goals = Goals(goals.reward, torch.full((5,), goal / gas.cost_scale))
    alone = [
        gas.actor_loss(
            Segments(*(part[[k]] for part in segments)),
            Conditioning(*(part[[k]] for part in conditioning)),
            Goals(*(part[[k]] for part in goals)),
        )[0].item()
        for k in range(5)
    ]
    assert [loss > 0 for loss in alone] == [
        c <= max(goal, 0.01) for c in (0, 0.01, 0.02, 0.29, 0.31)
    ]


def test_each_loss_trains_its_own_network_only():
    gas = built()
    segments, conditioning, _ = batch_of(2)
    segments = segments._replace(costs=torch.zeros(24))  # so that the filter keeps them
    goals = gas.goals(conditioning)
    losses = [
        ((gas.reward_goal, gas.cost_goal), gas.value_loss(segments, conditioning, goals)),
        ((gas.actor,), gas.actor_loss(segments, conditioning, goals)),
    ]
    for owners, (loss, _) in losses:
        for network in gas.networks:
            reached = torch.autograd.grad(
                loss, list(network.parameters()), retain_graph=True, allow_unused=True
            )
            moved = any(g is not None and g.abs().max() > 0 for g in reached)
            assert moved == (network in owners)


def test_gradients_are_clipped_a_network():
    gas = built(max_grad_norm=1e-3)
    segments, conditioning, _ = batch_of(3)
    segments = segments._replace(costs=torch.zeros(24))
    update_on(gas, segments, conditioning)
    for network in gas.networks:
        norm = math.sqrt(sum(p.grad.square().sum().item() for p in network.parameters()))
        assert norm == pytest.approx(1e-3, rel=1e-2)


def fixed_point(alpha, rewards, costs):
    """The V^R and V^C that minimise the two goal losses of GAS at one state and conditioning."""
    gas = built(alpha=alpha, indicator=False)
    segments = Segments(None, None, torch.as_tensor(rewards), torch.as_tensor(costs), None, None)
    goals = Goals(segments.rewards.mean(), segments.costs.mean())
    for _ in range(60):
        weight = gas.expectile_weight(gas.reward_advantage(segments, None, goals))
        goals = Goals(
            (weight * segments.rewards).sum() / weight.sum(),
            (weight * segments.costs).sum() / weight.sum(),
        )
    return goals.reward.item(), goals.cost.item()


@settings(QUICK, max_examples=10)
@given(arrays.arrays(np.float64, 6, elements=st.integers(-20, 20).map(float), unique=True))
def test_goals_go_from_the_mean_to_the_best(rewards):
    costs = np.arange(6.0)
    found = [fixed_point(alpha, rewards, costs) for alpha in (0.5, 0.7, 0.9, 0.99, 0.9999)]
    goals = [goal for goal, _ in found]
    assert goals[0] == pytest.approx(rewards.mean())
    assert all(a < b for a, b in pairwise(goals))
    assert goals[-1] == pytest.approx(rewards.max(), abs=0.03)
    assert found[0][1] == pytest.approx(costs.mean())
    # V^C is the cost of what has the best reward
    assert found[-1][1] == pytest.approx(costs[rewards.argmax()], abs=0.03)


@QUICK
@given(st.integers(0, 50), st.integers(1, 200), st.floats(1e-4, 1e-2))
def test_learning_rate_rises_then_falls_along_a_cosine(warmup, planned, top):
    gas = built(warmup=warmup, learning_rate=top)
    gas.planned_updates = planned
    rates = []
    for gas.updates in range(planned + 1):
        rates.append(gas.learning_rate())
        rise = 1.0 if gas.updates + 1 >= warmup else (gas.updates + 1) / warmup
        cosine = (1 + math.cos(math.pi * gas.updates / planned)) / 2
        assert rates[-1] == pytest.approx(top * rise * cosine, abs=1e-12)
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)
    assert max(rates) <= top
    gas.updates = planned + 1
    assert gas.learning_rate() >= 0.0


def test_each_update_of_a_training_uses_the_schedule():
    gas, rates = built(warmup=4, learning_rate=0.5), []
    update = gas.update

    def noted():
        assert gas.optimiser.param_groups[0]["lr"] == gas.learning_rate()
        rates.append(gas.learning_rate())
        return update()

    gas.update = noted
    trained(gas, 6)
    assert len(set(rates)) == 6


def test_a_state_is_not_changed_by_training_on():
    gas = trained(built(), 3)
    state = gas.state()
    saved = copy.deepcopy(state)
    other = GAS.from_state(state)
    trained(gas, 6)
    trained(other, 6)
    moments = [s["parts"]["optimiser"]["state"][0]["exp_avg"] for s in (saved, state)]
    assert torch.equal(*moments)
    weights = [s["parts"]["actor"]["layers.0.weight"] for s in (saved, state)]
    assert torch.equal(*weights)
    for one, two in zip(gas.actor.parameters(), other.actor.parameters(), strict=True):
        assert torch.equal(one, two)


def test_own_arrays_train_in_ten_lines():
    rng = np.random.default_rng(0)
    ends = np.arange(400) % 20 == 19
    data = Trajectories.from_arrays(
        observations=rng.normal(size=(400, 3)),
        actions=rng.uniform(-1, 1, (400, 2)),
        rewards=rng.random(400),
        costs=rng.random(400) < 0.2,
        terminals=np.zeros(400),
        timeouts=ends,
    )
    gas = GAS(Problem.of(data, horizon=20), GASConfig(batch=64, width=32, blocks=1), seed=0)
    progress = list(gas.fit(data, updates=30, every=10))
    policy = gas.policy(limits=torch.tensor([2.0, 5.0]))
    actions = policy.act(torch.zeros(2, 3), env_ids=torch.tensor([0, 1]))
    assert [p.updates for p in progress] == [10, 20, 30]
    assert actions.shape == (2, 2)
    assert not torch.equal(actions[0], actions[1])


TINY = GASConfig(
    batch=128,
    width=32,
    blocks=1,
    expansion=1,
    dropout=0.0,
    warmup=20,
    learning_rate=3e-3,
    reward_target=BEST,
)


def test_gas_stitches_the_best_safe_path_that_no_episode_shows():
    data = two_rooms()
    assert data.returns[data.episode_costs <= SAFE].max() < BEST
    total, cost = play_rooms(trained(built(TINY, data, horizon=2 * HALF), 300, data))
    assert total == BEST
    assert cost <= SAFE


def test_cloning_safe_episodes_earns_no_more_than_they_did():
    data = two_rooms()
    cls = find_method("bc-safe").cls
    config = cls.config_class(batch=64, hidden=32)
    clone = cls(Problem.of(data, 2 * HALF), config, limit=SAFE, seed=0)
    total, cost = play_rooms(trained(clone, 300, data))
    assert cost <= SAFE
    assert total <= data.returns[data.episode_costs <= SAFE].max() < BEST


def test_conditioning_on_whole_episodes_without_goals_earns_it_unsafely():
    data = two_rooms()
    free = {"goals": False, "shortening": 0.0, "delta": 0.0, "cost_relabelling": "none"}
    method = trained(built(TINY, data, horizon=2 * HALF, **free), 300, data)
    total, cost = play_rooms(method)
    assert total == BEST  # it is no want of training: it has what was asked for, by another way
    assert cost > SAFE
