"""What makes osrl's models faster: the least of networks, and states asked about many times."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from baselines.bcq_lag import BCQLag
from baselines.bear_lag import BEARLag
from baselines.cpq import CPQ
from baselines.osrl import acceleration
from baselines.osrl.ensemble import ensemble_values, min_q
from tests.support.baseline_cases import build

quick = settings(deadline=None, max_examples=30)
sizes = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def networks(count, widths, seed):
    """Networks from `widths[0]` inputs over ReLUs to one value."""
    torch.manual_seed(seed)
    made = []
    for _ in range(count):
        layers = []
        for one, other in zip(widths, [*widths[1:], 1], strict=True):
            layers += [nn.Linear(one, other), nn.ReLU()]
        made.append(nn.Sequential(*layers[:-1], nn.Identity()).double())
    return made


@quick
@given(st.integers(1, 3), sizes, st.integers(1, 9), st.integers(0, 9))
def test_the_least_value_and_its_gradients_are_autograds(count, widths, rows, seed):
    made = networks(count, widths, seed)
    x = torch.randn(rows, widths[0], dtype=torch.float64)
    parameters = [p for network in made for p in network.parameters()]
    weights = torch.randn(rows, dtype=torch.float64)
    expected = torch.stack([network(x)[:, 0] for network in made]).min(0).values
    value = min_q(made, x)
    assert torch.allclose(value, expected)
    ours, theirs = (
        torch.autograd.grad((weights * one).sum(), parameters) for one in (value, expected)
    )
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other)


def test_only_the_rows_where_a_network_is_the_least_go_back():
    made = networks(2, [2, 3], 0)
    made[1][-2].bias.data += 1e6
    min_q(made, torch.randn(4, 2, dtype=torch.float64)).sum().backward()
    assert all(p.grad.abs().sum() == 0 for p in made[1].parameters())
    assert any(p.grad.abs().sum() > 0 for p in made[0].parameters())


@quick
@given(st.integers(1, 3), sizes, st.integers(1, 9), st.integers(0, 9), st.booleans())
def test_values_have_autograds_gradients_whichever_rows_have_one(
    count, widths, rows, seed, trained
):
    made = networks(count, widths, seed)
    parameters = [p.requires_grad_(trained) for network in made for p in network.parameters()]
    x = torch.randn(rows, widths[0], dtype=torch.float64, requires_grad=True)
    weights = torch.randn(count, rows, dtype=torch.float64)
    weights *= torch.rand(count, rows) < 0.5  # of some networks often no row
    expected = torch.stack([network(x)[:, 0] for network in made])
    given = ensemble_values(made, x)
    assert torch.allclose(given, expected)
    asked = [x, *parameters] if trained else [x]
    ours, theirs = (torch.autograd.grad((weights * one).sum(), asked) for one in (given, expected))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other)


def test_a_network_that_no_row_reaches_has_gradients_of_zero():
    """Not None: its optimiser would leave its momentum as it is."""
    made = networks(2, [2, 3], 0)
    ensemble_values(made, torch.randn(4, 2, dtype=torch.float64))[0].sum().backward()
    assert all(torch.equal(p.grad, torch.zeros_like(p)) for p in made[1].parameters())


@pytest.mark.parametrize("cls", [BCQLag, BEARLag, CPQ])
def test_critics_of_a_training_are_asked_once_for_each_loss(cls, monkeypatch):
    seen = []
    original = acceleration.ensemble_values
    monkeypatch.setattr(
        acceleration,
        "ensemble_values",
        lambda *given: seen.append(len(given[0])) or original(*given),
    )
    build(cls).update()
    assert seen == [2 if cls is CPQ else 4] * 4  # either critic's loss, and both in the actor's


def test_the_hyperbolic_tangent_of_a_target_is_torchs_but_for_rounding():
    x = torch.cat([torch.linspace(-20, 20, 4001), torch.tensor([-1e30, 0.0, 1e-9, 1e30])])
    expected = torch.tanh(x)
    with torch.no_grad():
        torch.testing.assert_close(acceleration._tanh(x.clone()), expected, atol=3e-7, rtol=0)
    assert torch.equal(acceleration._tanh(x.clone()), expected)


def test_repeated_states_are_found_and_others_are_not():
    states = torch.arange(12.0).view(4, 3)
    found = acceleration._distinct_states(states.repeat_interleave(5, 0), {1, 5})
    assert torch.equal(found, states)
    assert acceleration._distinct_states(states, {2}) is None
    assert acceleration._distinct_states(states.repeat(5, 1), {5}) is None
    odd = states.repeat_interleave(5, 0)
    odd[-1] += 1
    assert acceleration._distinct_states(odd, {5}) is None
