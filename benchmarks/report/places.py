"""The ranks of the overall table, with intervals: who is clearly before whom.

The seeds of every method are resampled (`resampling`), independently of the other methods'. In each
resample the methods are ordered as in the overall table, by the share of safe cells, then by the
reward of the safe cells; methods without a safe cell are equal and last. A method is clearly better
than another if it comes before it in at least 97.5% of the resamples. A method's rank is 1 plus the
number of methods that are clearly better, so that methods which the seeds cannot tell apart share a
rank. Its interval holds its place in 95% of the resamples. This is the bootstrap for ranks, without
a correction for the number of comparisons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.report.resampling import Floats, Resamples, strata_of
from benchmarks.report.statistics import Standing

CLEARLY = 0.975
"""Share of the resamples in which a method must come before another to be clearly better."""


@dataclass(frozen=True)
class Rank:
    """A method's rank in the overall table; `low` and `high` are 0 without an interval."""

    method: str
    rank: int
    tied: bool
    """Whether another method has the same rank."""
    low: int = 0
    high: int = 0


def ranks(
    runs: pd.DataFrame, ranking: Sequence[Standing], resamples: int = 5_000
) -> dict[str, Rank]:
    """The rank of each method of `ranking`, whose `run_scores` are `runs`; methods without a run
    have none.

    Without two seeds or more in every cell of every method, ranks follow from the figures alone:
    equal figures share a rank, and there is no interval.
    """
    rows = [row for row in ranking if row.cells]
    if not rows:
        return {}
    enough = all(row.seeds[0] > 1 for row in rows)
    if enough:
        scores = [
            # Streams are numbered by the order of the table, so that names do not matter.
            _resampled(runs[runs["algorithm"] == row.algorithm], resamples, i)
            for i, row in enumerate(rows, start=1)
        ]
        shares, rewards = (np.stack([score[k] for score in scores]) for k in (0, 1))
    else:
        shares, rewards = (
            np.array([[row.metrics[name]] for row in rows])
            for name in ("safe_cells", "safe_cell_reward")
        )
    clearly = np.zeros((len(rows), len(rows)), dtype=bool)
    places = np.ones(shares.shape)
    for i in range(len(rows)):
        # Without a safe cell the share is 0 and the reward NaN, which is above nothing.
        before = (shares[i] > shares) | ((shares[i] == shares) & (rewards[i] > rewards))
        clearly[i] = before.mean(axis=1) >= CLEARLY
        places += before
    numbers = 1 + clearly.sum(axis=0)
    low = np.quantile(places, 0.025, axis=1, method="lower") if enough else np.zeros(len(rows))
    high = np.quantile(places, 0.975, axis=1, method="higher") if enough else low
    return {
        row.algorithm: Rank(
            row.algorithm,
            int(numbers[i]),
            bool((numbers == numbers[i]).sum() > 1),
            int(low[i]),
            int(high[i]),
        )
        for i, row in enumerate(rows)
    }


def _resampled(runs: pd.DataFrame, resamples: int, seed: int) -> tuple[Floats, Floats]:
    """Share and reward of one method's safe cells in each resample."""
    drawn = Resamples(strata_of(runs), resamples, seed)
    return drawn.safe_cells(), drawn.safe_cell_reward()
