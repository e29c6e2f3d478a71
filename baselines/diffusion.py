"""A diffusion model of actions given states: DDPM with few steps (Ho and others, NeurIPS 2020)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from benchmarks.common.random_streams import Draws, Dropout


class Diffusion:
    """Variance-preserving noise schedule over T steps; step 0 has the least noise."""

    def __init__(
        self, steps: int, device: torch.device, low: float = 0.1, high: float = 10.0
    ) -> None:
        t = torch.arange(1, steps + 1, dtype=torch.float64)
        alpha = torch.exp(-low / steps - (high - low) * (2 * t - 1) / (2 * steps**2))
        alpha_bar = alpha.cumprod(0)
        last_alpha_bar = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar[:-1]])
        ratio = (1 - alpha) / (1 - alpha_bar)
        columns = (
            alpha_bar.sqrt(),
            (1 - alpha_bar).sqrt(),
            last_alpha_bar.sqrt() * ratio,
            alpha.sqrt() * (1 - last_alpha_bar) / (1 - alpha_bar),
            (1 - alpha).sqrt(),  # the posterior's, with few steps, favours the larger mode
        )
        tensors = [column.float().to(device) for column in columns]
        self.signal, self.noise, self.from_action, self.from_noisy, self.std = tensors

    def noised(self, actions: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
        """Actions [..., a] after `steps` [...] of the forward process."""
        return self.signal[steps][..., None] * actions + self.noise[steps][..., None] * noise

    def denoised(self, network: nn.Module, states: Tensor, noise: Tensor) -> Tensor:
        """Actions [B, a] in [-1, 1] from noise [B, T, a]: the start, then one sample a step."""
        x = noise[:, 0]
        for i, step in enumerate(reversed(range(len(self.signal)))):
            at = torch.full((len(x),), step, device=x.device)
            action = (x - self.noise[step] * network(states, x, at)) / self.signal[step]
            mean = self.from_action[step] * action.clamp(-1.0, 1.0) + self.from_noisy[step] * x
            x = mean + self.std[step] * noise[:, i + 1] if step else mean
        return x.clamp(-1.0, 1.0)


class Denoiser(nn.Module):
    """Predicts the noise in an action: Fourier features of the step, residual blocks."""

    def __init__(
        self,
        states: int,
        actions: int,
        *,
        width: int,
        blocks: int,
        expansion: int,
        dropout: float,
        time_features: int,
        draws: Draws,
    ) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(0.2 * torch.randn(time_features // 2))
        self.inputs = nn.Linear(states + actions + 2 * len(self.frequencies), width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                Dropout(dropout, draws),
                nn.LayerNorm(width),
                nn.Linear(width, expansion * width),
                nn.Mish(),
                nn.Linear(expansion * width, width),
            )
            for _ in range(blocks)
        )
        self.head = nn.Sequential(nn.Mish(), nn.Linear(width, actions))

    def forward(self, states: Tensor, actions: Tensor, steps: Tensor) -> Tensor:
        """The noise [..., a] in noisy actions [..., a] at states [..., o] and steps [...]."""
        angles = 2 * math.pi * steps[..., None] * self.frequencies[..., None, :]
        x = self.inputs(torch.cat([states, actions, angles.cos(), angles.sin()], dim=-1))
        for block in self.blocks:
            x = x + block(x)
        result: Tensor = self.head(x)
        return result
