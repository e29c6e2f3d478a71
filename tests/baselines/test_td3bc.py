"""CARL and O3SRL on TD3+BC: losses by hand, replaced rewards, and the bandit of multipliers."""

import numpy as np
import pytest
import torch

from baselines.carl import CARL
from baselines.o3srl import O3SRL
from tests.support.by_hand import built, disturb, one_step_episodes, reached, train, transitions

SMALL = {"batch": 32, "hidden": 16, "gamma": 0.9}
LIMIT = 8.0


def small(cls=CARL, **options):
    method = built(cls, limit=LIMIT, **{**SMALL, **options})
    disturb(method.actor, method.critics, size=0.2)
    return method


def modules(method) -> dict:
    names = "actor", "critics", "targets", "target_actor"
    return {name: getattr(method, name) for name in names}


def test_critics_by_hand() -> None:
    carl, batch = small(noise=0.4, noise_clip=0.3), transitions()
    carl.rewards = lambda batch: 2.0 * batch.rewards
    carl.draws.normal_like = lambda values: torch.linspace(-2, 2, values.numel()).view_as(values)
    after = batch.next_observations
    with torch.no_grad():
        noise = (0.4 * torch.linspace(-2, 2, 128).view(64, 2)).clamp(-0.3, 0.3)
        actions = (carl.target_actor(after) + noise).clamp(-1, 1)
        backup = 2.0 * batch.rewards + 0.9 * (1 - batch.terminal) * carl.targets(
            after, actions
        ).amin(0)
        expected = (carl.critics(batch.observations, batch.actions) - backup).square().mean(1).sum()
    loss, _ = carl.critic_loss(batch)
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4)
    assert reached(loss, **modules(carl)) == {"critics"}


def test_the_policy_by_hand() -> None:
    carl, batch = small(), transitions()
    with torch.no_grad():
        actions = carl.actor(batch.observations)
        value = carl.critics(batch.observations, actions)[0]
        expected = (
            actions - batch.actions
        ).square().mean() - 2.5 * value.mean() / value.abs().mean()
    loss, _ = carl.actor_loss(batch)
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4)
    carl.actor.zero_grad()
    first = torch.autograd.grad(loss, list(carl.actor.parameters()), retain_graph=True)
    actions = carl.actor(batch.observations)  # the scale takes no gradient
    loss = (actions - batch.actions).square().mean() - 2.5 / value.abs().mean() * carl.critics(
        batch.observations, actions
    )[0].mean()
    for ours, theirs in zip(first, torch.autograd.grad(loss, carl.actor.parameters()), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)


def test_the_policy_and_the_targets_move_every_second_time() -> None:
    carl = small(tau=0.25)
    with carl.random():
        for carl.updates in (0, 1):
            before = {
                name: [p.clone() for p in m.parameters()] for name, m in modules(carl).items()
            }
            carl.update()
            moved = {
                name: any(
                    not torch.equal(a, b) for a, b in zip(before[name], m.parameters(), strict=True)
                )
                for name, m in modules(carl).items()
            }
            assert moved == {
                "critics": True,
                "actor": carl.updates == 1,
                "targets": carl.updates == 1,
                "target_actor": carl.updates == 1,
            }
    for old, new, online in zip(
        before["targets"], carl.targets.parameters(), carl.critics.parameters(), strict=True
    ):
        torch.testing.assert_close(new, old.lerp(online, 0.25))


def test_carls_cost_critic_by_hand() -> None:
    carl, batch = small(), transitions()
    disturb(carl.cost_critic, size=0.2)
    after = batch.next_observations

    def value(net, states, actions):
        return net(torch.cat([states, actions], 1))

    with torch.no_grad():
        next_q = value(carl.cost_target, after, carl.actor(after))  # the current policy's action
        backup = batch.costs + 0.9 * (1 - batch.done) * next_q
        error = value(carl.cost_critic, batch.observations, batch.actions) - backup
    loss, _ = carl.cost_critic_loss(batch)
    assert float(loss.detach()) == pytest.approx(float(error.square().mean()), rel=1e-4)
    parts = {**modules(carl), "cost": carl.cost_critic, "cost target": carl.cost_target}
    assert reached(loss, **parts) == {"cost"}


