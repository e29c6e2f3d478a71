"""Families of a method and its variants in one leaderboard: the effect of each option."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.common.errors import UserError
from benchmarks.methods.variants import split, values
from benchmarks.report.compare import Variant, difference, sort_key_of_options


@dataclass(frozen=True)
class Family:
    """A method and its variants, in order of their options."""

    base: str
    variants: Sequence[Variant]


@dataclass(frozen=True)
class Sweep:
    """A method at several values of one numeric option: ascending values, and their labels."""

    base: str
    option: str
    values: Sequence[float]
    labels: Sequence[str]


def families(runs: pd.DataFrame) -> list[Family]:
    """The methods of `run_scores` with variants in the same table, by name.

    Differences are over the cells that a variant and its base both have.
    """
    variants: dict[str, list[Variant]] = {}
    by_method = {str(name): rows for name, rows in runs.groupby("algorithm")}
    for label, rows in by_method.items():
        base, options = _split(label)
        if options and base in by_method:
            effect = difference(by_method[base], rows.assign(algorithm=base))
            variants.setdefault(base, []).append(Variant(options, effect, label))
    return [
        Family(base, sorted(of_base, key=lambda variant: sort_key_of_options(variant.options)))
        for base, of_base in variants.items()
    ]


def sweeps(families: Sequence[Family], trainings: pd.DataFrame) -> list[Sweep]:
    """The numeric options that at least two variants of a method set without another option.

    The base is included at its own value if its trainings (`frame.TRAININGS`) agree on one.
    """
    rows = []
    for family in families:
        single = [
            (*next(iter(variant.options.items())), variant.label)
            for variant in family.variants
            if len(variant.options) == 1
        ]
        for option in dict.fromkeys(name for name, _, _ in single):
            points = [(value, label) for name, value, label in single if name == option]
            if len(points) < 2 or not all(_is_number(value) for value, _ in points):
                continue
            base_value = _trained_value(trainings, family.base, option)
            if base_value is not None and base_value not in [value for value, _ in points]:
                points.append((base_value, family.base))
            points.sort()
            rows.append(Sweep(family.base, option, *zip(*points, strict=True)))
    return rows


def _split(label: str) -> tuple[str, dict[str, Any]]:
    """A label's method and options; no options if a plugin's name only looks like a variant."""
    try:
        base, words = split(label)
    except UserError:
        return label, {}
    return base, values(words)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _trained_value(trainings: pd.DataFrame, method: str, option: str) -> float | None:
    """The number that all trainings of a method use for an option; None if they do not agree."""
    texts = set(trainings.loc[trainings["algorithm"] == method, "config"])
    encoded = {json.dumps(json.loads(text or "{}").get(option)) for text in texts}
    value: Any = json.loads(encoded.pop()) if len(encoded) == 1 else None
    return value if _is_number(value) else None
