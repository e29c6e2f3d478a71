"""TraC and PreSa: labels, scores and losses by hand, and what their gradients pull at."""

from pathlib import Path

import numpy as np
import pytest
import torch

from baselines import segment_labels
from baselines.presa import PreSa, PreSaConfig
from baselines.segment_labels import Labelled
from baselines.trac import TraC, TraCConfig, classes
from benchmarks.common.errors import UserError
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.conformance import HORIZON, synthetic_data
from tests.support.by_hand import act, built, disturb, train

SMALL = {"batch": 8, "cloning_batch": 16, "hidden": 16}
LIMIT = 8.0


def small(cls=TraC, data=None, **options):
    return built(cls, data, limit=LIMIT, **{**SMALL, **options})


def constant_actions(states: int = 1) -> Trajectories:
    """40 episodes of 4 steps: half do .5 at a reward and a cost of 1, half -.5 at neither."""
    kind = np.repeat(np.arange(40) % 2, 4)
    ends = np.tile([False, False, False, True], 40)
    actions = np.where(kind == 1, 0.5, -0.5)[:, None]
    return Trajectories.from_arrays(
        np.zeros((160, states)), actions, kind.astype(float), kind.astype(float), ends * False, ends
    )


# labels


def test_segments_lie_within_their_episodes() -> None:
    data = synthetic_data()
    first, steps = segment_labels.segments(data, 8, HORIZON, 10**6, np.random.default_rng(0))
    assert len(first) == (HORIZON - 8) // 6 * len(data)
    episode = np.searchsorted(data.starts, first, side="right") - 1
    assert (first + steps <= data.starts[episode + 1]).all()
    assert (steps == np.minimum(data.lengths[episode], 8)).all()
    long = data.lengths[episode] > 12
    assert len(set(first[long] - data.starts[episode][long])) > 3
    assert len(segment_labels.segments(data, 8, HORIZON, 5, np.random.default_rng(0))[0]) == 5


def test_whole_episodes_are_one_segment_each() -> None:
    data = synthetic_data()
    first, steps = segment_labels.segments(data, HORIZON, HORIZON, 10**6, np.random.default_rng(0))
    assert first.tolist() == data.starts[:-1].tolist()
    assert steps.tolist() == data.lengths.tolist()


def test_labels_follow_from_returns_and_costs() -> None:
    data = synthetic_data()
    whole = data.starts[:-1], data.lengths
    labelled = segment_labels.from_data(data, *whole, LIMIT, np.random.default_rng(0))
    assert labelled.score == pytest.approx(data.returns, rel=1e-5)
    assert labelled.safe.tolist() == (data.episode_costs <= LIMIT).tolist()
    better, worse = labelled.score[labelled.pairs].T
    assert len(better) > 10
    assert (better > worse).all()


def test_the_limit_is_scaled_to_a_segment() -> None:
    data = synthetic_data()
    trac = small(data=data, segment_share=0.5)
    labelled = trac.labelled(data, np.random.default_rng(0))
    cost = segment_labels.sums(data.costs, labelled.first, labelled.steps)
    assert labelled.safe.tolist() == (cost <= LIMIT / 2).tolist()
    assert 0 < labelled.safe.mean() < 1


def test_classes_by_hand() -> None:
    score = np.array([0.0, 4.0, 2.0, 1.0, 9.0])
    safe = np.array([True, True, True, True, False])
    labelled = Labelled(np.arange(5), np.ones(5, int), safe, score, np.empty((0, 2), int))
    kept, good, weights = classes(labelled, 0.5, 0.25, 0.7)
    assert kept.tolist() == [1, 2, 0, 4]
    assert good.tolist() == [True, True, False, False]
    assert weights.tolist() == pytest.approx([1.0, 0.85, 1.0, 1.0])
    kept, good, _ = classes(labelled, 0.5, 0.0, 0.7)
    assert kept.tolist() == [1, 2, 4]
    alike = Labelled(np.arange(5), np.ones(5, int), safe, 0 * score, np.empty((0, 2), int))
    assert classes(alike, 1.0, 0.0, 0.7)[2].tolist() == [1.0] * 5