def test_carl_replaces_the_reward_where_the_cost_critic_is_above_the_limit() -> None:
    carl, batch = small(), transitions(4)
    assert carl.threshold == pytest.approx(8.0 * (1 - 0.9**20) / (0.1 * 20))
    carl.cost_of = lambda batch: carl.threshold + torch.tensor([-1.0, 0.0, 0.01, 3.0])
    carl.largest_reward = 7.0
    found = carl.rewards(batch).tolist()
    assert found == pytest.approx([*batch.rewards[:2].tolist(), -7.0, -7.0])


def bandit():
    """Positive actions earn and cost 1, negative ones neither."""
    actions = np.linspace(-0.95, 0.95, 20)
    good = actions > 0
    return one_step_episodes(np.zeros((20, 1)), actions[:, None], good, good, repeat=10)


def test_carl_leaves_the_arms_that_cost_more_than_the_limit() -> None:
    data, actions = bandit(), {}
    for limit in (0.5, 2.0):
        carl = built(CARL, data, limit=limit, horizon=1, batch=128, hidden=32, learning_rate=5e-3)
        train(carl, data, 150)
        actions[limit] = float(carl.actor(torch.zeros(1, 1)))
        with torch.no_grad():
            costly = float(carl.critics(torch.zeros(1, 1), torch.tensor([[0.5]])).amin())
        assert costly == pytest.approx(-1.0 if limit < 1 else 1.0, abs=0.4)  # -R_max
    assert actions[0.5] < 0 < actions[2.0]


# O3SRL


def test_the_lagrangians_reward() -> None:
    o3srl, batch = small(O3SRL, reward_scale=0.3), transitions()
    assert o3srl.multipliers.tolist() == [0.0, 1.25, 2.5, 3.75, 5.0]
    o3srl.arm.fill_(2)
    expected = 0.3 * batch.rewards - 2.5 * (batch.costs - 0.1 * LIMIT)
    torch.testing.assert_close(o3srl.rewards(batch), expected)


def test_multipliers_are_drawn_by_their_probabilities() -> None:
    o3srl = small(O3SRL, mixing=0.2, arms=3)
    o3srl.total_losses.copy_(torch.tensor([0.0, 1e9, 1e9]))
    assert o3srl.probabilities().tolist() == pytest.approx([0.8 + 0.2 / 3, 0.2 / 3, 0.2 / 3])
    with o3srl.random():
        drawn = [[o3srl.draw(), int(o3srl.arm)][1] for _ in range(600)]
    shares = np.bincount(drawn, minlength=3) / 600
    assert shares == pytest.approx([0.867, 0.067, 0.067], abs=0.06)


def test_losses_are_scaled_by_the_last_ones_and_weighted_by_their_probability() -> None:
    o3srl = small(O3SRL, memory=3, arms=2)
    o3srl.arm.fill_(1)
    for loss in (100.0, 4.0, 6.0, 8.0):  # the range of the last three: 4 to 8
        before, odds = o3srl.total_losses.clone(), float(o3srl.probabilities()[1])
        o3srl.judge(torch.tensor(loss))
    assert float(o3srl.total_losses[0]) == 0.0
    assert float(o3srl.total_losses[1] - before[1]) == pytest.approx(1.0 / odds)
    o3srl.judge(torch.tensor(7.0))
    assert int(o3srl.judged) == 5
    one = small(O3SRL)
    one.judge(torch.tensor(3.0))  # nothing to compare with: one half
    assert float(one.total_losses.sum()) == pytest.approx(0.5 / 0.2)


@pytest.mark.parametrize(("excess", "wanted"), [(1.0, 4), (-1.0, 0)])
def test_the_multiplier_goes_to_its_end(excess: float, wanted: int) -> None:
    """The value of a policy that costs `excess` more than the limit is -lambda * excess."""
    o3srl = small(O3SRL, step_scale=3.0)
    o3srl.planned_updates = 4000
    with o3srl.random():
        for _ in range(400):
            o3srl.draw()
            o3srl.judge(-o3srl.multipliers[o3srl.arm] * excess)
    odds = o3srl.probabilities()
    assert int(odds.argmax()) == wanted
    assert float(odds[wanted]) > 0.5


def test_a_round_draws_first_and_judges_last() -> None:
    o3srl = small(O3SRL, arm_updates=3)
    calls = []
    o3srl.draw = lambda: calls.append(("draw", o3srl.updates))
    judge = o3srl.judge
    o3srl.judge = lambda loss: [calls.append(("judge", o3srl.updates)), judge(loss)]
    with o3srl.random():
        for o3srl.updates in range(6):
            o3srl.update()
    assert calls == [("draw", 0), ("judge", 2), ("draw", 3), ("judge", 5)]
