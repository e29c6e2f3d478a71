"""Resource usage of methods: time, updates per second and memory of their finished trainings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.report.resampling import NAN


@dataclass(frozen=True)
class ResourceUsage:
    """Resource usage of one method's trainings; NaN where it was not recorded."""

    method: str
    trainings: int
    """Finished trainings, among the `of` expected ones."""
    of: int
    updates: tuple[int, int]
    """Smallest and largest number of updates of a training."""
    train_seconds: float = NAN
    """Mean over the trainings."""
    updates_per_second: float = NAN
    """All updates divided by their total time."""
    evaluation_seconds: float = NAN
    """Mean over the trainings, each evaluated at all its limits."""
    peak_memory_mb: float = NAN
    """Maximum over the trainings: GPU memory on a GPU, otherwise memory of the process."""
    devices: tuple[str, ...] = ()
    all_limits_seconds: float = NAN
    """Mean over tasks and seeds: the time of all trainings that serve the limits of one."""


def resource_usage(trainings: pd.DataFrame) -> list[ResourceUsage]:
    """The usage of each method in `trainings` (`frame.TRAININGS`), by name."""
    return [_usage(str(method), rows) for method, rows in trainings.groupby("algorithm")]


def _usage(method: str, rows: pd.DataFrame) -> ResourceUsage:
    done = rows[rows["status"] == "finished"]
    timed = done[done["update_seconds"] > 0]
    seconds = float(timed["update_seconds"].sum())
    return ResourceUsage(
        method,
        trainings=len(done),
        of=len(rows),
        updates=(int(rows["updates"].min()), int(rows["updates"].max())),
        train_seconds=_mean(done["train_seconds"]),
        updates_per_second=float(timed["updates"].sum()) / seconds if seconds else NAN,
        evaluation_seconds=_mean(done["evaluation_seconds"]),
        peak_memory_mb=float(done["peak_memory_mb"].max()) if len(done) else NAN,
        devices=tuple(sorted({device for device in done["device"] if device})),
        all_limits_seconds=_for_all_limits(rows),
    )


def _for_all_limits(rows: pd.DataFrame) -> float:
    """The mean over tasks and seeds whose trainings are all finished and timed."""
    sums = [
        float(of_seed["train_seconds"].sum())
        for _, of_seed in rows.groupby(["task", "seed"])
        if (of_seed["status"] == "finished").all() and of_seed["train_seconds"].notna().all()
    ]
    return float(np.mean(sums)) if sums else NAN


def _mean(values: pd.Series) -> float:
    recorded = values.dropna().to_numpy(dtype=np.float64)
    return float(recorded.mean()) if len(recorded) else NAN
