"""A method and its variants in one leaderboard: what each option changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.common.errors import UserError
from benchmarks.methods.variants import split, values
from benchmarks.report.compare import Variant, difference, order_of_options


@dataclass(frozen=True)
class Family:
    """A method, and its variants in order of their options."""

    base: str
    variants: Sequence[Variant]


@dataclass(frozen=True)
class Sweep:
    """A method along one option that is a number: its values, ascending, and what has them."""

    base: str
    option: str
    values: Sequence[float]
    labels: Sequence[str]


def families(runs: pd.DataFrame) -> list[Family]:
    """The methods of `run_scores` that have variants beside them, by name.

    Differences are over the cells that a variant and its base both have.
    """
    found: dict[str, list[Variant]] = {}
    by_method = {str(name): own for name, own in runs.groupby("algorithm")}
    for label, own in by_method.items():
        base, options = _split(label)
        if options and base in by_method:
            changed = difference(by_method[base], own.assign(algorithm=base))
            found.setdefault(base, []).append(Variant(options, changed, label))
    return [
        Family(base, sorted(rows, key=lambda one: order_of_options(one.options)))
        for base, rows in found.items()
    ]


def sweeps(found: Sequence[Family], trainings: pd.DataFrame) -> list[Sweep]:
    """The options that two variants or more of a method set, alone and to numbers.

    The base stands at its own value where its trainings (`frame.TRAININGS`) agree on one.
    """
    rows = []
    for family in found:
        alone = [
            (*next(iter(one.options.items())), one.label)
            for one in family.variants
            if len(one.options) == 1
        ]
        for option in dict.fromkeys(name for name, _, _ in alone):
            points = [(value, label) for name, value, label in alone if name == option]
            if len(points) < 2 or not all(_is_number(value) for value, _ in points):
                continue
            own = _own_value(trainings, family.base, option)
            if own is not None and own not in [value for value, _ in points]:
                points.append((own, family.base))
            points.sort()
            rows.append(Sweep(family.base, option, *zip(*points, strict=True)))
    return rows


def _split(label: str) -> tuple[str, dict[str, Any]]:
    """A label's method and options; none where a plugin's name only looks like a variant's."""
    try:
        base, words = split(label)
    except UserError:
        return label, {}
    return base, values(words)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _own_value(trainings: pd.DataFrame, method: str, option: str) -> float | None:
    texts = set(trainings.loc[trainings["algorithm"] == method, "config"])
    found = {json.dumps(json.loads(text or "{}").get(option)) for text in texts}
    value: Any = json.loads(found.pop()) if len(found) == 1 else None
    return value if _is_number(value) else None
