"""Variables of the environment, changed for this process and those that it starts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


def set_variables(values: Mapping[str, str | None]) -> None:
    """Give each variable its value; None takes it away."""
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """These values, for the processes that are started meanwhile; what was before comes back."""
    before = {name: os.environ.get(name) for name in values}
    set_variables(values)
    try:
        yield
    finally:
        set_variables(before)
