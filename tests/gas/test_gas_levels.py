"""GAS over levels of cost: levels, losses, the choice of a level, and what it is made for."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Problem
from gas import LevelGAS, LevelsConfig
from gas.levels import Goals, level_edges
from gas.segments import Segments
from tests.support.gas_cases import HORIZON, QUICK, check_episodes_alone, made_up, play, trained
from tests.support.gas_cases import built as build
from tests.support.two_rooms import BEST, HALF, play_rooms, two_rooms

SMALL = LevelsConfig(batch=32, width=16, blocks=1, expansion=1, dropout=0.0, cost_bins=6)


built = partial(build, SMALL, cls=LevelGAS)


@QUICK
@given(st.floats(0.1, 1000), st.integers(2, 40), st.lists(st.floats(0, 1), min_size=1))
def test_a_cost_falls_into_the_lowest_level_that_holds_it(largest, count, shares):
    edges = level_edges(largest, count)
    assert len(edges) == count
    assert edges[0] == 0
    assert edges[-1].item() == pytest.approx(largest)
    assert (edges.diff() > 0).all()
    assert (edges.diff().diff() > -1e-4 * largest).all()  # lower levels are narrower
    gas = built()
    gas.edges = edges
    costs = edges[-1] * torch.tensor(shares, dtype=torch.float32)
    for cost, level in zip(costs, gas.level(costs).tolist(), strict=True):
        assert cost <= edges[level]
        assert level == 0 or cost > edges[level - 1]
    assert gas.level(2 * edges[-1:]).item() == count - 1  # another simulator may cost more


def batch_of(gas, seed, size=40):
    torch.manual_seed(seed)
    return Segments(
        torch.randn(size, 2),
        torch.rand(size, 2) * 2 - 1,
        torch.randn(size) * gas.reward_scale,
        torch.rand(size) * gas.cost_scale,
        torch.randint(1, HORIZON + 1, (size,)).float(),
        torch.zeros(size),
    )


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@QUICK
@given(st.integers(0, 10_000), st.floats(0.5, 0.99), st.floats(0.1, 3.0))
def test_losses_by_hand(seed, expectile, temperature):
    gas = built(expectile=expectile, temperature=temperature)
    segments = batch_of(gas, seed)
    loss, info = gas.total_loss(segments)
    found = {name: value.item() for name, value in info.items()}
    assert loss.item() == pytest.approx(sum(found.values()), rel=1e-5)
    edges, costs = gas.edges.numpy(), segments.costs.numpy()
    level = np.array([np.flatnonzero(edges >= c - 1e-9)[0] for c in costs])
    row, state = np.arange(len(level)), gas.standardise(segments.observations)
    left, reward = segments.steps / HORIZON, segments.rewards.numpy() / gas.reward_scale
    codes = torch.tensor([[float(j <= k) for j in range(6)] for k in level])
    with torch.no_grad():
        logits, promised = (x.numpy() for x in gas.goal(state, left).chunk(2, 1))
        after = gas.outcome(state, segments.actions, left).numpy()
        acted = np.tanh(gas.actor(state, left, codes).numpy())
    advantage = reward - promised[row, level]
    weight = np.exp(np.minimum(temperature * advantage / np.abs(advantage).mean(), 3.0))
    error = ((acted - segments.actions.numpy()) ** 2).sum(1)
    expected = {
        "chance_loss": -np.log(softmax(logits)[row, level]).mean(),
        "reward_loss": (np.where(advantage < 0, 1 - expectile, expectile) * advantage**2).mean(),
        "outcome_loss": -np.log(softmax(after)[row, level]).mean(),
        "actor_loss": (weight / weight.mean() * error).mean(),
    }
    assert found == pytest.approx(expected, rel=1e-3)
    assert (advantage > 0).any()
    assert (advantage < 0).any()


def test_each_loss_trains_its_own_network_only():
    gas = built()
    segments = batch_of(gas, 0)
    level, scaled = gas.level(segments.costs), gas.scaled(segments)
    goals = gas.goals(scaled.observations, scaled.steps)
    losses = {
        gas.goal: gas.value_loss(scaled, level, goals),
        gas.outcome: gas.outcome_loss(scaled, level),
        gas.actor: gas.actor_loss(scaled, level, goals),
    }
    for owner, (loss, _) in losses.items():
        for network in gas.networks:
            reached = torch.autograd.grad(
                loss, list(network.parameters()), retain_graph=True, allow_unused=True
            )
            moved = any(g is not None and g.abs().max() > 0 for g in reached)
            assert moved == (network is owner)


def test_promises_are_of_segments_at_their_level():
    gas = built(expectile=0.5)
    segments = batch_of(gas, 1)
    levels = gas.level(segments.costs)
    inputs = torch.zeros(len(levels), gas.problem.observation_dim, requires_grad=True)
    goals = gas.goals(inputs, segments.steps / HORIZON)
    assert goals.rewards.shape == goals.log_chances.shape == (len(levels), 6)
    torch.testing.assert_close(goals.log_chances.exp().sum(1), torch.ones(len(levels)))


@QUICK
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30), st.floats(0.1, 5.0))
def test_cloning_weights_rise_with_the_advantage(advantages, temperature):
    weight = built(temperature=temperature).cloning_weight(torch.tensor(advantages))
    assert weight.mean().item() == pytest.approx(1.0, rel=1e-4)
    assert (weight > 0).all() or temperature > 1
    order = np.argsort(advantages)
    assert (np.diff(weight.numpy()[order]) >= -1e-5).all()


class Tables(LevelGAS):
    """Says what it is told to: chances, promises and, for each level's action, outcomes."""

    tables: tuple[np.ndarray, np.ndarray, np.ndarray]

    def goals(self, observations, steps):
        chances, rewards, _ = self.tables
        rows = observations[:, 0].long()
        return Goals(torch.tensor(chances[rows]).log(), torch.tensor(rewards[rows]))

    def actions(self, observations, steps, level):
        return torch.stack([level / 10.0, steps], dim=1)

    def outcomes(self, observations, actions, steps):
        rows, level = observations[:, 0].long(), (10 * actions[:, 0]).round().long()
        return torch.tensor(self.tables[2][rows, level]).log()


