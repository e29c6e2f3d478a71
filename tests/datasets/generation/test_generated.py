"""Data made here: the same file from any number of processes, spread over costs and returns."""

import multiprocessing
import os
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest

from benchmarks.common.errors import UserError
from benchmarks.datasets.generation import policies as snapshots
from benchmarks.datasets.generation import rollouts as generated
from benchmarks.datasets.generation.policies import (
    load_snapshots,
    save_snapshots,
    shipped_tasks,
    snapshot_path,
)
from benchmarks.datasets.generation.rollouts import (
    Candidate,
    Recipe,
    generate,
    generated_path,
)
from benchmarks.datasets.generation.views import view_of
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.simulators.simulator import Simulator
from benchmarks.simulators.vector import Lockstep
from benchmarks.tasks.tasks import TASKS
from tests.support.generation_cases import TASK, TINY, policies, rollout


@pytest.fixture
def shipped(monkeypatch, tmp_path):
    """A file of policies that stands for the shipped ones."""
    path = tmp_path / "policies.npz"
    save_snapshots(path, policies(TASK))
    for module in (generated, snapshots):
        monkeypatch.setattr(module, "snapshot_path", lambda name: path)
    return path


# --- the file --------------------------------------------------------------------------------


def test_the_file_does_not_depend_on_processes_and_is_made_once(shipped, tmp_path, monkeypatch):
    told = []
    paths = [
        generate(
            TASK,
            tmp_path / name,
            processes=processes,
            recipe=TINY,
            progress=lambda *now: told.append(now),
        )
        for name, processes in (("one", 1), ("two", 2))
    ]
    assert len({path.read_bytes() for path in paths}) == 1
    assert len({path.name for path in paths}) == 1
    assert told == 2 * [(done, 44) for done in range(1, 45)]

    monkeypatch.setattr(generated, "_roll_out_all", None)  # a second call makes nothing
    assert generate(TASK, tmp_path / "one", processes=1, recipe=TINY) == paths[0]
    with pytest.raises(TypeError):
        generate(TASK, tmp_path / "one", processes=1, recipe=replace(TINY, seed=1))

    data = Trajectories.load(paths[0], "generated")
    assert 3 < len(data) <= 44
    assert set(data.lengths) == {20}
    assert not data.terminals.any()
    inner = np.delete(np.arange(len(data.rewards)), data.starts[1:] - 1)
    np.testing.assert_array_equal(data.next_observations[inner], data.observations[inner + 1])
    assert np.abs(data.actions).max() <= 1.0
    with h5py.File(paths[0]) as file:
        assert dict(file.attrs) == {"task": "BallRun"}
    assert data.returns.min() < data.returns.max()


