"""Several seeds trained as one: their networks side by side in tensors with a leading dimension.

Small networks leave most of a GPU idle: K of them in one product of matrices take little longer
than one. Each seed keeps what is its own: initialisation, gradient (losses add up over the seeds,
and no weight of one reaches another's loss), clipping, optimiser state and stream of random
numbers. So each ends as it would have alone, but for the rounding of the products.

A method can be stacked (`Algorithm.stackable`) if its `update`
- draws random numbers from `self.draws` alone, and `prepare` draws none;
- counts dimensions from the last, and keeps its losses apart: [B] becomes [K, B], a loss [K];
- descends the sum of all losses and clips by `clip_gradients`;
- uses linear layers, layer norms, plain embeddings, dropout from
  `benchmarks.common.random_streams`, and layers without parameters, each registered once (one that
  is shared is passed to `forward`); a tensor among its `parts`, of shape s, becomes [K, *s].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from benchmarks.common.random_streams import Draws, Dropout, StackedDraws
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.methods.algorithm import LOG_EVERY, Algorithm, Progress, progress

_COUNT = "step"
"""In an optimiser's state the count of its steps, which all seeds share."""


class StackedLinear(nn.Module):
    """K linear layers: [K, B, i] to [K, B, o]."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = _stacked_parameter([layer.weight for layer in layers])
        self.bias = _stacked_parameter([layer.bias for layer in layers])

    def forward(self, x: Tensor) -> Tensor:
        """Each layer on its own rows."""
        return torch.baddbmm(self.bias[:, None], x, self.weight.transpose(1, 2))


class StackedLayerNorm(nn.Module):
    """K layer norms: [K, B, w] to the same."""

    def __init__(self, layers: Sequence[nn.LayerNorm]) -> None:
        super().__init__()
        self.shape, self.eps = layers[0].normalized_shape, layers[0].eps
        self.weight = _stacked_parameter([layer.weight for layer in layers])
        self.bias = _stacked_parameter([layer.bias for layer in layers])

    def forward(self, x: Tensor) -> Tensor:
        """Each layer on its own rows."""
        normed = nn.functional.layer_norm(x, self.shape, eps=self.eps)
        return torch.addcmul(self.bias[:, None], normed, self.weight[:, None])


class StackedEmbedding(nn.Module):
    """K embedding tables of one size: whole numbers [K, B] to their rows [K, B, e]."""

    def __init__(self, layers: Sequence[nn.Embedding]) -> None:
        super().__init__()
        self.weight = _stacked_parameter([layer.weight for layer in layers])

    def forward(self, index: Tensor) -> Tensor:
        """Each table's own rows: the tables lie one after another in a single long one."""
        seeds, size, width = self.weight.shape
        offset = size * torch.arange(seeds, device=index.device)[:, None]
        return nn.functional.embedding(index + offset, self.weight.view(-1, width))


class Stack:
    """Algorithms that differ in their seed alone, trained as one; they are as far as it is.

    Their parameters and the state of their optimisers become views of the stack's. After each
    progress `state()` of each is what it would be alone, so that any of them may be saved, and
    taken up again alone or in another stack.
    """

    def __init__(self, algorithms: Sequence[Algorithm]) -> None:
        """Raises `ValueError` for algorithms that cannot be trained as one."""
        first = algorithms[0]
        alike = [(type(a), a.config, a.limit, a.updates, a.device) for a in algorithms]
        if not first.stackable or any(one != alike[0] for one in alike):
            raise ValueError(
                f"only one method that is stackable, with the same options, limit and number of "
                f"updates made can be stacked: {[a.name for a in algorithms]}"
            )
        self.algorithms, self.device = algorithms, first.device
        self.streams = [Generator(self.device) for _ in algorithms]
        for stream, algorithm in zip(self.streams, algorithms, strict=True):
            stream.set_state(algorithm.generators[self.device.type])
        draws = StackedDraws(self.streams)
        of_each = [algorithm.parts() for algorithm in algorithms]
        in_place: dict[int, Any] = {id(first.draws): draws}
        self._optimisers: list[tuple[Optimizer, list[Optimizer]]] = []
        by_name = [[parts[name] for parts in of_each] for name in of_each[0]]
        for own in by_name:
            if isinstance(own[0], nn.Module):
                _stack_modules(own, draws, in_place)
            elif isinstance(own[0], Tensor):
                in_place[id(own[0])] = _stacked_tensor(own)
        for own in by_name:  # once all that they step is in place
            if isinstance(own[0], Optimizer):
                in_place[id(own[0])] = _stack_optimiser(own, in_place)
                self._optimisers.append((in_place[id(own[0])], own))
        for part in list(in_place.values()):
            if isinstance(part, nn.Module):  # tensors and optimisers that it keeps as attributes
                vars(part).update({n: in_place.get(id(v), v) for n, v in vars(part).items()})
        self.leader = copy(first)
        self.leader.stacked = True
        for name, value in vars(first).items():
            setattr(self.leader, name, _replaced(value, in_place))

    def compile(self) -> None:
        """As `Algorithm.compile`."""
        self.leader.compile()

    def fit(
        self,
        data: Trajectories,
        updates: int,
        every: int = LOG_EVERY,
        due: Callable[[], bool] = lambda: False,
    ) -> Iterator[list[Progress]]:
        """As `Algorithm.fit`, with the progress of each."""
        for done, losses, seconds in self.leader.advance(data, updates, every, due):
            self._share(done, updates)
            yield [
                progress(done, {name: _of_seed(row, k) for name, row in losses.items()}, seconds)
                for k in range(len(self.algorithms))
            ]

    def _share(self, updates: int, planned: int) -> None:
        """Let each algorithm have what the stack has come to."""
        for algorithm, stream in zip(self.algorithms, self.streams, strict=True):
            algorithm.updates, algorithm.planned_updates = updates, planned
            algorithm.generators[self.device.type] = stream.get_state()
        for stacked, own in self._optimisers:
            _share_optimiser(stacked, own)