def chosen_by_hand(c, edges, budget, chances, rewards, outcomes):
    """The rule, level by level."""
    budget = max(budget, 0.0)
    known = [k for k in range(6) if chances[k] >= c.known]
    candidates = [k for k in known if edges[k] <= (1 - c.margin) * budget] or known[:1] or [0]
    keeping = {k: sum(outcomes[k][edges <= budget]) for k in candidates}
    agreed = [k for k in candidates if keeping[k] >= c.agreement * max(keeping.values())]
    best = max(rewards[k] for k in agreed)
    return min(k for k in agreed if rewards[k] >= best - c.slack * abs(best))


@QUICK
@given(
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.05, 0.3]),
    st.sampled_from([0.0, 0.5, 0.95]),
    st.sampled_from([0.0, 0.05, 0.5]),
    st.sampled_from([0.0, 0.1, 0.4]),
)
def test_the_choice_follows_its_rule(seed, known, agreement, slack, margin):
    rng, rows = np.random.default_rng(seed), 12
    gas = Tables(
        Problem.of(made_up([12, 5, 8]), HORIZON),
        replace(SMALL, known=known, agreement=agreement, slack=slack, margin=margin),
    )
    chances = rng.dirichlet(np.full(6, 0.5), rows) + 1e-9
    rewards, outcomes = rng.normal(size=(rows, 6)), rng.dirichlet(np.ones(6), (rows, 6))
    gas.tables = chances, rewards, outcomes
    budgets = rng.uniform(-5.0, 1.2 * gas.cost_scale, rows)
    observations = torch.arange(rows)[:, None].float().repeat(1, 2)
    left = torch.tensor(rng.random(rows)).float()
    level, actions = gas.choose(observations, left, torch.tensor(budgets))
    edges = gas.edges.numpy()
    expected = [
        chosen_by_hand(gas.config, edges, budgets[i], chances[i], rewards[i], outcomes[i])
        for i in range(rows)
    ]
    assert level.tolist() == expected
    np.testing.assert_allclose(actions[:, 0], np.array(expected) / 10.0, rtol=1e-6)
    np.testing.assert_allclose(actions[:, 1], left)


