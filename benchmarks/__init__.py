"""The harness: tasks, data, rollouts, jobs and the leaderboard.

For Python programs: `load_results` and `load_policy`, imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.results.api import load_results
    from benchmarks.runs.deployment import load_policy

__all__ = ["load_policy", "load_results"]

_MODULES = {"load_results": "benchmarks.results.api", "load_policy": "benchmarks.runs.deployment"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
