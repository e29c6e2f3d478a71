"""Variants of a method in one leaderboard: found by their names, compared, drawn."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.common.errors import UserError
from benchmarks.methods.variants import label, split, values
from benchmarks.report.details import Details
from benchmarks.report.families import families, sweeps
from benchmarks.report.frame import TRAININGS, validate
from benchmarks.report.plots.option_charts import option_chart, variant_chart
from benchmarks.report.statistics import averages, run_scores
from benchmarks.results import leaderboard
from tests.support.leaderboard_cases import episodes_of, missing_of, run, table_of

pytestmark = pytest.mark.usefixtures("blank_pictures")

REWARDS = {
    "gas": 40.0,
    "gas@alpha=0.9": 50.0,
    "gas@alpha=0.5": 35.0,
    "gas@mask=false": 60.0,
    "gas@alpha=0.9,mask=false": 70.0,
    "gas@alpha=0.95": 55.0,
    "cdt": 10.0,
    "cdt@batch": 11.0,  # a plugin's name
    "lost@alpha=1": 12.0,  # its base is not here
}


@pytest.fixture(scope="module")
def frame():
    """Rewards of `REWARDS` a method, costs 2 of 4 and 2 of 10, or twice that without the mask."""
    return episodes_of(
        *(
            run(name, "T", limit, seed, [(reward + 2 * seed, 4 if "mask" in name else 2)])
            for name, reward in REWARDS.items()
            for limit in (4.0, 10.0)
            for seed in (0, 1)
        )
    ).assign(max_return=100.0)


@pytest.fixture(scope="module")
def trainings():
    rows = [
        {"algorithm": name, "task": "T", "seed": seed, "train_limit": None, "key": f"{name}{seed}"}
        | {"updates": 5, "config": json.dumps({"alpha": 0.8, "mask": True}), "status": "finished"}
        for name in REWARDS
        for seed in (0, 1)
    ]
    empty = {column: "" for column, kind in TRAININGS.items() if kind == "text"}
    return pd.DataFrame([empty | row for row in rows], columns=list(TRAININGS))


def test_names_of_variants_come_back():
    for options in ({}, {"alpha": 0.9}, {"a": None, "b": True, "c": 3, "d": 2.0, "e": "word"}):
        name, words = split(label("path/m@1.py:M", options))
        assert name == "path/m@1.py:M"
        assert values(words) == options
    assert label("gas", {"epsilon": 0.0, "mask": False}) == "gas@epsilon=0,mask=false"
    for wrong in ("gas@alpha=1,alpha=2", "gas@alpha=1,mask"):
        with pytest.raises(UserError, match="is not one option=value"):
            split(wrong)


def test_families_are_a_method_and_what_differs_from_it(frame):
    (family,) = families(run_scores(validate(frame)))
    assert family.base == "gas"
    assert [(one.label, one.options) for one in family.variants] == [
        ("gas@alpha=0.5", {"alpha": 0.5}),
        ("gas@alpha=0.9", {"alpha": 0.9}),
        ("gas@alpha=0.9,mask=false", {"alpha": 0.9, "mask": False}),
        ("gas@alpha=0.95", {"alpha": 0.95}),
        ("gas@mask=false", {"mask": False}),
    ]
    for one in family.variants:
        change = one.difference
        assert (change.cells, change.of, change.changed) == (2, 2, 2)
        assert change.reward.before == pytest.approx(0.41)
        assert change.reward.difference == pytest.approx((REWARDS[one.label] - 40.0) / 100)
        doubled = "mask" in one.options  # costs of .5 and .2 become 1 and .4
        assert change.cost.difference == pytest.approx(0.35 if doubled else 0.0)
        assert change.safe_cells.difference == 0.0


def test_an_option_is_swept_where_numbers_of_it_stand_alone(frame, trainings):
    found = families(run_scores(validate(frame)))
    (one,) = sweeps(found, trainings)
    assert (one.base, one.option) == ("gas", "alpha")
    assert list(one.values) == [0.5, 0.8, 0.9, 0.95]
    assert list(one.labels) == ["gas@alpha=0.5", "gas", "gas@alpha=0.9", "gas@alpha=0.95"]
    other = trainings.assign(config=[f'{{"alpha": {i}}}' for i in range(len(trainings))])
    assert list(sweeps(found, other)[0].values) == [0.5, 0.9, 0.95]  # the base has no one value
    assert sweeps(families(run_scores(validate(frame[frame["algorithm"] != "gas"]))), other) == []


def test_pictures_show_the_figures(frame, trainings):
    runs = run_scores(validate(frame))
    found = families(runs)
    left, right = variant_chart(found).axes
    dots = [line.get_xydata()[0].tolist() for line in left.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(dots, [[-0.05, 0], [0.1, 1], [0.3, 2], [0.15, 3], [0.2, 4]])
    assert [text.get_text() for text in left.get_yticklabels()][:2] == ["alpha=0.5", "alpha=0.9"]
    dots = [line.get_xdata()[0] for line in right.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(dots, [0, 0, 0.35, 0, 0.35], atol=1e-12)
    figure = option_chart(sweeps(found, trainings), averages(table_of(frame)))
    rewards, costs = figure.axes
    lines = [line.get_xydata().tolist() for line in rewards.lines if len(line.get_xdata()) == 4]
    expected = [[0.5, 0.36], [0.8, 0.41], [0.9, 0.51], [0.95, 0.56]]
    np.testing.assert_allclose(lines, [expected] * 2)  # of both limits
    drawn = [line.get_ydata().tolist() for line in costs.lines if len(line.get_xdata()) == 4]
    np.testing.assert_allclose(drawn, [[0.5] * 4, [0.2] * 4])
    rings = [line.get_xydata()[0].tolist() for line in rewards.lines if len(line.get_xdata()) == 1]
    np.testing.assert_allclose(rings, [[0.8, 0.41]] * 2)
    assert "no variant" in variant_chart([]).texts[0].get_text()
    assert "No option" in option_chart([], []).texts[0].get_text()


def test_the_report_has_a_section_of_them(frame, trainings, tmp_path):
    details = Details(trainings.assign(device="cpu"), {})
    leaderboard.write(frame, missing_of(), tmp_path, "t", {}, details=details)
    text = (tmp_path / "leaderboard.md").read_text()
    section = text[text.index("## Variants of GAS") : text.index("## Methods against")]
    assert r"| GAS | alpha=0.9, mask=false | 2 | 2 | 0.41 → 0.71 | **+0.30 [" in section
    assert "(pictures/variants.png)" in section
    assert "(pictures/options.png)" in section
    assert (tmp_path / "pictures" / "options.png").is_file()
    table = pd.read_csv(tmp_path / "tables" / "variants.csv")
    assert list(table["algorithm"]) == [v.label for v in families(run_scores(frame))[0].variants]
    assert list(table["base"].unique()) == ["gas"]
    row = table[table["algorithm"] == "gas@mask=false"].iloc[0]
    assert row["reward"] - row["base_reward"] == pytest.approx(0.2)
    assert row["reward_low"] <= 0.2 <= row["reward_high"]
    assert row["cost"] == pytest.approx(0.7)
    assert "Variants of GAS" in (tmp_path / "leaderboard.html").read_text()


def test_a_report_without_variants_has_no_such_section(frame, tmp_path):
    leaderboard.write(frame[frame["algorithm"] == "gas"], missing_of(), tmp_path, "t", {})
    assert "Variants" not in (tmp_path / "leaderboard.md").read_text()
    assert not (tmp_path / "pictures" / "variants.png").exists()
