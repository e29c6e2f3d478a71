"""What the quick budget promises, on data made here. Minutes long, hence off by default."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.datasets.source import cache_folder, choose
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.run import main
from benchmarks.tasks.tasks import TASKS


@pytest.mark.slow
def test_gas_is_safe_and_near_the_best_of_the_data_on_ball_run(tmp_path: Path) -> None:
    """Safe at all tight limits, with at least 0.9 of the best return within each in the data."""
    arguments = "--suite tight --tasks BallRun --algorithms gas --budget quick --seeds 0 1 2"
    status = main(
        [*arguments.split(), "--episodes", "20", "--data", "generated", "--results", str(tmp_path)]
    )
    assert status == 0
    table = pd.read_csv(tmp_path / "tight" / "leaderboard.csv")
    (made,) = choose("generated", [TASKS["BallRun"]])
    assert made.path.is_relative_to(cache_folder())
    data = Trajectories.load(made.path, "generated")
    assert len(table) == 3
    for row in table.itertuples():
        best = data.returns[data.episode_costs <= row.limit].max()
        assert row.seeds == 3
        assert row.cost <= 1.0, f"limit {row.limit}: normalised cost {row.cost}"
        assert row.mean_return >= 0.9 * best, f"limit {row.limit}: {row.mean_return} of {best}"
