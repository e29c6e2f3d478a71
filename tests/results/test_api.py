"""`load_results`: the data frames, against the plan that the store was written from."""

import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks
from benchmarks.common.errors import UserError
from benchmarks.results.schema import TABLES
from tests.support.known_store import CELLS, EPISODES, METHODS, SEEDS, make, mean, runs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return benchmarks.load_results(make(tmp_path_factory.mktemp("api")))


@pytest.mark.parametrize("table", TABLES)
def test_columns_are_those_that_the_schema_describes(results, table):
    assert list(getattr(results, table).columns) == list(TABLES[table][1])


def test_cells_hold_the_scores_of_the_store(results):
    cells = results.cells.set_index(["algorithm", "task", "limit"])
    assert len(cells) == len(METHODS) * len(CELLS)
    for method in ("calm", "rash", "odd|name"):
        for task, limit in CELLS:
            row = cells.loc[method, task, limit]
            own = runs(method, task, limit)
            assert row["reward"] == pytest.approx(mean(r for *_, r, _ in own))
            assert row["cost"] == pytest.approx(mean(c for *_, c in own))
            assert row["seeds"] == len(SEEDS)
    assert cells.loc["broken", "CarRun", :]["status"].eq("failed").all()


def test_every_episode_and_every_lost_run_is_there(results):
    finished = sum(len(runs(method)) for method in METHODS)
    assert len(results.episodes) == EPISODES * finished
    assert len(results.missing) == len(METHODS) * len(CELLS) * len(SEEDS) - finished


def test_curves_are_the_logged_losses_of_each_training(tmp_path):
    curves = benchmarks.load_results(ROOT / "results" / "quickstart").curves
    cdt = curves[(curves.algorithm == "cdt") & (curves.task == "BallRun")]
    assert set(cdt.loss) >= {"actor_loss"} or len(set(cdt.loss)) > 1
    for _, curve in cdt.groupby("loss"):
        assert curve.updates.is_monotonic_increasing
        assert curve.value.notna().all()


def test_a_folder_without_a_leaderboard_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"is no leaderboard: it has no plan\.json"):
        benchmarks.load_results(tmp_path)


def test_the_package_imports_neither_torch_nor_pandas_until_asked():
    code = (
        "import sys, benchmarks\n"
        "assert not {'torch', 'pandas'} & set(sys.modules)\n"
        "assert {'load_results', 'load_policy'} <= set(dir(benchmarks))\n"
        "from benchmarks import load_policy\n"
        "assert 'torch' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
