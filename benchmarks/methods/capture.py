"""Updates of a training as a function; on a GPU, if asked, recorded once and replayed.

An update of small networks launches some hundred short kernels. Launching them one by one from
Python takes much longer than they run. A CUDA graph launches all of them at once. Each replay
draws the random numbers that a plain update would draw. Its learning rates are rounded to single
precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from benchmarks.common.random_streams import Draws

Losses = dict[str, Tensor | float]

WARM_UP = 3
"""Updates before the recording: they allocate workspaces and the optimisers' states."""


class Updatable(Protocol):
    """What an `Algorithm` has for its updates."""

    updates: int
    cuda_graphs: bool
    device: torch.device
    draws: Draws

    @property
    def capturable(self) -> bool:
        """Whether `update` can be recorded."""

    def schedule(self) -> None:
        """Set what depends on the number of updates."""

    def update(self) -> Losses:
        """Update all networks once."""

    def parts(self) -> dict[str, Any]:
        """Networks and optimisers."""


def updates_of(algorithm: Updatable) -> Callable[[], Losses]:
    """A function that does the next update of a prepared method; to be called in its `random()`."""
    if algorithm.cuda_graphs and algorithm.capturable and algorithm.device.type == "cuda":
        return CapturedUpdates(algorithm)

    def update() -> Losses:
        algorithm.schedule()
        losses = algorithm.update()
        algorithm.updates += 1
        return losses

    return update


class CapturedUpdates:
    """Launches the first updates kernel by kernel, then records one and replays it."""

    def __init__(self, algorithm: Updatable) -> None:
        self._algorithm = algorithm
        self._stream = torch.cuda.Stream(algorithm.device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._rates: list[tuple[dict[str, Any], Tensor]] = []
        self._losses: Losses = {}
        self._done = 0

    def __call__(self) -> Losses:
        """The next update; the losses are tensors that the update after it overwrites."""
        algorithm = self._algorithm
        algorithm.schedule()
        if self._done < WARM_UP:
            losses = self._warm_up()
        else:
            if self._graph is None:
                self._graph = self._record()
            for group, rate in self._rates:
                rate.fill_(group["lr"])
            self._graph.replay()
            losses = self._losses
        self._done += 1
        algorithm.updates += 1
        return losses

    def _warm_up(self) -> Losses:
        """An update on the stream that will record."""
        self._stream.wait_stream(torch.cuda.current_stream(self._algorithm.device))
        with torch.cuda.stream(self._stream):
            losses = self._algorithm.update()
        torch.cuda.current_stream(self._algorithm.device).wait_stream(self._stream)
        return losses

    def _record(self) -> torch.cuda.CUDAGraph:
        """The graph of one update; nothing is updated by recording it."""
        graph = torch.cuda.CUDAGraph()
        for generator in self._algorithm.draws.streams or ():
            graph.register_generator_state(generator)
        optimisers = [p for p in self._algorithm.parts().values() if isinstance(p, Optimizer)]
        with (
            rates_on_device(optimisers, self._algorithm.device) as self._rates,
            torch.cuda.graph(graph, stream=self._stream),
        ):
            self._losses = self._algorithm.update()
        return graph


@contextmanager
def rates_on_device(
    optimisers: Sequence[Optimizer], device: torch.device
) -> Iterator[list[tuple[dict[str, Any], Tensor]]]:
    """Inside, learning rates are tensors that a recorded step reads; yields them with their groups.

    Afterwards the groups have plain numbers again, for schedules and checkpoints.
    """
    groups: list[dict[str, Any]] = [g for one in optimisers for g in one.param_groups]
    plain: list[Mapping[str, Any]] = [{key: g[key] for key in ("lr", "capturable")} for g in groups]
    rates = [torch.tensor(group["lr"], device=device) for group in groups]
    for group, rate in zip(groups, rates, strict=True):
        group.update(lr=rate, capturable=True)
    try:
        yield list(zip(groups, rates, strict=True))
    finally:
        for group, values in zip(groups, plain, strict=True):
            group.update(values)
