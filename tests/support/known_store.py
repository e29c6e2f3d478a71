"""One synthetic store, its scores without a pattern, and the same scores in plain lists."""

import math
import zlib
from dataclasses import replace
from functools import cache

import pandas as pd

from benchmarks.report.published import COLUMNS
from tests.support.synthetic_store import Plan, limits_of, write_store

METHODS = ("calm", "rash", "odd|name", "broken")
TASKS = {"BallRun": (80.0, 0.0, 100.0), "CarRun": (40.0, -50.0, 150.0)}
SEEDS, EPISODES = (0, 1, 2), 2


def noise(*what):
    """A number from 0 to 1 that follows no pattern, and the same each time."""
    return zlib.crc32(repr(what).encode()) % 997 / 997


def score(method, task, limit, seed, episode):
    """Returns and costs that differ in everything they may depend on, most by the seed.

    As with trained policies: a seed that is better at one limit tends to be so at the others. The
    first method is always safe, the second never, the others now and then.
    """
    rank = METHODS.index(method)
    share, reward = (
        0.6 * noise(what, method, task, seed)
        + 0.3 * noise(what, method, task, seed, limit)
        + 0.1 * noise(what, method, task, seed, limit, episode)
        for what in ("cost", "reward")
    )
    low, width = ((0.2, 0.7), (1.1, 0.7), (0.6, 0.8), (0.7, 0.8))[rank]
    return 20 + 6 * rank + 60 * reward, limit * (low + width * share)


PLAN = Plan(
    METHODS,
    TASKS,
    (0.1, 0.2),
    SEEDS,
    EPISODES,
    score,
    one_for_all=("calm",),
    failed={("broken", "CarRun", seed): "Traceback\n  <b>planted</b>" for seed in SEEDS},
    unrun=[("broken", "BallRun", 2)],
)
CELLS = [(task, limit) for task in TASKS for limit in limits_of(PLAN, task)]
PUBLISHED = [
    ["Paper", "Calm", "BallRun", "10% 20%", 2, 3, "dsrl", 0.5, 0.5, "as ours", "table 1"],
    ["Paper", "calm", "CarRun", "4 8", 2, 3, "dsrl", 0.6, 0.7, "as ours", "table 1"],
    ["Paper", "calm", "BallRun", "10% 30%", 2, 3, "dsrl", 0.5, 0.5, "others", "table 2"],
    ["Paper", "broken", "BallRun", "10% 20%", 2, 3, "dsrl", 0.5, 0.5, "as ours", "table 1"],
]


def make(root, name="known", **changes):
    """Write the store with published numbers beside it; the leaderboard's folder."""
    folder = write_store(replace(PLAN, **changes), root / "results" / name)
    published = folder.parent / "published"
    published.mkdir()
    frame = pd.DataFrame(PUBLISHED, columns=list(COLUMNS))
    frame.to_csv(published / "paper.csv", index=False)
    return folder


def table(folder, name):
    path = folder / "leaderboard.csv" if name == "leaderboard" else folder / f"tables/{name}.csv"
    return pd.read_csv(path)


@cache
def runs(method, task=None, limit=None, scores=score):
    """(task, limit, seed, reward, cost) of the runs that are there, by hand."""
    found = []
    for name, (_, low, high) in TASKS.items():
        for own in limits_of(PLAN, name):
            for seed in SEEDS:
                gone = method == "broken" and (name == "CarRun" or seed == 2)
                if gone or task not in (None, name) or limit not in (None, own):
                    continue
                both = [scores(method, name, own, seed, k) for k in range(EPISODES)]
                reward = sum((r - low) / (high - low) for r, _ in both) / EPISODES
                cost = sum(c / own for _, c in both) / EPISODES
                found.append((name, own, seed, reward, cost))
    return found


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else math.nan


def better(one, other):
    """Of two runs, 1, 0 or a half by the rule as it is written."""
    (_, _, _, reward, cost), (_, _, _, other_reward, other_cost) = one, other
    if (cost <= 1) != (other_cost <= 1):
        return float(cost <= 1)
    mine, theirs = (reward, other_reward) if cost <= 1 else (other_cost, cost)
    return 1.0 if mine > theirs else 0.0 if mine < theirs else 0.5