def clip_gradients(parameters: Iterable[nn.Parameter], largest: float, stacked: bool) -> None:
    """Scale the gradient, of each seed by itself, to a norm of at most `largest`."""
    if not stacked:
        nn.utils.clip_grad_norm_(parameters, largest)
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients])
    scale = (largest / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.dim() - 1)))


def _stacked_parameter(own: Sequence[Tensor]) -> nn.Parameter:
    return nn.Parameter(torch.stack([one.detach() for one in own]), own[0].requires_grad)


def _stacked_tensor(own: Sequence[Tensor]) -> Tensor:
    """[K, ...] for one tensor of each, which become views of it."""
    stacked = torch.stack([one.detach() for one in own]).requires_grad_(own[0].requires_grad)
    _become_views(own, stacked)
    return stacked


def _become_views(own: Sequence[Tensor], stacked: Tensor) -> None:
    for one, part in zip(own, stacked.detach(), strict=True):
        one.data = part


def _stack_modules(own: Sequence[nn.Module], draws: Draws, in_place: dict[int, Any]) -> nn.Module:
    """One module that does what each of `own` does; fills `in_place`: theirs to the stack's."""
    first = own[0]
    if isinstance(first, nn.Linear):
        stacked: nn.Module = StackedLinear(own)  # type: ignore[arg-type]
    elif isinstance(first, nn.LayerNorm):
        stacked = StackedLayerNorm(own)  # type: ignore[arg-type]
    elif isinstance(first, nn.Embedding):
        stacked = StackedEmbedding(own)  # type: ignore[arg-type]
    elif isinstance(first, Dropout):
        stacked = Dropout(first.share, draws)
    else:
        stacked = copy(first)
        stacked._parameters, stacked._modules = {}, {}
        for name, value in list(vars(stacked).items()):
            if isinstance(value, partial):  # a faster method of that one module
                delattr(stacked, name)
        for name, _ in first.named_parameters(recurse=False):
            each = [getattr(one, name) for one in own]
            stacked.register_parameter(name, _stacked_parameter(each))
        if any(True for _ in first.buffers(recurse=False)):
            raise TypeError(f"{type(first).__name__} has buffers: it cannot be stacked")
        for name, _ in first.named_children():
            children = [getattr(one, name) for one in own]
            stacked.add_module(name, _stack_modules(children, draws, in_place))
    stacked.train(first.training)
    for name, parameter in stacked.named_parameters(recurse=False):
        each = [getattr(one, name) for one in own]
        _become_views(each, parameter)
        in_place[id(each[0])] = parameter
    in_place[id(first)] = stacked
    return stacked


def _stack_optimiser(own: Sequence[Optimizer], in_place: Mapping[int, Any]) -> Optimizer:
    """One of the same kind over the stack's parameters, with the state that `own` have."""
    groups = [
        {**group, "params": [in_place[id(one)] for one in group["params"]]}
        for group in own[0].param_groups
    ]
    kind: Any = type(own[0])
    stacked: Optimizer = kind(groups)
    for target, *each in zip(_parameters(stacked), *map(_parameters, own), strict=True):
        kept = [one.state.get(parameter, {}) for one, parameter in zip(own, each, strict=True)]
        if kept[0]:
            stacked.state[target] = {
                name: value.clone() if name == _COUNT else torch.stack([one[name] for one in kept])
                for name, value in kept[0].items()
            }
    return stacked


def _share_optimiser(stacked: Optimizer, own: Sequence[Optimizer]) -> None:
    """Let each of `own` have its rates and its part of the state, as views."""
    for k, optimiser in enumerate(own):
        for group, its in zip(stacked.param_groups, optimiser.param_groups, strict=True):
            its.update({name: value for name, value in group.items() if name != "params"})
        for source, target in zip(_parameters(stacked), _parameters(optimiser), strict=True):
            if kept := stacked.state.get(source):
                optimiser.state[target] = {
                    name: value.clone() if name == _COUNT else value[k]
                    for name, value in kept.items()
                }


def _parameters(optimiser: Optimizer) -> list[Tensor]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _of_seed(losses: list[float] | float, k: int) -> float:
    return losses[k] if isinstance(losses, list) else losses


def _replaced(value: Any, in_place: Mapping[int, Any]) -> Any:
    """What the stack has in place of `value`, within tuples, lists and dictionaries too."""
    if id(value) in in_place:
        return in_place[id(value)]
    if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        return type(value)(_replaced(one, in_place) for one in value)
    if isinstance(value, dict):
        return {key: _replaced(one, in_place) for key, one in value.items()}
    return value
