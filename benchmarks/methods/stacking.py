"""Trains several seeds as one batched model: their networks have a leading dimension of seeds.

Small networks use a small part of a GPU, so K of them in one matrix product take hardly longer than
one. Each seed keeps its own initialisation, gradients (losses are added up, and no weight of one
seed affects the loss of another), clipping, optimiser state and random stream. It therefore ends as
if trained alone, up to the rounding of the products.

A method can be stacked (`Algorithm.stackable`) if its `update`
- draws random numbers from `self.draws` only, and `prepare` draws none;
- counts dimensions from the last, and keeps losses apart: [B] becomes [K, B], a loss [K];
- minimises the sum of all losses and clips by `clip_gradients`;
- uses linear layers, layer norms, plain embeddings, dropout from
  `benchmarks.common.random_streams`, and layers without parameters. Each layer is registered once;
  a shared one is passed to `forward`. A tensor of shape s among its `parts` becomes [K, *s].
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
from benchmarks.methods.algorithm import (
    LOG_EVERY,
    Algorithm,
    TrainingProgress,
    checked_progress,
)

_STEP = "step"
"""Name of the step count in an optimiser's state, which all seeds share."""


class StackedLinear(nn.Module):
    """K linear layers: [K, B, i] to [K, B, o]."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = _stacked_parameter([layer.weight for layer in layers])
        self.bias = _stacked_parameter([layer.bias for layer in layers])

    def forward(self, x: Tensor) -> Tensor:
        """Each layer on the batch of its seed."""
        return torch.baddbmm(self.bias[:, None], x, self.weight.transpose(1, 2))


class StackedLayerNorm(nn.Module):
    """K layer norms: [K, B, w] to the same shape."""

    def __init__(self, layers: Sequence[nn.LayerNorm]) -> None:
        super().__init__()
        self.shape, self.eps = layers[0].normalized_shape, layers[0].eps
        self.weight = _stacked_parameter([layer.weight for layer in layers])
        self.bias = _stacked_parameter([layer.bias for layer in layers])

    def forward(self, x: Tensor) -> Tensor:
        """Each layer on the batch of its seed."""
        normed = nn.functional.layer_norm(x, self.shape, eps=self.eps)
        return torch.addcmul(self.bias[:, None], normed, self.weight[:, None])


class StackedEmbedding(nn.Module):
    """K embedding tables of the same size: whole numbers [K, B] to [K, B, e]."""

    def __init__(self, layers: Sequence[nn.Embedding]) -> None:
        super().__init__()
        self.weight = _stacked_parameter([layer.weight for layer in layers])

    def forward(self, index: Tensor) -> Tensor:
        """Look up in one long table, in which the K tables lie one after another."""
        seeds, size, width = self.weight.shape
        offset = size * torch.arange(seeds, device=index.device)[:, None]
        return nn.functional.embedding(index + offset, self.weight.view(-1, width))


class Stack:
    """Trains seeds as one batched model, kept in sync with the algorithm of each seed.

    The parameters and optimiser states of the algorithms become views of the stack's. After each
    report, `state()` of each algorithm is what it would be alone, so that it can be saved, and
    resumed alone or in another stack.
    """

    def __init__(self, algorithms: Sequence[Algorithm]) -> None:
        """Raises `ValueError` if the algorithms cannot be stacked."""
        first = algorithms[0]
        settings = [(type(a), a.config, a.limit, a.updates, a.device) for a in algorithms]
        if not first.stackable or any(other != settings[0] for other in settings):
            raise ValueError(
                f"cannot stack {[a.name for a in algorithms]}: all must be the same stackable "
                "method with the same options, limit, device and number of updates"
            )
        self.algorithms, self.device = algorithms, first.device
        self.streams = [Generator(self.device) for _ in algorithms]
        for stream, algorithm in zip(self.streams, algorithms, strict=True):
            stream.set_state(algorithm.generators[self.device.type])
        draws = StackedDraws(self.streams)
        all_parts = [algorithm.parts() for algorithm in algorithms]
        # by the id of an object of the first algorithm: its stacked counterpart
        stacked_by_id: dict[int, Any] = {id(first.draws): draws}
        self._optimisers: list[tuple[Optimizer, list[Optimizer]]] = []
        by_name = [[parts[name] for parts in all_parts] for name in all_parts[0]]
        for per_seed in by_name:
            if isinstance(per_seed[0], nn.Module):
                _stack_modules(per_seed, draws, stacked_by_id)
            elif isinstance(per_seed[0], Tensor):
                stacked_by_id[id(per_seed[0])] = _stack_tensors(per_seed)
        for per_seed in by_name:  # last, since they refer to the stacked parameters
            if isinstance(per_seed[0], Optimizer):
                stacked = _stack_optimisers(per_seed, stacked_by_id)
                stacked_by_id[id(per_seed[0])] = stacked
                self._optimisers.append((stacked, per_seed))
        for part in list(stacked_by_id.values()):
            if isinstance(part, nn.Module):  # its attributes may be tensors and optimisers
                vars(part).update({n: stacked_by_id.get(id(v), v) for n, v in vars(part).items()})
        self.leader = copy(first)
        self.leader.stacked = True
        for name, value in vars(first).items():
            setattr(self.leader, name, _replaced(value, stacked_by_id))

    def fit(
        self,
        data: Trajectories,
        updates: int,
        every: int = LOG_EVERY,
        due: Callable[[], bool] = lambda: False,
    ) -> Iterator[list[TrainingProgress]]:
        """Like `Algorithm.fit`, with a list of the progress of each seed."""
        for done, losses, seconds in self.leader.advance(data, updates, every, due):
            self._synchronise(done, updates)
            yield [
                checked_progress(
                    done, {name: _of_seed(values, k) for name, values in losses.items()}, seconds
                )
                for k in range(len(self.algorithms))
            ]

    def _synchronise(self, updates: int, planned: int) -> None:
        """Copy the stack's state back to each algorithm."""
        for algorithm, stream in zip(self.algorithms, self.streams, strict=True):
            algorithm.updates, algorithm.planned_updates = updates, planned
            algorithm.generators[self.device.type] = stream.get_state()
        for stacked, per_seed in self._optimisers:
            _synchronise_optimisers(stacked, per_seed)


