"""GAS's switches, and the form of its first release."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.common.errors import UserError
from benchmarks.datasets.targets import listed_targets, parse_targets
from benchmarks.methods.algorithm import acting_options
from benchmarks.tasks.tasks import TASKS
from gas import GAS, GASConfig, ReleasedConfig, ReleasedGAS
from gas.algorithm import Goals, Request

from .gas_cases import HORIZON, QUICK, check_episodes_alone, made_up, trained
from .gas_cases import built as build
from .test_gas import batch_of

RELEASED = ReleasedConfig(batch=32, width=16, blocks=1, expansion=1, dropout=0.0)
built = partial(build, RELEASED, cls=ReleasedGAS)


# Switches


def test_without_goals_the_policy_is_cloned_for_the_targets_alone():
    gas = build(goals=False)
    segments, request, goals = batch_of(0)
    weight = torch.rand(len(segments.costs))
    loss = gas.policy_loss(segments, request, goals, weight)
    acted = torch.tanh(gas.actor(*request))
    assert loss.item() == pytest.approx((acted - segments.actions).square().sum(1).mean().item())
    other = Goals(goals.reward + 1.0, goals.cost - 1.0)
    assert torch.equal(gas.action(request, goals), gas.action(request, other))
    told = build()
    assert not torch.equal(told.action(request, goals), told.action(request, other))


def test_without_relabelling_a_segment_is_asked_for_what_it_gave():
    gas = build(delta=0.0, cost_relabelling="none")
    segments = gas.scaled(gas.sampler(gas.draws))
    request = gas.request(segments)
    assert torch.equal(request.reward, segments.rewards)
    assert torch.equal(request.cost, segments.costs)


def test_narrowness_is_the_width_of_the_narrow_rule():
    gas = build(cost_relabelling="narrow", narrowness=0.1)
    segments = gas.scaled(gas.sampler(gas.draws))
    segments = segments._replace(steps=torch.ones_like(segments.steps))
    above = torch.stack([gas.request(segments).cost - segments.costs for _ in range(200)])
    assert 0.09 < above.max().item() <= 0.1 + 1e-6


class Echo(GAS):
    """Tells what its goals and its policy are asked."""

    def goals(self, request):
        self.asked = request.cost
        return Goals(request.reward, request.cost)

    def action(self, request, goals):
        self.told = request.cost
        return torch.zeros(len(request.cost), 2)


@QUICK
@given(st.lists(st.floats(0.0, 20.0), min_size=1, max_size=6), st.sampled_from([0.0, 0.1, 0.5]))
def test_the_policy_alone_is_told_half_of_a_small_budget(limits, share):
    gas = build(cls=Echo, halve_below=share)
    limits = torch.tensor(limits)
    gas.policy(limits).act(torch.zeros(len(limits), 2), torch.arange(len(limits)))
    scaled = limits / gas.cost_scale
    assert torch.equal(gas.asked, scaled)
    expected = [x / 2 if x < np.float32(share) else x for x in scaled.tolist()]
    assert gas.told.tolist() == pytest.approx(expected)


def test_targets_may_be_listed_by_limit_and_multiplied():
    gas = build(reward_target="4:40 2:20 8:60", target_factor=0.5)
    policy = gas.policy(torch.tensor([0.0, 2.0, 3.0, 6.0, 100.0]))
    assert policy.rewards_left.tolist() == [10.0, 10.0, 15.0, 25.0, 30.0]
    twice = build(target_factor=2.0).policy(torch.tensor([5.0])).rewards_left
    assert twice.item() == pytest.approx(
        2 * build().policy(torch.tensor([5.0])).rewards_left.item()
    )


@pytest.mark.parametrize("text", ["", "4", "4:", "4:a", "4:1 5", "4:nan", "4:1:2"])
def test_what_is_no_list_of_targets_is_refused_in_one_line(text):
    with pytest.raises(UserError, match="are not of the form") as raised:
        GASConfig(reward_target=text)
    assert "\n" not in str(raised.value)


def test_an_option_of_acting_changes_no_training():
    one, other = (
        trained(build(**options), 5)
        for options in ({}, {"target_factor": 2.0, "halve_below": 0.3, "reward_target": 9.0})
    )
    for a, b in zip(one.actor.parameters(), other.actor.parameters(), strict=True):
        assert torch.equal(a, b)
    assert acting_options(one.config) == {}
    assert acting_options(other.config) == {
        "reward_target": 9.0,
        "target_factor": 2.0,
        "halve_below": 0.3,
    }


# The release


def test_settings_are_the_releases():
    gas = built()
    c = gas.config
    assert (c.shortening, c.cost_relabelling, c.narrowness) == (0.3, "narrow", 0.3)
    assert (c.indicator, c.mask, c.halve_below, c.init_temperature) == (False, False, 0.1, 0.1)
    assert acting_options(c) == {}
    ball = ReleasedGAS.options_on("BallRun", "dsrl")
    assert (ball["step_cost_weight"], ball["segment_cost_weight"]) == (0.0, 1.0)
    assert listed_targets(parse_targets(ball["reward_target"]), torch.tensor([24.0])) == 480.0
    assert "reward_target" not in ReleasedGAS.options_on("BallRun", "generated")
    assert ReleasedGAS.options_on("AntRun", "generated")["narrowness"] == 0.2
    assert ReleasedGAS.options_on("CarCircle1", "dsrl") == {}


def test_targets_are_there_for_each_limit_of_the_suites():
    for task in TASKS.values():
        options = ReleasedGAS.options_on(task.name, "dsrl")
        ReleasedConfig(**options)
        if not options:
            continue
        listed = parse_targets(options["reward_target"])
        assert list(listed) == sorted(listed)
        for fraction in (0.1, 0.2, 0.3, 0.7, 0.8, 0.9):
            limit = task.limit(fraction)
            assert min(abs(limit - one) for one in listed) <= max(0.05 * limit, 6), task.name


@pytest.mark.parametrize("step_weight", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("segment_weight", [0.0, 0.1, 1.0])
def test_the_policy_loss_by_hand(step_weight, segment_weight):
    gas = built(step_cost_weight=step_weight, segment_cost_weight=segment_weight)
    segments, request, goals = batch_of(3)
    segments = segments._replace(first_costs=(torch.rand(24) < 0.4).float())
    weight = torch.rand(24)
    loss = gas.policy_loss(segments, request, goals, weight).item()
    with torch.no_grad():
        out = gas.actor(*request, *goals).double().numpy()
    mean, log_std = out[:, :2], np.clip(out[:, 2:], -5, 2)
    z = (segments.actions.numpy() - mean) / np.exp(log_std)
    likelihood = (-0.5 * z**2 - log_std - 0.5 * np.log(2 * np.pi)).sum(1)
    entropy = (log_std + 0.5 * np.log(2 * np.pi * np.e)).sum(1).mean()
    signs = np.sign(goals.cost.numpy() - segments.costs.numpy())
    free = np.where(segments.first_costs.numpy() > 0, -1.0, 1.0)
    terms = (1 + segment_weight * signs) * (1 + step_weight * free)
    expected = -(weight.numpy() * terms * likelihood).mean() - 0.1 * entropy
    assert loss == pytest.approx(expected, rel=1e-4)


def test_the_temperature_falls_where_there_is_entropy_to_spare():
    gas = built(temperature_rate=0.01)
    start = gas.log_temperature.item()
    losses = gas.update()
    spare = float(losses["entropy"]) + gas.problem.action_dim
    assert spare > 0
    assert gas.log_temperature.item() == pytest.approx(start - 0.01, abs=1e-4)  # Adam's first step


def test_requests_and_goals_are_clamped_in_an_episode():
    gas = trained(built(), 3)
    seen = []
    gas.action = lambda request, goals: seen.append((request, goals)) or torch.zeros(3, 2)
    gas.goals = lambda request: Goals(torch.tensor([-1.0, 0.5, 3.0]), torch.tensor([2.0, -1, 0.3]))
    request = Request(
        torch.zeros(3, 2),
        torch.tensor([-2.0, 0.1, 1.0]),
        torch.tensor([0.05, 0.1, 1]),
        torch.ones(3),
    )
    gas.answer(request)
    ((asked, goals),) = seen
    assert asked.reward.tolist() == pytest.approx([0.0, 0.1, 1.0])
    assert asked.cost.tolist() == pytest.approx([0.025, 0.1, 1.0])
    assert goals.reward.tolist() == [0.0, 0.5, 1.0]
    assert goals.cost.tolist() == pytest.approx([1.0, 0.0, 0.3])


def test_it_acts_by_its_mean_within_the_bounds():
    gas = trained(built(), 20)
    check_episodes_alone(gas)
    request = Request(torch.full((5, 2), 50.0), torch.ones(5), torch.ones(5), torch.ones(5))
    acted = gas.action(request, gas.goals(request))
    assert acted.shape == (5, 2)
    assert acted.abs().max() <= 1.0


def test_the_first_cost_of_a_segment_is_its_first_steps():
    data = made_up([12, 5, 8])
    gas = build(data=data)
    rows = torch.arange(len(data.rewards))
    segments = gas.sampler.segments(rows, torch.rand(len(rows)))
    assert segments.first_costs.tolist() == data.costs.tolist()
    assert segments.steps.max() <= HORIZON
