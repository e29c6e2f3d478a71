"""Our statistics against the definitions that rliable publishes (arXiv 2108.13264), by scipy.

Its IQM is the 25 % trimmed mean over all runs and tasks, its probability of improvement the mean
over tasks of the Mann-Whitney statistic over the number of pairs, its score distribution the share
of runs above each threshold. Where every run is safe, ours must be these.
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.report.metrics import iqm
from benchmarks.report.profiles import REWARDS, profiles
from benchmarks.report.ranking import improvements

stats = pytest.importorskip("scipy.stats")
SCORES = st.integers(1, 20).map(lambda tenths: tenths / 10)  # coarse, so that there are ties


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60))
def test_iqm_is_the_trimmed_mean(values):
    assert float(iqm(values)) == pytest.approx(stats.trim_mean(values, 0.25), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(2, 5), st.integers(2, 5), st.data())
def test_probability_of_improvement_is_the_mean_mann_whitney_statistic(tasks, n, m, data):
    rows, expected = [], []
    for task in range(tasks):
        ours, theirs = (
            data.draw(st.lists(SCORES, min_size=size, max_size=size)) for size in (n, m)
        )
        for name, values in (("ours", ours), ("theirs", theirs)):
            rows += [(name, str(task), 1.0, seed, one, 0.5) for seed, one in enumerate(values)]
        u = stats.mannwhitneyu(ours, theirs, alternative="greater", method="asymptotic")
        expected.append(u.statistic / (n * m))
    frame = pd.DataFrame(rows, columns=["algorithm", "task", "limit", "seed", "reward", "cost"])
    one, back = improvements(frame, tasks, resamples=50)
    assert one.probability == pytest.approx(np.mean(expected), abs=1e-8)
    assert back.probability == pytest.approx(1 - one.probability, abs=1e-8)


def test_the_profile_of_rewards_is_the_score_distribution():
    values = np.array([0.1, 0.5, 0.5, 0.9, 1.3, -0.2])
    frame = pd.DataFrame(
        {"algorithm": "A", "task": "T", "limit": 1.0, "seed": range(6), "reward": values, "cost": 0}
    )
    (one,) = profiles(frame)
    expected = [np.mean(values > threshold) for threshold in REWARDS]
    assert one.reward == pytest.approx(np.array(expected))
