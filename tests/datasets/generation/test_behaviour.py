"""The training of behaviour policies, and their snapshots."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import data as command
from benchmarks.common.errors import UserError
from benchmarks.datasets.generation import behaviour
from benchmarks.datasets.generation import ppo as ppo_module
from benchmarks.datasets.generation.policies import (
    load_snapshots,
)
from benchmarks.datasets.generation.ppo import (
    SNAPSHOT_FRACTIONS,
    PreferencePPO,
    train_behaviour,
)
from benchmarks.tasks.tasks import TASKS
from tests.support.behaviour_cases import SMALL, STEPS, TASK, same


def leaves(state):
    """The values of nested containers, in order."""
    if isinstance(state, dict):
        return [leaf for key in sorted(state, key=str) for leaf in leaves(state[key])]
    if isinstance(state, list | tuple):
        return [leaf for one in state for leaf in leaves(one)]
    return [state]


# --- training --------------------------------------------------------------------------------


class Stopped(Exception):
    """Stands for Ctrl-C."""


@pytest.mark.parametrize(
    ("stops", "worked"),
    [((80,), 11), pytest.param((560, 720), 12, marks=pytest.mark.slow), ((240, 800), 13)],
)
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