# the user's own files


def files(folder: Path, labels: str, pairs: str | None = None) -> dict[str, str]:
    (folder / "labels.csv").write_text("episode,first,steps,safe,score\n" + labels)
    if pairs is None:
        return {"labels": str(folder / "labels.csv")}
    (folder / "pairs.csv").write_text("better,worse\n" + pairs)
    return {"labels": str(folder / "labels.csv"), "pairs": str(folder / "pairs.csv")}


def test_labels_of_ones_own_are_read(tmp_path: Path) -> None:
    data = synthetic_data()
    given = files(tmp_path, "0,0,2,1,5\n3,1,2,0,7.5\n", "1,0\n")
    labelled = small(PreSa, data, **given).labelled(data, np.random.default_rng(0))
    assert labelled.first.tolist() == [0, data.starts[3] + 1]
    assert labelled.steps.tolist() == [2, 2]
    assert labelled.safe.tolist() == [True, False]
    assert labelled.score.tolist() == [5.0, 7.5]
    assert labelled.pairs.tolist() == [[1, 0]]
    assert small(PreSa, data, **given)._sign.tolist() == [1.0, -1.0]
    trac = small(data=data, **files(tmp_path, "0,0,2,1,5\n3,1,2,0,7.5\n"))
    assert trac._good.tolist() == [True, False]


def test_other_labels_are_another_training(tmp_path: Path) -> None:
    one = TraCConfig(**files(tmp_path, "0,0,2,1,5\n"))
    other = TraCConfig(**files(tmp_path, "0,0,2,0,5\n"))
    assert one.labels == other.labels
    assert one.labels_checksum != other.labels_checksum
    data = synthetic_data()
    with pytest.raises(UserError, match=r"labels\.csv or its pairs changed"):
        small(data=data, labels=one.labels, labels_checksum=one.labels_checksum)


@pytest.mark.parametrize(
    ("labels", "pairs", "complaint"),
    [
        ("99,0,2,1,5\n", None, "row 0 of the labels names episode 99"),
        ("0,0,999,1,5\n", None, "row 0 of the labels is not within its episode"),
        ("0,-1,2,1,5\n", None, "is not within its episode"),
        ("0,0,2,2,5\n", None, "safe is 0 or 1, not 2"),
        ("0,0,2,1,much\n", None, "a value is missing or no number"),
        ("0,0,2,1\n", None, "a value is missing or no number"),
        ("0,0,2,1,nan\n", None, "a value that is not finite"),
        ("", None, "it has no row"),
        ("0,0,2,1,5\n", "0,1\n", "a pair names a row beyond the 1"),
    ],
)
def test_wrong_files_are_named(
    tmp_path: Path, labels: str, pairs: str | None, complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint):
        small(PreSa, **files(tmp_path, labels, pairs))


def test_a_file_of_other_columns_or_none_at_all_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="its first line must be episode,first,steps,safe,score"):
        small(labels=str(tmp_path / "other.csv"))
    with pytest.raises(UserError, match="cannot read the labels: No such file"):
        TraCConfig(labels=str(tmp_path / "none.csv"))
    with pytest.raises(UserError, match="set labels as well"):
        PreSaConfig(pairs="pairs.csv")


def test_what_the_labels_lack_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="for the cost limit 8: no segment is safe"):
        small(**files(tmp_path, "0,0,2,0,5\n"))
    with pytest.raises(UserError, match="no pair of segments"):
        small(PreSa, **files(tmp_path, "0,0,2,1,5\n"))


# scores


