"""GAS, Goal-Assisted Stitching for offline safe reinforcement learning (ICLR 2026)."""

from gas.algorithm import GAS, GASConfig
from gas.levels import LevelGAS, LevelsConfig
from gas.released import ReleasedConfig, ReleasedGAS

__all__ = ["GAS", "GASConfig", "LevelGAS", "LevelsConfig", "ReleasedConfig", "ReleasedGAS"]
