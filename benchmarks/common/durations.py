"""Times in words."""

from __future__ import annotations

_UNITS = (("days", 86_400.0, 1), ("h", 3_600.0, 1), ("min", 60.0, 0))
"""Name, seconds and decimals of each unit."""


def duration_text(seconds: float) -> str:
    """A time as "4.5 s", "45 s", "12 min", "3.5 h" or "2.6 days": two digits or more."""
    unit, size, decimals = next((one for one in _UNITS if seconds >= 2 * one[1]), ("s", 1.0, 0))
    value = seconds / size
    return f"{value:.{1 if value < 9.95 else decimals}f} {unit}"