def clip_gradients(parameters: Iterable[nn.Parameter], largest: float, stacked: bool) -> None:
    """Scale the gradient to a norm of at most `largest`; the gradient of each seed separately."""
    if not stacked:
        nn.utils.clip_grad_norm_(parameters, largest)
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients])
    scale = (largest / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.dim() - 1)))


def _stacked_parameter(per_seed: Sequence[Tensor]) -> nn.Parameter:
    values = torch.stack([parameter.detach() for parameter in per_seed])
    return nn.Parameter(values, per_seed[0].requires_grad)


def _stack_tensors(per_seed: Sequence[Tensor]) -> Tensor:
    """A tensor [K, ...]; the tensors of the seeds become views of it."""
    stacked = torch.stack([tensor.detach() for tensor in per_seed])
    stacked.requires_grad_(per_seed[0].requires_grad)
    _make_views(per_seed, stacked)
    return stacked


def _make_views(per_seed: Sequence[Tensor], stacked: Tensor) -> None:
    for tensor, view in zip(per_seed, stacked.detach(), strict=True):
        tensor.data = view


def _stack_modules(
    per_seed: Sequence[nn.Module], draws: Draws, stacked_by_id: dict[int, Any]
) -> nn.Module:
    """One module that evaluates the modules of all seeds; adds its parts to `stacked_by_id`."""
    first = per_seed[0]
    if isinstance(first, nn.Linear):
        stacked: nn.Module = StackedLinear(per_seed)  # type: ignore[arg-type]
    elif isinstance(first, nn.LayerNorm):
        stacked = StackedLayerNorm(per_seed)  # type: ignore[arg-type]
    elif isinstance(first, nn.Embedding):
        stacked = StackedEmbedding(per_seed)  # type: ignore[arg-type]
    elif isinstance(first, Dropout):
        stacked = Dropout(first.share, draws)
    else:
        stacked = copy(first)
        stacked._parameters, stacked._modules = {}, {}
        for name, value in list(vars(stacked).items()):
            if isinstance(value, partial):  # an accelerated method, bound to the first module
                delattr(stacked, name)
        for name, _ in first.named_parameters(recurse=False):
            parameters = [getattr(module, name) for module in per_seed]
            stacked.register_parameter(name, _stacked_parameter(parameters))
        if any(True for _ in first.buffers(recurse=False)):
            raise TypeError(f"{type(first).__name__} has buffers: it cannot be stacked")
        for name, _ in first.named_children():
            children = [getattr(module, name) for module in per_seed]
            stacked.add_module(name, _stack_modules(children, draws, stacked_by_id))
    stacked.train(first.training)
    for name, parameter in stacked.named_parameters(recurse=False):
        parameters = [getattr(module, name) for module in per_seed]
        _make_views(parameters, parameter)
        stacked_by_id[id(parameters[0])] = parameter
    stacked_by_id[id(first)] = stacked
    return stacked


def _stack_optimisers(per_seed: Sequence[Optimizer], stacked_by_id: Mapping[int, Any]) -> Optimizer:
    """An optimiser of the same kind over the stacked parameters, with the states of all seeds."""
    groups = [
        {**group, "params": [stacked_by_id[id(parameter)] for parameter in group["params"]]}
        for group in per_seed[0].param_groups
    ]
    kind: Any = type(per_seed[0])
    stacked: Optimizer = kind(groups)
    by_parameter = zip(_parameters(stacked), *map(_parameters, per_seed), strict=True)
    for target, *sources in by_parameter:
        states = [
            optimiser.state.get(source, {})
            for optimiser, source in zip(per_seed, sources, strict=True)
        ]
        if states[0]:
            stacked.state[target] = {
                name: value.clone()
                if name == _STEP
                else torch.stack([state[name] for state in states])
                for name, value in states[0].items()
            }
    return stacked


def _synchronise_optimisers(stacked: Optimizer, per_seed: Sequence[Optimizer]) -> None:
    """Give the optimiser of each seed the stack's settings and, as views, its part of the state."""
    for k, optimiser in enumerate(per_seed):
        for source_group, group in zip(stacked.param_groups, optimiser.param_groups, strict=True):
            group.update({name: v for name, v in source_group.items() if name != "params"})
        for source, target in zip(_parameters(stacked), _parameters(optimiser), strict=True):
            if state := stacked.state.get(source):
                optimiser.state[target] = {
                    name: value.clone() if name == _STEP else value[k]
                    for name, value in state.items()
                }


def _parameters(optimiser: Optimizer) -> list[Tensor]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _of_seed(losses: list[float] | float, k: int) -> float:
    return losses[k] if isinstance(losses, list) else losses


def _replaced(value: Any, stacked_by_id: Mapping[int, Any]) -> Any:
    """The stacked counterpart of `value`, or `value`; searches tuples, lists and dictionaries."""
    if id(value) in stacked_by_id:
        return stacked_by_id[id(value)]
    if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        return type(value)(_replaced(item, stacked_by_id) for item in value)
    if isinstance(value, dict):
        return {key: _replaced(item, stacked_by_id) for key, item in value.items()}
    return value
