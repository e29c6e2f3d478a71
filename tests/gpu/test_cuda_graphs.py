"""Updates replayed on a GPU are those of Python; on a CPU both are Python's."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
import torch

from benchmarks.methods.algorithm import Algorithm
from benchmarks.methods.capture import WARM_UP, rates_on_device
from benchmarks.methods.names import BUILT_IN
from benchmarks.methods.registry import find_method
from benchmarks.methods.stacking import Stack
from tests.support.device_cases import DATA, build, difference, learned

CAPTURABLE = [name for name in BUILT_IN if find_method(name).cls.capturable]
UPDATES = WARM_UP + 9
# the learning rates of replayed steps are single precision: 6e-8 of a step
ROUNDING = 1e-6


def replaying(name: str, seed: int, device: str) -> Algorithm:
    """A method whose updates are replayed on a GPU."""
    method = build(name, seed, device)
    method.cuda_graphs = True
    return method


@pytest.mark.parametrize("name", CAPTURABLE)
def test_replayed_updates_are_those_of_python(name: str, device: str) -> None:
    """In their losses, weights and random numbers."""
    captured, other = replaying(name, 1, device), build(name, 1, device)
    found = [p.losses for p in captured.fit(DATA, UPDATES, every=1)]
    expected = [p.losses for p in other.fit(DATA, UPDATES, every=1)]
    for losses, others in zip(found, expected, strict=True):
        assert losses == pytest.approx(others, rel=1e-4, abs=1e-6)
    assert len({tuple(losses.values()) for losses in found}) == UPDATES
    assert difference(learned(captured), learned(other)) < ROUNDING
    generators = captured.generators[torch.device(device).type]
    assert torch.equal(generators, other.generators[torch.device(device).type])


@pytest.mark.parametrize("name", CAPTURABLE)
def test_replayed_updates_of_a_stack_are_those_of_each_seed(name: str, device: str) -> None:
    """Over a checkpoint from which each seed is restored."""
    seeds = (0, 3)
    stacked = [replaying(name, seed, device) for seed in seeds]
    list(islice(Stack(stacked).fit(DATA, UPDATES, every=WARM_UP + 3), 1))
    resumed = [type(one).from_state(one.state(), device) for one in stacked]
    for one in resumed:
        one.cuda_graphs = True
    list(Stack(resumed).fit(DATA, UPDATES))
    for k, seed in enumerate(seeds):
        alone = build(name, seed, device)
        list(alone.fit(DATA, UPDATES))
        assert difference(learned(resumed[k]), learned(alone)) < 1e-4
        assert torch.equal(
            resumed[k].generators[torch.device(device).type],
            alone.generators[torch.device(device).type],
        )


def test_a_checkpoint_holds_plain_learning_rates(device: str) -> None:
    method = replaying("gas", 0, device)
    list(method.fit(DATA, UPDATES))
    groups: list[dict[str, Any]] = method.state()["parts"]["optimiser"]["param_groups"]
    for group in groups:
        assert isinstance(group["lr"], float)
        assert not group["capturable"]


def test_a_recorded_step_reads_learning_rates_from_tensors() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimiser = torch.optim.Adam([weight], 0.25, fused=True)
    with rates_on_device([optimiser], torch.device("cpu")) as rates:
        (group,) = optimiser.param_groups
        assert group["capturable"]
        ((same, rate),) = rates
        assert same is group
        assert group["lr"] is rate
        assert float(rate) == 0.25
    assert group["lr"] == 0.25
    assert not group["capturable"]
