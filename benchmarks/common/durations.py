"""Times in words."""

from __future__ import annotations


def duration_text(seconds: float) -> str:
    """A time as "45 s", "12 min", "3.5 h" or "2.6 days", by its size."""
    if seconds >= 2 * 86_400.0:
        return f"{seconds / 86_400.0:.1f} days"
    if seconds >= 2 * 3_600.0:
        return f"{seconds / 3_600.0:.1f} h"
    if seconds >= 2 * 60.0:
        return f"{seconds / 60.0:.0f} min"
    return f"{seconds:.0f} s"
