"""Handling of Ctrl-C and SIGTERM: the first stops in an orderly way, the second at once."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C or SIGTERM has arrived inside the block.

    The second signal raises `KeyboardInterrupt`.
    """
    requested = False

    def request(*_: object) -> None:
        nonlocal requested
        if requested:
            raise KeyboardInterrupt
        requested = True
        print("\nstopping: finished work is kept (Ctrl-C again to stop at once)", file=sys.stderr)

    signals = (signal.SIGINT, signal.SIGTERM)
    old_handlers = [signal.signal(number, request) for number in signals]
    try:
        yield lambda: requested
    finally:
        for number, handler in zip(signals, old_handlers, strict=True):
            signal.signal(number, handler)
