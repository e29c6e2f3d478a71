"""Parameters of tests, some of which take too long to be tried each time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import pytest

Value = TypeVar("Value")


def mostly_slow(values: Iterable[Value], *quick: Value) -> list[Any]:
    """All `values` as parameters; those but the `quick` ones are marked slow."""
    every = list(values)
    assert set(quick) <= set(every), set(quick) - set(every)
    return [one if one in quick else pytest.param(one, marks=pytest.mark.slow) for one in every]
