"""The trajectories near the Pareto front, with osrl's own selection as the oracle."""

import numpy as np
import pytest

from baselines.bc import BCFrontier, near_front
from baselines.osrl.adapter import import_osrl
from benchmarks.datasets.trajectories import Trajectories
from tests.support.baseline_cases import build, drawn_from


class Front:
    """All that osrl asks of OApackage: the points that no other beats, by brute force."""

    doubleVector = tuple

    def __init__(self):
        self.points = []

    ParetoDoubleLong = classmethod(lambda cls: cls())

    def addvalue(self, point, _):
        self.points.append(point)

    def show(self, verbose):
        pass

    def allindices(self):
        points = np.array(self.points)
        no_worse = (points[None] >= points[:, None]).all(-1)
        better = (points[None] > points[:, None]).any(-1)
        return np.flatnonzero(~(no_worse & better).any(1))


@pytest.fixture
def osrl_selects(monkeypatch, capsys):
    """A function from trajectories to the rows that osrl keeps, and the degrees it fits."""
    osrl = import_osrl("common.dataset")
    monkeypatch.setattr(osrl, "oapackage", Front, raising=False)
    fit, degrees = np.polyfit, []
    monkeypatch.setattr(
        osrl.np, "polyfit", lambda x, y, deg: (degrees.append(deg), fit(x, y, deg))[1]
    )

    def select(data):
        ends = np.zeros(len(data.rewards), dtype=bool)
        ends[data.starts[1:] - 1] = True
        keys = ("observations", "actions", "rewards", "costs", "terminals")
        dataset = {key: getattr(data, key).copy() for key in keys}
        dataset |= {"timeouts": ends, "rows": np.arange(len(ends))}
        osrl.process_bc_dataset(dataset, 10.0, 1.0, "frontier")
        return dataset["rows"]

    yield select, degrees
    capsys.readouterr()


def trajectories(seed, power):
    """Episodes whose return rises with their cost to a power, with some noise."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 12, 40)
    level, ends = np.repeat(rng.random(40), lengths), np.cumsum(lengths) - 1
    size = lengths.sum()
    timeouts = np.zeros(size, dtype=bool)
    timeouts[ends] = True
    return Trajectories.from_arrays(
        rng.normal(size=(size, 2)),
        rng.uniform(-1.0, 1.0, (size, 1)),
        3.0 * level**power + 0.3 * rng.normal(size=size),
        rng.random(size) < level,
        np.zeros(size),
        timeouts,
    )


def test_the_selection_is_osrls(osrl_selects):
    select, degrees = osrl_selects
    last = []
    for seed in range(40):
        data = trajectories(seed, power=(0.3, 1.0, 2.0)[seed % 3])
        kept = near_front(data.returns, data.episode_costs)
        rows = np.concatenate([np.arange(*data.starts[e : e + 2]) for e in kept])
        degrees.clear()
        assert rows.tolist() == select(data).tolist(), seed
        assert 0 < len(kept) < len(data)
        last.append(degrees[-1])
    assert {1, 2} == set(last)


def test_one_point_makes_a_level_front():
    returns, costs = np.array([10.0, 8.0, 7.9, 0.0]), np.array([0.0, 5.0, 6.0, 7.0])
    assert near_front(returns, costs).tolist() == [0, 1]


def test_bc_frontier_clones_what_is_selected():
    data = trajectories(0, power=0.3)
    kept = set(near_front(data.returns, data.episode_costs))
    assert 0 < len(kept) < len(data)
    assert drawn_from(build(BCFrontier, data), data) == kept
