"""Times in words."""

from __future__ import annotations

_UNITS = (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0))


def duration_text(seconds: float) -> str:
    """A time as "4.5 s", "45 s", "12 min", "3.5 h" or "2.6 days": two digits or more."""
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= 2 * size), ("s", 1.0))
    value = seconds / size
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