def test_a_score_by_hand() -> None:
    data = synthetic_data()
    trac = small(data=data, alpha=0.3, gamma=0.8)
    disturb(trac.actor)
    trac.actor.eval()
    chosen = torch.tensor([2, 5])
    with torch.no_grad():
        found = trac.score(chosen)
        for value, e in zip(found.tolist(), chosen.tolist(), strict=True):
            at = slice(*data.starts[e : e + 2])
            states, actions = map(torch.as_tensor, (data.observations[at], data.actions[at]))
            new, old = (
                -(net(states) - actions).square().sum(1) for net in (trac.actor, trac.reference)
            )
            weights = 0.8 ** torch.arange(len(new))
            assert value == pytest.approx(0.3 * float((weights * (new - old)).sum()), rel=1e-4)
    loss = trac.score(chosen).sum()
    loss.backward()
    assert all(p.grad is None for p in trac.reference.parameters())


def gradients(method, loss) -> torch.Tensor:
    method.actor.zero_grad(set_to_none=True)
    loss.backward()
    return torch.cat([p.grad.flatten() for p in method.actor.parameters()])


def test_classification_where_the_policy_is_the_reference() -> None:
    """S = 0: the loss is ln 2 times the weights, and pulls at both classes by the balance."""
    given = {**SMALL, "batch": 64, "dropout": 0.0, "balance": 0.25}
    trac = built(TraC, constant_actions(), limit=2.0, horizon=4, **given)
    with trac.random():
        kept = trac.draws.integers(len(trac._kept), 64, trac.device)
    good = trac._good[kept]
    n = float(good.sum())
    assert 0 < n < 64
    weights = torch.where(good, trac._weights[kept], 0.25 * n / (64 - n))
    trac.draws.integers = lambda *_: kept
    loss, _ = trac.actor_loss()
    assert float(loss.detach()) == pytest.approx(float(np.log(2) * weights.mean()), rel=1e-5)
    pull = gradients(trac, loss)
    desired, shunned = (
        gradients(trac, trac.score(trac._kept[kept])[rows].mean()) for rows in (good, ~good)
    )
    share = float(trac._weights[kept][good].mean())
    torch.testing.assert_close(pull, -0.5 * n / 64 * (share * desired - 0.25 * shunned))


@pytest.fixture
def offset():
    """S of given values, in place of that of the policy."""

    def give(method, values):
        method.score = lambda chosen: torch.as_tensor(values, dtype=torch.float32)[chosen]

    return give


def test_classification_by_hand(offset) -> None:
    trac = small(balance=0.5)
    trac._kept, trac._good = torch.arange(3), torch.tensor([True, False, True])
    trac._weights = torch.tensor([0.8, 1.0, 0.9])
    trac.draws.integers = lambda *_: torch.tensor([0, 1, 2])
    offset(trac, [1.0, 2.0, -50.0])

    def sigma(x):
        return 1 / (1 + np.exp(-x))

    expected = 0.8 * np.log(sigma(1.0)) + 0.5 * 2 / 1 * np.log(sigma(-2.0)) + 0.9 * np.log(1e-6)
    loss, _ = trac.actor_loss()
    assert float(loss) == pytest.approx(-expected / 3, rel=1e-4)
    trac._good[:] = True  # no undesirable one in the batch
    assert np.isfinite(float(trac.actor_loss()[0]))


def test_preferences_and_safety_by_hand(offset) -> None:
    presa = small(PreSa, delta=0.9, init_multiplier=2.0)
    presa._pairs = torch.tensor([[0, 1], [2, 1]])
    presa._sign = torch.tensor([1.0, -1.0, -1.0])
    presa._kinds = [torch.arange(3)]
    offset(presa, [0.5, -0.25, 1.0])
    presa.draws.integers = lambda high, *_: torch.arange(high)
    loss, info = presa.actor_loss()
    pairs = np.log1p(np.exp(-np.array([0.75, 1.25]))).mean()
    right = (1 / (1 + np.exp(-np.array([0.5, 0.25, -1.0])))).mean()
    assert float(info["preference_loss"]) == pytest.approx(pairs, rel=1e-5)
    assert float(info["safe_probability"]) == pytest.approx(right, rel=1e-5)
    assert float(loss) == pytest.approx(pairs + 2.0 * (0.9 - right), rel=1e-5)


