"""Learning curves of evaluated reward and cost, from a run that was asked for them."""

import json

import pandas as pd
import pytest

from benchmarks import load_results
from benchmarks.report.frame import TRAININGS, validate, validate_trainings
from benchmarks.report.learning import learning_curves, learning_scores
from benchmarks.report.plots.learning import learning_chart
from benchmarks.run import main
from tests.support.leaderboard_cases import episodes_of, run
from tests.support.runs import command

pytestmark = pytest.mark.usefixtures("blank_pictures")


def training(algorithm, task, seed, columns, updates=100, status="finished"):
    empty = {name: "" for name, kind in TRAININGS.items() if kind == "text"}
    return empty | {
        **{"algorithm": algorithm, "task": task, "seed": seed, "updates": updates},
        **{"key": f"{algorithm}{task}{seed}", "status": status},
        "evaluations": json.dumps(columns),
    }


def curves_of(trainings, episodes):
    frame = validate_trainings(pd.DataFrame(trainings, columns=list(TRAININGS)))
    return learning_curves(learning_scores(frame, validate(episodes)))


@pytest.fixture
def episodes():
    """Two seeds of Alpha on BallRun at the limits 10 and 20."""
    return episodes_of(
        run("Alpha", "BallRun", 10.0, 0, [(50, 5), (70, 15)]),
        run("Alpha", "BallRun", 20.0, 0, [(80, 30)]),
        run("Alpha", "BallRun", 10.0, 1, [(40, 10)]),
        run("Alpha", "BallRun", 20.0, 1, [(60, 20)]),
    )


def during(*scores, updates=(50, 50)):
    returns, costs = zip(*scores, strict=True)
    return {"updates": list(updates), "limit": [10, 20], "mean_return": returns, "mean_cost": costs}


def test_scores_are_normalised_and_averaged_over_limits_and_seeds(episodes):
    (curve,) = curves_of(
        [
            training("Alpha", "BallRun", 0, during((10, 0), (20, 40))),
            training("Alpha", "BallRun", 1, during((30, 20), (40, 20))),
        ],
        episodes,
    )
    assert (curve.method, curve.task, curve.updates) == ("Alpha", "BallRun", [50, 100])
    assert curve.reward == pytest.approx([0.25, (0.6 + 0.8 + 0.4 + 0.6) / 4])
    assert curve.cost == pytest.approx([(0 + 2 + 2 + 1) / 4, (1 + 1.5 + 1 + 1) / 4])
    # over the seeds the limit of 10 costs 1 in the middle and at the end, that of 20 1.5 and 1.25
    assert curve.safe == pytest.approx([0.5, 0.5])


def test_updates_that_a_seed_lacks_are_left_out(episodes):
    one = during((10, 0), (20, 40), updates=(25, 25))
    (curve,) = curves_of(
        [
            training("Alpha", "BallRun", 0, during((10, 0), (20, 40))),
            training("Alpha", "BallRun", 1, one),
        ],
        episodes,
    )
    assert curve.updates == [100]


def test_trainings_without_evaluations_or_without_an_end_have_none(episodes):
    assert not curves_of([training("Alpha", "BallRun", 0, {})], episodes)
    unfinished = training("Alpha", "BallRun", 0, during((1, 1), (1, 1)), status="failed")
    assert not curves_of([unfinished], episodes)


def test_the_figure_marks_whether_every_limit_is_kept(episodes):
    curves = curves_of([training("Alpha", "BallRun", 0, during((10, 0), (20, 40)))], episodes)
    figure = learning_chart(curves, ["Alpha", "Beta"])
    reward = next(axes for axes in figure.axes if axes.axison)
    assert reward.get_title() == "BallRun"
    markers = [line for line in reward.lines if len(line.get_xdata()) == 1]
    assert [line.get_markerfacecolor() for line in markers] == ["white", "white"]
    assert [line.get_ydata()[0] for line in markers] == pytest.approx([0.15, 0.7])
    assert [text.get_text() for text in figure.legends[0].texts] == ["Alpha"]
    assert not learning_chart([], ["Alpha"]).axes


@pytest.mark.usefixtures("workers_here")
def test_a_run_shows_its_learning_curves(small_data, tmp_path):
    more = ("--algorithms", "bc-all", "--evaluate-every", "10", "--workers", "1")
    assert main(command(small_data, tmp_path, *more, tasks=("BallRun",))) == 0
    folder = tmp_path / "tight"
    assert (folder / "pictures" / "learning.png").is_file()
    table = pd.read_csv(folder / "tables" / "learning.csv")
    assert list(table.updates) == [10, 20]
    learning = load_results(folder).learning
    cells = load_results(folder).cells
    assert sorted(learning[learning.updates == 20].reward) == pytest.approx(sorted(cells.reward))
    assert "learning" in (folder / "leaderboard.md").read_text()
