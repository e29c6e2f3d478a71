"""The training of behaviour policies, and their snapshots."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import data as command
from benchmarks.common.errors import UserError
from benchmarks.datasets.generation import behaviour
from benchmarks.datasets.generation import ppo as ppo_module
from benchmarks.datasets.generation.policies import (
    ACTION_STEP,
    Snapshot,
    load_snapshots,
    save_snapshots,
)
from benchmarks.datasets.generation.ppo import (
    SNAPSHOT_FRACTIONS,
    PPOConfig,
    PreferencePPO,
    RunningMoments,
    discounted_sums,
    train_behaviour,
)
from benchmarks.simulators.vector import Steps
from benchmarks.tasks.tasks import TASKS

TASK = replace(TASKS["BallRun"], horizon=20)
SMALL = PPOConfig(environments=4, epochs=2, minibatch=40, hidden=16)
STEPS = 800  # ten rounds
quick = settings(deadline=None, max_examples=50)  # a busy machine is no failure


def arrays(snapshots):
    """All arrays of snapshots, in order."""
    return [
        array
        for snapshot in snapshots
        for field in snapshot
        for array in (field if isinstance(field, list) else [field])
    ]


def same(one, other):
    return len(one) == len(other) and all(map(np.array_equal, arrays(one), arrays(other)))


def leaves(state):
    """The values of nested containers, in order."""
    if isinstance(state, dict):
        return [leaf for key in sorted(state, key=str) for leaf in leaves(state[key])]
    if isinstance(state, list | tuple):
        return [leaf for one in state for leaf in leaves(one)]
    return [state]


# --- training --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The checkpoint of a small training and its snapshots."""
    checkpoint = tmp_path_factory.mktemp("whole") / "BallRun.pt"
    rounds = []
    snapshots = train_behaviour(
        TASK, STEPS, checkpoint, config=SMALL, report=lambda done, _: rounds.append(done)
    )
    assert rounds == list(range(80, STEPS + 1, 80))
    return checkpoint, snapshots


class Stopped(Exception):
    """Stands for Ctrl-C."""


