"""GAS, Goal-Assisted Stitching for offline safe reinforcement learning (ICLR 2026)."""

from gas.algorithm import GAS, GASConfig
from gas.released import ReleasedConfig, ReleasedGAS
from gas.shield import ShieldConfig, ShieldedGAS

__all__ = [
    "GAS",
    "GASConfig",
    "ReleasedConfig",
    "ReleasedGAS",
    "ShieldConfig",
    "ShieldedGAS",
]
