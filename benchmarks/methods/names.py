"""Names of the methods and where their classes lie, known without importing any of them."""

from __future__ import annotations

from importlib.metadata import EntryPoints, entry_points

ENTRY_POINTS = "osrl_bench.algorithms"
"""The entry-point group in which installed packages register methods."""
BUILT_IN = {
    "gas": "gas.algorithm:GAS",
    "gas-shield": "gas.shield:ShieldedGAS",
    "gas-released": "gas.released:ReleasedGAS",
    "cdt": "baselines.cdt:CDT",
    "cpq": "baselines.cpq:CPQ",
    "coptidice": "baselines.coptidice:COptiDICE",
    "fisor": "baselines.fisor:FISOR",
    "bcrl": "baselines.bcrl:BCRL",
    "caps": "baselines.caps:CAPS",
    "caps-sac": "baselines.caps_sac:CAPSSAC",
    "trac": "baselines.trac:TraC",
    "presa": "baselines.presa:PreSa",
    "carl": "baselines.carl:CARL",
    "o3srl": "baselines.o3srl:O3SRL",
    "ccac": "baselines.ccac:CCAC",
    "lspc": "baselines.lspc:LSPC",
    "b2r": "baselines.b2r:B2R",
    "wsac": "baselines.wsac:WSAC",
    "voce": "baselines.voce:VOCE",
    "bc-all": "baselines.bc:BCAll",
    "bc-safe": "baselines.bc:BCSafe",
    "bc-frontier": "baselines.bc:BCFrontier",
    "bcq-lag": "baselines.bcq_lag:BCQLag",
    "bear-lag": "baselines.bear_lag:BEARLag",
    "cpq-penalised": "baselines.cpq:CPQPenalised",
    "coptidice-perstep": "baselines.coptidice:COptiDICEPerStep",
}


def plugins() -> EntryPoints:
    """The methods that installed packages register."""
    return entry_points(group=ENTRY_POINTS)


def known_names() -> list[str]:
    """Names of all methods that are installed; built-in ones first."""
    return [*BUILT_IN, *sorted({point.name for point in plugins()} - set(BUILT_IN))]