@pytest.mark.parametrize(("stops", "worked"), [((80,), 11), ((560, 720), 12), ((240, 800), 13)])
def test_interrupted_and_resumed_equals_uninterrupted(
    tmp_path, monkeypatch, uninterrupted, stops, worked
):
    monkeypatch.setattr(ppo_module, "_SAVE_EVERY", 160)  # every second round
    checkpoint = tmp_path / "deep" / "BallRun.pt"
    rounds = []
    for stop in stops:

        def report(done, _, stop=stop):
            rounds.append(done)
            if done == stop:
                raise Stopped

        with pytest.raises(Stopped):
            train_behaviour(TASK, STEPS, checkpoint, config=SMALL, report=report)
        torch.manual_seed(0)  # whatever the process does in between
        np.random.seed(0)
    snapshots = train_behaviour(
        TASK, STEPS, checkpoint, config=SMALL, report=lambda done, _: rounds.append(done)
    )
    assert len(rounds) == worked  # it did resume
    expected_checkpoint, expected = uninterrupted
    assert same(snapshots, expected)
    ours, theirs = (
        torch.load(path, weights_only=True) for path in (checkpoint, expected_checkpoint)
    )
    for one, other in zip(leaves(ours), leaves(theirs), strict=True):
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def test_a_finished_training_is_not_done_again(uninterrupted):
    checkpoint, expected = uninterrupted

    def report(*_):
        raise AssertionError("trained again")

    assert same(train_behaviour(TASK, STEPS, checkpoint, config=SMALL, report=report), expected)
    assert torch.load(checkpoint, weights_only=True)["ppo"]["steps"] == STEPS
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_snapshots_span_the_training(uninterrupted):
    _, snapshots = uninterrupted
    assert len(snapshots) == len(SNAPSHOT_FRACTIONS)
    first = PreferencePPO(TASK, SMALL, 0).snapshot()
    assert same(snapshots[:1], [first])  # untrained
    assert not same(snapshots[-2:-1], snapshots[-1:])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": 1}, "seed"),
        ({"steps": STEPS + 80}, "steps"),
        ({"config": replace(SMALL, gamma=0.5, hidden=8)}, "gamma, hidden"),
        ({"task": TASKS["BallCircle"]}, "task"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(uninterrupted, changes, told):
    checkpoint, _ = uninterrupted
    options = {"task": TASK, "steps": STEPS, "config": SMALL, "seed": 0} | changes
    with pytest.raises(UserError, match=f"another {told}: ") as caught:
        train_behaviour(checkpoint=checkpoint, **options)
    assert "\n" not in str(caught.value)


def test_seeds_differ(uninterrupted, tmp_path):
    _, snapshots = uninterrupted
    other = train_behaviour(TASK, 80, tmp_path / "x.pt", config=SMALL, seed=1)
    assert not same(other[:1], snapshots[:1])


class Scripted:
    """Stands for `Lockstep`: what the rows receive, step by step, is written down beforehand."""

    def __init__(self, rewards, costs, terminated, truncated):
        self.columns = rewards, costs, terminated, truncated
        self.t = 0

    def reset(self, seeds, rows=None):
        return np.zeros((len(seeds), TASK.observation_dim), dtype=np.float32)

    def step(self, actions, rows):
        assert np.abs(actions).max() <= 1.0
        observations = np.full((len(rows), TASK.observation_dim), 0.5, dtype=np.float32)
        self.t += 1
        return Steps(observations, *(column[self.t - 1] for column in self.columns))


def scripted(seed):
    rng = np.random.default_rng(seed)
    ends = rng.random((20, 4))
    terminated, truncated = ends < 0.1, (ends >= 0.1) & (ends < 0.2)
    return rng.normal(size=(20, 4)), rng.integers(0, 2, (20, 4)) * 1.0, terminated, truncated


def test_advantages_and_targets_follow_the_formula():
    """With a critic that says 3 everywhere, worked out by loops over an episode's rest."""
    config = replace(SMALL, gamma=0.9, gae_lambda=0.7)
    ppo = PreferencePPO(TASK, config, 0)
    torch.nn.init.zeros_(ppo.critic[-1].weight)
    torch.nn.init.constant_(ppo.critic[-1].bias, 3.0)
    rewards, costs, terminated, truncated = scripted(0)
    batch, _ = ppo._collect(Scripted(*scripted(0)), np.random.default_rng(0))
    w = (batch["observations"][:, -1].numpy().reshape(20, 4) + 1) / 2
    sigma = ppo.rewards.std[0]
    assert sigma == pytest.approx(rewards.std(), rel=0.01)
    for row in range(4):
        expected = np.zeros(20)
        for start in range(20):
            for t in range(start, 20):
                goal = (1 - w[t, row]) * rewards[t, row] / sigma - 2 * w[t, row] * costs[t, row]
                following = 0.0 if terminated[t, row] else 3.0
                expected[start] += (0.9 * 0.7) ** (t - start) * (goal + 0.9 * following - 3.0)
                if terminated[t, row] or truncated[t, row]:
                    break
        ours = batch["advantage"].numpy().reshape(20, 4)[:, row]
        np.testing.assert_allclose(ours, expected, atol=1e-5)
        target = batch["target"].numpy().reshape(20, 4)[:, row]
        np.testing.assert_allclose(target, expected + 3.0, atol=1e-5)


def test_episodes_are_told_with_their_preference_return_and_cost():
    ppo = PreferencePPO(TASK, SMALL, 0)
    rewards, costs, terminated, truncated = scripted(1)
    batch, episodes = ppo._collect(Scripted(*scripted(1)), np.random.default_rng(0))
    w = (batch["observations"][:, -1].double().numpy().reshape(20, 4) + 1) / 2
    ended = terminated | truncated
    expected, starts = [], [0] * 4
    for t, row in zip(*ended.nonzero(), strict=True):
        steps = slice(starts[row], t + 1)
        assert np.ptp(w[steps, row]) == 0  # one preference an episode
        expected.append((w[t, row], rewards[steps, row].sum(), costs[steps, row].sum()))
        starts[row] = t + 1
    np.testing.assert_allclose(episodes, expected, atol=1e-6)
    assert len(np.unique(w)) > 4  # and a new one after it


def test_the_goal_weighs_reward_against_cost():
    ppo = PreferencePPO(TASK, SMALL, 0)
    rng = np.random.default_rng(0)
    reward, cost = 5 * rng.normal(size=1000), rng.random(1000)
    ppo.rewards.update(reward[:, None])
    seeking, safe = (ppo.objective(np.full(1000, w), reward, cost) for w in (0.0, 1.0))
    np.testing.assert_allclose(seeking, reward / reward.std(), rtol=1e-4)
    np.testing.assert_array_equal(safe, -2.0 * cost)
    np.testing.assert_allclose(
        ppo.objective(np.full(1000, 0.25), reward, cost), 0.75 * seeking + 0.25 * safe
    )


class Bandit(Scripted):
    """The first action is the reward, and a cost where it is positive."""

    def __init__(self):
        self.t = 0

    def step(self, actions, rows):
        self.t += 1
        first = actions[:, 0].astype(float)
        none = np.zeros(len(rows), dtype=bool)
        return Steps(self.reset(rows), first, (first > 0) * 1.0, none, none | (self.t % 20 == 0))


def test_one_policy_learns_to_seek_reward_or_to_avoid_cost():
    ppo = PreferencePPO(TASK, replace(SMALL, environments=16, epochs=6, minibatch=160), 0)
    for _ in range(15):
        ppo.iterate(Bandit())
    observations = np.zeros((2, TASK.observation_dim), dtype=np.float32)
    actions = ppo.snapshot().act(observations, np.array([0.0, 1.0]), np.zeros((2, 2)))
    assert actions[0, 0] > 0.3
    assert actions[1, 0] < 0.0


@quick
@given(st.integers(1, 8), st.integers(1, 3), st.integers(0, 999), st.floats(0.0, 1.0))
def test_discounted_sums_equal_those_of_a_loop(steps, rows, seed, discount):
    rng = np.random.default_rng(seed)
    values, ended = rng.normal(size=(steps, rows)), rng.random((steps, rows)) < 0.3
    sums = discounted_sums(values, discount, ended)
    for row in range(rows):
        for start in range(steps):
            expected = 0.0
            for t in range(start, steps):
                expected += discount ** (t - start) * values[t, row]
                if ended[t, row]:
                    break
            assert sums[start, row] == pytest.approx(expected, abs=1e-12)


@quick
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(0, 999))
def test_running_moments_are_those_of_all_rows(sizes, seed):
    """Together with what they start from: mean 0 and variance 1, of a weight of 0.0001 rows."""
    rng = np.random.default_rng(seed)
    chunks = [rng.normal(rng.uniform(-50, 50), rng.uniform(0.1, 9), (n, 3)) for n in sizes]
    moments = RunningMoments(3)
    for chunk in chunks:
        moments.update(chunk)
    rows = np.concatenate(chunks)
    weight = len(rows) + 1e-4
    mean = rows.sum(0) / weight
    variance = (((rows - mean) ** 2).sum(0) + 1e-4 * (1 + mean**2)) / weight
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-9)
    np.testing.assert_allclose(moments.variance, variance, rtol=1e-9)
    assert moments.count == pytest.approx(weight)