def test_the_budget_shrinks_and_its_overspending_is_remembered(monkeypatch):
    gas, asked = trained(built(), 5), []

    def choose(observations, steps, budgets):
        asked.append((steps.tolist(), budgets.tolist()))
        return None, torch.zeros(len(steps), 2)

    monkeypatch.setattr(gas, "choose", choose)
    limits = torch.tensor([3.0, 8.0])
    policy, other = gas.policy(limits), gas.policy(limits)
    policy.act(torch.zeros(2, 2), torch.tensor([0, 1]))
    policy.observe(torch.ones(2), torch.tensor([5.0, 1.0]), torch.tensor([0, 1]))
    policy.act(torch.zeros(1, 2), torch.tensor([1]))
    policy.observe(torch.ones(1), torch.tensor([2.0]), torch.tensor([1]))
    policy.act(torch.zeros(2, 2), torch.tensor([1, 0]))
    expected = [([1.0, 1.0], [3.0, 8.0]), ([11 / 12], [7.0]), ([10 / 12, 11 / 12], [5.0, -2.0])]
    for (steps, budgets), (expected_steps, expected_budgets) in zip(asked, expected, strict=True):
        assert steps == pytest.approx(expected_steps)
        assert budgets == expected_budgets
    assert limits.tolist() == other.costs_left.tolist() == [3.0, 8.0]


def test_acting_ignores_the_other_episodes():
    check_episodes_alone(trained(built(), 20))


TINY = LevelsConfig(
    batch=256, width=32, blocks=1, expansion=1, dropout=0.0, warmup=20, learning_rate=3e-3
)


def test_it_stitches_as_gas_does_and_needs_no_reward_target():
    data = two_rooms()
    gas = LevelGAS(Problem.of(data, 2 * HALF), TINY, seed=0)
    total, cost = play_rooms(trained(gas, 400, data))
    assert cost == 0.0
    assert total >= (1.0 - gas.config.slack) * BEST > data.returns[data.episode_costs == 0.0].max()


STEPS = 10


def of_mode(_, action):
    """Reward and cost of a step: slow or fast."""
    return (1.0, 1.0) if action > 0.3 else (0.9, 0.0)


def two_modes():
    """Episodes that go slowly for 0.9 a step and no cost, or fast for 1 and a cost of 1."""
    rng, rows = np.random.default_rng(0), []
    for fast in [False, True, True] * 10:
        for step in range(STEPS):
            action = (0.8 if fast else -0.2) + rng.uniform(-0.1, 0.1)
            rows.append(([1.0], [action], *of_mode(step, action), False, step == STEPS - 1))
    return Trajectories.from_arrays(*map(list, zip(*rows, strict=True)))


def test_between_two_modes_it_never_takes_what_lies_between():
    data = two_modes()
    gas = trained(LevelGAS(Problem.of(data, STEPS), TINY, seed=0), 400, data)
    for limit in (0.0, 2.0, 5.0, 9.0):
        reward, cost = play(gas, limit, STEPS, lambda _: [1.0], of_mode)
        # no episode costs 1 to 9; slow steps and fast ones may be mixed within the limit
        assert cost <= limit
        assert reward == pytest.approx(0.9 * STEPS + 0.1 * cost)
