"""What a method costs: time, updates a second, memory, from the trainings that are finished."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.report.statistics import NAN


@dataclass(frozen=True)
class Cost:
    """What one method's trainings took; NaN where it was not written down."""

    method: str
    trainings: int
    """Finished ones, of the `of` that there should be."""
    of: int
    updates: tuple[int, int]
    """Fewest and most of a training."""
    train_seconds: float = NAN
    """Mean of a training."""
    updates_per_second: float = NAN
    """All updates over all the time that they took."""
    evaluation_seconds: float = NAN
    """Mean of a training's evaluations at all its limits."""
    peak_memory_mb: float = NAN
    """The largest of any training: on a GPU the device's, otherwise the process's."""
    devices: tuple[str, ...] = ()


def costs(trainings: pd.DataFrame) -> list[Cost]:
    """One of each method in `trainings` (`frame.TRAININGS`), by name."""
    return [_cost(str(method), own) for method, own in trainings.groupby("algorithm")]


def _cost(method: str, own: pd.DataFrame) -> Cost:
    done = own[own["status"] == "finished"]
    timed = done[done["update_seconds"] > 0]
    seconds = float(timed["update_seconds"].sum())
    return Cost(
        method,
        trainings=len(done),
        of=len(own),
        updates=(int(own["updates"].min()), int(own["updates"].max())),
        train_seconds=_mean(done["train_seconds"]),
        updates_per_second=float(timed["updates"].sum()) / seconds if seconds else NAN,
        evaluation_seconds=_mean(done["evaluation_seconds"]),
        peak_memory_mb=float(done["peak_memory_mb"].max()) if len(done) else NAN,
        devices=tuple(sorted({one for one in done["device"] if one})),
    )


def _mean(values: pd.Series) -> float:
    known = values.dropna().to_numpy(dtype=np.float64)
    return float(known.mean()) if len(known) else NAN