def test_labels_are_drawn_from_both_kinds_alike() -> None:
    presa, seen = small(PreSa), []
    safe, unsafe = presa._kinds
    assert (presa._sign[safe] == 1.0).all()
    assert (presa._sign[unsafe] == -1.0).all()
    assert len(safe) + len(unsafe) == len(presa._sign)
    score = presa.score
    presa.score = lambda chosen: [seen.append(chosen), score(chosen)][1]
    with presa.random():
        presa.safety()
    assert float(presa._sign[seen[0]].sum()) == 0.0


@pytest.mark.parametrize(("delta", "change"), [(0.9, 0.4), (0.3, -0.2)])
def test_the_multiplier_rises_only_while_the_constraint_fails(delta: float, change: float) -> None:
    """Where the policy is the reference every label has the probability one half."""
    presa = small(PreSa, delta=delta, multiplier_lr=0.1, cloning_share=0.0, dropout=0.0)
    with presa.random():
        presa.update()
    assert float(presa.multiplier) == pytest.approx(1.0 + 0.1 * change, rel=1e-5)
    presa.multiplier.fill_(0.001)
    with presa.random():
        presa.update()
    assert (float(presa.multiplier) == 0.0) == (delta < 0.5)


def test_without_the_multiplier_only_preferences_pull() -> None:
    presa = small(PreSa, init_multiplier=0.0, dropout=0.0)
    with presa.random():
        state = torch.get_rng_state()
        whole = gradients(presa, presa.actor_loss()[0])
        torch.set_rng_state(state)
        alone = gradients(presa, presa.preference_loss()[0])
    torch.testing.assert_close(whole, alone)


# training


@pytest.mark.parametrize("cls", [TraC, PreSa])
def test_cloning_comes_first_and_its_end_is_the_reference(cls) -> None:
    method = small(cls, cloning_share=0.5, dropout=0.0, second_rate=0.5, warmup=2)
    method.planned_updates = 4
    start = [p.clone() for p in method.reference.parameters()]
    snapshots = []
    with method.random():
        for method.updates in range(4):
            before = [p.clone() for p in method.actor.parameters()]
            losses = method.update()
            snapshots.append((before, losses))
    assert [losses["cloning_loss"] == 0.0 for _, losses in snapshots] == [False, False, True, True]
    for ours, cloned in zip(method.reference.parameters(), snapshots[2][0], strict=True):
        assert torch.equal(ours, cloned)
    assert any(not torch.equal(a, b) for a, b in zip(start, snapshots[2][0], strict=True))
    rate = method.config.learning_rate
    assert [method.learning_rate(k) for k in (0, 1, 9)] == pytest.approx(
        [0.25 * rate, 0.5 * rate, 0.5 * rate]
    )


@pytest.mark.parametrize("cls", [TraC, PreSa])
def test_the_policy_acts_alike_at_every_limit(cls) -> None:
    acted = act(small(cls), [0.3, -0.2, 1.0], [0.0, 8.0, 99.0])
    assert (acted == acted[0]).all()


def test_undesirable_actions_are_left() -> None:
    """Half of the data costs too much: the clone is in the middle, the classified policy not."""
    data = constant_actions()
    trac = built(
        TraC, data, limit=2.0, horizon=4, batch=16, cloning_batch=32, hidden=16, dropout=0.0,
        learning_rate=1e-2, second_rate=1.0, warmup=1, alpha=2.0, balance=1.0,
    )  # fmt: skip
    train(trac, data, 100)
    assert float(trac.reference(torch.zeros(1, 1))) == pytest.approx(0.0, abs=0.2)
    assert float(trac.actor(torch.zeros(1, 1))) < -0.3
