"""GAS's switches, and the form of its first release."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.common.errors import UserError
from benchmarks.datasets.targets import listed_targets, parse_targets
from benchmarks.methods.algorithm import Problem, eval_options, training_options
from benchmarks.tasks.tasks import TASKS
from gas import GAS, GASConfig, ReleasedConfig, ReleasedGAS
from gas.algorithm import Goals
from gas.segments import Segments
from tests.support.gas_cases import HORIZON, QUICK, batch_of, check_episodes_alone, made_up, trained
from tests.support.gas_cases import built as build

RELEASED = ReleasedConfig(batch=32, width=16, blocks=1, expansion=1, dropout=0.0, embedding=4)
built = partial(build, RELEASED, cls=ReleasedGAS)


# Switches


def test_without_goals_the_policy_is_cloned_for_the_targets_alone():
    gas = build(goals=False)
    segments, request, goals = batch_of(0)
    loss, _ = gas.actor_loss(segments, request, goals)
    acted = torch.tanh(gas.actor(*request))
    assert loss.item() == pytest.approx((acted - segments.actions).square().sum(1).mean().item())
    other = Goals(goals.reward + 1.0, goals.cost - 1.0)
    assert torch.equal(gas.action(request, goals), gas.action(request, other))
    told = build()
    assert not torch.equal(told.action(request, goals), told.action(request, other))


def test_without_relabelling_a_segment_is_asked_for_what_it_gave():
    gas = build(delta=0.0, cost_relabelling="none")
    segments = gas.scaled(gas.sampler(gas.draws))
    request = gas.relabelled(segments)
    assert torch.equal(request.reward, segments.rewards)
    assert torch.equal(request.cost, segments.costs)


def test_narrowness_is_the_width_of_the_narrow_rule():
    gas = build(cost_relabelling="narrow", narrowness=0.1)
    segments = gas.scaled(gas.sampler(gas.draws))
    segments = segments._replace(steps=torch.ones_like(segments.steps))
    above = torch.stack([gas.relabelled(segments).cost - segments.costs for _ in range(200)])
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
    gas = build(cls=Echo, halve_below=share, margin=0.0)
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
    assert training_options(one.config) == training_options(other.config)
    found = eval_options(other.config)
    assert found.keys() == eval_options(one.config).keys()
    asked = (found[name] for name in ("target_factor", "halve_below", "reward_target"))
    assert tuple(asked) == (2.0, 0.3, 9.0)


# The release


def test_settings_are_the_releases():
    c = built().config
    assert (c.shortening, c.delta, c.narrowness, c.alpha) == (0.3, 0.1, 0.3, 0.8)
    assert (c.halve_below, c.target_quantile, c.margin) == (0.1, 0.95, 0.0)
    ball = ReleasedGAS.options_on("BallRun", "dsrl")
    assert (ball["step_cost_weight"], ball["segment_cost_weight"]) == (0.0, 1.0)
    assert listed_targets(parse_targets(ball["reward_target"]), torch.tensor([24.0])) == 480.0
    assert "reward_target" not in ReleasedGAS.options_on("BallRun", "generated")
    ant = ReleasedGAS.options_on("AntRun", "generated")
    assert (ant["narrowness"], ant["embedding"]) == (0.2, 64)
    point = ReleasedGAS.options_on("PointCircle2", "generated")
    assert (point["embedding"], point["width"], point["dropout"]) == (256, 512, 0.0)
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


# The policy's loss


def of_costs(costs, first=None, actions=None):
    size = len(costs)
    nothing = torch.zeros(size)
    actions = torch.zeros(size, 2) if actions is None else actions
    first = nothing if first is None else torch.tensor(first)
    return Segments(torch.zeros(size, 2), actions, nothing, torch.tensor(costs), nothing, first)


def goals_of(costs, rewards=None):
    costs = torch.tensor(costs)
    return Goals(torch.zeros_like(costs) if rewards is None else torch.tensor(rewards), costs)


@pytest.mark.parametrize("bounded", [True, False])
def test_costly_segments_are_repelled_unless_the_weight_is_bounded(bounded):
    gas = built(segment_cost_weight=1.0, bounded=bounded)
    segments, goals = of_costs([3.0, 3.0, 3.1, 3.1, 3.0, 3.0]), goals_of([3.1, 3.1, 3, 3, 3, 3])
    weight = gas.expectile_weight(torch.tensor([0.0, -1.0, 2.0, -0.1, 1.0, -1.0]))
    costly = [0.0, 0.0] if bounded else [-0.2, -0.8]
    expected = [1.8, 1.2, *costly, 1.8, 1.2]  # the last two cost what was promised
    assert gas.net_weight(segments, goals, weight).tolist() == pytest.approx(expected)


def test_a_segment_of_next_to_no_cost_is_cheap_whatever_its_goal():
    gas = built(segment_cost_weight=0.5)
    segments, goals = of_costs([0.0, 0.01, 0.02, 0.0]), goals_of([-3.0, -3.0, -3.0, 0.005])
    weights = gas.net_weight(segments, goals, torch.ones(4)).tolist()
    assert weights == pytest.approx([1.5, 1.5, 0.5, 1.5])


@pytest.mark.parametrize(("bounded", "least"), [(True, 0.0), (False, -0.4)])
def test_the_first_steps_cost_is_another_signed_term(bounded, least):
    gas = built(segment_cost_weight=0.1, step_cost_weight=0.5, bounded=bounded)
    segments = of_costs([1.0, 1.0, 1.0], first=[0.0, 1.0, 0.5])
    weights = gas.net_weight(segments, goals_of([0.0, 0.0, 2.0]), torch.full((3,), 0.2)).tolist()
    assert weights == pytest.approx([0.2 - 0.1 + 0.5, least, 0.2 + 0.1])


def request_for(gas, size, seed=0):
    torch.manual_seed(seed)
    top = torch.tensor([gas.reward_top, gas.cost_scale, HORIZON])
    reward, cost, time = torch.rand(size, 3).mul(top).T
    return gas.request(torch.randn(size, 2), reward, cost, time.floor())


def test_the_policy_loss_by_hand():
    gas, size = built(), 24
    request, weight = request_for(gas, size), torch.randn(size)
    actions = torch.rand(size, 2) * 2 - 1
    goals = Goals(8 * torch.randn(size), 8 * torch.randn(size))
    losses = gas.policy_losses(actions, request, goals, weight)
    mean, log_std = (x.detach().double().numpy() for x in gas.distribution(request, goals))
    z = (actions.numpy() - mean) / np.exp(log_std)
    likelihood = (-0.5 * z**2 - log_std - 0.5 * np.log(2 * np.pi)).mean(1)
    entropy = (log_std + 0.5 * np.log(2 * np.pi * np.e)).mean()
    expected = -(weight.numpy() * likelihood).mean() - 0.1 * entropy
    assert losses["policy_loss"].item() == pytest.approx(expected, rel=1e-4)
    assert losses["temperature_loss"].item() == pytest.approx(0.1 * (entropy + 2), rel=1e-4)


def test_the_temperature_only_falls():
    gas = built(temperature_rate=0.01)
    course = [gas.log_temperature.item()]
    for _ in range(20):
        gas.schedule()
        gas.update()
        course.append(gas.log_temperature.item())
    falls = -np.diff(course)
    assert falls.min() > 0
    assert falls.max() <= 0.0101
    assert course[0] == pytest.approx(np.log(0.1))


def test_the_rate_is_constant_after_the_warm_up():
    gas = built()
    gas.planned_updates = 1000
    rates = {}
    for gas.updates in (0, 249, 499, 500, 999, 5000):
        rates[gas.updates] = gas.learning_rate()
    expected = {0: 2e-6, 249: 5e-4, 499: 1e-3, 500: 1e-3, 999: 1e-3, 5000: 1e-3}
    assert rates == pytest.approx(expected)


# The two passes


class TwoPasses(ReleasedGAS):
    """Goals that are set by hand, others with dropout than without."""

    def goals(self, request, noisy=True):
        self.passes = [*getattr(self, "passes", []), (noisy, torch.is_grad_enabled())]
        reward, cost = self.noisy if noisy else self.steady
        return Goals(torch.tensor(reward), torch.tensor(cost))

    def policy_losses(self, actions, request, goals, weight):
        self.told, self.weight = goals, weight
        return {}


def test_what_comes_of_the_pass_with_dropout_and_what_of_that_without():
    gas = build(RELEASED, cls=TwoPasses, dropout=0.5, segment_cost_weight=1.0, bounded=False)
    segments = of_costs([2.0, 2.0])._replace(rewards=torch.tensor([5.0, 5.0]) - gas.shift)
    gas.noisy, gas.steady = ([4.0, 8.0], [3.0, 1.0]), ([6.0, 3.0], [1.0, 4.0])
    losses = {name: loss.item() for name, loss in gas.losses(segments).items()}
    assert gas.passes == [(True, True), (False, False)]
    # V^R: A = 1 and -3 with dropout; V^C: errors with dropout, weights by A = -1 and 2 without
    assert losses["reward_goal_loss"] == pytest.approx((0.8 * 1 + 0.2 * 9) / 2)
    assert losses["cost_goal_loss"] == pytest.approx((0.2 * 1 + 0.8 * 1) / 2)
    # signs by V^C with dropout: 2 < 3 is cheap and 2 > 1 costly
    assert gas.weight.tolist() == pytest.approx([0.2 + 1, 0.8 - 1])
    assert (gas.told.reward.tolist(), gas.told.cost.tolist()) == gas.steady


def test_without_dropout_one_pass_serves_both():
    gas = build(RELEASED, cls=TwoPasses)
    gas.noisy = [1.0], [1.0]
    gas.losses(of_costs([2.0]))
    assert gas.passes == [(True, True)]
    assert gas.told.cost.tolist() == [1.0]


def test_the_second_pass_is_as_in_evaluation():
    gas = built(dropout=0.5)
    request = request_for(gas, 16)
    steady, noisy = gas.goals(request, noisy=False), gas.goals(request)
    for network in gas.networks:
        network.eval()
    evaluated = gas.goals(request)
    for one, other, third in zip(steady, evaluated, noisy, strict=True):
        assert torch.equal(one, other)
        assert not torch.equal(one, third)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_each_loss_moves_its_own_network(dropout):
    gas = built(dropout=dropout, segment_cost_weight=1.0)
    own = {
        "reward_goal_loss": gas.reward_goal,
        "cost_goal_loss": gas.cost_goal,
        "policy_loss": gas.actor,
    }
    losses = gas.losses(gas.sampler(gas.draws))
    assert losses.keys() == {*own, "temperature_loss"}
    for name, loss in losses.items():
        for network in gas.networks:
            moved = torch.autograd.grad(
                loss, [*network.parameters()], retain_graph=True, allow_unused=True
            )
            assert any(one is not None for one in moved) == (network is own.get(name)), name


# Requests and tables


def test_returns_are_shifted_until_none_is_negative():
    data = made_up([12, 3, 7])
    gas = built(data=data)
    least, largest = data.sum_range(data.rewards)
    assert least < 0
    assert gas.shift == np.ceil(-least)
    assert gas.reward_top == np.ceil(largest) + gas.shift
    assert gas.reward_goal.tables[2].num_embeddings == gas.reward_top + 1  # REWARD_MAX
    assert gas.reward_goal.tables[1].num_embeddings == data.episode_costs.max() + 1
    assert gas.reward_goal.tables[0].num_embeddings == HORIZON + 1
    object.__setattr__(data, "rewards", np.abs(data.rewards))
    assert built(data=data).shift == 0


def test_relabelled_targets_lie_around_the_shifted_return_and_above_the_cost():
    gas, size = built(), 4000
    steps = torch.arange(size) % HORIZON + 1.0
    segments = Segments(
        *torch.zeros(2, size, 2),
        torch.full((size,), 3.0),
        torch.ones(size),
        steps,
        torch.zeros(size),
    )
    request = gas.relabelled(segments._replace(rewards=segments.rewards + gas.shift))
    ratio = request.reward / (3.0 + gas.shift)
    assert 0.9 <= ratio.min() < 0.905
    assert 1.095 < ratio.max() <= 1.1
    above = (request.cost - 1.0) / (0.3 * gas.cost_scale * ((steps + 1) / (HORIZON + 1)).sqrt())
    assert above.min() >= 0
    assert 0.99 < above.max() <= 1.0001
    assert torch.equal(request.time, HORIZON - steps)


def test_requests_and_goals_are_kept_within_the_tables():
    gas = built()
    beyond = torch.tensor([-5.0, 1e6])
    request = gas.request(torch.zeros(2, 2), beyond, beyond, beyond)
    assert request.reward.tolist() == [0.0, gas.reward_top]
    assert request.cost.tolist() == [0.0, gas.cost_scale]
    assert request.time.tolist() == [0.0, HORIZON]
    within = gas.distribution(request, Goals(request.reward, request.cost))
    for one, other in zip(gas.distribution(request, Goals(beyond, beyond)), within, strict=True):
        assert torch.equal(one, other)
    assert all(torch.isfinite(one).all() for one in gas.goals(request))


class Asked(ReleasedGAS):
    """Remembers what its goals and its policy are asked."""

    def goals(self, request, noisy=True):
        self.asked = request
        return Goals(request.reward, request.cost)

    def distribution(self, request, goals):
        self.told = request
        return torch.full((len(request.cost), 2), 3.0), None


@pytest.mark.parametrize(
    ("largest", "limits", "told"),
    [(80.0, [8.0, 9.0, 16.0], [4.0, 9.0, 16.0]), (140.0, [14.0, 14.2, 15.0], [7.0, 14.2, 15.0])],
)
def test_the_policy_alone_is_told_half_at_a_limit_of_ten_percent(largest, limits, told):
    data = made_up([12, 12])
    gas = Asked(Problem.of(data, HORIZON, largest), RELEASED)
    policy = gas.policy(torch.tensor(limits))
    acted = policy.act(torch.zeros(3, 2), torch.arange(3))
    assert gas.asked.cost.tolist() == pytest.approx(limits)
    assert gas.told.cost.tolist() == pytest.approx(told)
    assert acted.tolist() == [[1.0, 1.0]] * 3


def test_an_episode_asks_for_the_shifted_target_by_its_own_clock():
    gas = build(RELEASED, cls=Asked, reward_target=4.0)
    policy, row = gas.policy(torch.tensor([9.0, 9.0])), torch.tensor([1])
    policy.observe(torch.tensor([1.5]), torch.tensor([2.0]), row)
    policy.act(torch.full((1, 2), 70.0), row)
    assert gas.asked.reward.item() == 2.5 + gas.shift
    assert (gas.asked.cost.item(), gas.asked.time.item()) == (7.0, 1.0)
    assert gas.asked.observations.tolist() == [[70.0, 70.0]]  # raw
    policy.act(torch.zeros(1, 2), torch.tensor([0]))
    assert (gas.asked.reward.item(), gas.asked.time.item()) == (4.0 + gas.shift, 0.0)


def test_it_acts_by_its_mean():
    gas = trained(built(), 20)
    check_episodes_alone(gas)
