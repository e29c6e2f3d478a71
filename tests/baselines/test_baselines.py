"""The wrapped baselines: checkpoints, acting, data they train on, and a clean import of osrl."""

import io
import subprocess
import sys
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from baselines.bc import BCAll, BCFrontier, BCSafe
from baselines.cdt import CDT
from baselines.coptidice import COptiDICEPerStep
from baselines.cpq import CPQPenalised
from baselines.osrl.adapter import LossLog, import_osrl
from benchmarks.common.errors import UserError
from benchmarks.methods.algorithm import MemorylessPolicy, Problem
from tests.support.baseline_cases import (
    HORIZON,
    LIMIT,
    METHODS,
    SMALL,
    build,
    drawn_from,
    small_data,
    train,
)
from tests.support.marks import mostly_slow

VARIED = (BCFrontier, COptiDICEPerStep, CPQPenalised)
"""Methods that are another one with few lines changed; the conformance test takes them, too."""
most = pytest.mark.parametrize(
    "cls", mostly_slow(METHODS, *(cls for cls in METHODS if cls not in VARIED))
)


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def flat(state, path=""):
    """Leaves of nested mappings and sequences, by path."""
    if isinstance(state, dict):
        return {k: v for key in state for k, v in flat(state[key], f"{path}/{key}").items()}
    if isinstance(state, list | tuple):
        return flat(dict(enumerate(state)), path)
    return {path: state}


def assert_identical(one, other):
    one, other = flat(one), flat(other)
    assert one.keys() == other.keys()
    for path, value in one.items():
        same = torch.equal(value, other[path]) if torch.is_tensor(value) else value == other[path]
        assert same, path


def roll(policy, streams, rows_at):
    """Actions by (episode, step), for recorded observations [T, B, o], rewards and costs [T, B]."""
    observations, rewards, costs = streams
    actions = {}
    for step in range(len(observations)):
        rows = torch.as_tensor(rows_at(step))
        acted = policy.act(observations[step, rows], rows)
        actions |= {(int(row), step): a for row, a in zip(rows, acted, strict=True)}
        policy.observe(rewards[step, rows], costs[step, rows], rows)
    return actions


def streams(episodes, steps=12):
    generator = torch.Generator().manual_seed(0)
    costs = (torch.rand(steps, episodes, generator=generator) < 0.4).float()
    rewards = torch.randn(steps, episodes, generator=generator)
    return torch.randn(steps, episodes, 3, generator=generator), rewards, costs


@most
def test_interrupted_training_equals_uninterrupted(cls):
    whole = train(build(cls), 7)
    first = train(build(cls), 3)
    resumed = cls.from_state(through_a_file(first.state()))
    assert_identical(first.state(), resumed.state())
    assert_identical(whole.state(), train(resumed, 7).state())


@most
def test_a_loaded_method_acts_as_the_saved_one(cls):
    saved = train(build(cls), 3)
    loaded = cls.from_state(through_a_file(saved.state()))
    fresh = build(cls)
    limits, recorded = torch.tensor([2.0, 9.0, 20.0]), streams(3)
    actions = [
        roll(a.policy(limits), recorded, lambda _: [0, 1, 2]) for a in (saved, loaded, fresh)
    ]
    assert all(torch.equal(actions[1][key], action) for key, action in actions[0].items())
    assert any(not torch.equal(actions[2][key], action) for key, action in actions[0].items())


@pytest.mark.parametrize("cls", METHODS)
def test_every_part_changes_in_training_and_is_restored_in_place(cls):
    def tensors(model):
        # those with an underscore are made anew by each update
        attributes = vars(model) | {
            f"{owner}.{k}": v
            for owner, plain in vars(model).items()
            if owner[0] != "_" and not torch.is_tensor(plain)
            for k, v in getattr(plain, "__dict__", {}).items()
        }
        held = {k: v for k, v in attributes.items() if torch.is_tensor(v) and k[0] != "_"}
        return {name: value.detach().clone() for name, value in held.items()}

    # a limit below any cost sets a price of it from the start
    algorithm = build(cls, limit=LIMIT if cls is BCSafe else -1.0)
    before, loose = through_a_file(algorithm.state())["parts"], tensors(algorithm.model)
    train(algorithm, 3)
    after = algorithm.state()["parts"]
    moved = {k for k, v in tensors(algorithm.model).items() if not torch.equal(v, loose[k])}
    assert moved == set(cls.loose_tensors)
    for name in before:
        one, other = flat(before[name]), flat(after[name])
        assert one.keys() != other.keys() or any(
            not torch.equal(v, other[k]) if torch.is_tensor(v) else v != other[k]
            for k, v in one.items()
        ), name
    loaded = cls.from_state(algorithm.state())
    trained = {id(p) for p in loaded.model.parameters()}
    trained |= {id(attrgetter(name)(loaded.model)) for name in cls.loose_tensors}
    for part in loaded.parts().values():
        if isinstance(part, torch.optim.Optimizer):
            assert {id(p) for group in part.param_groups for p in group["params"]} <= trained


@most
def test_training_is_reproducible_and_leaves_global_generators_alone(cls):
    torch.manual_seed(11)
    np.random.seed(11)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    one, other = train(build(cls), 2), train(build(cls), 2)
    assert_identical(one.state(), other.state())
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


