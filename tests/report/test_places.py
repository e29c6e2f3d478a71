"""Ranks with intervals, and the parts of a leaderboard that readers choose."""

import pytest

from benchmarks.report.frame import validate
from benchmarks.report.places import ranks
from benchmarks.report.selections import limit_choices, robot_choices, views
from benchmarks.report.statistics import cells, run_scores, standings
from tests.support.leaderboard_cases import episodes_of, missing_of, run, table_of


def ranked(frame):
    episodes = validate(frame)
    table = cells(episodes, missing_of())
    return ranks(run_scores(episodes), standings(episodes, table))


def method(name, *rewards, cost=0.5, task="T"):
    """One cell with a seed for each reward; `cost` is that of each, or one for each."""
    costs = cost if isinstance(cost, list) else [cost] * len(rewards)
    return [
        row
        for seed, score in enumerate(zip(rewards, costs, strict=True))
        for row in run(name, task, 1.0, seed, [score])
    ]


def test_methods_that_the_seeds_cannot_tell_apart_share_a_rank():
    found = ranked(
        episodes_of(
            method("best", 0.9, 0.91, 0.92),
            method("one", 0.5, 0.6, 0.7),
            method("other", 0.51, 0.61, 0.71),
            method("rash", 1.0, 1.0, 1.0, cost=2.0),
        )
    )
    assert {name: (place.rank, place.tied) for name, place in found.items()} == {
        "best": (1, False),
        "one": (2, True),
        "other": (2, True),
        "rash": (4, False),
    }
    assert {name: (place.low, place.high) for name, place in found.items()} == {
        "best": (1, 1),
        "one": (2, 3),
        "other": (2, 3),
        "rash": (4, 4),
    }


def test_safe_cells_come_before_safe_runs_and_before_reward():
    """Half of the first one's runs are unsafe by a little, a quarter of the second's by far."""
    little, far, safe = [0.0] * 4 + [1.01] * 4, [0.5] * 4 + [99.0] * 4, [0.5] * 8
    found = ranked(
        episodes_of(
            *(method("steady", *[0.1] * 8, cost=little, task=task) for task in "TU"),
            method("often", *[0.9] * 8, cost=safe, task="T"),
            method("often", *[0.9] * 8, cost=far, task="U"),
        )
    )
    assert {name: place.rank for name, place in found.items()} == {"steady": 1, "often": 2}


def test_as_many_safe_cells_are_ordered_by_the_reward_of_these_alone():
    found = ranked(
        episodes_of(
            *(
                method("one", 0.6, 0.6, 0.6, task="T"),
                method("one", 0.1, 0.1, 0.1, cost=2.0, task="U"),
            ),
            *(
                method("two", 0.5, 0.5, 0.5, task="T"),
                method("two", 0.9, 0.9, 0.9, cost=2.0, task="U"),
            ),
        )
    )
    assert {name: place.rank for name, place in found.items()} == {"one": 1, "two": 2}


def test_methods_without_a_safe_cell_share_the_last_rank_whatever_they_earn():
    for seeds in (1, 3):
        found = ranked(
            episodes_of(
                method("safe", *[0.1] * seeds),
                method("rich", *[0.9] * seeds, cost=2.0),
                method("poor", *[0.2] * seeds, cost=5.0),
            )
        )
        assert {name: (p.rank, p.tied) for name, p in found.items()} == {
            "safe": (1, False),
            "rich": (2, True),
            "poor": (2, True),
        }


def test_the_seeds_of_two_methods_are_drawn_apart():
    """With the same draws for both, the second would be before the first in every resample."""
    found = ranked(episodes_of(method("a", 0.1, 0.9, 0.5), method("b", 0.11, 0.91, 0.51)))
    assert [(place.rank, place.low, place.high) for place in found.values()] == [(1, 1, 2)] * 2


def test_a_name_does_not_change_a_rank():
    scores = [(0.1, 0.9, 0.5), (0.3, 0.6, 0.55), (0.2, 0.2, 0.8)]
    found = [
        list(ranked(episodes_of(*map(lambda n, s: method(n, *s), names, scores))).values())
        for names in ("abc", "cab")
    ]
    figures = [[(p.rank, p.tied, p.low, p.high) for p in places] for places in found]
    assert figures[0] == figures[1]


def test_one_seed_gives_ranks_without_intervals():
    found = ranked(episodes_of(method("a", 0.5), method("b", 0.5), method("c", 0.4)))
    assert [(p.rank, p.tied, p.low, p.high) for p in found.values()] == [
        *[(1, True, 0, 0)] * 2,
        (3, False, 0, 0),
    ]
    assert ranked(episodes_of()) == {}


@pytest.fixture(scope="module")
def sweep():
    """Three tasks of two robots at 10%, 20% and 80%; the reward is the limit."""
    return validate(
        episodes_of(
            *(
                run("m", task, 100 * f, seed, [(100 * f + seed, 1)], fraction=f, max_return=100.0)
                for task in ("BallRun", "BallCircle", "CarRun")
                for f in (0.1, 0.2, 0.8)
                for seed in (0, 1)
            )
        )
    )


def test_the_choices_are_groups_and_limits_and_robots(sweep):
    table = table_of(sweep)
    assert [choice.key for choice in limit_choices(table)] == [
        *("all", "tight", "10%", "20%", "80%"),  # one loose limit is no group
    ]
    assert [choice.key for choice in robot_choices(table)] == ["all", "Ball", "Car"]
    one = [cell for cell in table if (cell.task, cell.fraction) == ("CarRun", 0.1)]
    assert [choice.key for choice in limit_choices(one)] == ["all"]
    assert [choice.key for choice in robot_choices(one)] == ["all"]
    tight = [cell for cell in table if cell.fraction < 0.5]
    assert [choice.key for choice in limit_choices(tight)] == ["all", "10%", "20%"]


def test_a_view_is_the_leaderboard_of_its_cells_alone(sweep):
    found = {view.key: view for view in views(sweep, table_of(sweep))}
    assert len(found) == 5 * 3 - 1
    assert "all all" not in found
    view = found["tight Ball"]
    assert {(c.task, c.fraction) for c in view.table} == {
        (task, fraction) for task in ("BallRun", "BallCircle") for fraction in (0.1, 0.2)
    }
    alone = sweep[sweep["task"].str.startswith("Ball") & (sweep["fraction"] < 0.5)]
    (standing,), (expected,) = view.ranking, standings(alone, table_of(alone))
    assert standing.metrics == expected.metrics
    assert standing.metrics["reward"] == pytest.approx(0.155)
