"""Ctrl-C in two steps: once to stop in good order, twice to stop at once."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def two_steps() -> Iterator[Callable[[], bool]]:
    """Whether the user, or the system by SIGTERM, has asked to stop while the block runs.

    The second Ctrl-C raises `KeyboardInterrupt`.
    """
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        print("\nstopping: what is done is kept (Ctrl-C again to stop at once)", file=sys.stderr)

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, ask) for kind in kinds]
    try:
        yield lambda: asked
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)
