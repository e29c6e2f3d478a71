"""GAS with a shield: which action it takes, the critic's losses, and what it is made for."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Problem
from benchmarks.methods.limits import discounted
from gas import GAS, GASConfig, ShieldConfig, ShieldedGAS
from gas.shield import normal_points
from tests.support.by_hand import built as prepared
from tests.support.by_hand import disturb, reached, transitions
from tests.support.gas_cases import HORIZON, QUICK, SMALL, check_episodes_alone, made_up
from tests.support.gas_cases import built as build

SHIELD = ShieldConfig(**{**asdict(SMALL), "gamma": 0.9})
built = partial(build, SHIELD, cls=ShieldedGAS)


def with_costs(gas: ShieldedGAS, costs) -> ShieldedGAS:
    """`gas` whose critic tells `costs(states, actions)`."""
    gas.shield.online_q = costs
    return gas


def first_action(states: Tensor, actions: Tensor) -> Tensor:
    """A cost that rises with the first component of the action."""
    return 10.0 + 10.0 * actions[..., 0]


OFFSETS = torch.tensor([[0.0, 0.0], [0.1, 0.0], [-0.1, 0.0], [-0.3, 0.0], [-0.2, 0.9]])


def test_the_nearest_action_that_costs_little_enough_acts() -> None:
    gas = with_costs(built(), first_action)
    states, actions = torch.zeros(4, 2), torch.tensor([[0.0, 0.5]] * 3 + [[-0.95, 0.0]])
    allowed = torch.tensor([10.0, 9.5, 7.5, 0.0])
    taken = gas.shielded(states, actions, OFFSETS, allowed)
    kept, nearest, farther, edge = taken.tolist()
    assert kept == pytest.approx([0.0, 0.5])  # as it was
    assert nearest == pytest.approx([-0.1, 0.5])
    assert farther == pytest.approx([-0.3, 0.5])  # not the one that is within the limit but far
    assert edge == pytest.approx([-1.0, 0.0])  # within the actions' range


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 100.0])
def test_without_an_action_that_costs_little_enough_cheaper_ones_weigh_more(sharpness) -> None:
    gas = with_costs(built(sharpness=sharpness), first_action)
    (taken,) = gas.shielded(torch.zeros(1, 2), torch.zeros(1, 2), OFFSETS, torch.tensor([1.0]))
    first = np.array([0.0, 0.1, -0.1, -0.3, -0.2])  # a tenth of the cost, but for a constant
    weights = np.exp(-sharpness * (first - first.mean()) / first.std())
    weights /= weights.sum()
    assert taken.tolist() == pytest.approx([weights @ first, weights @ OFFSETS[:, 1].numpy()])
    if sharpness == 100.0:
        assert taken.tolist() == pytest.approx([-0.3, 0.0], abs=1e-6)  # the cheapest


def test_candidates_of_one_cost_weigh_the_same() -> None:
    gas = built()
    assert gas.weights(torch.full((2, 5), 7.0)).tolist() == [[pytest.approx(0.2)] * 5] * 2
    scaled = gas.weights(torch.tensor([[1.0, 2.0, 4.0], [100.0, 200.0, 400.0]]))
    torch.testing.assert_close(scaled[0], scaled[1])


@QUICK
@given(st.integers(0, 1000), st.floats(0.0, 30.0))
def test_the_choice_by_its_definition(seed, allowed) -> None:
    gas, generator = built(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in gas.shield.target.parameters():
            parameter.zero_()  # the online critics decide
    states, actions = torch.randn(3, 2, generator=generator), torch.rand(3, 2, generator=generator)
    offsets = torch.cat([torch.zeros(1, 2), torch.randn(6, 2, generator=generator)])
    taken = gas.shielded(states, actions, offsets, torch.full((3,), allowed))
    for state, action, found in zip(states, actions, taken, strict=True):
        candidates = (action + offsets).clamp(-1.0, 1.0)
        costs = gas.shield.q(state.expand(7, -1), candidates).amax(0)
        far = (candidates - action).norm(dim=1)
        safe = [i for i in range(7) if costs[i] <= allowed]
        if safe:
            expected = candidates[min(safe, key=lambda i: float(far[i]))]
        else:
            weights = (-1.25 * (costs - costs.mean()) / costs.std(correction=0)).exp()
            expected = weights @ candidates / weights.sum()
        torch.testing.assert_close(found, expected)


def act(gas: GAS, limit: float, **policy_state) -> Tensor:
    policy = gas.policy(torch.tensor([limit]))
    for name, value in policy_state.items():
        setattr(policy, name, value)
    return policy.act(torch.tensor([[0.3, -0.2]]), torch.tensor([0]))[0]


def test_what_is_left_of_the_limit_and_of_the_time_is_allowed() -> None:
    seen: list[Tensor] = []
    gas = built(margin=0.0, allowance=2.0)
    gas.shielded = lambda states, actions, offsets, allowed: (seen.append(allowed), actions)[1]
    act(gas, 8.0)
    act(gas, 8.0, steps=torch.tensor([HORIZON - 2.0]), costs_left=torch.tensor([3.0]))
    act(gas, 8.0, steps=torch.tensor([5.0]), costs_left=torch.tensor([-1.0]))
    by_hand = [2 * 8.0 / HORIZON * (1 - 0.9**HORIZON) / 0.1, 2 * 3.0 / 2 * 1.9, 0.0]
    assert [float(x) for x in seen] == pytest.approx(by_hand)
    assert float(discounted(torch.tensor(3.0), torch.tensor(2.0), 0.9)) == pytest.approx(2.85)


def test_the_candidates_lie_around_the_action_itself() -> None:
    offsets = built(spread=0.5, candidates=8).policy(torch.tensor([4.0])).offsets
    assert offsets[0].tolist() == [0.0, 0.0]
    assert torch.equal(offsets[1:], 0.5 * normal_points(7, 2))


def test_the_critic_sees_standardised_states_in_training_and_in_an_episode() -> None:
    seen: list[Tensor] = []
    gas = built()
    with gas.random():
        gas.shield_loss = lambda batch: (seen.extend(batch[:2]), gas.shield_loss_(batch))[1]
        gas.shield_loss_ = partial(ShieldedGAS.shield_loss, gas)
        gas.update()
    raw = gas.transitions._packed[:, :4].split(2, dim=1)
    for states, column in zip(seen[:2], raw, strict=True):
        whole = gas.standardise(column)
        assert all((row == whole).all(1).any() for row in states)
    gas.shielded = lambda states, actions, offsets, allowed: (seen.append(states), actions)[1]
    act(gas, 4.0)
    torch.testing.assert_close(seen[-1], gas.standardise(torch.tensor([[0.3, -0.2]])))


def test_an_action_that_may_be_taken_is_that_of_gas() -> None:
    gas = with_costs(built(), lambda states, actions: torch.zeros(actions.shape[:-1]))
    plain = GAS(gas.problem, GASConfig(**asdict(SMALL)))
    plain.reward_goal, plain.cost_goal, plain.actor = gas.reward_goal, gas.cost_goal, gas.actor
    plain.networks, plain.returns_left = gas.networks, gas.returns_left
    assert torch.equal(act(gas, 5.0), act(plain, 5.0))
    strict = with_costs(gas, lambda states, actions: actions.sum(-1) + 100.0)
    assert not torch.allclose(act(strict, 5.0), act(plain, 5.0))
    alone = with_costs(built(candidates=1), lambda states, actions: actions.sum(-1) + 100.0)
    alone.actor, alone.networks = gas.actor, gas.networks
    alone.reward_goal, alone.cost_goal = gas.reward_goal, gas.cost_goal
    assert torch.equal(act(alone, 5.0), act(plain, 5.0))  # nothing else to choose


def test_episodes_together_act_as_alone() -> None:
    check_episodes_alone(built(allowance=0.2))


@pytest.mark.parametrize(("count", "dimensions"), [(31, 2), (255, 8), (1, 1)])
def test_candidates_are_always_the_same_and_spread_like_a_normal_distribution(
    count, dimensions
) -> None:
    points = normal_points(count, dimensions)
    assert points.shape == (count, dimensions)
    assert torch.equal(points, normal_points(count, dimensions))
    assert points.isfinite().all()
    if count > 1:
        assert points.mean(0).tolist() == pytest.approx([0.0] * dimensions, abs=0.15)
        assert points.std(0).tolist() == pytest.approx([1.0] * dimensions, abs=0.15)


def test_no_more_than_the_action_itself_is_one_candidate() -> None:
    assert normal_points(0, 2).shape == (0, 2)


def test_losses_by_hand() -> None:
    options = {**asdict(SHIELD), "cost_expectile": 0.2}
    gas, batch = prepared(ShieldedGAS, **options), transitions()
    disturb(gas.shield.target, size=0.1)  # apart from the online critics
    critic, at = gas.shield, (batch.observations, batch.actions)
    loss, info = gas.shield_loss(batch)
    parts = {name: getattr(critic, name) for name in ("q", "v", "target")}
    assert reached(loss, **parts) == {"q", "v"}
    with torch.no_grad():
        old, value = critic.target(*at).amax(0).numpy(), critic.v(at[0]).numpy()
        going = 1.0 - batch.terminal.numpy()  # not `done`: time may simply have run out
        backup = batch.costs.numpy() + 0.9 * going * critic.v(batch.next_observations).numpy()
        errors = (critic.q(*at).numpy() - backup) ** 2
    residual = old - value
    by_hand = (np.where(residual < 0, 0.8, 0.2) * residual**2).mean(), errors.mean()
    found = float(info["cost_value_loss"]), float(info["cost_critic_loss"])
    assert found == pytest.approx(by_hand, rel=1e-4)
    assert float(loss.detach()) == pytest.approx(sum(by_hand), rel=1e-4)
    gradients = [p.grad.clone() for p in critic.v.parameters()]
    critic.v.zero_grad()
    critic.least_value_loss(batch, 0.2)[0].backward()  # V learns from Q, never from its own backup
    for before, parameter in zip(gradients, critic.v.parameters(), strict=True):
        torch.testing.assert_close(before, parameter.grad)


def test_an_update_moves_everything() -> None:
    gas = built(tau=0.5, critic_steps=1)
    before = {name: value.clone() for name, value in gas.shield.state_dict().items()}
    with gas.random():
        info = gas.update()
    assert {"cost_value_loss", "cost_critic_loss", "actor_loss"} <= set(info)
    after = gas.shield.state_dict()
    assert all(not torch.equal(before[name], after[name]) for name in before)
    target, online = (getattr(gas.shield, name).state_dict() for name in ("target", "q"))
    for name, value in target.items():
        torch.testing.assert_close(value, (before[f"target.{name}"] + online[name]) / 2)


def test_the_critic_takes_its_own_number_of_steps() -> None:
    one, two = built(critic_steps=1), built(critic_steps=2)
    for gas in (one, two):
        taken: list[int] = []
        gas.shield_optimiser.register_step_post_hook(lambda *_, taken=taken: taken.append(1))
        with gas.random():
            gas.update()
        assert len(taken) == gas.config.critic_steps
    for name in ("reward_goal", "cost_goal", "actor"):  # the first update of GAS is the same
        pairs = zip(getattr(one, name).parameters(), getattr(two, name).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def corridor(episodes=150, steps=20) -> Trajectories:
    """Walks along a line: an action moves by itself, beyond 1 each step costs 1.

    A walk stays inside, or leaves at a random time and comes back after 5 steps, or never. Few of
    the walks that are outside come back, so the rest of a walk from there is costly on average.
    """
    rng = np.random.default_rng(0)
    rows = []
    for episode in range(episodes):
        place, out = 0.0, rng.integers(0, steps) if episode % 3 else steps
        for step in range(steps):
            outward = step >= out and not (episode % 6 == 1 and step >= out + 5)
            action = np.clip((1.6 if outward else 0.4) - place + rng.normal(0, 0.3), -1, 1)
            moved = place + 0.5 * action
            rows.append((place, action, float(outward), float(moved > 1), step == steps - 1, moved))
            place = moved
    place, action, reward, cost, end, moved = np.array(rows).T
    columns = place[:, None], action[:, None], reward, cost, 0 * end, end
    return Trajectories.from_arrays(*columns, moved[:, None])


def test_outside_the_shield_takes_the_way_back_and_inside_it_does_not_leave() -> None:
    data = corridor()
    config = replace(
        SHIELD, critic_learning_rate=3e-3, width=32, batch=128, cost_expectile=0.1, tau=0.05
    )
    gas = ShieldedGAS(Problem.of(data, 20), config)
    with gas.random():
        gas.prepare(data)
        for _ in range(600):
            gas.update_shield()
    states = gas.standardise(torch.tensor([[1.5], [0.9], [0.2]]))
    wanted = torch.tensor([[0.3], [0.6], [0.1]])  # outwards, over the edge, harmless
    offsets = torch.nn.functional.pad(0.6 * normal_points(63, 1), (0, 0, 1, 0))
    with torch.no_grad():
        taken = gas.shielded(states, wanted, offsets, torch.tensor([0.3, 0.3, 0.8]))
    back, held, kept = taken[:, 0].tolist()
    assert back < -0.5
    assert 0.9 + 0.5 * held < 1.05
    assert kept == pytest.approx(0.1)


def test_the_shield_learns_with_the_rest_and_comes_back_from_a_checkpoint() -> None:
    data = made_up([12, 3, 7, 12, 1, 9])
    whole, part = (ShieldedGAS(Problem.of(data, HORIZON), SHIELD, seed=1) for _ in range(2))
    for _ in whole.fit(data, 6):
        pass
    for progress in part.fit(data, 6, every=3):
        if progress.updates == 3:
            state = part.state()
            break
    restored = ShieldedGAS.from_state(state)
    for _ in restored.fit(data, 6):
        pass
    for one, other in zip(whole.shield.parameters(), restored.shield.parameters(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(act(whole, 4.0), act(restored, 4.0))