@most
def test_actions_do_not_depend_on_the_batch(cls):
    algorithm = train(build(cls), 3)
    limits = torch.tensor([1.0, 5.0, 9.0, 15.0, 20.0])
    recorded = streams(5)
    together = roll(algorithm.policy(limits), recorded, lambda _: np.arange(5))
    assert all(action.abs().max() <= 1 for action in together.values())
    rng = np.random.default_rng(0)
    shuffled = roll(algorithm.policy(limits), recorded, lambda _: rng.permutation(5))
    ending = roll(
        algorithm.policy(limits), recorded, lambda step: [e for e in range(5) if step <= 2 * e + 3]
    )
    alone = {}
    for episode in range(5):
        alone |= roll(algorithm.policy(limits), recorded, lambda _, e=episode: [e])
    assert len(ending) == 4 + 6 + 8 + 10 + 12
    for actions in (shuffled, ending, alone):
        for key, action in actions.items():
            torch.testing.assert_close(action, together[key], atol=1e-5, rtol=0)


def test_cdt_serves_episodes_that_stand_at_different_steps():
    algorithm = train(build(CDT), 3)
    recorded = streams(2)
    together = roll(algorithm.policy(torch.tensor([5.0, 9.0])), recorded, lambda _: [0, 1])
    observations, rewards, costs = recorded
    late, rows = algorithm.policy(torch.tensor([5.0, 9.0])), torch.tensor([0, 1])
    for step in range(12):  # the second episode begins three steps later
        at = torch.tensor([step, step - 3])
        now = rows if step >= 3 else rows[:1]
        at = at[: len(now)]
        acted = late.act(observations[at, now], now)
        for row, when, action in zip(now.tolist(), at.tolist(), acted, strict=True):
            torch.testing.assert_close(action, together[row, when], atol=1e-5, rtol=0)
        late.observe(rewards[at, now], costs[at, now], now)


def test_cdt_acts_alike_between_updates():
    algorithm = train(build(CDT), 2)
    policy = algorithm.policy(torch.tensor([5.0]))
    observations, rows = torch.ones(1, 3), torch.tensor([0])
    algorithm.model.train()  # as an update leaves it, with dropout
    first = policy.act(observations, rows)
    algorithm.model.train()
    assert torch.equal(policy.act(observations, rows), first)
    algorithm.update()
    assert algorithm.model.training


def test_cdt_refuses_episodes_beyond_the_horizon():
    algorithm = CDT(Problem.of(small_data(), 10), CDT.config_class(**SMALL[CDT]))
    with pytest.raises(UserError, match=r"episode of 24 steps.* horizon is 10"):
        algorithm.prepare(small_data())


def test_memoryless_actions_are_clamped():
    policy = MemorylessPolicy(lambda observations: 3.0 * observations)
    acted = policy.act(torch.tensor([[0.2, -4.0]], requires_grad=True), torch.tensor([0]))
    assert acted.tolist() == [[pytest.approx(0.6), -1.0]]
    assert not acted.requires_grad


def test_bc_safe_clones_trajectories_within_the_limit_only():
    data = small_data()
    assert {-1.0, 0.0, 1.0} == set(np.sign(data.episode_costs - LIMIT))
    assert drawn_from(build(BCAll), data) == set(range(len(data)))
    assert drawn_from(build(BCSafe), data) == set(np.flatnonzero(data.episode_costs <= LIMIT))


def test_bc_safe_without_safe_trajectories():
    data = small_data()
    algorithm = BCSafe(Problem.of(data, HORIZON), limit=data.episode_costs.min() - 0.5)
    least = f"{data.episode_costs.min():g}"
    with pytest.raises(UserError, match=rf"limit {algorithm.limit:g}: .* {least};") as error:
        algorithm.prepare(data)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("cls", METHODS)
def test_budgets_set_options_that_exist(cls):
    assert set(cls.budgets) == {"quick", "standard", "paper"}
    for budget in cls.budgets.values():
        config = cls.config_class(**budget.options)
        assert asdict(config).items() >= dict(budget.options).items()


def test_missing_osrl_is_one_line_with_the_remedy(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "osrl"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "osrl", None)
    with pytest.raises(UserError, match=r"package osrl.*`make setup`$"):
        build(BCAll)
    assert "fsrl" not in sys.modules


def test_an_imported_fsrl_is_left_in_place(monkeypatch):
    real, loggers = ModuleType("fsrl"), ModuleType("fsrl.utils")
    vars(loggers).update(DummyLogger=LossLog, WandbLogger=LossLog)
    for name, module in (("fsrl", real), ("fsrl.utils", loggers)):
        monkeypatch.setitem(sys.modules, name, module)
    import_osrl("algorithms.bc")
    assert (sys.modules["fsrl"], sys.modules["fsrl.utils"]) == (real, loggers)


CLEAN = """
import sys
import numpy, torch
modules = set(sys.modules)
def state():
    numpy_state = numpy.random.get_state()
    return (torch.get_default_dtype(), torch.get_num_threads(), torch.get_rng_state().tolist(),
            numpy_state[1].tolist(), numpy_state[2], numpy.geterr(), torch.is_grad_enabled())
before = state()
import baselines, baselines.bc, baselines.bcq_lag, baselines.bear_lag, baselines.cdt
import baselines.coptidice, baselines.cpq, baselines.osrl.adapter
heavy = {"osrl", "fsrl", "gymnasium", "wandb", "tensorboard"}
assert not heavy & {name.split(".")[0] for name in sys.modules}
assert state() == before
from benchmarks.methods.algorithm import Problem
from benchmarks.datasets.trajectories import Trajectories
pair, two = numpy.zeros((2, 3)), numpy.zeros(2)
problem = Problem.of(Trajectories.from_arrays(pair, pair, two, two, two, two), 5)
baselines.cpq.CPQ(problem, limit=1.0)
baselines.cdt.CDT(problem)
loaded = {name.split(".")[0] for name in sys.modules}
assert "osrl" in loaded
assert not {"fsrl", "wandb", "tensorboard"} & loaded
assert state() == before
"""


def test_import_is_clean_and_silent():
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", CLEAN], cwd=root, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
