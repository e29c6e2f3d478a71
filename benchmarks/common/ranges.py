"""Ranges of options: declared once, in the type of the field that is the option.

`alpha: Share = 0.8` and `workers: Annotated[int, Range(1)] = 4` are fields with a range. Numbers
without one must be finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from benchmarks.common.errors import UserError, unknown_name


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`, without the ends that are excluded."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    """`low` is excluded."""
    below: bool = False
    """`high` is excluded."""
    most: float = math.inf
    """A larger number is a slip of the finger; texts about the range leave it out."""

    def __contains__(self, given: float) -> bool:
        """Whether the range includes a number; it never includes NaN or infinity."""
        value = _float(given)
        low = value > self.low if self.above else value >= self.low
        high = value < self.high if self.below else value <= self.high
        return math.isfinite(value) and low and high and value <= self.most

    def __str__(self) -> str:
        """As in "above 0 and at most 1"."""
        low = f"{'above' if self.above else 'at least'} {self.low:g}"
        high = f"{'below' if self.below else 'at most'} {self.high:g}"
        if math.isfinite(self.low) and math.isfinite(self.high):
            ends = self.above or self.below
            return f"{low} and {high}" if ends else f"from {self.low:g} to {self.high:g}"
        return low if math.isfinite(self.low) else high if math.isfinite(self.high) else "finite"

    def refusal(self, value: float) -> str:
        """What is wrong with a number outside of the range, as in "must be at least 1, not 0"."""
        too_large = value > self.most and value <= self.high and math.isfinite(_float(value))
        return f"must be {f'at most {self.most:g}' if too_large else self}, not {_float(value):g}"


def _float(value: float) -> float:
    """A whole number of any size as a float."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


@dataclass(frozen=True)
class Choices:
    """The words that an option may be."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        """As in "one of full, narrow, none"."""
        return f"one of {', '.join(self.words)}"


Share = Annotated[float, Range(0, 1)]
"""A part of a whole, or a probability."""
Expectile = Annotated[float, Range(0, 1, above=True)]
"""An expectile, or another number of which 0 makes no sense."""
Discount = Annotated[float, Range(0, 1, below=True)]
"""A discount factor, or a dropout."""
LearningRate = Annotated[float, Range(0, 1, above=True)]
Positive = Annotated[float, Range(0, above=True)]
NotNegative = Annotated[float, Range(0)]
Count = Annotated[int, Range(1, most=10_000)]
"""How many of something there are, as layers or bins."""
Width = Annotated[int, Range(1, most=2**16)]
"""Width of a layer."""
Batch = Annotated[int, Range(1, most=2**20)]
"""Rows of a batch."""
Updates = Annotated[int, Range(0, most=10**9)]
"""A number of updates."""
AnyNumber = Annotated[float, Range()]
"""Any finite number."""
_FINITE = Range()


def allowed(cls: type) -> dict[str, Range | Choices | None]:
    """What each field of a dataclass may be, by name; None where nothing is declared."""
    found: dict[str, Range | Choices | None] = {}
    hints = get_type_hints(cls, include_extras=True)
    for one in fields(cls):
        notes = [note for kind in _flat(hints[one.name]) for note in get_args(kind)[1:]]
        kinds = (note for note in notes if isinstance(note, Range | Choices))
        found[one.name] = next(kinds, None)
    return found


def _flat(kind: Any) -> list[Any]:
    """The annotated types in a type or in a union."""
    if get_origin(kind) is Annotated:
        return [kind]
    return [part for inner in get_args(kind) for part in _flat(inner)]


def check_ranges(values: Any, name_of: Callable[[str], str]) -> None:
    """Raise `UserError` for a field of a dataclass that is outside of its range.

    `name_of` turns a field's name into what the user calls the option.
    """
    for name, declared in allowed(type(values)).items():
        value = getattr(values, name)
        if isinstance(declared, Choices) and isinstance(value, str):
            if value not in declared.words:
                raise unknown_name(name_of(name).removeprefix("option "), value, declared.words)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            limits = declared if isinstance(declared, Range) else _FINITE
            if value not in limits:
                raise UserError(f"{name_of(name)} {limits.refusal(value)}")
