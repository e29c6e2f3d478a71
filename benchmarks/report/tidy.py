"""The leaderboard's figures as tidy tables, in full precision, for other programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common.errors import UserError
from benchmarks.report.board import Board
from benchmarks.report.profiles import COSTS, REWARDS, Profile
from benchmarks.report.statistics import Standing

CELLS = (
    *("algorithm", "task", "limit", "fraction", "reward", "reward_std", "cost", "cost_std"),
    *("safe", "seeds", "episodes", "mean_return", "mean_cost", "status"),
)
"""Columns of the table "leaderboard", fields of `statistics.Cell`."""
_INTERVALS = ("reward", "iqm", "cost", "safe_rate", "violation", "safe_reward")


def tidy(board: Board) -> dict[str, pd.DataFrame]:
    """Every table of the report by name, a row a figure or a few; NaN where there is none."""
    return {
        "leaderboard": _frame(CELLS, ([getattr(c, name) for name in CELLS] for c in board.table)),
        "overall": _overall(board.ranking),
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
                [one.method, one.other, one.probability, *one.interval, one.cells, one.of]
                for one in board.improvements
            ),
        ),
        "ranks": _frame(
            ("algorithm", "rank", "cells", "of"),
            ([one.method, one.rank, one.cells, one.of] for one in board.places),
        ),
        "both-safe": _frame(
            ("algorithm", "other", "reward", "other_reward", "safe", "cells", "of"),
            (
                [
                    *(one.method, one.other, one.reward, one.other_reward),
                    *(one.safe, one.cells, one.of),
                ]
                for one in board.both_safe
            ),
        ),
        "costs": _frame(
            (
                *("algorithm", "trainings", "of", "fewest_updates", "most_updates"),
                *("train_seconds", "updates_per_second", "evaluation_seconds", "peak_memory_mb"),
                "devices",
            ),
            (
                [
                    *(one.method, one.trainings, one.of, *one.updates, one.train_seconds),
                    *(one.updates_per_second, one.evaluation_seconds, one.peak_memory_mb),
                    "; ".join(one.devices),
                ]
                for one in board.costs
            ),
        ),
        "profiles": _frame(
            ("algorithm", "score", "threshold", "share", "low", "high"),
            (row for profile in board.profiles for row in _profile(profile)),
        ),
        "variants": _variants(board),
        "published": _published(board),
    }


def csv(frame: pd.DataFrame) -> bytes:
    """As CSV, empty where there is no figure."""
    return frame.to_csv(index=False, lineterminator="\n").encode()


def require_parquet() -> None:
    """Raise `UserError` where pyarrow, which writes Parquet, cannot be imported."""
    try:
        import pyarrow  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"--format parquet needs pyarrow ({' '.join(str(error).split())}): "
            "pip install -e '.[parquet]', or take --format csv"
        ) from None


def parquet(frame: pd.DataFrame) -> bytes:
    """As Parquet; `UserError` where pyarrow cannot be imported."""
    require_parquet()
    buffer = BytesIO()
    frame.to_parquet(buffer, engine="pyarrow", index=False)
    return buffer.getvalue()


def _frame(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> pd.DataFrame:
    return pd.DataFrame([list(row) for row in rows], columns=list(columns))


def _setting(setting: tuple[bool, float]) -> tuple[float, float]:
    """The absolute limit and the fraction, of which one is NaN."""
    absolute, value = setting
    return (value, np.nan) if absolute else (np.nan, value)


def _overall(ranking: Sequence[Standing]) -> pd.DataFrame:
    counts = ("safe_runs", "runs", "safe", "cells", "of", "lost")
    rows: list[Mapping[str, Any]] = []
    for one in ranking:
        row: dict[str, Any] = {"algorithm": one.algorithm}
        for name in _INTERVALS:
            low, high = getattr(one.intervals, name)
            row |= {name: getattr(one, name), f"{name}_low": low, f"{name}_high": high}
        row |= {name: getattr(one, name) for name in counts}
        rows.append(row | {"fewest_seeds": one.seeds[0], "most_seeds": one.seeds[1]})
    return pd.DataFrame(rows)


def _profile(profile: Profile) -> Iterable[list[Any]]:
    for score, thresholds, columns in (
        ("reward", REWARDS, (profile.reward, profile.reward_low, profile.reward_high)),
        ("cost", COSTS, (profile.cost, profile.cost_low, profile.cost_high)),
    ):
        for threshold, *values in zip(thresholds, *columns, strict=True):
            yield [profile.method, score, threshold, *values]


def _variants(board: Board) -> pd.DataFrame:
    columns = ["algorithm", "base", "cells", "of", "changed"]
    figures = ("reward", "cost", "safe_rate")
    for name in figures:
        columns += [f"base_{name}", name, f"{name}_low", f"{name}_high"]
    rows = []
    for family in board.families:
        for variant in family.variants:
            one = variant.difference
            row: list[Any] = [variant.label, family.base, one.cells, one.of, one.changed]
            for name in figures:
                change = getattr(one, name)
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
                *(one.method, one.theirs.task, " ".join(map(str, one.theirs.limits))),
                *(one.reward, *one.intervals.reward, one.theirs.reward),
                *(one.cost, *one.intervals.cost, one.theirs.cost),
                *(one.theirs.paper, one.theirs.source, one.theirs.protocol),
            ]
            for one in board.matches
        ),
    )
