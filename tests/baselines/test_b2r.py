"""B2R: what is kept and relabelled, and how it acts."""

import numpy as np
import pytest
import torch

from baselines.b2r import B2R
from benchmarks.common.errors import UserError
from benchmarks.datasets.targets import reward_targets
from benchmarks.methods.conformance import synthetic_data
from tests.support.by_hand import built

SMALL = {"batch": 64, "embedding_dim": 16, "num_layers": 1, "num_heads": 2}
LIMIT = 8.0


def small(**options) -> B2R:
    return built(B2R, limit=LIMIT, **{**SMALL, **options})


def test_only_trajectories_within_the_limit_are_seen_and_all_start_at_it() -> None:
    data, b2r = synthetic_data(), small()
    safe = np.flatnonzero(data.episode_costs <= LIMIT)
    assert 1 < len(safe) < len(data)
    with b2r.random():
        batch = b2r.sampler()
    assert set(batch.episode_cost.tolist()) == {LIMIT}
    to_go, returns = data.to_go(data.costs), data.to_go(data.rewards)
    scaled = (data.observations - data.observations.mean(0)) / data.observations.std(0)
    rows = {tuple(np.round(scaled[i], 3)): i for i in range(len(scaled))}
    of_row = np.searchsorted(data.starts, np.arange(len(scaled)), side="right") - 1
    for k in range(64):
        row = rows[tuple(np.round(batch.observations[k, 0].numpy(), 3))]
        episode = of_row[row]
        assert episode in safe
        expected = to_go[row] + LIMIT - data.episode_costs[episode]
        assert float(batch.costs_to_go[k, 0]) == pytest.approx(expected, abs=1e-4)
        assert float(batch.returns_to_go[k, 0]) == pytest.approx(0.1 * returns[row], abs=1e-4)


def test_it_asks_for_the_whole_limit_and_never_for_less_than_nothing() -> None:
    b2r = small()
    policy = b2r.policy(torch.tensor([LIMIT]))
    problem = b2r.problem
    target = reward_targets(problem.returns, problem.costs, torch.tensor([LIMIT]), 0.95)
    assert policy.costs_to_go.tolist() == [LIMIT]
    assert float(policy.returns_to_go) == pytest.approx(0.1 * float(target))
    policy.act(torch.zeros(1, 3), torch.tensor([0]))
    policy.observe(torch.zeros(1), torch.tensor([3.0]), torch.tensor([0]))
    assert policy.costs_to_go.tolist() == [LIMIT - 3.0]
    policy.observe(torch.zeros(1), torch.tensor([9.0]), torch.tensor([0]))
    assert policy.costs_to_go.tolist() == [0.0]


def test_it_acts_on_standardised_observations() -> None:
    b2r, seen = small(), []
    policy = b2r.policy(torch.tensor([LIMIT]))
    policy._new_tokens = lambda observations, ids, steps: seen.append(observations) or 1 / 0
    with pytest.raises(ZeroDivisionError):
        policy.act(b2r.problem.observation_mean[None], torch.tensor([0]))
    assert seen[0].abs().max() < 1e-5


def test_a_limit_below_all_data_is_refused() -> None:
    with pytest.raises(UserError, match="b2r cannot be trained for the cost limit -1: the"):
        built(B2R, limit=-1.0, **SMALL)
