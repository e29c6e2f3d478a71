"""Which episodes a generated set asks for and keeps."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.common.errors import UserError
from benchmarks.datasets.generation import rollouts as generated
from benchmarks.datasets.generation.rollouts import (
    Candidate,
    Recipe,
)
from tests.support.generation_cases import TASK, TINY, quick, rollout

# --- the rounds after the first ---------------------------------------------------------------


def costing(cost, total=0.0):
    """An episode of two steps."""
    return rollout(total, cost)


@quick
@given(st.integers(4, 14), st.integers(0, 999))
def test_costs_asked_for_are_bracketed(count, seed):
    """Costs between 0 and 1 are asked for: of neighbours of which one alone costs nothing."""
    rng = np.random.default_rng(seed)
    tried = [Candidate(i % 2, float(w), 0.0, 0) for i, w in enumerate(rng.random(count))]
    costs = rng.integers(0, 4, count)
    pairs = set()
    for snapshot in (0, 1):
        both = zip(tried, costs, strict=True)
        own = sorted((c.preference, cost) for c, cost in both if c.snapshot == snapshot)
        pairs |= {
            (snapshot, w, next_w)
            for (w, cost), (next_w, next_cost) in pairwise(own)
            if min(cost, next_cost) == 0 < max(cost, next_cost)
        }
    task, done = replace(TASK, max_cost=1.0), [costing(cost) for cost in costs]
    aimed = generated._aim(tried, done, 30, task, TINY, rng)
    taken = {
        pair
        for pair in pairs
        for candidate in aimed
        if candidate.snapshot == pair[0] and pair[1] <= candidate.preference <= pair[2]
    }
    if pairs:
        assert all(
            any(c.snapshot == k and w <= c.preference <= other for k, w, other in pairs)
            for c in aimed
        )
        assert len(taken) > 1 or len(pairs) == 1  # at random among those


def test_costs_that_few_had_are_asked_for():
    """Cost falls with preference; the upper half of the range holds all candidates so far."""
    tried = [Candidate(0, i / 200, 0.5, i) for i in range(100)] + [Candidate(0, 1.0, 0.5, 0)]
    done = [costing(80 * (1 - c.preference)) for c in tried]
    recipe = replace(TINY, cost_bins=8)
    aimed = generated._aim(tried, done, 4000, TASK, recipe, np.random.default_rng(0))
    costs = np.array([80 * (1 - candidate.preference) for candidate in aimed])
    counts, _ = np.histogram(costs, np.linspace(0, 80, 9))
    assert counts[:4].min() > 3 * counts[4:].max()
    assert len({candidate.seed for candidate in aimed}) == len(aimed)
    noise = [candidate.noise for candidate in aimed]
    assert 0.0 <= min(noise) < 0.01 < 0.99 < max(noise) <= 1.0


def test_unskilled_policies_are_not_asked_again():
    """Those whose returns lie below the published range, at any cost."""
    tried = [Candidate(i % 2, i / 40, 0.5, i) for i in range(40)]
    done = [costing(80 * (1 - c.preference), -1.0 if c.snapshot else 1.0) for c in tried]
    task = replace(TASK, min_return=0.0)
    aimed = generated._aim(tried, done, 200, task, TINY, np.random.default_rng(0))
    assert {candidate.snapshot for candidate in aimed} == {0}


# --- thinning --------------------------------------------------------------------------------


def test_only_what_the_published_set_could_hold_is_kept():
    task = replace(TASK, min_return=1.0, max_return=5.0, max_cost=10.0)
    inside = [(1.0, 0.0), (5.0, 10.0), (2.0, 3.0)]
    outside = [(0.9, 0.0), (5.1, 0.0), (2.0, 11.0)]
    kept = generated._within_range([rollout(*pair) for pair in outside + inside], task)
    assert [(one.total_reward, one.cost) for one in kept] == inside
    with pytest.raises(UserError, match="no episode of BallRun"):
        generated._within_range([rollout(*pair) for pair in outside], task)


@quick
@given(
    st.lists(st.tuples(st.integers(-5, 9), st.integers(0, 12)), min_size=1, max_size=60),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 60),
    st.integers(0, 9),
)
def test_thinning_takes_from_the_cells_in_turns(pairs, cost_bins, return_bins, most, seed):
    task = replace(TASK, min_return=-5.0, max_return=9.0, max_cost=12.0)
    recipe = Recipe(cost_bins=cost_bins, return_bins=return_bins, most=most, seed=seed)
    rollouts = [rollout(*pair) for pair in pairs]
    place = {id(one): k for k, one in enumerate(rollouts)}
    kept = [place[id(one)] for one in generated._thin(rollouts, task, recipe)]
    assert kept == sorted(set(kept))
    assert len(kept) == min(most, len(pairs))

    def cell(value, low, high, bins):
        return sum(value >= edge for edge in np.linspace(low, high, bins + 1)[1:-1])

    cells = [(cell(c, 0, 12, cost_bins), cell(r, -5, 9, return_bins)) for r, c in pairs]
    before, after = Counter(cells), Counter(cells[k] for k in kept)
    for one in before:
        if after[one] < before[one]:  # it could have given more: none gave two more than it
            assert max(after.values()) <= after[one] + 1


def test_no_more_is_kept_than_the_published_set_holds():
    rollouts = [rollout(k, k % 80) for k in range(1000)]
    assert generated.published_trajectories(TASK) == 940
    assert len(generated._thin(rollouts, TASK, Recipe())) == 940


def test_a_crowded_cell_keeps_each_equally_often():
    rollouts = [rollout(0.0, 0.0) for _ in range(6)]
    place = {id(one): k for k, one in enumerate(rollouts)}
    kept = Counter(
        place[id(generated._thin(rollouts, TASK, Recipe(most=1, seed=seed))[0])]
        for seed in range(300)
    )
    assert len(kept) == 6
    assert min(kept.values()) > 25
