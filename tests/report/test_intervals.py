"""The ends of every interval, and what lies in it, against all resamples that there can be."""

import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from benchmarks.leaderboard import main
from benchmarks.report import compare
from benchmarks.report.board import build
from benchmarks.report.details import Details
from benchmarks.report.frame import validate
from benchmarks.report.profiles import RESAMPLES as OF_BANDS
from benchmarks.report.ranking import improvements
from benchmarks.report.resampling import RESAMPLES
from benchmarks.report.statistics import run_scores
from benchmarks.report.tidy import tidy
from benchmarks.results.load import load_results
from tests.support.exact_bootstrap import (
    COST,
    REWARD,
    TASK,
    check,
    exact_improvement,
    exact_scores,
    expectation,
    plus,
    resamples,
    scores_of,
    strata,
)
from tests.support.known_store import METHODS, make, noise, runs, score, table
from tests.support.leaderboard_cases import episodes_of, missing_of, run


def ragged(method, low):
    """Runs whose numbers of seeds differ between tasks and limits; a task that one method lacks."""
    seeds = {("T", 1.0): 3, ("T", 2.0): 3, ("T", 3.0): 2, ("U", 1.0): 2}
    if method == "more":
        seeds |= {("V", 1.0): 2, ("T", 2.0): 2}
    return [
        (*cell, seed, noise(method, *cell, seed), low + 0.8 * noise(seed, method, *cell))
        for cell, count in seeds.items()
        for seed in range(count)
    ]


RAGGED = {"less": ragged("less", 0.5), "more": ragged("more", 0.7)}


def frame_of(runs):
    """Runs by method as episodes, one a run."""
    return episodes_of(
        *(
            run(method, task, limit, seed, [(reward, cost * limit)])
            for method, own in runs.items()
            for task, limit, seed, reward, cost in own
        )
    )


@pytest.fixture(scope="module")
def boards(tmp_path_factory):
    """Two leaderboards: their tables by name, and their runs by method."""
    folder = make(tmp_path_factory.mktemp("store"))
    assert main([str(folder), "--format", "csv"]) == 0
    names = ("overall", "comparison", "profiles", "published")
    stored = {name: table(folder, name) for name in names}
    made = build(frame_of(RAGGED), missing_of(), "ragged", {}, Details(), [])
    return [(stored, {method: runs(method) for method in METHODS}), (tidy(made), RAGGED)]


def test_every_interval_of_the_overall_table(boards):
    for tables, known in boards:
        found = tables["overall"].set_index("algorithm")
        assert set(found.index) == set(known)
        for method, own in known.items():
            exact = exact_scores(own)
            every = exact["reward"].total()
            for name, figure in scores_of(own).items():
                assert found.loc[method, name] == pytest.approx(figure, nan_ok=True)
                interval = found.loc[method, [f"{name}_low", f"{name}_high"]]
                if exact[name]:
                    check(interval, exact[name], RESAMPLES, of=every)
                else:
                    assert method == "rash"  # no cell of it is safe
                    assert name == "safe_cell_reward"
                    assert interval.isna().all()


def test_every_interval_of_an_improvement(boards):
    for tables, known in boards:
        found = tables["comparison"].set_index(["algorithm", "other"])
        assert set(found.index) == set(permutations(known, 2))
        wide = 0
        for (method, other), row in found.iterrows():
            exact = exact_improvement(known[method], known[other])
            check((row["low"], row["high"]), exact, RESAMPLES, digits=8)
            assert row["probability"] == pytest.approx(expectation(exact))
            wide += row["low"] < row["probability"] < row["high"]
            back = found.loc[(other, method)]
            assert (row["low"], row["high"]) == pytest.approx((1 - back["high"], 1 - back["low"]))
        assert wide >= 2  # some of them say something


def test_no_interval_of_an_improvement_depends_on_names():
    # so many seeds and so few resamples that other draws would give another interval
    generator = np.random.default_rng(4)
    own = {
        name: [
            (task, 1.0, seed, *generator.uniform(0, 1.5, 2)) for task in "TUV" for seed in range(9)
        ]
        for name in ("one", "other", "third")
    }

    def ends(names):
        scores = run_scores(validate(frame_of({names[old]: rows for old, rows in own.items()})))
        back = {new: old for old, new in names.items()}
        found = improvements(scores, 3, resamples=301)
        return {(back[one.method], back[one.other]): one.interval for one in found}

    expected = ends({name: name for name in own})
    assert len(set(expected.values())) == 6
    assert ends({"one": "z", "other": "m", "third": "a"}) == expected
    assert ends({"one": "m", "other": "z", "third": "M"}) == expected


def test_every_band_of_the_profiles(boards):
    for tables, known in boards:
        found = tables["profiles"]
        assert len(found) == len(known) * 2 * 61
        for row in found.itertuples():
            total = Counter({0: 1})
            for stratum in strata(known[row.algorithm]):
                counts = Counter()
                for drawn in resamples(stratum):
                    if row.score == "reward":
                        hits = sum(one[REWARD] > row.threshold for one in drawn)
                    else:
                        hits = sum(one[COST] <= row.threshold + 1e-9 for one in drawn)
                    counts[hits] += 1
                total = plus(total, counts)
            size = len(known[row.algorithm])
            check((size * row.low, size * row.high), total, OF_BANDS)
            assert size * row.share == pytest.approx(expectation(total))


