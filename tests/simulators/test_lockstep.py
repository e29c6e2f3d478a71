"""Many simulators at once: the same bits from any number of processes."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.simulators.simulator import Simulator
from benchmarks.simulators.vector import Lockstep
from benchmarks.tasks.tasks import TASKS

TASK = TASKS["CarRun"]
COUNT = 5


def record(simulators):
    """What the simulators give back, some of them at rest now and then, two of them restarted."""
    rng = np.random.default_rng(0)
    seen = [simulators.reset([11, 12, 13, 14, 15])]
    for rows in ([0, 1, 2, 3, 4], [4, 1], [2], [3, 0, 2, 1], [0, 1, 2, 3, 4]):
        actions = rng.uniform(-1.0, 1.0, (len(rows), TASK.action_dim)).astype(np.float32)
        seen.extend(simulators.step(actions, np.array(rows)))
    seen.append(simulators.reset([11, 99], np.array([3, 0])))
    seen.extend(simulators.step(np.ones((5, TASK.action_dim), np.float32), np.arange(5)))
    return seen


@pytest.fixture(scope="module")
def expected():
    with Lockstep(TASK, COUNT) as simulators:
        return record(simulators)


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_do_not_change_a_bit(expected, processes):
    with Lockstep(TASK, COUNT, processes) as simulators:
        assert len(simulators._children) == processes
        seen = record(simulators)
    assert len(seen) == len(expected)
    for ours, theirs in zip(seen, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)


def test_a_row_is_a_simulator_of_its_own(expected):
    """Row 3 of the record, replayed by one simulator alone."""
    rng = np.random.default_rng(0)
    actions = [
        rng.uniform(-1.0, 1.0, (n, TASK.action_dim)).astype(np.float32) for n in (5, 2, 1, 4, 5)
    ]
    alone = Simulator(TASK)
    assert np.array_equal(alone.reset(14), expected[0][3])
    for action, k, place in ((actions[0][3], 0, 3), (actions[3][0], 3, 0), (actions[4][3], 4, 3)):
        step = alone.step(action)
        for value, column in zip(step, expected[1 + 5 * k : 6 + 5 * k], strict=True):
            assert np.array_equal(value, column[place])
    again = expected[-6]
    assert np.array_equal(again[0], expected[0][0])  # seed 11 again, in another row
    alone.close()


def test_there_are_never_more_processes_than_simulators():
    with Lockstep(TASKS["BallRun"], 1, processes=3) as simulators:
        assert len(simulators._children) == 1
        assert simulators.reset([0]).shape == (1, 7)


@pytest.mark.parametrize("processes", [0, 1])
def test_an_error_reaches_the_parent(processes):
    with Lockstep(TASKS["BallRun"], 2, processes) as simulators:
        simulators.reset([0, 1])
        with pytest.raises(AssertionError):
            simulators.step(np.full((2, 2), np.nan, np.float32), np.arange(2))
        assert np.array_equal(*simulators.reset([3, 3]))  # and does no more harm


def test_an_error_in_building_reaches_the_parent():
    lost = replace(TASKS["BallRun"], simulator="SafetyNowhere-v0")
    with Lockstep(lost, 1, 1) as simulators, pytest.raises(Exception, match="SafetyNowhere"):
        simulators.reset([0])


def test_a_process_that_dies_is_told_of():
    with Lockstep(TASKS["BallRun"], 2, processes=2) as simulators:
        os.kill(simulators._children[1].pid, signal.SIGKILL)
        simulators._children[1].join()
        with pytest.raises(RuntimeError, match="simulator process of BallRun died"):
            simulators.reset([0, 1])


def test_close_ends_the_processes():
    simulators = Lockstep(TASKS["BallRun"], 2, processes=2)
    children = simulators._children
    assert all(child.is_alive() for child in children)
    simulators.close()
    assert [child.exitcode for child in children] == [0, 0]
    simulators.close()  # once is enough, twice is harmless


def test_a_failure_within_the_context_ends_the_processes():
    simulators = Lockstep(TASKS["BallRun"], 1, processes=1)
    with pytest.raises(ZeroDivisionError), simulators:
        raise ZeroDivisionError
    assert not any(child.is_alive() for child in simulators._children)
