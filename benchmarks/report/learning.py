"""Learning curves of evaluated reward and cost: evaluations during trainings and after them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.report.details import NO_EVALUATIONS
from benchmarks.report.frame import ordered_tasks
from benchmarks.report.resampling import SAFE
from benchmarks.report.statistics import normalised_cost, normalised_reward

COLUMNS = ["algorithm", "task", "limit", "seed", "updates", "reward", "cost"]


@dataclass(frozen=True)
class LearningCurve:
    """One method on one task: means over limits and seeds after so many updates."""

    method: str
    task: str
    updates: list[int]
    reward: list[float]
    """Mean normalised reward."""
    cost: list[float]
    """Mean normalised cost."""
    safe: list[float]
    """Share of the limits whose mean normalised cost over the seeds is at most 1."""


def learning_scores(trainings: pd.DataFrame, episodes: pd.DataFrame) -> pd.DataFrame:
    """Normalised reward and cost of each run during its training and at its end: `COLUMNS`.

    `trainings` and `episodes` are validated frames. Trainings without evaluations on the way have
    no rows.
    """
    ranges = episodes.groupby("task")[["min_return", "max_return"]].first()
    parts = []
    watched = ~trainings["evaluations"].isin(["", NO_EVALUATIONS]) & trainings["task"].isin(
        ranges.index
    )
    for row in trainings[watched & (trainings["status"] == "finished")].to_dict("records"):
        low, high = ranges.loc[row["task"]]
        during = pd.DataFrame(json.loads(row["evaluations"]))
        own = episodes[
            (episodes["algorithm"] == row["algorithm"]) & (episodes["task"] == row["task"])
        ]
        own = own[(own["seed"] == row["seed"]) & own["limit"].isin(during["limit"])]
        ends = own.groupby("limit", as_index=False).agg(
            mean_return=("episode_return", "mean"), mean_cost=("episode_cost", "mean")
        )
        both = pd.concat([during, ends.assign(updates=row["updates"])])
        parts.append(
            pd.DataFrame(
                {
                    "algorithm": row["algorithm"],
                    "task": row["task"],
                    "limit": both["limit"],
                    "seed": row["seed"],
                    "updates": both["updates"].astype(int),
                    "reward": normalised_reward(both["mean_return"], low, high),
                    "cost": normalised_cost(both["mean_cost"], both["limit"]),
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def learning_curves(scores: pd.DataFrame) -> list[LearningCurve]:
    """The curve of each method on each task, tasks in their order.

    Numbers of updates that a limit or seed of the method lacks are left out.
    """
    curves = []
    for task in ordered_tasks(scores["task"]):
        for method, rows in scores[scores["task"] == task].groupby("algorithm"):
            runs = len(rows[["limit", "seed"]].drop_duplicates())
            whole = [n for n, at in rows.groupby("updates") if len(at) == runs]
            rows = rows[rows["updates"].isin(whole)]
            means = rows.groupby("updates")[["reward", "cost"]].mean()
            by_limit = rows.groupby(["updates", "limit"])["cost"].mean()
            safe = (by_limit <= SAFE).groupby("updates").mean()
            curves.append(
                LearningCurve(
                    str(method),
                    task,
                    [int(n) for n in means.index],
                    means["reward"].tolist(),
                    means["cost"].tolist(),
                    np.asarray(safe, dtype=np.float64).tolist(),
                )
            )
    return curves