def test_every_interval_beside_a_published_number(boards):
    tables, known = boards[0]
    assert list(tables["published"]["task"]) == ["BallRun", "CarRun"]
    for row in tables["published"].itertuples():
        exact = exact_scores([one for one in known["calm"] if one[TASK] == row.task])
        check((row.reward_low, row.reward_high), exact["reward"], RESAMPLES)
        check((row.cost_low, row.cost_high), exact["cost"], RESAMPLES)


def changed_score(method, task, limit, seed, episode):
    """As in the known store, but that all methods but one have changed."""
    reward, cost = score(method, task, limit, seed, episode)
    if method == "calm":
        return reward, cost
    return reward + 30 * noise(task, limit, method), cost * (0.7 + 0.5 * noise(seed, method, task))


def check_difference(one, before, after, count):
    """A `Difference` against plain figures and against all resamples of either side."""
    assert one.changed == (before != after) * one.cells
    every = len({cell[:2] for cell in [*before, *after]})
    shared = {cell[:2] for cell in before} & {cell[:2] for cell in after}
    assert (one.cells, one.of) == (len(shared), every)
    sides = [[run for run in own if run[:2] in shared] for own in (before, after)]
    exact = [exact_scores(own) for own in sides]
    for name in ("reward", "cost", "safe_cells"):
        change = getattr(one, name)
        figures = [scores_of(own)[name] for own in sides]
        assert (change.before, change.after) == pytest.approx(figures)
        assert change.difference == pytest.approx(figures[1] - figures[0])
        if one.changed:
            check(change.interval, plus(exact[1][name], exact[0][name], -1), count)
        else:
            assert np.isnan(change.interval).all()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The known store and one in which runs have changed."""
    return [
        make(tmp_path_factory.mktemp("one")),
        make(
            tmp_path_factory.mktemp("two"), score=changed_score, config={"odd|name": {"alpha": 2}}
        ),
    ]


def both_sides(method, *cell):
    return [runs(method, *cell, scores=scores) for scores in (score, changed_score)]


@pytest.fixture(scope="module")
def changes(pair):
    """The differences of methods, and those of cells."""
    before, after = (run_scores(validate(load_results(folder).episodes)) for folder in pair)
    return compare.differences(before, after), compare.cell_differences(before, after)


def test_every_difference_between_two_leaderboards(changes):
    found, cells = changes
    assert [one.method for one in found] == sorted(METHODS)
    for one in found:
        check_difference(one, *both_sides(one.method), RESAMPLES)
    assert len(cells) == 2 * 4 + 2
    for one in cells:
        check_difference(one, *both_sides(one.method, one.task, one.limit), compare._CELL_RESAMPLES)


def test_every_difference_between_ragged_results():
    before, after = (
        run_scores(validate(frame_of({"A": own}))) for own in (RAGGED["less"], RAGGED["more"])
    )
    check_difference(compare.difference(before, after), *RAGGED.values(), RESAMPLES)


def text_of(change):
    """A change as a table has it."""
    low, high = change.interval
    difference = f"{round(change.difference, 2) + 0.0:.2f}"
    if change.difference > 0:
        difference = f"+{difference}"
    if not math.isnan(low):
        difference += f" [{round(low, 2) + 0.0:.2f}, {round(high, 2) + 0.0:.2f}]"
    return [f"{change.before:.2f} → {change.after:.2f}", difference]


def rows_of(text):
    """The cells of every row of Markdown tables, unmarked, headers left out."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [[word.strip("*").replace("\\", "") for word in line] for line in lines]


def test_a_comparison_prints_every_difference(pair, changes, capsys):
    assert main(["--compare", *map(str, pair)]) == 0
    rows = rows_of(capsys.readouterr().out.replace(r"odd\|name", "odd/name"))
    expected = []
    for one in changes[0]:
        three = [*text_of(one.reward), *text_of(one.cost), *text_of(one.safe_cells)]
        count = {"broken": "2"}.get(one.method, "4")
        changed = "0" if one.method == "calm" else count
        expected.append([one.method.replace("|", "/"), count, changed, *three])
    for one in changes[1]:
        two = [*text_of(one.reward), *text_of(one.cost)]
        expected.append([one.method.replace("|", "/"), one.task, f"{one.limit:g}", *two])
    bodies = [row for row in rows if row[0] not in ("method", "---")]
    assert bodies == expected
    assert len(bodies) == 4 + 10


def test_an_ablation_prints_every_difference(pair, changes, capsys):
    assert main(["--ablation", *map(str, pair)]) == 0
    rows = rows_of(capsys.readouterr().out.replace(r"odd\|name", "odd/name"))
    (one,) = (one for one in changes[0] if one.method == "odd|name")
    three = [*text_of(one.reward), *text_of(one.cost), *text_of(one.safe_cells)]
    assert rows[2:] == [["odd/name", "alpha=2", "4", "4", *three]]
