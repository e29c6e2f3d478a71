"""What building and resetting a simulator must not leave behind in the process."""

from __future__ import annotations

import contextlib
import random
import sys
import warnings
from collections.abc import Iterator

import numpy as np


@contextlib.contextmanager
def private_random_state(seed: int) -> Iterator[None]:
    """Seed the global generators inside, and leave them as they were outside."""
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
    """Hide what gymnasium warns of at construction (old identifiers, float64 boxes).

    The standard streams are the process's own inside: bullet-safety-gym redirects and flushes them
    by their C names, which the streams of pytest or a notebook do not have.
    """
    own = contextlib.ExitStack()
    with warnings.catch_warnings(), own:
        warnings.simplefilter("ignore")
        if sys.__stdout__ is not None and sys.__stderr__ is not None:
            own.enter_context(contextlib.redirect_stdout(sys.__stdout__))
            own.enter_context(contextlib.redirect_stderr(sys.__stderr__))
        yield
