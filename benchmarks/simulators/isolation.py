"""Keeps simulators from changing global state of the process: generators, warnings, streams."""

from __future__ import annotations

import contextlib
import random
import sys
import warnings
from collections.abc import Iterator

import numpy as np


@contextlib.contextmanager
def private_random_state(seed: int) -> Iterator[None]:
    """Seed the global random generators inside the block; restore their states after it."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    np.random.seed(seed % 2**32)
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide gymnasium's warnings at construction (old identifiers, float64 boxes).

    Inside the block, `sys.stdout` and `sys.stderr` are the process's original streams:
    bullet-safety-gym redirects and flushes their file descriptors, which the streams of pytest or a
    notebook lack.
    """
    streams = contextlib.ExitStack()
    with warnings.catch_warnings(), streams:
        warnings.simplefilter("ignore")
        if sys.__stdout__ is not None and sys.__stderr__ is not None:
            streams.enter_context(contextlib.redirect_stdout(sys.__stdout__))
            streams.enter_context(contextlib.redirect_stderr(sys.__stderr__))
        yield
