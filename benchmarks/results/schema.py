"""The columns of `load_results`, described once; docs/results.md shows them."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.report.metrics import METRICS

_RUN = {
    "algorithm": "name of the method, with the options of a variant: `gas@alpha=0.9`",
    "task": "name of the task",
    "limit": "cost limit of an episode, in units of cost",
    "fraction": "the limit as a fraction of the task's maximum cost; NaN if it was given as a cost",
}
_SEED = {"seed": "seed of the training"}
_TRAINED = {
    **{name: _RUN[name] for name in ("algorithm", "task")},
    **_SEED,
    "train_limit": "cost limit that the training was for; NaN if it serves all limits",
}
_INTERVAL = "end of the 95% bootstrap interval; NaN where a cell has one seed"


def _overall() -> dict[str, str]:
    columns = {"algorithm": _RUN["algorithm"]}
    for metric in METRICS:
        columns[metric.name] = ": ".join(filter(None, [metric.header, metric.definition]))
        columns[f"{metric.name}_low"] = f"lower {_INTERVAL}"
        columns[f"{metric.name}_high"] = f"upper {_INTERVAL}"
    return columns | {
        "safe_runs": "runs whose mean normalised cost is at most 1",
        "runs": "runs (task, limit, seed) that are finished",
        "safe": "cells whose mean normalised cost is at most 1",
        "cells": "cells (task, limit) with a finished run",
        "of": "cells that were asked for",
        "lost": "runs missing or failed in the cells with a finished run",
        "fewest_seeds": "smallest number of seeds in a cell",
        "most_seeds": "largest number of seeds in a cell",
    }


TABLES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "episodes": (
        "One row for each evaluated episode.",
        {
            **_RUN,
            **_SEED,
            "episode": "number of the episode; equal numbers start alike for all methods",
            "episode_return": "sum of the rewards",
            "episode_cost": "sum of the costs",
            "length": "number of steps",
            "min_return": "R_min of the normalised reward (R - R_min) / (R_max - R_min)",
            "max_return": "R_max of the normalised reward",
            "source": "source of the training data: `dsrl`, `generated`, `own` or a folder's name",
            "checksum": "sha256 of the training data",
            "budget": "budget of the training, e.g. `standard`",
        },
    ),
    "cells": (
        "One row for each method, task and limit: means over episodes, then over seeds.",
        {
            **_RUN,
            "reward": "mean normalised reward",
            "reward_std": "its standard deviation over seeds (n - 1)",
            "cost": "mean normalised cost: cost / limit",
            "cost_std": "its standard deviation over seeds (n - 1)",
            "safe": "whether the normalised cost is at most 1",
            "seeds": "number of finished seeds",
            "episodes": "number of episodes of all seeds",
            "mean_return": "mean return of an episode",
            "mean_cost": "mean cost of an episode",
            "status": "`finished`, `partial`, `failed` or `missing`",
        },
    ),
    "overall": ("One row for each method, in the order of the leaderboard.", _overall()),
    "trainings": (
        "One row for each training.",
        {
            **_TRAINED,
            "key": "identity of the training: a hash of its method, options, data, seed and limit",
            "updates": "number of updates",
            "config": "all options, as JSON",
            "status": "`finished`, `failed` or `missing`",
            "reason": "why it failed or is missing",
            "traceback": "the failure's traceback",
            "train_seconds": "time of the training",
            "update_seconds": "time of its updates alone",
            "evaluation_seconds": "time of its evaluations",
            "peak_memory_mb": "peak memory, of the GPU if it ran on one",
            "device": "device of the training",
            "platform": "operating system and processor",
            "commit": "commit of this project; several if another one resumed the training",
            "dirty": "`yes` if files differed from the commit, `no`, or empty if unknown",
            "versions": "versions of the packages, as JSON",
            "command": "command that asked for the training",
        },
    ),
    "curves": (
        "One row for each training, logged number of updates and loss.",
        {
            **_TRAINED,
            "updates": "number of updates so far",
            "seconds": "time of the updates so far",
            "loss": "name of the loss",
            "value": "its value",
        },
    ),
    "learning": (
        "One row for each run and evaluation, during its training and at its end, where the run "
        "was asked to `--evaluate-every`.",
        {
            **{name: _RUN[name] for name in ("algorithm", "task", "limit")},
            **_SEED,
            "updates": "number of updates so far",
            "reward": "mean normalised reward of the episodes",
            "cost": "mean normalised cost of the episodes",
        },
    ),
    "missing": (
        "One row for each run that is missing or failed.",
        {
            **_RUN,
            **_SEED,
            "status": "`missing` or `failed`",
            "reason": "why",
        },
    ),
}
"""Each data frame of `benchmarks.results.api.Results`: what a row is, and its columns."""


def markdown() -> str:
    """Every data frame with a table of its columns, for the documents."""
    parts = []
    for table, (text, columns) in TABLES.items():
        rows = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in columns.items())
        parts.append(f"### {table}\n\n{text}\n\n| column | meaning |\n|---|---|\n{rows}")
    return "\n\n".join(parts)
