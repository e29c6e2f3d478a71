"""The bootstrap as a textbook has it: every resample that can be, each as likely as the next.

With two or three seeds there are few. A figure's resamples then have a known distribution, and an
interval from random ones must lie where that puts it, within what chance allows.
"""

import math
from collections import Counter
from itertools import groupby, product

from tests.support.known_store import better, mean

TASK, LIMIT, SEED, REWARD, COST = range(5)
"""What a run is: a tuple of these."""
SCORES = ("safe_cells", "safe_cell_reward", "reward", "iqm", "cost", "violation", "safe_rate")


def strata(runs):
    """Runs that are drawn together: of a task, at all limits that have the same seeds.

    Of each seed its runs.
    """
    by_cell = {}
    for run in runs:
        by_cell.setdefault((run[TASK], run[LIMIT]), []).append(run)
    found = {}
    for (task, _), own in by_cell.items():
        seeds = frozenset(run[SEED] for run in own)
        for run in own:
            found.setdefault((task, seeds), {}).setdefault(run[SEED], []).append(run)
    return list(found.values())


def resamples(stratum):
    """Every way to draw as many seeds as there are: lists of runs."""
    for seeds in product(stratum, repeat=len(stratum)):
        yield [run for seed in seeds for run in stratum[seed]]


def every_resample(runs):
    """Every resample of a method's runs, task by task."""
    for parts in product(*(list(resamples(stratum)) for stratum in strata(runs))):
        yield [run for part in parts for run in part]


def scores_of(drawn):
    """The figures of `SCORES`, as the report's words define them."""
    rewards = sorted(run[REWARD] for run in drawn)
    cut = len(rewards) // 4
    ordered = sorted(drawn, key=lambda run: run[:SEED])
    cells = [list(own) for _, own in groupby(ordered, key=lambda run: run[:SEED])]
    rewards_of = [mean(run[REWARD] for run in cell) for cell in cells]
    safe_cells = [mean(run[COST] for run in cell) <= 1 for cell in cells]
    return {
        "reward": mean(rewards_of),
        "iqm": mean(rewards[cut : len(rewards) - cut]),
        "cost": mean(mean(run[COST] for run in cell) for cell in cells),
        "safe_rate": mean(run[COST] <= 1 for run in drawn),
        "violation": mean(max(0.0, run[COST] - 1) for run in drawn),
        "safe_cells": mean(safe_cells),
        "safe_cell_reward": mean(r for r, kept in zip(rewards_of, safe_cells, strict=True) if kept),
    }


def exact_scores(runs):
    """Of each figure of `SCORES` its values over all resamples, with how often each is there."""
    found = {name: Counter() for name in SCORES}
    for drawn in every_resample(runs):
        for name, value in scores_of(drawn).items():
            if not math.isnan(value):
                found[name][round(value, 12)] += 1
    return found


def plus(one, other, sign=1):
    """The values of a sum (or, with -1, a difference) of two that do not depend on each other."""
    found = Counter()
    for (a, times), (b, more) in product(one.items(), other.items()):
        found[round(a + sign * b, 12)] += times * more
    return found


def exact_improvement(ours, theirs):
    """How likely a run of ours is better, its values over all resamples of both."""
    shared = {run[:SEED] for run in ours} & {run[:SEED] for run in theirs}
    total = Counter({0.0: 1})
    for task in sorted({task for task, _ in shared}):
        sides = [
            list(every_resample([run for run in own if run[TASK] == task and run[:SEED] in shared]))
            for own in (ours, theirs)
        ]
        won = {
            (one, other): better(one, other)
            for one, other in product(ours, theirs)
            if one[:SEED] == other[:SEED] and one[TASK] == task
        }
        values = Counter()
        for mine, others in product(*sides):
            pairs = {}
            for pair in product(mine, others):
                if pair in won:
                    pairs.setdefault(pair[0][:SEED], []).append(won[pair])
            values[round(sum(map(mean, pairs.values())) / len(shared), 12)] += 1
        total = plus(total, values)
    return total


def expectation(values):
    """The mean over all resamples; for figures that are means, that of the runs themselves."""
    return sum(value * times for value, times in values.items()) / values.total()


def quantile(values, share):
    """The least value that at least `share` of all resamples reach from below."""
    left = share * values.total()
    for value in sorted(values):
        left -= values[value]
        if left <= 0:
            return value
    return max(values)


def check(interval, values, count, of=None, digits=9):
    """Whether an interval of `count` random resamples lies where the exact ones put it.

    `of` is the number of resamples of which `values` are those that have the figure at all. The
    share of resamples below the true quantile is binomial: five standard deviations are allowed.
    """
    known = count * (values.total() / of if of else 1)
    spread = 5 * math.sqrt(0.025 * 0.975 / known)
    for value, share in zip(interval, (0.025, 0.975), strict=True):
        low, high = (quantile(values, share + side * spread) for side in (-1, 1))
        slack = 10.0**-digits
        assert low - slack <= value <= high + slack, (value, low, high, share)
