"""Random numbers of a training, or of several that run as one with a stream for each seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor, nn


class Draws:
    """Draws from torch's default generator, which `Algorithm.random` makes the method's own.

    Methods that can be stacked (`benchmarks.methods.stacking`) draw all their random numbers here:
    with a stream a seed in place of the one, each result has a leading dimension of seeds.
    """

    streams: Sequence[Generator] | None = None

    def integers(self, high: int, size: int, device: torch.device) -> Tensor:
        """Whole numbers below `high`, [size] or [seeds, size]."""
        return self._each(lambda g: torch.randint(high, (size,), device=device, generator=g))

    def uniform(self, size: int, device: torch.device) -> Tensor:
        """Numbers in [0, 1), [size] or [seeds, size]."""
        return self._each(lambda g: torch.rand(size, device=device, generator=g))

    def normal_like(self, values: Tensor) -> Tensor:
        """Standard normal numbers in the shape of `values`."""
        shape = self._of_one(values)
        return self._each(lambda g: torch.randn(shape, device=values.device, generator=g))

    def uniform_like(self, values: Tensor) -> Tensor:
        """Numbers in [0, 1) in the shape of `values`."""
        shape = self._of_one(values)
        return self._each(lambda g: torch.rand(shape, device=values.device, generator=g))

    def kept(self, values: Tensor, share: float) -> Tensor:
        """1 for about `share` of the elements of `values` and 0 for the others, in its shape."""
        empty = values.new_empty(self._of_one(values))
        return self._each(lambda g: torch.empty_like(empty).bernoulli_(share, generator=g))

    def leave_out(self) -> None:
        """Keep what is compiled from tracing these calls: it draws what it would uncompiled."""
        for name in ("integers", "uniform", "uniform_like", "normal_like", "kept"):
            setattr(self, name, torch.compiler.disable(getattr(self, name)))

    def _of_one(self, values: Tensor) -> torch.Size:
        return values.shape if self.streams is None else values.shape[1:]

    def _each(self, draw: Callable[[Generator | None], Tensor]) -> Tensor:
        if self.streams is None:
            return draw(None)
        return torch.stack([draw(stream) for stream in self.streams])


ONE_STREAM = Draws()


class StackedDraws(Draws):
    """Draws with a stream for each seed."""

    def __init__(self, streams: Sequence[Generator]) -> None:
        self.streams = streams


class Dropout(nn.Module):
    """torch's dropout, number for number on a CPU, drawn from `draws`."""

    def __init__(self, share: float, draws: Draws) -> None:
        super().__init__()
        self.share, self.draws = share, draws

    def forward(self, x: Tensor) -> Tensor:
        """`x` with `share` of its elements zero and the others scaled up; in training only."""
        if not (self.training and self.share):
            return x
        kept = 1.0 - self.share
        return x * self.draws.kept(x, kept).div_(kept)
