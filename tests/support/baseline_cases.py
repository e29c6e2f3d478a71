"""Small data and small networks for the tests of the baselines."""

from functools import cache

import numpy as np

from baselines.bc import BCAll, BCFrontier, BCSafe
from baselines.bcq_lag import BCQLag
from baselines.bear_lag import BEARLag
from baselines.cdt import CDT
from baselines.coptidice import COptiDICE, COptiDICEPerStep
from baselines.cpq import CPQ, CPQPenalised
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import Problem

HORIZON = 24
LIMIT = 7.0
SMALL = {
    BCAll: {"batch": 16, "hidden": 16},
    BCSafe: {"batch": 16, "hidden": 16},
    BCFrontier: {"batch": 16, "hidden": 16},
    CPQ: {"batch": 16, "hidden": 16, "vae_hidden": 16, "skip_inert_penalty": False},
    CPQPenalised: {"batch": 16, "hidden": 16, "vae_hidden": 16},
    COptiDICE: {"batch": 16, "hidden": 16},
    COptiDICEPerStep: {"batch": 16, "hidden": 16},
    BCQLag: {"batch": 16, "hidden": 16, "vae_hidden": 16},
    BEARLag: {"batch": 16, "hidden": 16, "vae_hidden": 16},
    CDT: {"batch": 8, "seq_len": 5, "embedding_dim": 16, "num_layers": 2, "num_heads": 2},
}


METHODS = list(SMALL)


@cache
def small_data(episodes=30, seed=0):
    """Episodes of different lengths, up to HORIZON, whose cost and return rise together."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, HORIZON + 1, episodes)
    level = np.repeat(rng.random(episodes), lengths)
    size = lengths.sum()
    ends = np.zeros(size, dtype=bool)
    ends[np.cumsum(lengths) - 1] = True
    return Trajectories.from_arrays(
        rng.normal(size=(size, 3)),
        rng.uniform(-1.0, 1.0, (size, 2)),
        3.0 * level + rng.normal(size=size),
        rng.random(size) < level,
        ends & (rng.random(size) < 0.5),
        ends,
    )


def build(cls, data=None, limit=LIMIT, **options):
    """A method of `cls` in its small size, prepared on `data`."""
    data = data or small_data()
    algorithm = cls(
        Problem.of(data, HORIZON),
        cls.config_class(**{**SMALL[cls], **options}),
        limit=limit if cls.trains_per_limit else None,
        seed=3,
    )
    with algorithm.random():
        algorithm.prepare(data)
    return algorithm


def train(algorithm, updates):
    for _ in algorithm.fit(small_data(), updates):
        pass
    return algorithm


def drawn_from(algorithm, data):
    """Episodes of `data` whose actions come up in 60 batches."""
    episode = {
        tuple(a): e for e in range(len(data)) for a in data.actions[slice(*data.starts[e:][:2])]
    }
    return {episode[tuple(a.numpy())] for _ in range(60) for a in algorithm.sampler().actions}
