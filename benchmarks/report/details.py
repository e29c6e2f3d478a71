"""What is known of the trainings behind a leaderboard, and what a reader must be told of it."""

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
"""Cost and return of the trajectories of the data that none dominates; both rise."""
_POINTS = 40
"""Of a training's curve that are kept: enough for a picture a column wide."""


def no_trainings() -> pd.DataFrame:
    """A frame of trainings without rows."""
    return validate_trainings(pd.DataFrame(columns=list(TRAININGS)))


@dataclass(frozen=True)
class Details:
    """The trainings, with the columns of `frame.TRAININGS`, and each task's data frontier."""

    trainings: pd.DataFrame = field(default_factory=no_trainings)
    frontiers: Mapping[str, Frontier] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """A compressed JSON file; equal details give equal bytes."""
        rows = [
            {name: None if pd.isna(value) else value for name, value in row.items()}
            for row in self.trainings.to_dict("records")
        ]
        content = {"frontiers": dict(sorted(self.frontiers.items())), "trainings": rows}
        text = json.dumps(content, separators=(",", ":"), allow_nan=False)
        return gzip.compress(text.encode(), mtime=0)  # the time would make every writing differ

    @staticmethod
    def from_bytes(content: bytes) -> Details:
        """The details that `to_bytes` wrote; `ValueError` for other content."""
        try:
            stored = json.loads(gzip.decompress(content))
            trainings = pd.DataFrame(stored["trainings"], columns=list(TRAININGS))
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
class Evidence:
    """All that one leaderboard is made of, with the columns of `benchmarks.report.frame`."""

    title: str
    budget: str
    episodes: pd.DataFrame
    missing: pd.DataFrame
    details: Details


def thinned(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A training's curve as JSON, from the words of its table: lists by column.

    At most 40 points, the last one among them, four digits; null where a word is no number.
    """
    step = max(1, -(-len(rows) // _POINTS))
    chosen = rows[(len(rows) - 1) % step :: step] if rows else []
    columns = {name: [_short(row[i]) for row in chosen] for i, name in enumerate(names)}
    return json.dumps(columns, separators=(",", ":"))


def _short(word: str) -> float | None:
    """Four digits, but whole numbers whole; None where JSON has no such number."""
    try:
        value = float(word)
    except ValueError:
        return None
    if value.is_integer():
        return value
    return float(f"{value:.4g}") if abs(value) < math.inf else None


def mixtures(trainings: pd.DataFrame, episodes: pd.DataFrame) -> list[str]:
    """A line for each thing that the table mixes and should not; none where all is one.

    Several sources, data files or scales of a task are refused before
    (`benchmarks.report.frame.validate`).
    """
    lines = []
    budgets = _holders(zip(episodes["budget"], episodes["algorithm"], strict=True))
    if len(budgets) > 1:
        lines.append(f"mixes budgets: {_told(budgets)}")
    done = trainings[trainings["status"] == "finished"]
    recorded = done[done["commit"] != ""]
    lines += _unrecorded(done, recorded)
    commits = _holders(
        (one[:12], method)
        for method, commit in zip(recorded["algorithm"], recorded["commit"], strict=True)
        for one in commit.split()
    )
    if len(commits) > 1:
        lines.append(f"mixes commits: {_told(commits)}")
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
        lines.append(f"mixes devices, so that run times do not compare: {_told(devices)}")
    for method, own in trainings.groupby("algorithm"):
        updates = sorted(set(own["updates"]))
        if len(updates) > 1:
            lines.append(f"mixes numbers of updates of {method}: {', '.join(map(str, updates))}")
        for task, here in own.groupby("task"):  # a method may have options of its own on a task
            configs = {json.dumps(_object(text), sort_keys=True) for text in here["config"]}
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
    found: dict[str, list[tuple[str, str]]] = {}
    for method, text in zip(done["algorithm"], done["versions"], strict=True):
        for package, version in _object(text).items():
            found.setdefault(package, []).append((str(version), method))
    lines = []
    for package, pairs in sorted(found.items()):
        holders = _holders(pairs)
        if len(holders) > 1:
            lines.append(f"mixes versions of {package}: {_told(holders)}")
    return lines


def _holders(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The methods that hold each value, both sorted."""
    found: dict[str, set[str]] = {}
    for value, method in pairs:
        found.setdefault(value, set()).add(method)
    return {value: sorted(found[value]) for value in sorted(found)}


def _told(holders: Mapping[str, Sequence[str]]) -> str:
    return " and ".join(f"{value} ({', '.join(names)})" for value, names in holders.items())


def _object(text: str) -> dict[str, Any]:
    """A JSON object; nothing where the text is none."""
    try:
        content = json.loads(text or "{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
