"""How methods are shown: one name, colour and marker for each, the same in every leaderboard.

A method's look does not depend on the other methods of a table, unless it is not listed here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.methods.variants import MARK
from benchmarks.report.wording import one_line

COLOURS = (
    *("#0072b2", "#d55e00", "#00875f", "#b8558f", "#7a6fd8", "#8a7a00"),
    *("#c8372d", "#0a8a9a", "#8c5a3c", "#707070"),
)
"""Each has a contrast of at least 3:1 against a white and against a dark page.

The first four are those of Okabe and Ito or near them, which colour-blind readers can distinguish.
"""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", "p")


class Look(NamedTuple):
    """The name of a method in text and figures, and its colour and marker in figures."""

    name: str
    colour: str
    marker: str


LOOKS = {
    "gas": Look("GAS", COLOURS[0], "o"),
    "gas-shield": Look("GAS-Shield", COLOURS[1], "s"),
    "gas-released": Look("GAS-Released", COLOURS[7], "v"),
    "cdt": Look("CDT", COLOURS[2], "^"),
    "cpq": Look("CPQ", COLOURS[3], "D"),
    "cpq-penalised": Look("CPQ-Penalised", COLOURS[3], "X"),
    "coptidice": Look("COptiDICE", COLOURS[5], "P"),
    "coptidice-perstep": Look("COptiDICE-PerStep", COLOURS[5], "<"),
    "fisor": Look("FISOR", COLOURS[4], "v"),
    "bcrl": Look("BCRL", COLOURS[7], "D"),
    "caps": Look("CAPS", COLOURS[6], "s"),
    "caps-sac": Look("CAPS-SAC", COLOURS[6], "D"),
    "trac": Look("TraC", COLOURS[0], "^"),
    "presa": Look("PreSa", COLOURS[0], "X"),
    "carl": Look("CARL", COLOURS[2], "s"),
    "o3srl": Look("O3SRL", COLOURS[2], "D"),
    "ccac": Look("CCAC", COLOURS[4], "o"),
    "lspc": Look("LSPC", COLOURS[4], "P"),
    "b2r": Look("B2R", COLOURS[3], "^"),
    "wsac": Look("WSAC", COLOURS[1], "<"),
    "voce": Look("VOCE", COLOURS[1], "v"),
    "bc-all": Look("BC-All", COLOURS[9], "o"),
    "bc-safe": Look("BC-Safe", COLOURS[8], "X"),
    "bc-frontier": Look("BC-Frontier", COLOURS[8], "^"),
    "bcq-lag": Look("BCQ-Lag", COLOURS[6], "<"),
    "bear-lag": Look("BEAR-Lag", COLOURS[6], "p"),
}
"""The methods of this package. Others take the pairs of colour and marker that are left."""


def display_name(method: str) -> str:
    """The name of a method in text, with the options of a variant: "GAS (alpha=0.9)"."""
    base, mark, options = method.rpartition(MARK)
    if mark and base in LOOKS and "=" in options:
        return f"{LOOKS[base].name} ({one_line(options).replace(',', ', ')})"
    return LOOKS[method].name if method in LOOKS else one_line(method)


def looks_of(methods: Iterable[str]) -> dict[str, Look]:
    """The look of each method, in the given order; those that are not listed by order of names.

    Pairs repeat only among more unlisted methods than there are pairs.
    """
    methods = list(methods)
    taken = {(look.colour, look.marker) for look in LOOKS.values()}
    pairs = [
        (COLOURS[i % len(COLOURS)], MARKERS[(i + i // len(COLOURS)) % len(MARKERS)])
        for i in range(len(COLOURS) * len(MARKERS))
    ]
    free = [pair for pair in pairs if pair not in taken]
    others = sorted(set(methods) - set(LOOKS))
    given = {name: Look(display_name(name), *free[i % len(free)]) for i, name in enumerate(others)}
    return {name: LOOKS.get(name) or given[name] for name in methods}
