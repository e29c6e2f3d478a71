"""Standardised observations, which many methods' networks take."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.methods.algorithm import Problem


class Standardiser:
    """Scales observations [..., o] to mean 0 and standard deviation 1 over the dataset.

    `floor` is added to the standard deviations. Unless `used`, observations stay as they are.
    """

    def __init__(
        self, problem: Problem, device: torch.device, *, floor: float = 1e-6, used: bool = True
    ) -> None:
        self.mean = float(used) * problem.observation_mean.to(device)
        self.std = (problem.observation_std.to(device) + floor) ** float(used)

    def __call__(self, observations: Tensor) -> Tensor:
        """The scaled observations [..., o]."""
        return (observations - self.mean) / self.std
