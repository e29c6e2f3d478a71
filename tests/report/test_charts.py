"""The pictures show the figures: lines, points and texts of the axes, not their look."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.report.frame import validate
from benchmarks.report.metrics import NO_INTERVALS
from benchmarks.report.plots.charts import (
    curve_chart,
    matrix_chart,
    mean_curves,
    profile_chart,
    published_chart,
)
from benchmarks.report.plots.drawing import COLUMN, PAGE, render
from benchmarks.report.plots.summary import summary_chart, time_chart
from benchmarks.report.plots.sweep import sweep
from benchmarks.report.profiles import COSTS, REWARDS, profiles
from benchmarks.report.published import Figure, Match
from benchmarks.report.ranking import average_ranks, improvements
from benchmarks.report.resampling import Interval
from benchmarks.report.statistics import run_scores
from tests.support.leaderboard_cases import episodes_of, run, table_of

ENDS = ("", "_low", "_high")
"""Of the columns of a figure and of its interval."""


@pytest.fixture(scope="module")
def frame():
    """Two methods at two limits, three seeds: costs 2 and 30, returns 20 and 80 more by seed."""
    return episodes_of(
        *(
            run(name, "T", limit, seed, [(scale * limit + seed, scale * limit)], max_return=100.0)
            for name, scale in (("calm", 0.5), ("rash", 3.0))
            for limit in (4.0, 10.0)
            for seed in (0, 1, 2)
        )
    )


def test_the_sweep_draws_raw_costs_returns_the_diagonal_and_the_data(frame):
    figure = sweep(table_of(frame), {"T": [(0.0, 5.0), (6.0, 40.0)]}, ["calm", "rash"])
    costs, returns = figure.axes
    assert figure.get_figwidth() == PAGE / 2
    diagonal = costs.lines[0].get_xydata()
    assert (diagonal[:, 0] == diagonal[:, 1]).all()
    calm, rash = (
        item.get_offsets().data.tolist()
        for item in costs.collections
        if len(item.get_offsets()) == 2
    )
    assert calm == [[4.0, 2.0], [10.0, 5.0]]
    assert rash == [[4.0, 12.0], [10.0, 0.97 * 20.0]]  # 30 lies beyond twice the largest limit
    steps = returns.lines[0]
    assert steps.get_drawstyle() == "steps-post"
    assert steps.get_xydata().tolist() == [[0.0, 5.0], [6.0, 40.0], [10.5, 40.0]]
    drawn = [line.get_xydata().tolist() for line in returns.lines[1:]]
    assert drawn == [[[4.0, 3.0], [10.0, 6.0]], [[4.0, 13.0], [10.0, 31.0]]]


def test_profiles_draw_every_share_and_its_band(frame):
    found = profiles(run_scores(validate(frame)))
    figure = profile_chart(found)
    left, right = figure.axes
    assert figure.get_figwidth() == COLUMN
    for profile, reward, cost in zip(found, left.lines, right.lines, strict=False):
        assert reward.get_xydata().tolist() == np.stack([REWARDS, profile.reward], 1).tolist()
        assert cost.get_xydata().tolist() == np.stack([COSTS, profile.cost], 1).tolist()
    assert len(left.collections) == len(right.collections) == 2


def test_the_matrix_states_every_probability_and_rank(frame):
    runs = run_scores(validate(frame))
    figure = matrix_chart(improvements(runs, 2), average_ranks(table_of(frame)))
    (axes,) = figure.axes
    assert sorted(text.get_text() for text in axes.texts) == ["0.00", "1.00"]
    assert {text.get_fontweight() for text in axes.texts} == {"bold"}
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["calm (1.00)", "rash (2.00)"]
    values = axes.images[0].get_array()
    assert values[0, 1] == 1.0
    assert values.mask[0, 0]


CURVES = pd.DataFrame(
    {
        "algorithm": ["a", "a", "b"],
        "curve": [
            json.dumps(
                {"updates": [1, 2, 3], "seconds": [1, 2, 3], "x": [4, 2, 1], "y": [1, 1, None]}
            ),
            json.dumps(
                {"updates": [1, 3, 4], "seconds": [1, 2, 3], "x": [2, 3, 9], "z": [1, 1, 1]}
            ),
            "{}",
        ],
    }
)


def test_learning_curves_are_means_where_all_trainings_have_a_point():
    updates, losses = mean_curves(CURVES)
    assert (updates, losses) == ([1, 3], {"x": [3.0, 2.0]})
    assert mean_curves(CURVES[2:]) == ([], {})
    (axes,) = (one for one in curve_chart(CURVES, ["a", "b"]).axes if one.axison)
    (line,) = axes.lines
    assert line.get_xydata() == pytest.approx(np.array([[1, 1.0], [3, 2 / 3]]))
    assert axes.get_title() == "a"


def test_published_numbers_are_joined_with_ours():
    theirs = Figure("P", "m", "T", (), 1, 1, "dsrl", 0.2, 0.9, "", "")
    bounds = NO_INTERVALS | {"reward": Interval(0.4, 0.6)}
    left, right = published_chart([Match(theirs, "m", 0.5, 0.7, bounds)]).axes
    assert left.lines[0].get_xydata().tolist() == [[0.2, 0], [0.5, 0]]
    assert left.lines[3].get_xydata().tolist() == [[0.4, 0], [0.6, 0]]
    assert right.lines[0].get_xydata().tolist() == [[0.9, 0], [0.7, 0]]


def test_pictures_of_nothing_say_why():
    for draw, words in (
        (lambda: sweep([], {}, []), "No run is finished."),
        (lambda: profile_chart([]), "No run is finished."),
        (lambda: summary_chart(pd.DataFrame()), "No run is finished."),
        (lambda: time_chart([], []), "No training time"),
        (lambda: matrix_chart([], []), "Fewer than two methods"),
        (lambda: curve_chart(CURVES[2:], ["b"]), "No learning curve"),
        (lambda: published_chart([]), "No published number"),
    ):
        assert draw().texts[0].get_text().startswith(words)
        assert render(draw, ["svg"])["svg"].startswith(b"<?xml")


def test_the_summary_draws_each_methods_safe_cells_and_their_reward_as_a_cross():
    scores = {"safe_cells": (0.5, 0.4, 0.7), "safe_cell_reward": (0.6, 0.55, 0.65)}
    row = {
        f"{name}{end}": x for name, xs in scores.items() for end, x in zip(ENDS, xs, strict=True)
    }
    never = row | {"safe_cells": 0.0, "safe_cell_reward": np.nan}
    table = pd.DataFrame([{"algorithm": "good"} | row, {"algorithm": "never"} | never])
    figure = summary_chart(table)
    (axes,) = figure.axes
    drawn = [[list(line.get_xdata()), list(line.get_ydata())] for line in axes.lines]
    assert drawn == [[[0.4, 0.7], [0.6, 0.6]], [[0.5, 0.5], [0.55, 0.65]], [[0.5], [0.6]]]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["good"]
    assert summary_chart(table[1:]).texts  # says that nothing can be shown
