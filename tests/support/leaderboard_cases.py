"""Small frames for the tests of the leaderboard, with scores that can be computed by hand."""

import pandas as pd

from benchmarks.report.frame import EPISODES, MISSING, validate, validate_missing
from benchmarks.report.statistics import cells

NAN = float("nan")
SCALE = {"BallRun": (0.0, 100.0), "AntRun": (-50.0, 150.0)}


def run(algorithm, task, limit, seed, scores, **columns):
    """Rows of one run; `scores` are (return, cost) of its episodes."""
    low, high = SCALE.get(task, (0.0, 1.0))
    known = {"fraction": NAN, "length": 100, "source": "generated", "checksum": f"sum-{task}"}
    known |= {"min_return": low, "max_return": high, "budget": "quick"}
    return [
        known
        | {"algorithm": algorithm, "task": task, "limit": limit, "seed": seed, "episode": i}
        | {"episode_return": reward, "episode_cost": cost}
        | columns
        for i, (reward, cost) in enumerate(scores)
    ]


def lost(algorithm, task, limit, seed, status, reason, fraction=NAN):
    return dict(zip(MISSING, (algorithm, task, limit, fraction, seed, status, reason), strict=True))


def episodes_of(*runs):
    return pd.DataFrame([row for rows in runs for row in rows], columns=list(EPISODES))


def missing_of(*rows):
    return pd.DataFrame(list(rows), columns=list(MISSING))


def two_methods():
    """Two tasks with limits 10 and 0 (BallRun) and 20 (AntRun); Beta lacks two of three cells."""
    return episodes_of(
        # rewards 0.5, 0.7 | 0.8 and costs 0.5, 1.5 | 0.6: unequal numbers of episodes
        run("Alpha", "BallRun", 10.0, 0, [(50, 5), (70, 15)]),
        run("Alpha", "BallRun", 10.0, 1, [(80, 6)]),
        # at limit 0 a cost of 0 counts as 1, of 1 as 2
        run("Alpha", "BallRun", 0.0, 0, [(30, 0)]),
        run("Alpha", "BallRun", 0.0, 1, [(40, 0)]),
        run("Alpha", "AntRun", 20.0, 0, [(50, 30)]),
        run("Alpha", "AntRun", 20.0, 1, [(70, 50)]),
        run("Beta", "BallRun", 10.0, 0, [(90, 10)]),
        run("Beta", "AntRun", 20.0, 0, [(150, 80)]),
    )


def two_methods_lost():
    """The runs that Beta lacks."""
    return missing_of(
        lost("Beta", "BallRun", 10.0, 1, "missing", "not run yet"),
        lost("Beta", "BallRun", 0.0, 0, "failed", "NaN loss | in `critic`\nat step 7"),
        lost("Beta", "BallRun", 0.0, 1, "failed", "NaN loss | in `critic`\nat step 7"),
    )


def table_of(frame, missing=None):
    return cells(validate(frame), validate_missing(missing_of() if missing is None else missing))
