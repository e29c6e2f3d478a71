"""Episodes for whose simulators there is no memory follow in further batches: the same bits."""

from __future__ import annotations

import pytest
import torch

from benchmarks.common.memory import MemoryWatch
from benchmarks.methods.algorithm import Problem
from benchmarks.runs.evaluation import evaluate
from benchmarks.simulators import vector
from benchmarks.simulators.vector import Lockstep
from benchmarks.tasks.tasks import TASKS
from gas import GAS
from tests.support.small_data import scripted_episodes

TASK = TASKS["BallRun"]


@pytest.fixture(scope="module")
def trained() -> GAS:
    data = scripted_episodes("BallRun", 6)
    config = GAS.config_class(batch=16, width=16, blocks=1, expansion=1)
    return GAS(Problem.of(data, TASK.horizon, TASK.max_cost), config, seed=1)


def test_batches_give_the_bits_of_one_batch(trained: GAS, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate(trained, TASK, [8.0, 40.0], 5, seed=3)
    asked: list[tuple[int, int]] = []

    def room_for(watch: MemoryWatch, new: int, built: int) -> bool:
        asked.append((new, built))
        return built + new <= 4

    monkeypatch.setattr(MemoryWatch, "room_for", room_for)
    monkeypatch.setattr(vector, "_GROUP", 3)
    with Lockstep(TASK, 10) as simulators:
        batched = evaluate(trained, TASK, [8.0, 40.0], 5, seed=3, simulators=simulators)
        assert sum(one.built for one in simulators._local) == 4
    assert asked[0] == (3, 1)
    assert batched == whole


def test_no_more_simulators_than_an_engine_takes(
    trained: GAS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vector.MOST_SIMULATORS, "bullet", 2)
    with Lockstep(TASK, 5) as simulators:
        assert len(simulators.reset_fitting([1, 2, 3, 4, 5])) == 2


def test_actions_that_are_no_numbers_fail_with_their_step(trained: GAS) -> None:
    policy = trained.policy

    def spoilt(limits: torch.Tensor) -> object:
        made = policy(limits)
        act = made.act

        def acting(observations: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
            actions = act(observations, ids).clone()
            actions[-1] = float("nan")
            return actions

        made.act = acting  # type: ignore[method-assign]
        return made

    trained.policy = spoilt  # type: ignore[method-assign, assignment]
    try:
        with pytest.raises(FloatingPointError, match="at step 1 of an episode at limit 40"):
            evaluate(trained, TASK, [8.0, 40.0], 1, seed=0)
    finally:
        del trained.policy