def test_running_moments_forget_what_they_start_from():
    rows = np.random.default_rng(0).normal(3.0, 2.0, (2000, 2))
    moments = RunningMoments(2)
    for chunk in np.split(rows, 20):
        moments.update(chunk)
    np.testing.assert_allclose(moments.mean, rows.mean(0), atol=1e-5)
    np.testing.assert_allclose(moments.std, rows.std(0), atol=1e-5)


def test_a_constant_column_has_a_positive_deviation():
    moments = RunningMoments(1)
    for _ in range(1000):
        moments.update(np.full((1000, 1), 7.0))
    assert 0 < moments.std[0] < 1e-3


# --- snapshots -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    """A policy that is not at its start, and observations some of which are far out."""
    ppo = PreferencePPO(TASK, SMALL, 0)
    rng = np.random.default_rng(0)
    scale = np.array([1e-3, 1.0, 50.0, 1e5, 1.0, 1.0, 1.0])
    ppo.observations.update(rng.normal(2 * scale, scale, (500, 7)))
    with torch.no_grad():
        for parameter in ppo.actor.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    observations = rng.normal(2 * scale, 4 * scale, (9, 7)).astype(np.float32)
    observations[0] *= 100  # beyond the clip
    return ppo, observations, rng.random(9)


def test_a_snapshot_acts_as_the_actor_it_was_taken_of(trained):
    ppo, observations, w = trained
    with torch.no_grad():
        mean = ppo.actor(ppo._inputs(observations, w)).numpy()
    assert (np.abs(mean) > 1).any()
    assert (np.abs(mean) < 1).any()
    snapshot, silence = ppo.snapshot(), np.zeros((9, 2))
    actions = snapshot.act(observations, w, silence)
    assert actions.dtype == np.float32
    near = ACTION_STEP / 2 + 2e-5  # of single precision
    np.testing.assert_allclose(actions, mean.clip(-1, 1), rtol=0, atol=near)
    np.testing.assert_array_equal(actions % ACTION_STEP, 0.0)
    noise = np.random.default_rng(1).normal(size=(9, 2))
    noisy = (mean + ppo.log_std.exp().detach().numpy() * noise).clip(-1, 1)
    np.testing.assert_allclose(snapshot.act(observations, w, noise), noisy, rtol=0, atol=near)
    assert np.abs(snapshot.act(observations, 1 - w, silence) - actions).max() > 0.01