def test_the_environment_is_as_it_was_after_a_set_is_made(shipped, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    monkeypatch.delenv("NPY_DISABLE_CPU_FEATURES", raising=False)
    before = dict(os.environ)
    generate(TASK, tmp_path, processes=1, recipe=TINY)
    assert dict(os.environ) == before


def test_pool_processes_compute_with_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    with generated._pool(TASK, 1):  # processes start inside, and inherit the environment
        assert os.environ["OMP_NUM_THREADS"] == os.environ["OPENBLAS_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == os.environ["OPENBLAS_NUM_THREADS"] == "2"


def test_the_name_tells_recipe_and_policies(shipped, tmp_path):
    name = generated_path(TASK, tmp_path)
    assert name == generated_path(TASK, tmp_path, Recipe())
    assert name.name.startswith("BallRun-")
    assert name.parent == tmp_path / "generated"
    assert generated_path(TASK, tmp_path, replace(Recipe(), candidates=5)) != name
    save_snapshots(shipped, policies(TASK, 2))
    assert generated_path(TASK, tmp_path) != name


def test_two_processes_at_once_make_it_once(shipped, tmp_path, monkeypatch):
    log = tmp_path / "log"

    def slowly(*_):
        with log.open("a") as file:
            file.write("made\n")
        time.sleep(0.3)
        return [rollout(k, k) for k in range(9)]

    monkeypatch.setattr(generated, "_roll_out_all", slowly)
    fork = multiprocessing.get_context("fork")  # so that the children know of it
    options = {"processes": 1, "recipe": TINY}
    children = [fork.Process(target=generate, args=(TASK, tmp_path), kwargs=options) for _ in "ab"]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert log.read_text() == "made\n"
    assert len(Trajectories.load(generated_path(TASK, tmp_path, TINY), "generated")) == 9


def test_a_failure_leaves_nothing_behind(shipped, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(generated, "_roll_out_all", fail)
    with pytest.raises(KeyboardInterrupt):
        generate(TASK, tmp_path, processes=1, recipe=TINY)
    monkeypatch.setattr(generated, "_roll_out_all", lambda *_: [rollout(1, 1)])
    monkeypatch.setattr(Trajectories, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        generate(TASK, tmp_path, processes=1, recipe=TINY)
    left = list((tmp_path / "generated").iterdir())
    assert all(path.suffix == ".lock" for path in left)


# --- rolling out -----------------------------------------------------------------------------


def candidates(count, snapshots_there):
    rng = np.random.default_rng(5)
    return [
        Candidate(int(rng.integers(snapshots_there)), rng.random(), rng.random(), int(seed))
        for seed in rng.integers(2**31, size=count)
    ]


@pytest.fixture
def roll_out(monkeypatch):
    """`_roll_out_group` in this process."""

    def group(task, own, chosen):
        with Lockstep(task, 16) as simulators:
            monkeypatch.setattr(generated, "_worker", (own, simulators), raising=False)
            return generated._roll_out_group(chosen)

    return group


@pytest.mark.parametrize("name", ["BallRun", "AntCircle"])
def test_a_group_rolls_out_each_candidate_as_if_alone(roll_out, name):
    task = replace(TASKS[name], horizon=20 if name == "BallRun" else 60)
    own = policies(task)
    chosen = candidates(5, 3)
    group = roll_out(task, own, chosen)
    simulator = Simulator(task)
    for one, candidate in zip(group, chosen, strict=True):
        observation = simulator.reset(candidate.seed)
        rng, seen, received = np.random.default_rng([candidate.seed, 1]), [observation], []
        while True:
            noise = candidate.noise * rng.standard_normal((1, task.action_dim))
            preference = np.array([candidate.preference])
            seen_so = view_of(name)(observation[None])
            action = own[candidate.snapshot].act(seen_so, preference, noise)[0]
            np.testing.assert_array_equal(one.actions[len(received)], action)
            step = simulator.step(action)
            observation = step.observation
            seen.append(observation)
            received.append((step.reward, step.cost))
            if step.terminated or step.truncated:
                break
        np.testing.assert_array_equal(one.observations, seen)
        np.testing.assert_array_equal(
            np.stack([one.rewards, one.costs], axis=1), np.array(received, dtype=np.float32)
        )
        assert one.terminated == step.terminated
        assert len(one.actions) == len(received)
    simulator.close()
    ends = {len(one.rewards) for one in group}
    assert (len(ends) > 1) == (name == "AntCircle")  # there they end one by one


def test_packed_rollouts_are_its_episodes():
    short = rollout(3.0, 1.0)._replace(terminated=True)
    data = generated._pack([rollout(1.0, 0.0), short, rollout(2.0, 2.0)])
    assert data.returns.tolist() == [1.0, 3.0, 2.0]
    assert data.episode_costs.tolist() == [0.0, 1.0, 2.0]
    assert data.terminals.tolist() == [False, False, False, True, False, False]
    assert data.source == "generated"


def test_an_episode_is_broken_off_where_it_costs_more_than_the_maximum(roll_out):
    chosen = candidates(8, 3)
    whole = roll_out(TASK, policies(TASK), chosen)
    most = float(np.median([one.cost for one in whole]))
    assert 0 < most < max(one.cost for one in whole)
    broken = roll_out(replace(TASK, max_cost=most), policies(TASK), chosen)
    for one, other in zip(whole, broken, strict=True):
        beyond = np.flatnonzero(np.cumsum(one.costs) > most)
        length = beyond[0] + 1 if len(beyond) else len(one.costs)
        assert len(other.costs) == length
        np.testing.assert_array_equal(other.actions, one.actions[:length])


# --- what is shipped -------------------------------------------------------------------------


def test_policies_of_known_tasks_are_shipped_in_less_than_ten_megabytes():
    names = shipped_tasks()
    assert "BallRun" in names
    assert set(names) <= set(TASKS)
    assert sum(snapshot_path(name).stat().st_size for name in names) < 10e6


@pytest.mark.parametrize("name", shipped_tasks())
def test_shipped_policies_fit_their_task(name):
    task = TASKS[name]
    width = view_of(name)(np.zeros((1, task.observation_dim))).shape[1]
    loaded = load_snapshots(snapshot_path(name))
    assert len(loaded) >= 4
    for one in loaded:
        assert one.weights[0].shape[1] == width + 1
        assert one.weights[-1].shape[0] == task.action_dim
        assert one.log_std.shape == (task.action_dim,)
        assert one.mean.shape == one.std.shape == (width,)
        assert (one.std > 0).all()
        for field in one:
            for array in field if isinstance(field, list) else [field]:
                assert np.isfinite(array).all()


def test_a_shipped_policy_prefers_as_it_is_told(roll_out):
    """The last one of BallRun over whole episodes: reward at preference 0, safety at 1."""
    task = TASKS["BallRun"]
    own = load_snapshots(snapshot_path("BallRun"))[-1:]
    seeking, safe = roll_out(task, own, [Candidate(0, 0.0, 0.0, 1), Candidate(0, 1.0, 0.0, 1)])
    assert seeking.rewards.sum() > safe.rewards.sum()
    assert seeking.costs.sum() > 0.5 * task.max_cost
    assert safe.costs.sum() < 0.1 * task.max_cost


def test_missing_shared_memory_is_named(monkeypatch, tmp_path):
    def broken(*args, **kwargs):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(generated, "ProcessPoolExecutor", broken)
    with pytest.raises(UserError, match="/dev/shm"):
        generated.generate(TASKS["BallRun"], tmp_path, processes=2)
