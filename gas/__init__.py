"""GAS, Goal-Assisted Stitching for offline safe reinforcement learning (ICLR 2026)."""

from gas.algorithm import GAS, GASConfig
from gas.levels import LevelGAS, LevelsConfig

__all__ = ["GAS", "GASConfig", "LevelGAS", "LevelsConfig"]
