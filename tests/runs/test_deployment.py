"""Policies outside the harness: as in an evaluation, and the same from a TorchScript file."""

import json

import numpy as np
import pytest
import torch

import benchmarks
from benchmarks.common.errors import UserError
from benchmarks.methods.algorithm import MemorylessPolicy, Problem
from benchmarks.methods.registry import find_method
from benchmarks.runs.deployment import DeployedPolicy
from benchmarks.runs.script import scripted
from benchmarks.runs.store import Run
from benchmarks.runs.worker import run_job
from benchmarks.simulators.simulator import Simulator
from benchmarks.tasks.tasks import TASKS
from tests.support.baseline_cases import HORIZON
from tests.support.baseline_cases import small_data as made_up_data
from tests.support.jobs import make_job
from tests.support.small_options import SMALL

TASK = TASKS["BallRun"]


@pytest.fixture(scope="module")
def trained(small_data, tmp_path_factory):
    """Runs of GAS and BC-Safe, trained and evaluated: folders by method."""
    results = tmp_path_factory.mktemp("results")
    folders = {}
    for name in ("gas", "bc-safe"):
        job = make_job(name, small_data, results)
        run_job(job)
        folders[name] = Run.of(job).folder
    return folders


def test_it_acts_as_the_method_does_in_an_episode(trained):
    policy = benchmarks.load_policy(trained["gas"], "10%")
    assert policy.limit == 8.0
    reference = policy.algorithm.policy(torch.tensor([8.0]))
    row, rng = torch.tensor([0]), np.random.default_rng(0)
    for _ in range(2):
        reference = policy.algorithm.policy(torch.tensor([8.0]))
        policy.reset()
        for _ in range(12):
            observation = rng.normal(size=TASK.observation_dim).astype(np.float32)
            expected = reference.act(torch.as_tensor(observation)[None], row).clamp(-1, 1)[0]
            np.testing.assert_array_equal(policy.act(observation), expected.numpy())
            reward, cost = float(rng.random()), float(rng.integers(2))
            policy.observe(reward, cost)
            reference.observe(torch.tensor([reward]), torch.tensor([cost]), row)


def test_it_plays_in_the_simulator_what_the_evaluation_stored(trained):
    """The same start gives the same episode up to the rounding of a batch of one."""
    folder = trained["gas"]
    policy = benchmarks.load_policy(folder, 40.0)
    seed = policy.algorithm.seed
    start = int(np.random.SeedSequence(seed).generate_state(2)[0])
    simulator = Simulator(TASK)
    observation, total, done = simulator.reset(start), 0.0, False
    while not done:
        step = simulator.step(policy.act(observation))
        policy.observe(step.reward, step.cost)
        observation, total = step.observation, total + step.reward
        done = step.terminated or step.truncated
    files = sorted(folder.glob("evaluation-40x2*.json"))
    episode = json.loads(files[0].read_text())["episodes"][0]
    assert total == pytest.approx(episode["episode_return"], rel=1e-3)


def test_options_of_evaluation_change_how_it_acts(trained):
    observation = np.full(TASK.observation_dim, 0.3, dtype=np.float32)
    usual = benchmarks.load_policy(trained["gas"], 40.0)
    reserved = benchmarks.load_policy(trained["gas"], 40.0, margin=0.9, tightening=0)
    assert not np.array_equal(usual.act(observation), reserved.act(observation))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gas", None), "serves all cost limits"),
        (("gas", "much"), "'much' is neither"),
        (("gas", "10%", {"alpha": 0.5}), "no option 'alpha' of evaluation; it has .*margin"),
        (("gas", "10%", {"margin": 5.0}), r"gas\.margin must be from 0 to 1, not 5"),
        (("bc-safe", None, {"margin": 0.5}), "bc-safe has no option 'margin'"),
    ],
)
def test_mistakes_are_named(trained, arguments, message):
    name, limit, options = (*arguments, {})[:3]
    with pytest.raises(UserError, match=message):
        benchmarks.load_policy(trained[name], limit, **options)


def test_a_policy_of_one_limit_serves_no_other(trained):
    policy = benchmarks.load_policy(trained["bc-safe"])
    assert policy.limit == 40.0
    with pytest.raises(ValueError, match="trained for the limit 40 only"):
        policy.reset(20.0)
    with pytest.raises(ValueError, match="finite numbers"):
        policy.act(np.full(TASK.observation_dim, np.nan))
    with pytest.raises(ValueError, match="finite numbers"):
        policy.act(np.zeros(TASK.observation_dim + 1))


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="is not a run"):
        benchmarks.load_policy(tmp_path, "10%")


def build(name):
    cls = find_method(name).cls
    limit = 5.0 if cls.trains_per_limit else None
    problem = Problem.of(made_up_data(), HORIZON)
    return cls(problem, cls.config_class(**SMALL[name]), limit=limit)


@pytest.mark.parametrize(
    "name", ["gas", "gas-shield", "gas-released", "bc-safe", "cpq", "coptidice"]
)
def test_an_exported_policy_acts_the_same_without_this_package(name, tmp_path):
    policy = DeployedPolicy(build(name), TASK, 5.0)
    script = torch.jit.load(policy.export(tmp_path / "new" / "policy.pt"))
    rng = np.random.default_rng(1)
    for _ in range(2):
        policy.reset()
        script.reset()
        for _ in range(HORIZON):
            observation = rng.normal(size=policy.algorithm.problem.observation_dim)
            expected = policy.act(observation)
            action = script.act(torch.as_tensor(observation, dtype=torch.float32))
            np.testing.assert_allclose(action.numpy(), expected, atol=1e-5)
            reward, cost = rng.random(), float(rng.integers(3))
            policy.observe(reward, cost)
            script.observe(torch.tensor(reward), torch.tensor(cost))


@pytest.mark.parametrize("name", ["cdt", "fisor"])
def test_a_policy_that_is_no_fixed_function_is_not_exported(name, tmp_path):
    path = tmp_path / "policy.pt"
    with pytest.raises(UserError, match=f"{name} cannot be exported"):
        DeployedPolicy(build(name), TASK, 5.0).export(path)
    assert not path.exists()


def test_a_script_that_acts_otherwise_is_found(monkeypatch):
    """A policy whose branch depends on what it observes: tracing keeps one branch only."""
    algorithm = build("bc-safe")

    def branching(observations):
        sign = 1.0 if float(observations.sum()) >= 0.0 else -1.0
        return torch.full((len(observations), 2), 0.5 * sign)

    monkeypatch.setattr(algorithm, "policy", lambda limits: MemorylessPolicy(branching))
    with pytest.raises(UserError, match="no fixed function"):
        scripted(algorithm, 5.0)
