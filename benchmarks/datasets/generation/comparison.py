"""Generated sets beside the published ones, as a table of figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.datasets.generation.rollouts import published_trajectories
from benchmarks.tasks.tasks import TASKS

_SHARES = (10, 50, 90)
"""Cost limits, in percent of the task's maximum cost, at which the best return is shown."""


def comparison_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a row a task of the suites, each cell "published / generated" where both are known.

    `figures` are those that `generate --record` keeps. The published side holds the constants of
    `tasks.csv`; DSRL publishes no best return within a cost.
    """
    header = ["task", "trajectories", "largest cost", "least return", "largest return"]
    header += [f"best within {share}%" for share in _SHARES]
    rows = [header, ["---", *["---:"] * (len(header) - 1)]]
    for task in TASKS.values():
        made = figures[task.name]
        pairs = [
            (published_trajectories(task), made["episodes"]),
            (task.max_cost, made["max_cost"]),
            (task.min_return, made["min_return"]),
            (task.max_return, made["max_return"]),
        ]
        within = [made["best_within"][share // 10 - 1] for share in _SHARES]
        cells = [f"{_number(published)} / {_number(own)}" for published, own in pairs]
        rows.append([task.name, *cells, *map(_number, within)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.1f}"
