"""A small training of behaviour policies."""

import pytest

from benchmarks.datasets.generation.ppo import (
    train_behaviour,
)
from tests.support.behaviour_cases import SMALL, STEPS, TASK


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory):
    """The checkpoint of a small training and its snapshots."""
    checkpoint = tmp_path_factory.mktemp("whole") / "BallRun.pt"
    rounds = []
    snapshots = train_behaviour(
        TASK, STEPS, checkpoint, config=SMALL, report=lambda done, _: rounds.append(done)
    )
    assert rounds == list(range(80, STEPS + 1, 80))
    return checkpoint, snapshots
