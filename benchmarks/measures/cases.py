"""What `benchmarks.speed` compares, known without importing what measures it."""

from __future__ import annotations

from typing import Any, NamedTuple


class Case(NamedTuple):
    """A method, its options, and the method of osrl that it is compared with."""

    method: str
    rival: str
    options: dict[str, Any] = {}  # noqa: RUF012
    batch: int = 512


CASES = {
    "bc-all": Case("bc-all", "bc-all"),
    "cpq": Case("cpq", "cpq"),
    "cpq, inert penalty": Case("cpq", "cpq", {"skip_inert_penalty": False}),
    "cpq-penalised": Case("cpq-penalised", "cpq"),
    "coptidice": Case("coptidice", "coptidice"),
    "bcq-lag": Case("bcq-lag", "bcq-lag"),
    "bear-lag": Case("bear-lag", "bear-lag"),
    "cdt": Case("cdt", "cdt", batch=256),
    "gas": Case("gas", "cdt", batch=256),
    "gas-shield": Case("gas-shield", "cdt", batch=256),
}
"""CDT, and methods compared with it, use an eighth of osrl's batch, whose update takes 10 s."""
ROLLOUTS = {"bc-all": "bc-all", "cpq": "cpq", "cdt": "cdt", "gas": "cdt", "gas-shield": "cdt"}
"""For each of our methods, the method of osrl that it is compared with."""
STACKS = ("gas", "gas-shield", "fisor", "cpq", "coptidice", "bc-all")
"""Methods whose stacks of seeds are measured by default; every stackable method can be."""
