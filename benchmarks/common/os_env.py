"""Environment variables of this process and of the processes that it starts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def set_variables(values: Mapping[str, str | None]) -> None:
    """Set each variable to its value; None unsets it."""
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables for processes started inside the block; restore the old values after it."""
    before = {name: os.environ.get(name) for name in values}
    set_variables(values)
    try:
        yield
    finally:
        set_variables(before)


def import_path() -> dict[str, str]:
    """PYTHONPATH for a process that starts in another folder and must import this package."""
    paths = filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")])
    return {"PYTHONPATH": os.pathsep.join(paths)}
