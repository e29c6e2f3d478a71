"""Updates on a GPU: those of the CPU, alone and as a stack, and over checkpoints."""

from __future__ import annotations

import io
from importlib.util import find_spec
from itertools import islice

import pytest
import torch

from benchmarks.measures.synthetic import trajectories
from benchmarks.measures.waits import count_waits
from benchmarks.methods.algorithm import Algorithm
from benchmarks.methods.names import BUILT_IN
from benchmarks.methods.registry import find_method
from benchmarks.methods.stacking import Stack
from benchmarks.tasks.tasks import find_task
from tests.support.device_cases import (
    DATA,
    HostDraws,
    build,
    difference,
    learned,
)

SEEDS = (0, 1, 5)
OWN = ("gas", "gas-shield", "gas-released", "fisor")
"""Methods that need no osrl, and whose losses nothing reads."""
STACKABLE = [name for name in BUILT_IN if find_method(name).cls.stackable]
# Weights that are 2e-7 off at the start are at most 1e-6 off after fifty updates on a CPU, and the
# losses 2e-6, while the updates move every method's weights by 2e-3 or more.
WEIGHTS, LOSSES, MOVED = 1e-4, 1e-3, 1e-3


@pytest.fixture(autouse=True)
def osrl_where_needed(request: pytest.FixtureRequest) -> None:
    """A machine that a GPU is lent on may lack osrl and what it imports."""
    name = getattr(request.node, "callspec", None) and request.node.callspec.params.get("name")
    lacking = [module for module in ("osrl", "gymnasium", "scipy") if find_spec(module) is None]
    if name not in (None, *OWN) and lacking:
        pytest.skip(f"{name} needs {', '.join(lacking)}")


def few_on_cpu(device: str, updates: int) -> int:
    """All updates on a GPU; the rehearsal needs few."""
    return min(updates, 4) if device == "cpu" else updates


def through_a_file(algorithm: Algorithm, device: str) -> Algorithm:
    torch.save(algorithm.state(), file := io.BytesIO())
    file.seek(0)
    state = torch.load(file, map_location="cpu", weights_only=True)
    return type(algorithm).from_state(state, device)


@pytest.mark.parametrize("name", BUILT_IN)
def test_updates_are_those_of_the_cpu(name: str, device: str) -> None:
    """Same weights, same batches, same noise."""
    on_cpu = build(name)
    there = type(on_cpu).from_state(on_cpu.state(), device)
    untrained = learned(on_cpu)
    updates = few_on_cpu(device, 50)
    expected = [one.losses for one in on_cpu.fit(DATA, updates, every=5)]
    with HostDraws():
        found = [one.losses for one in there.fit(DATA, updates, every=5)]
    for losses, others in zip(found, expected, strict=True):
        assert losses == pytest.approx(others, rel=LOSSES, abs=LOSSES)
    assert difference(learned(there), learned(on_cpu)) < WEIGHTS
    assert difference(learned(on_cpu), untrained) > MOVED * updates / 50


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_checkpoint_goes_to_the_cpu_and_back(name: str, device: str) -> None:
    """It acts on the CPU as it did, and goes on training as if it had stayed."""
    first = build(name, device=device)
    list(islice(first.fit(DATA, 8, every=4), 1))
    at_home = through_a_file(first, "cpu")
    limits, rows = torch.tensor([0.0, 4.0, 9.0]), torch.arange(3)
    observations = torch.as_tensor(DATA.observations[:3], dtype=torch.float32)
    there = first.policy(limits.to(device)).act(observations.to(device), rows.to(device))
    torch.testing.assert_close(
        at_home.policy(limits).act(observations, rows), there.cpu(), atol=1e-4, rtol=1e-4
    )
    back = through_a_file(at_home, device)
    assert difference(back.state(), first.state()) == 0.0
    for one in (back, first):
        list(one.fit(DATA, 8))
    # a GPU adds up gradients of embeddings in any order
    assert difference(learned(back), learned(first)) <= (0.0 if device == "cpu" else WEIGHTS)


@pytest.mark.parametrize("name", STACKABLE)
def test_each_seed_of_a_stack_ends_as_it_would_alone(name: str, device: str) -> None:
    updates = few_on_cpu(device, 20)
    together, alone = ([build(name, seed, device) for seed in SEEDS] for _ in range(2))
    list(Stack(together).fit(DATA, updates))
    for k, one in enumerate(alone):
        list(one.fit(DATA, updates))
        assert difference(learned(together[k]), learned(one)) < WEIGHTS
    assert difference(learned(together[0]), learned(together[1])) > 1e-2


@pytest.mark.parametrize("name", OWN)
def test_the_processor_does_not_wait_between_two_log_points(name: str, device: str) -> None:
    task = find_task("BallRun")
    waits = count_waits(
        name, trajectories(task, 10), task, budget="quick", device=device, updates=3
    )
    assert waits.counts == {}
