"""Standardised observations, which many methods' networks take."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.methods.algorithm import Problem


class Standardiser:
    """Scales values [..., n] of a given mean and standard deviation [n] to mean 0 and deviation 1.

    Unless `used`, values stay as they are.
    """

    def __init__(
        self, mean: Tensor, std: Tensor, device: torch.device, *, used: bool = True
    ) -> None:
        self.mean = float(used) * mean.to(device)
        self.std = std.to(device) ** float(used)

    @staticmethod
    def of(
        problem: Problem, device: torch.device, *, floor: float = 1e-6, used: bool = True
    ) -> Standardiser:
        """For observations [..., o]; `floor` is added to their standard deviations."""
        mean, std = problem.observation_mean, problem.observation_std + floor
        return Standardiser(mean, std, device, used=used)

    def __call__(self, values: Tensor) -> Tensor:
        """The scaled values [..., n]."""
        return (values - self.mean) / self.std
