"""BCRL: a chain with known least costs, and its losses and choices by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from baselines.bcrl import BCRL
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.limits import discounted
from benchmarks.methods.networks import optimizer_step
from tests.support.by_hand import act, built, disturb, reached, transitions

SMALL = {"batch": 32, "hidden": 16, "dropout": 0.0}
GAMMA = 0.9


def chain(episodes: int = 400) -> Trajectories:
    """Four states; action 1 earns 1 and costs 1, -1 neither; state 2 costs 1 whatever is done."""
    rng = np.random.default_rng(0)
    state = np.tile(np.arange(4), episodes)
    action = rng.choice([-1.0, 1.0], len(state))
    rewards = (action > 0).astype(float)
    costs = np.where(state == 2, 1.0, rewards)
    ends = state == 3
    eye = np.eye(4)
    return Trajectories.from_arrays(
        eye[state], action[:, None], rewards, costs, ends, ends, eye[(state + 1) % 4]
    )


def test_the_least_cost_of_a_chain_is_found_and_leaves_the_rest_to_the_budget() -> None:
    data = chain()
    bcrl = built(
        BCRL, data, horizon=4, batch=64, hidden=32, gamma=GAMMA, cost_expectile=0.01, dropout=0.0
    )
    updates = 300
    with bcrl.random():
        for update in range(updates):
            bcrl.critic_optimiser.param_groups[0]["lr"] = 1e-2 * (1.02 - update / updates)
            batch = bcrl.sampler().with_states(bcrl.scaled)
            for loss_of in (bcrl.cost_value_loss, bcrl.cost_critic_loss):
                optimizer_step(bcrl.critic_optimiser, loss_of(batch)[0])
            bcrl.costs.move_target(0.2)
    states = torch.eye(4)
    least = [GAMMA**2, GAMMA, 1.0, 0.0]  # the unavoidable cost of state 2, discounted
    assert bcrl.costs.v(bcrl.scaled(states)).tolist() == pytest.approx(least, abs=0.12)
    with_stubs(bcrl)
    # spread over 4 steps, a limit of 1 allows .86, of which .81 is unavoidable at the start
    excess = act(bcrl, states[0], [1.0, 4.0])[:, 0]
    assert excess.tolist() == pytest.approx([-1.0, (1 - GAMMA**4) / 0.1 / 10 - 0.081], abs=0.02)


def with_stubs(bcrl: BCRL) -> None:
    """Policies that tell which of them acts: a tenth of the excess, or -1."""
    bcrl.actor = lambda given: (given[:, -1:].expand(-1, 2) / 10, None)
    bcrl.safe_actor = lambda states: (torch.full((len(states), 2), -1.0), None)
    bcrl.actor.eval = bcrl.safe_actor.eval = lambda: None


def test_what_is_left_is_discounted() -> None:
    n, left = torch.tensor([1.0, 2.0, 10.0]), torch.tensor([3.0, 3.0, -1.0])
    by_hand = [3.0, 1.5 * (1 + 0.9), 0.0]
    assert discounted(left, n, 0.9).tolist() == pytest.approx(by_hand)
    assert discounted(left, n, 1.0).tolist() == [3.0, 3.0, 0.0]
    assert float(discounted(left, n * 0, 0.9)[0]) == pytest.approx(3.0)


def small(**options) -> BCRL:
    bcrl = built(BCRL, **SMALL, gamma=0.9, cost_expectile=0.2, reward_expectile=0.7, **options)
    disturb(bcrl.costs, bcrl.rewards, bcrl.actor, bcrl.safe_actor, size=0.2)
    bcrl.draws.uniform_like = lambda values: torch.linspace(0.01, 0.6, len(values))
    return bcrl


def modules(bcrl: BCRL) -> dict:
    parts = {"costs": bcrl.costs, "rewards": bcrl.rewards}
    named = {f"{k} {n}": getattr(v, n) for k, v in parts.items() for n in ("q", "v", "target")}
    return {**named, "actor": bcrl.actor, "safe": bcrl.safe_actor}


def expectile(residual, level):
    return np.where(residual < 0, 1 - level, level) * residual**2


def joint(states, numbers):
    return torch.cat([states, torch.as_tensor(numbers)[:, None].float()], 1)


def test_cost_losses_by_hand() -> None:
    bcrl, batch = small(), transitions()
    at, costs = (batch.observations, batch.actions), bcrl.costs
    with torch.no_grad():
        q_old, v = costs.target(*at).amax(0).numpy(), costs.v(at[0]).numpy()
        going = 1 - batch.terminal.numpy()
        backup = batch.costs.numpy() + 0.9 * going * costs.v(batch.next_observations).numpy()
        errors = (costs.q(*at).numpy() - backup) ** 2
    loss, _ = bcrl.cost_value_loss(batch)
    assert float(loss.detach()) == pytest.approx(expectile(q_old - v, 0.2).mean(), rel=1e-4)
    assert reached(loss, **modules(bcrl)) == {"costs v"}
    loss, _ = bcrl.cost_critic_loss(batch)
    assert float(loss.detach()) == pytest.approx(errors.mean(), rel=1e-4)
    assert reached(loss, **modules(bcrl)) == {"costs q"}


def test_reward_losses_by_hand() -> None:
    bcrl, batch = small(), transitions()
    states, actions, rewards = batch.observations, batch.actions, bcrl.rewards
    drawn = torch.linspace(0.01, 0.6, 64).numpy() * 3.0 / 0.1
    bcrl.largest_cost.fill_(30.0)
    with torch.no_grad():
        qc = bcrl.costs.target(states, actions).amax(0).numpy()
        vc = bcrl.costs.v(states).numpy()
        budget = drawn + np.maximum(qc, vc)
        q_old = rewards.target(joint(states, budget - qc), actions).amin(0).numpy()
        v = rewards.v(joint(states, budget - vc)).numpy()
        next_v = rewards.v(joint(batch.next_observations, drawn)).numpy()
        backup = batch.rewards.numpy() + 0.9 * (1 - batch.terminal.numpy()) * next_v
        errors = (rewards.q(joint(states, 0.9 * drawn), actions).numpy() - backup) ** 2
    loss, _ = bcrl.value_loss(batch)
    assert float(loss.detach()) == pytest.approx(expectile(q_old - v, 0.7).mean(), rel=1e-4)
    assert reached(loss, **modules(bcrl)) == {"rewards v"}
    loss, _ = bcrl.critic_loss(batch)
    assert float(loss.detach()) == pytest.approx(errors.mean(), rel=1e-4)
    assert reached(loss, **modules(bcrl)) == {"rewards q"}


def log_likelihood(mean, log_std, actions):
    std = log_std.exp()
    return torch.distributions.Normal(mean, std).log_prob(actions).sum(-1)


def test_policies_are_weighted_by_their_advantages() -> None:
    bcrl, batch = small(temperature=0.5, max_weight=0.8), transitions()
    states, actions = batch.observations, batch.actions
    bcrl.largest_cost.fill_(2.0)
    drawn = torch.linspace(0.01, 0.6, 64) * 2.0
    with torch.no_grad():
        qc = bcrl.costs.target(states, actions).amax(0)
        vc = bcrl.costs.v(states)
        budget = drawn + torch.maximum(qc, vc)
        q = bcrl.rewards.q(joint(states, budget - qc), actions).amin(0)
        gain = q - bcrl.rewards.v(joint(states, budget - vc))
        weights = (0.5 * gain).exp().clamp(max=0.8)
        assert 0.1 < float((weights < 0.8).float().mean()) < 0.9
        given = joint(states, (budget - vc).clamp(0.0, 2.0))
        expected = -(weights * log_likelihood(*bcrl.actor(given), actions)).mean()
        cheap = (0.5 * (vc - qc)).exp().clamp(max=0.8)
        safe = -(cheap * log_likelihood(*bcrl.safe_actor(states), actions)).mean()
    loss, _ = bcrl.actor_loss(batch)
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4)
    assert reached(loss, **modules(bcrl)) == {"actor"}
    loss, _ = bcrl.safe_actor_loss(batch)
    assert float(loss.detach()) == pytest.approx(float(safe), rel=1e-4)
    assert reached(loss, **modules(bcrl)) == {"safe"}


def test_an_episode_spends_its_budget() -> None:
    bcrl = built(BCRL, **SMALL, gamma=0.9)
    bcrl.costs = SimpleNamespace(v=lambda states: torch.full((len(states),), 0.5))
    with_stubs(bcrl)
    policy, rows = bcrl.policy(torch.tensor([5.0, 1.3])), torch.arange(2)
    first = policy.act(torch.zeros(2, 3), rows)[:, 0].tolist()
    expected = 0.1 * (5 * (1 - 0.9**20) / (0.1 * 20) - 0.5)  # of the other less than .1 is left
    assert first == pytest.approx([expected, -1.0], abs=1e-4)
    policy.observe(torch.zeros(2), torch.tensor([2.0, 0.0]), rows)
    expected = 0.1 * (3 * (1 - 0.9**19) / (0.1 * 19) - 0.5)
    assert float(policy.act(torch.zeros(2, 3), rows)[0, 0]) == pytest.approx(expected, abs=1e-4)
    bcrl.largest_cost.fill_(0.9)
    assert float(policy.act(torch.zeros(2, 3), rows)[0, 0]) == pytest.approx(0.04, abs=1e-4)


def test_an_update_moves_the_targets_and_lets_the_policies_rate_fall() -> None:
    bcrl = built(BCRL, **SMALL, tau=0.25, learning_rate=1e-3)
    old = {k: v.clone() for k, v in bcrl.rewards.target.state_dict().items()}
    bcrl.planned_updates, bcrl.updates = 4, 2
    with bcrl.random():
        bcrl.schedule()
        bcrl.update()
    for name, value in bcrl.rewards.target.state_dict().items():
        online = bcrl.rewards.q.state_dict()[name]
        torch.testing.assert_close(value, old[name].lerp(online, 0.25))
    assert bcrl.actor_optimiser.param_groups[0]["lr"] == pytest.approx(0.5e-3)