def test_a_snapshot_is_a_copy(trained):
    ppo, observations, w = trained
    snapshot = ppo.snapshot()
    before = snapshot.act(observations, w, np.zeros((9, 2)))
    with torch.no_grad():
        for parameter in ppo.actor.parameters():
            parameter.add_(1.0)
        after = snapshot.act(observations, w, np.zeros((9, 2)))
        for parameter in ppo.actor.parameters():
            parameter.sub_(1.0)
    np.testing.assert_array_equal(before, after)


def test_a_row_of_a_stack_is_its_policy_alone(trained):
    ppo, observations, w = trained
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(9, 2))
    policies = []
    for _ in range(9):
        weights, biases, *rest = ppo.snapshot()
        weights = [(x + 0.1 * rng.normal(size=x.shape)).astype(np.float32) for x in weights]
        policies.append(Snapshot(weights, biases, *rest))
    stack = Snapshot.stack(policies)
    together = stack.act(observations, w, noise)
    for i, policy in enumerate(policies):
        row = slice(i, i + 1)
        alone = policy.act(observations[row], w[row], noise[row])
        np.testing.assert_array_equal(alone, together[row])
        shared = policy.act(observations, w, noise)
        np.testing.assert_array_equal(shared[row], together[row])
    some = np.array([7, 2, 3])
    part = stack.rows(some).act(observations[some], w[some], noise[some])
    np.testing.assert_array_equal(part, together[some])


def test_a_file_of_snapshots_is_exact_within_half_precision(trained, uninterrupted, tmp_path):
    ppo, observations, w = trained
    snapshots = [*uninterrupted[1], ppo.snapshot()]  # eleven: their order is not that of names
    path = tmp_path / "new" / "BallRun.npz"
    save_snapshots(path, snapshots)
    assert list(path.parent.iterdir()) == [path]
    loaded = load_snapshots(path)
    for ours, theirs in zip(loaded, snapshots, strict=True):
        halves = Snapshot(
            [x.astype(np.float16) for x in theirs.weights],
            [x.astype(np.float16) for x in theirs.biases],
            theirs.log_std.astype(np.float16),
            theirs.mean,  # beyond half precision's range
            theirs.std,
        )
        assert same([ours], [halves])
        assert {x.dtype for x in arrays([ours])} == {np.dtype(np.float64)}
        silence = np.zeros((9, 2))
        actions = [one.act(observations, w, silence) for one in (ours, theirs)]
        np.testing.assert_allclose(*actions, atol=0.02)
    again = tmp_path / "again.npz"
    save_snapshots(again, loaded)
    assert same(load_snapshots(again), loaded)


def test_a_negative_weight_seeks_cost_at_preference_zero_only():
    ppo = PreferencePPO(TASK, PPOConfig(least_weight=-0.25), seed=0)
    preferences = np.array([0.0, 0.2, 1.0])
    price = ppo.objective(preferences, np.zeros(3), np.ones(3))
    np.testing.assert_allclose(price, [0.5, 0.0, -2.0], atol=1e-12)


# --- python -m benchmarks.data train-behaviour -----------------------------------------------


def test_the_command_leaves_snapshots_and_the_training_curve(tmp_path, capsys):
    arguments = ["train-behaviour", "BallRun", "--steps", "3200", "--out", str(tmp_path)]
    assert command.main(arguments) == 0
    assert "10 snapshots" in capsys.readouterr().out
    assert len(load_snapshots(tmp_path / "BallRun.npz")) == 10
    curve = pd.read_csv(tmp_path / "BallRun.csv", index_col="steps")
    assert curve.index.tolist() == [1600, 3200]
    assert len(curve.columns) == 5
    means = curve.iloc[0].str.split("@", expand=True).astype(float)
    assert np.isfinite(means.to_numpy()).all()
    assert command.main(arguments) == 0  # there is nothing left to do
    assert len(pd.read_csv(tmp_path / "BallRun.csv")) == 2


def test_the_command_trains_as_long_as_the_shipped_policies_were(tmp_path, monkeypatch):
    asked = []

    def train(task, steps, *_, **__):
        asked.append(steps)
        return []

    monkeypatch.setattr(behaviour, "train_behaviour", train)
    monkeypatch.setattr(behaviour, "save_snapshots", lambda *_: None)
    for name in ("BallRun", "CarRun"):
        assert command.main(["train-behaviour", name, "--out", str(tmp_path)]) == 0
    assert asked == [600_000, 1_000_000]
