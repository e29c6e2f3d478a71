"""The trainings behind a leaderboard, and warnings about conditions that they mix."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from benchmarks.common.errors import UserError
from benchmarks.report.frame import TRAININGS, validate_trainings

Frontier = Sequence[tuple[float, float]]
"""Pareto frontier of the data as (cost, return), both rising."""
NO_EVALUATIONS = "{}"
_POINTS = 40
"""Stored points of a learning curve: enough for a figure one column wide."""


def no_trainings() -> pd.DataFrame:
    """A frame of trainings without rows."""
    return validate_trainings(pd.DataFrame(columns=list(TRAININGS)))


@dataclass(frozen=True)
class Details:
    """The trainings, with the columns of `frame.TRAININGS`, and each task's data frontier."""

    trainings: pd.DataFrame = field(default_factory=no_trainings)
    frontiers: Mapping[str, Frontier] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Encode as compressed JSON; equal details give equal bytes."""
        rows = [
            {name: None if pd.isna(value) else value for name, value in row.items()}
            for row in self.trainings.to_dict("records")
        ]
        for row in rows:
            if row["evaluations"] == NO_EVALUATIONS:
                del row["evaluations"]  # as in files of before there were any
        content = {"frontiers": dict(sorted(self.frontiers.items())), "trainings": rows}
        text = json.dumps(content, separators=(",", ":"), allow_nan=False)
        return gzip.compress(text.encode(), mtime=0)  # without a time stamp, for equal bytes

    @staticmethod
    def from_bytes(content: bytes) -> Details:
        """Decode the bytes of `to_bytes`; `ValueError` for other content."""
        try:
            stored = json.loads(gzip.decompress(content))
            rows = [{"evaluations": NO_EVALUATIONS, **row} for row in stored["trainings"]]
            trainings = pd.DataFrame(rows, columns=list(TRAININGS))
            frontiers = {
                str(task): [(float(cost), float(value)) for cost, value in points]
                for task, points in stored["frontiers"].items()
            }
            return Details(validate_trainings(trainings), frontiers)
        except (
            *(OSError, EOFError, ValueError, KeyError, TypeError, AttributeError),
            *(zlib.error, UserError),
        ) as error:
            raise ValueError(str(error)) from None


@dataclass(frozen=True)
class LeaderboardData:
    """The input of one leaderboard; frames have the columns of `benchmarks.report.frame`."""

    title: str
    budget: str
    episodes: pd.DataFrame
    missing: pd.DataFrame
    details: Details


def thin_curve(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A learning curve as JSON with one list for each column, from the text of its table.

    At most 40 points including the last one, with four digits; null for text that is no number.
    """
    step = max(1, -(-len(rows) // _POINTS))
    chosen = rows[(len(rows) - 1) % step :: step] if rows else []
    columns = {name: [_short(row[i]) for row in chosen] for i, name in enumerate(names)}
    return json.dumps(columns, separators=(",", ":"))


def _short(word: str) -> float | None:
    """A number with four digits, or all digits of a whole number; None if JSON cannot hold it."""
    try:
        value = float(word)
    except ValueError:
        return None
    if value.is_integer():
        return value
    return float(f"{value:.4g}") if abs(value) < math.inf else None


def mixtures(trainings: pd.DataFrame, episodes: pd.DataFrame) -> list[str]:
    """A warning for each condition that differs between trainings of the table.

    `benchmarks.report.frame.validate` already rejects several sources, data files or return ranges
    of one task.
    """
    lines = []
    budgets = _holders(zip(episodes["budget"], episodes["algorithm"], strict=True))
    if len(budgets) > 1:
        lines.append(f"mixes budgets: {_format_holders(budgets)}")
    done = trainings[trainings["status"] == "finished"]
    recorded = done[done["commit"] != ""]
    lines += _unrecorded(done, recorded)
    commits = _holders(
        (sha[:12], method)
        for method, commit in zip(recorded["algorithm"], recorded["commit"], strict=True)
        for sha in commit.split()
    )
    if len(commits) > 1:
        lines.append(f"mixes commits: {_format_holders(commits)}")
    dirty = sorted(set(recorded.loc[recorded["dirty"] == "yes", "algorithm"]))
    if dirty:
        lines.append(f"made by code that differed from its commit: {', '.join(dirty)}")
    lines += _mixed_versions(done)
    devices = _holders(
        (device, method)
        for method, device in zip(done["algorithm"], done["device"], strict=True)
        if device
    )
    if len(devices) > 1:
        lines.append(f"mixes devices, so that run times do not compare: {_format_holders(devices)}")
    for method, rows in trainings.groupby("algorithm"):
        updates = sorted(set(rows["updates"]))
        if len(updates) > 1:
            lines.append(f"mixes numbers of updates of {method}: {', '.join(map(str, updates))}")
        for task, on_task in rows.groupby("task"):  # a method may use other options on another task
            configs = {json.dumps(_object(text), sort_keys=True) for text in on_task["config"]}
            if len(configs) > 1:
                lines.append(f"mixes {len(configs)} sets of options of {method} on {task}")
    return lines


def _unrecorded(done: pd.DataFrame, recorded: pd.DataFrame) -> list[str]:
    if len(recorded) == len(done) or done.empty:
        return []
    if recorded.empty:
        return ["commit and packages were not recorded when these results were made"]
    names = ", ".join(sorted(set(done.loc[done["commit"] == "", "algorithm"])))
    return [f"mixes trainings with and without a recorded commit: without are some of {names}"]


def _mixed_versions(done: pd.DataFrame) -> list[str]:
    by_package: dict[str, list[tuple[str, str]]] = {}
    for method, text in zip(done["algorithm"], done["versions"], strict=True):
        for package, version in _object(text).items():
            by_package.setdefault(package, []).append((str(version), method))
    lines = []
    for package, pairs in sorted(by_package.items()):
        holders = _holders(pairs)
        if len(holders) > 1:
            lines.append(f"mixes versions of {package}: {_format_holders(holders)}")
    return lines


def _holders(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The methods with each value, both sorted."""
    methods: dict[str, set[str]] = {}
    for value, method in pairs:
        methods.setdefault(value, set()).add(method)
    return {value: sorted(methods[value]) for value in sorted(methods)}


def _format_holders(holders: Mapping[str, Sequence[str]]) -> str:
    return " and ".join(f"{value} ({', '.join(names)})" for value, names in holders.items())


def _object(text: str) -> dict[str, Any]:
    """A JSON object; empty for other text."""
    try:
        content = json.loads(text or "{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
