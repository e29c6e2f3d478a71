"""Several seeds trained as one: each as it would be alone."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.common.random_streams import Draws, Dropout, StackedDraws
from benchmarks.datasets.sampling import TransitionSampler
from benchmarks.methods.algorithm import Algorithm, Config, MemorylessPolicy, Problem
from benchmarks.methods.conformance import HORIZON, check_algorithm, synthetic_data
from benchmarks.methods.names import BUILT_IN
from benchmarks.methods.registry import find_method
from benchmarks.methods.stacking import Stack, clip_gradients
from tests.support.marks import mostly_slow

DATA = synthetic_data()
SEEDS = (0, 1, 5)
STACKABLE = [name for name in BUILT_IN if find_method(name).cls.stackable]
# small rates: what a sum rounds to decides Adam's first steps where a gradient is nearly nothing
RATES = dict.fromkeys(("learning_rate", "critic_lr", "actor_lr", "temperature_rate"), 1e-4)
SMALL = RATES | {
    "width": 24,
    "blocks": 2,
    "expansion": 2,
    "dropout": 0.1,
    "hidden": 24,
    "embedding": 8,
    "warmup": 4,
    "max_grad_norm": 0.05,
    "gamma": 0.9,  # short sums: a moment of a large gradient rounds by more than is asked below
}


def build(name: str, seed: int, **options) -> Algorithm:
    cls = find_method(name).cls
    known = cls.config_class.__dataclass_fields__
    small = {key: value for key, value in SMALL.items() if key in known}
    config = cls.config_class(**{"batch": 16, **small, **options})
    limit = 8.0 if cls.trains_per_limit else None
    return cls(Problem.of(DATA, HORIZON), config, limit=limit, seed=seed)


def difference(one, other) -> float:
    """The largest between two states, relative where numbers are large; the rest is the same."""
    if isinstance(one, torch.Tensor):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        apart = (one.double() - other.double()).abs() / other.double().abs().clamp(min=1.0)
        return float(apart.max()) if one.numel() else 0.0
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        return max((difference(one[key], other[key]) for key in one), default=0.0)
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        return max(map(difference, one, other), default=0.0)
    if isinstance(one, float):
        return abs(one - other)
    assert one == other
    return 0.0


MOMENTS = {"bcrl": 1e-4}
"""How far moments of large gradients may be apart: 2e-5 on a processor with AVX-512."""


def learned(algorithm: Algorithm) -> dict:
    """What acts: the parts but for the optimisers, whose moments are sums of large numbers."""
    return {k: v for k, v in algorithm.state()["parts"].items() if "optim" not in k}


def assert_alike(one: Algorithm, other: Algorithm) -> None:
    assert difference(learned(one), learned(other)) < 1e-6
    assert difference(one.state(), other.state()) < MOMENTS.get(one.name, 1e-5)


def test_the_methods_of_small_networks_are_stackable():
    mine = {
        "gas",
        "gas-shield",
        "gas-released",
        "fisor",
        "cpq",
        "coptidice",
        "coptidice-perstep",
    }
    rivals = {
        "bcrl",
        "caps",
        "caps-sac",
        "trac",
        "presa",
        "carl",
        "o3srl",
        "ccac",
        "lspc",
        "wsac",
        "voce",
    }
    assert mine | rivals | {"bc-all", "bc-safe", "bc-frontier"} == set(STACKABLE)


# the conformance test trains two seeds of each method as one, too
@pytest.mark.parametrize(
    "name",
    mostly_slow(STACKABLE, "gas", "gas-released", "coptidice", "fisor", "presa", "bcrl", "wsac"),
)
def test_each_seed_of_a_stack_ends_as_it_would_alone(name):
    together, alone = ([build(name, seed) for seed in SEEDS] for _ in range(2))
    untrained = [learned(one) for one in together]
    progress = list(Stack(together).fit(DATA, 7, every=3))
    assert [[one.updates for one in row] for row in progress] == [[3] * 3, [6] * 3, [7] * 3]
    for k, one in enumerate(alone):
        own = list(one.fit(DATA, 7, every=3))
        for row, expected in zip(progress, own, strict=True):
            assert row[k].losses == pytest.approx(expected.losses, rel=1e-5, abs=1e-6)
        assert_alike(together[k], one)
        assert difference(learned(one), untrained[k]) > 1e-4
    assert difference(learned(together[0]), learned(together[1])) > 1e-2


@pytest.mark.parametrize("name", mostly_slow(STACKABLE, "gas", "coptidice", "fisor", "presa"))
def test_a_stack_that_broke_off_goes_on_stacked_or_alone(name):
    whole = [build(name, seed) for seed in SEEDS[:2]]
    list(Stack(whole).fit(DATA, 6))
    broken = [build(name, seed) for seed in SEEDS[:2]]
    stack = Stack(broken)
    for _ in stack.fit(DATA, 6, due=lambda: stack.leader.updates == 3):
        break
    files = [io.BytesIO() for _ in broken]
    for one, file in zip(broken, files, strict=True):
        torch.save(one.state(), file)

    def loaded():
        states = (torch.load(io.BytesIO(f.getvalue()), weights_only=True) for f in files)
        return [type(whole[0]).from_state(state) for state in states]

    stacked, alone = loaded(), loaded()
    assert [one.updates for one in stacked] == [3] * 2
    list(Stack(stacked).fit(DATA, 6))
    for one in alone:
        list(one.fit(DATA, 6))
    for k, one in enumerate(whole):
        assert difference(stacked[k].state(), one.state()) == 0.0
        assert_alike(alone[k], one)


def test_a_stack_keeps_no_seed_waiting_for_another_ones_gradient():
    """A loss a thousand times larger in one seed changes nothing in the others: clipping too."""
    together, alone = ([build("gas", seed) for seed in (0, 1)] for _ in range(2))
    for pair in (together, alone):
        with torch.no_grad():
            pair[0].reward_goal.layers[-1].weight.mul_(1000.0)
    list(Stack(together).fit(DATA, 6))
    for one, other in zip(together, alone, strict=True):
        list(other.fit(DATA, 6))
        assert_alike(one, other)


@pytest.mark.parametrize("name", ["gas", "gas-shield", "gas-released"])
def test_unclipped_gradients_are_whole(name):
    """Clipping and Adam would hide a mean over the seeds in place of the sum; moments tell it."""
    together, alone = ([build(name, s, max_grad_norm=1e9) for s in (0, 1)] for _ in range(2))
    list(Stack(together).fit(DATA, 3))
    for one, other in zip(together, alone, strict=True):
        list(other.fit(DATA, 3))
        assert_alike(one, other)


def test_gradients_are_clipped_by_seed():
    torch.manual_seed(0)
    own = [[nn.Parameter(torch.zeros(3, 4)), nn.Parameter(torch.zeros(2))] for _ in range(3)]
    for scale, parameters in zip((0.01, 1.0, 100.0), own, strict=True):
        for parameter in parameters:
            parameter.grad = scale * torch.randn(parameter.shape)
    stacked = [nn.Parameter(torch.stack([p.detach() for p in ps])) for ps in zip(*own, strict=True)]
    for parameter, ps in zip(stacked, zip(*own, strict=True), strict=True):
        parameter.grad = torch.stack([p.grad for p in ps])
    stacked.append(nn.Parameter(torch.zeros(3, 1)))  # without a gradient
    clip_gradients(stacked, 1.0, True)
    for k, parameters in enumerate(own):
        clip_gradients(parameters, 1.0, False)
        for parameter, of_all in zip(parameters, stacked[:2], strict=True):
            torch.testing.assert_close(of_all.grad[k], parameter.grad)


def test_a_loss_that_is_no_number_stops_the_stack_and_is_named():
    together = [build("gas", seed) for seed in SEEDS]
    with torch.no_grad():
        together[1].actor.layers[-1].bias.fill_(math.nan)
    with pytest.raises(FloatingPointError, match="actor_loss not finite at update 3"):
        list(Stack(together).fit(DATA, 3))


@pytest.mark.parametrize(
    "others",
    [
        lambda: [build("cdt", 0), build("cdt", 1)],
        lambda: [build("gas", 0), build("gas-shield", 1)],
        lambda: [build("gas", 0), build("gas", 1, alpha=0.9)],
        lambda: [build("gas", 0), ahead()],
    ],
)
def test_what_is_not_alike_is_not_stacked(others):
    with pytest.raises(ValueError, match="all must be the same stackable method"):
        Stack(others())


def ahead() -> Algorithm:
    one = build("gas", 1)
    list(one.fit(DATA, 2))
    return one


def test_dropout_is_torchs_number_for_number_and_each_seed_has_its_own():
    x = torch.randn(64, 32, requires_grad=True)
    torch.manual_seed(3)
    expected = nn.functional.dropout(x, 0.2)
    torch.manual_seed(3)
    layer = Dropout(0.2, Draws())
    assert torch.equal(layer(x), expected)
    streams = StackedDraws([torch.Generator().manual_seed(seed) for seed in (3, 4)])
    both = Dropout(0.2, streams)(torch.stack([x, x]))
    assert torch.equal(both[0], expected)
    assert not torch.equal(both[1], expected)
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize("draw", ["integers", "uniform", "uniform_like", "normal_like"])
def test_a_stack_of_streams_draws_what_each_would(draw):
    def of(draws, lead=()):
        if draw == "integers":
            return draws.integers(1000, 7, torch.device("cpu"))
        if draw == "uniform":
            return draws.uniform(7, torch.device("cpu"))
        return getattr(draws, draw)(torch.zeros(*lead, 7, 2))

    streams = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    together = of(StackedDraws(streams), (len(SEEDS),))
    for seed, own in zip(SEEDS, together, strict=True):
        torch.manual_seed(seed)
        assert torch.equal(own, of(Draws()))


@dataclass(frozen=True)
class PlainConfig(Config):
    joint: str = ""


class Plain(Algorithm):
    """A method that is stackable, or says so and does wrong in one way or another."""

    name, config_class, stackable = "plain", PlainConfig, True
    trains_per_limit, heeds_limit = False, False
    config: PlainConfig

    def build(self):
        sizes = self.problem.observation_dim, self.problem.action_dim
        self.actor = nn.Sequential(nn.Linear(*sizes))
        self.optimiser = torch.optim.SGD(self.actor.parameters(), 0.1)

    def prepare(self, data):
        self.sampler = TransitionSampler(data, self.config.batch, self.device)

    def update(self):
        joint = self.config.joint
        one_stream = joint == "stream" and self.stacked
        batch = self.sampler() if one_stream else self.sampler(self.draws)
        if one_stream:
            batch = batch._replace(observations=batch.observations.expand(2, -1, -1))
        error = (self.actor(batch.observations) - batch.actions).square()
        loss = error.mean((-2, -1))
        self.optimiser.zero_grad()
        (loss.mean() if joint == "mean" else loss.sum()).backward()
        if joint == "clipping":
            nn.utils.clip_grad_norm_(self.actor.parameters(), 0.1)
        self.optimiser.step()
        return {"loss": loss.detach()}

    def policy(self, limits):
        return MemorylessPolicy(self.actor)


def test_the_conformance_test_takes_a_stackable_method():
    check_algorithm(Plain)


@pytest.mark.parametrize("joint", ["mean", "clipping", "stream"])
def test_the_conformance_test_tells_what_seeds_share_that_they_should_not(joint):
    with pytest.raises(AssertionError, match="stacked with another seed"):
        check_algorithm(Plain, PlainConfig(batch=16, joint=joint))


def test_layers_that_cannot_be_stacked_are_named():
    class Normed(Plain):
        name = "normed"

        def __init__(self, problem, config, **more):
            super().__init__(problem, config, **more)
            self.actor.append(nn.BatchNorm1d(problem.action_dim))

    agents = [Normed(Problem.of(DATA, HORIZON), PlainConfig(), seed=seed) for seed in (0, 1)]
    with pytest.raises(TypeError, match="BatchNorm1d has buffers"):
        Stack(agents)


def test_acting_after_a_stack_is_acting_alone():
    together, alone = ([build("gas-shield", seed) for seed in SEEDS] for _ in range(2))
    list(Stack(together).fit(DATA, 5))
    limits, rows = torch.tensor([0.0, 4.0, 9.0]), torch.arange(3)
    observations = torch.as_tensor(DATA.observations[:3], dtype=torch.float32)
    for one, other in zip(together, alone, strict=True):
        list(other.fit(DATA, 5))
        acted, expected = (a.policy(limits).act(observations, rows) for a in (one, other))
        np.testing.assert_allclose(acted, expected, atol=1e-5)


def test_a_checkpoint_of_one_of_several_holds_no_other_seed():
    together, alone = [build("gas", seed) for seed in range(4)], build("gas", 0)
    list(Stack(together).fit(DATA, 2))
    list(alone.fit(DATA, 2))
    sizes = []
    for one in (together[0], alone):
        torch.save(one.state(), file := io.BytesIO())
        sizes.append(len(file.getvalue()))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)
