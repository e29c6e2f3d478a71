"""Performance profiles: the share of runs that reach a score, as a function of the score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.report.resampling import SAFE, Floats, share_bands, strata_of

REWARDS = np.round(np.linspace(0.0, 1.2, 61), 9)
COSTS = np.round(np.linspace(0.0, 3.0, 61), 9)
RESAMPLES = 5_000
"""Resamples of the bands: fewer than of intervals, as bands are only plotted."""


@dataclass(frozen=True)
class Profile:
    """A method's shares of runs: above each reward of `REWARDS`, within each cost of `COSTS`.

    At a cost of 1 this is the share of safe runs. Bands are pointwise 95% intervals, NaN if a cell
    has fewer than two seeds.
    """

    method: str
    reward: Floats
    reward_low: Floats
    reward_high: Floats
    cost: Floats
    cost_low: Floats
    cost_high: Floats


def profiles(runs: pd.DataFrame) -> list[Profile]:
    """The profile of each method in `runs` (`statistics.run_scores`), by name."""
    return [_profile(str(name), rows) for name, rows in runs.groupby("algorithm")]


def _profile(method: str, runs: pd.DataFrame) -> Profile:
    strata = strata_of(runs)
    reward, cost = runs["reward"].to_numpy(), runs["cost"].to_numpy()
    bounds = COSTS * SAFE  # with the tolerance of a safe cost
    above = 1.0 - (reward[:, None] <= REWARDS).mean(axis=0)
    within = (cost[:, None] <= bounds).mean(axis=0)
    no_band = np.full(len(REWARDS), np.nan)
    bands = [no_band] * 4
    if min(len(stratum.scores) for stratum in strata) > 1:
        low, high = share_bands(strata, 0, REWARDS, RESAMPLES)
        bands = [1.0 - high, 1.0 - low, *share_bands(strata, 1, bounds, RESAMPLES)]
    return Profile(method, above, bands[0], bands[1], within, bands[2], bands[3])
