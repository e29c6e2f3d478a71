"""Formats names, numbers, limits and options for tables and figures."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from benchmarks.report.resampling import Interval

NOTHING = "No run is finished."
BLANK = "–"


def one_line(text: str) -> str:
    """`text` without line breaks and other unprintable characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def number(value: float) -> str:
    """Two decimals, never -0.00; a dash for NaN."""
    return BLANK if math.isnan(value) else f"{round(value, 2) + 0.0:.2f}"


def signed(value: float) -> str:
    """As `number`, with a + in front of positive values."""
    text = number(value)
    return f"+{text}" if value > 0 and text != "0.00" else text


def cost_text(cost: float, safe: bool) -> str:
    """As `number`, but an unsafe cost that rounds to 1.00 is shown as >1.00."""
    text = number(cost)
    return ">1.00" if text == "1.00" and not safe else text


def limit_text(limit: float, fraction: float) -> str:
    """The limit, and its fraction of the maximum cost if known."""
    return f"{limit:g}" if math.isnan(fraction) else f"{limit:g} ({100 * fraction:.6g}%)"


def setting_text(setting: tuple[bool, float]) -> str:
    """The name of an `Average`'s setting."""
    absolute, value = setting
    return f"limit {value:g}" if absolute else f"{100 * value:.6g}%"


def with_interval(value: float, interval: Interval, text: Callable[[float], str] = number) -> str:
    """A figure, and its interval if there is one; `text` formats the three numbers."""
    if math.isnan(interval.low):
        return text(value)
    return f"{text(value)} [{text(interval.low)}, {text(interval.high)}]"


def options_text(options: dict[str, Any]) -> str:
    """Options and their values, as shown in tables."""
    return ", ".join(f"{key}={json.dumps(value)}" for key, value in options.items())
