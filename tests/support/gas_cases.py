"""Small data and small networks for the tests of GAS."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Problem
from gas import GAS, GASConfig
from gas.algorithm import Conditioning, Goals
from gas.segments import Segments

QUICK = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
HORIZON = 12
SMALL = GASConfig(batch=32, width=16, blocks=1, expansion=1, dropout=0.0)


def made_up(lengths, seed=0):
    """Episodes of these lengths with rewards of both signs; the row stands in the observation."""
    rng = np.random.default_rng(seed)
    size = sum(lengths)
    ends = np.isin(np.arange(size), np.cumsum(lengths) - 1)
    return Trajectories.from_arrays(
        observations=np.stack([np.arange(size), rng.normal(size=size)], axis=1),
        actions=rng.uniform(-1.0, 1.0, (size, 2)),
        rewards=rng.normal(0.3, 1.0, size),
        costs=rng.integers(0, 3, size),
        terminals=ends & (rng.random(size) < 0.5),
        timeouts=ends,
    )


some_data = st.builds(
    made_up, st.lists(st.integers(1, HORIZON), min_size=1, max_size=6), st.integers(0, 1000)
)


def built(config=SMALL, data=None, seed=0, cls=GAS, horizon=HORIZON, **options):
    data = data or made_up([12, 3, 7, 12, 1, 9])
    gas = cls(Problem.of(data, horizon), replace(config, **options), seed=seed)
    with gas.random():
        gas.prepare(data)
    return gas


def trained(gas, updates, data=None):
    for _ in gas.fit(data or made_up([12, 3, 7, 12, 1, 9]), updates):
        pass
    return gas


def check_episodes_alone(gas):
    """Episodes that act together act as each would alone."""
    limits = torch.tensor([0.0, 4.0, 9.0])
    together = gas.policy(limits)
    alone = [gas.policy(limits[[e]]) for e in range(3)]
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        observations = torch.randn(3, 2, generator=generator)
        rewards, costs = torch.rand(2, 3, generator=generator)
        rows = torch.randperm(3, generator=generator)
        acted = together.act(observations[rows], rows)
        together.observe(rewards[rows], costs[rows], rows)
        for e, action in zip(rows.tolist(), acted, strict=True):
            own = alone[e].act(observations[[e]], torch.tensor([0]))[0]
            alone[e].observe(rewards[[e]], costs[[e]], torch.tensor([0]))
            torch.testing.assert_close(action, own, atol=1e-6, rtol=0)


def play(method, limit, steps, state, outcome):
    """Return and cost of an episode in a little world.

    `state(t)` is what is observed at step t, `outcome(t, action)` the reward and cost of it.
    """
    policy, row, total = method.policy(torch.tensor([limit])), torch.tensor([0]), np.zeros(2)
    for step in range(steps):
        action = policy.act(torch.tensor([state(step)]), row).item()
        received = outcome(step, action)
        total += received
        policy.observe(*(torch.tensor([value]) for value in received), row)
    return total.tolist()


def batch_of(seed, size=24):
    """Segments, conditioning and goals of no network, with advantages and masks of both kinds."""
    torch.manual_seed(seed)
    segments = Segments(
        torch.randn(size, 2),
        torch.rand(size, 2) * 2 - 1,
        torch.randn(size),
        torch.rand(size),
        torch.rand(size),
        torch.zeros(size),
    )
    conditioning = Conditioning(
        segments.observations, torch.randn(size), segments.costs + torch.rand(size), segments.steps
    )
    return segments, conditioning, Goals(torch.randn(size), torch.rand(size) * 2)
