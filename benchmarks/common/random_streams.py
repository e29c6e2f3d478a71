"""Random numbers of a training, or of a stack of trainings with one stream for each seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor, nn


class Draws:
    """Draws from torch's default generator, whose state `Algorithm.random` sets to the method's.

    Stackable methods (`benchmarks.methods.stacking`) draw all random numbers here. With one stream
    for each seed, results have a leading dimension of seeds.
    """

    streams: Sequence[Generator] | None = None

    def integers(self, high: int, size: int, device: torch.device) -> Tensor:
        """Uniform integers below `high`, [size] or [seeds, size]."""
        return self._each(lambda g: torch.randint(high, (size,), device=device, generator=g))

    def uniform(self, size: int, device: torch.device) -> Tensor:
        """Uniform numbers in [0, 1), [size] or [seeds, size]."""
        return self._each(lambda g: torch.rand(size, device=device, generator=g))

    def normal_like(self, values: Tensor) -> Tensor:
        """Standard normal numbers in the shape of `values`."""
        shape = self._shape_of_seed(values)
        return self._each(lambda g: torch.randn(shape, device=values.device, generator=g))

    def uniform_like(self, values: Tensor) -> Tensor:
        """Uniform numbers in [0, 1) in the shape of `values`."""
        shape = self._shape_of_seed(values)
        return self._each(lambda g: torch.rand(shape, device=values.device, generator=g))

    def kept(self, values: Tensor, share: float) -> Tensor:
        """Bernoulli mask in the shape of `values`: 1 with probability `share`."""
        empty = values.new_empty(self._shape_of_seed(values))
        return self._each(lambda g: torch.empty_like(empty).bernoulli_(share, generator=g))

    def _shape_of_seed(self, values: Tensor) -> torch.Size:
        return values.shape if self.streams is None else values.shape[1:]

    def _each(self, draw: Callable[[Generator | None], Tensor]) -> Tensor:
        if self.streams is None:
            return draw(None)
        return torch.stack([draw(stream) for stream in self.streams])


ONE_STREAM = Draws()


class StackedDraws(Draws):
    """Draws with one stream for each seed."""

    def __init__(self, streams: Sequence[Generator]) -> None:
        self.streams = streams


class Dropout(nn.Module):
    """torch's dropout with random numbers from `draws`; equal to torch's on a CPU."""

    def __init__(self, share: float, draws: Draws) -> None:
        super().__init__()
        self.share, self.draws = share, draws

    def forward(self, x: Tensor) -> Tensor:
        """In training, zero a `share` of the elements of `x` and scale up the others."""
        if not (self.training and self.share):
            return x
        keep = 1.0 - self.share
        return x * self.draws.kept(x, keep).div_(keep)
