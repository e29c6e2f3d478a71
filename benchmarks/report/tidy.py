"""The leaderboard as tidy tables in full precision, for other programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common.errors import UserError
from benchmarks.report.board import Board
from benchmarks.report.learning import LearningCurve
from benchmarks.report.metrics import METRICS
from benchmarks.report.profiles import COSTS, REWARDS, Profile
from benchmarks.report.statistics import Cell, Standing

CELLS = (
    *("algorithm", "task", "limit", "fraction", "reward", "reward_std", "cost", "cost_std"),
    *("safe", "seeds", "episodes", "mean_return", "mean_cost", "status"),
)
"""Columns of the table `leaderboard`: fields of `statistics.Cell`."""


def tidy(board: Board) -> dict[str, pd.DataFrame]:
    """Every table of the report by name; NaN where a figure is missing."""
    optional = {"learning": _learning(board.learning)} if board.learning else {}
    return optional | {
        "leaderboard": leaderboard(board.table),
        "overall": overall(board.ranking),
        "limits": _frame(
            ("algorithm", "limit", "fraction", "reward", "cost", "safe", "cells", "of", "lost"),
            (
                [m.algorithm, *_setting(m.setting), m.reward, m.cost, m.safe, m.cells, m.of, m.lost]
                for m in board.means
            ),
        ),
        "comparison": _frame(
            ("algorithm", "other", "probability", "low", "high", "cells", "of"),
            (
                [pair.method, pair.other, pair.probability, *pair.interval, pair.cells, pair.of]
                for pair in board.improvements
            ),
        ),
        "ranks": _frame(
            ("algorithm", "rank", "cells", "of"),
            ([rank.method, rank.rank, rank.cells, rank.of] for rank in board.ranks),
        ),
        "both-safe": _frame(
            ("algorithm", "other", "reward", "other_reward", "safe", "cells", "of"),
            (
                [
                    *(pair.method, pair.other, pair.reward, pair.other_reward),
                    *(pair.safe, pair.cells, pair.of),
                ]
                for pair in board.both_safe
            ),
        ),
        "costs": _frame(
            (
                *("algorithm", "trainings", "of", "fewest_updates", "most_updates"),
                *("train_seconds", "updates_per_second", "evaluation_seconds", "peak_memory_mb"),
                *("devices", "all_limits_seconds"),
            ),
            (
                [
                    *(usage.method, usage.trainings, usage.of, *usage.updates),
                    *(usage.train_seconds, usage.updates_per_second, usage.evaluation_seconds),
                    *(usage.peak_memory_mb, "; ".join(usage.devices), usage.all_limits_seconds),
                ]
                for usage in board.usage
            ),
        ),
        "profiles": _frame(
            ("algorithm", "score", "threshold", "share", "low", "high"),
            (row for profile in board.profiles for row in _profile(profile)),
        ),
        "variants": _variants(board),
        "published": _published(board),
    }


def leaderboard(table: Sequence[Cell]) -> pd.DataFrame:
    """The cells, with the columns `CELLS`."""
    return _frame(CELLS, ([getattr(cell, name) for name in CELLS] for cell in table))


def csv(frame: pd.DataFrame) -> bytes:
    """A table as CSV; NaN is empty."""
    return frame.to_csv(index=False, lineterminator="\n").encode()


def require_parquet() -> None:
    """Raise `UserError` if pyarrow, which writes Parquet, cannot be imported."""
    try:
        import pyarrow  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"--format parquet needs pyarrow ({' '.join(str(error).split())}): "
            "pip install -e '.[parquet]', or use --format csv"
        ) from None


def parquet(frame: pd.DataFrame) -> bytes:
    """A table as Parquet; `UserError` if pyarrow cannot be imported."""
    require_parquet()
    buffer = BytesIO()
    frame.to_parquet(buffer, engine="pyarrow", index=False)
    return buffer.getvalue()


def _frame(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> pd.DataFrame:
    return pd.DataFrame([list(row) for row in rows], columns=list(columns))


def _setting(setting: tuple[bool, float]) -> tuple[float, float]:
    """The absolute limit and the fraction; one of them is NaN."""
    absolute, value = setting
    return (value, np.nan) if absolute else (np.nan, value)


def overall(ranking: Sequence[Standing]) -> pd.DataFrame:
    """The table `overall`: each metric and its interval, and the counts behind them."""
    counts = ("safe_runs", "runs", "safe", "cells", "of", "lost")
    rows: list[Mapping[str, Any]] = []
    for standing in ranking:
        row: dict[str, Any] = {"algorithm": standing.algorithm}
        for name in (metric.name for metric in METRICS):
            low, high = standing.intervals[name]
            row |= {name: standing.metrics[name], f"{name}_low": low, f"{name}_high": high}
        row |= {name: getattr(standing, name) for name in counts}
        rows.append(row | {"fewest_seeds": standing.seeds[0], "most_seeds": standing.seeds[1]})
    return pd.DataFrame(rows)


def _profile(profile: Profile) -> Iterable[list[Any]]:
    for score, thresholds, columns in (
        ("reward", REWARDS, (profile.reward, profile.reward_low, profile.reward_high)),
        ("cost", COSTS, (profile.cost, profile.cost_low, profile.cost_high)),
    ):
        for threshold, *values in zip(thresholds, *columns, strict=True):
            yield [profile.method, score, threshold, *values]


def _learning(curves: Sequence[LearningCurve]) -> pd.DataFrame:
    return _frame(
        ("algorithm", "task", "updates", "reward", "cost", "safe"),
        (
            [curve.method, curve.task, *values]
            for curve in curves
            for values in zip(curve.updates, curve.reward, curve.cost, curve.safe, strict=True)
        ),
    )


def _variants(board: Board) -> pd.DataFrame:
    columns = ["algorithm", "base", "cells", "of", "changed"]
    figures = ("reward", "cost", "safe_cells")
    for name in figures:
        columns += [f"base_{name}", name, f"{name}_low", f"{name}_high"]
    rows = []
    for family in board.families:
        for variant in family.variants:
            difference = variant.difference
            row: list[Any] = [variant.label, family.base]
            row += [difference.cells, difference.of, difference.changed]
            for name in figures:
                change = getattr(difference, name)
                row += [change.before, change.after, *change.interval]
            rows.append(row)
    return _frame(columns, rows)


def _published(board: Board) -> pd.DataFrame:
    columns = (
        *("algorithm", "task", "limits", "reward", "reward_low", "reward_high"),
        *("published_reward", "cost", "cost_low", "cost_high", "published_cost"),
        *("paper", "source", "protocol"),
    )
    return _frame(
        columns,
        (
            [
                *(match.method, match.theirs.task, " ".join(map(str, match.theirs.limits))),
                *(match.reward, *match.intervals["reward"], match.theirs.reward),
                *(match.cost, *match.intervals["cost"], match.theirs.cost),
                *(match.theirs.paper, match.theirs.source, match.theirs.protocol),
            ]
            for match in board.matches
        ),
    )
