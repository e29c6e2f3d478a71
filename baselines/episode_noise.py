"""Noise of acting that belongs to an episode, so that stochastic policies are reproducible."""

from __future__ import annotations

import zlib

import torch
from torch import Generator, Tensor


class EpisodeNoise:
    """Standard normal numbers from a generator of each episode, seeded by its first observation.

    An episode thus does not depend on the others in the batch; episodes with the same first
    observation get the same noise.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.generators: dict[int, Generator] = {}

    def __call__(self, observations: Tensor, env_ids: Tensor, *shape: int) -> Tensor:
        """New numbers [n, *shape] for the episodes `env_ids` [n], on the observations' device."""
        noise = torch.empty(len(env_ids), *shape)
        for i, env_id in enumerate(env_ids.tolist()):
            if env_id not in self.generators:
                start = observations[i].cpu().numpy().tobytes()
                seed = zlib.crc32(start, self.seed % 2**32)
                self.generators[env_id] = Generator().manual_seed(seed)
            torch.randn(shape, generator=self.generators[env_id], out=noise[i])
        return noise.to(observations.device)
