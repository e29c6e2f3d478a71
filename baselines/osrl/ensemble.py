"""Values of several networks, and the least of them, whose gradient passes only where it is not 0.

Autograd sends zeros back through every network: those of the greater of two values, of a price
that is 0, of rows that a loss leaves out. Here such rows are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def values(networks: Sequence[nn.Sequential], x: Tensor) -> Tensor:
    """q_i(x) [n, B] of n networks of linear layers and ReLUs to one value, for `x` [B, d]."""
    given: Tensor = _Values.apply(len(networks), x, *_parameters(networks))
    return given


def least(networks: Sequence[nn.Sequential], x: Tensor) -> Tensor:
    """min_i q_i(x) [B]; the gradient passes the network that gave it alone."""
    return values(networks, x).min(0).values


def _parameters(networks: Sequence[nn.Sequential]) -> list[Tensor]:
    return [
        parameter
        for network in networks
        for layer in network
        if isinstance(layer, nn.Linear)
        for parameter in (layer.weight, layer.bias)
    ]


class _Values(torch.autograd.Function):
    """Forward through all networks; back, for each, the rows whose gradient is not 0."""

    @staticmethod
    def forward(ctx: Any, count: int, x: Tensor, *parameters: Tensor) -> Tensor:
        each = len(parameters) // count
        hidden, given = [], []
        for start in range(0, len(parameters), each):
            *inner, (weight, bias) = _layers(parameters[start : start + each])
            rows = x
            for w, b in inner:
                rows = torch.addmm(b, rows, w.t()).relu_()
                hidden.append(rows)
            given.append(torch.addmm(bias, rows, weight.t())[:, 0])
        ctx.count = count
        ctx.save_for_backward(x, *parameters, *hidden)
        return torch.stack(given)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x, *saved), count = ctx.saved_tensors, ctx.count
        depth = (len(saved) // count + 1) // 3  # a weight and a bias each, and inputs but the first
        parameters, hidden = saved[: 2 * depth * count], saved[2 * depth * count :]
        of_x = torch.zeros_like(x) if ctx.needs_input_grad[1] else None
        found: list[Tensor | None] = []
        for i, own in enumerate(gradient):
            inputs = [x, *hidden[i * (depth - 1) : (i + 1) * (depth - 1)]]
            # a GPU would have to wait for the answer
            kept = own.nonzero()[:, 0] if own.is_cpu else torch.arange(len(own), device=own.device)
            if len(kept) < len(own):
                own, *inputs = (one.index_select(0, kept) for one in (own, *inputs))
            back, grads = own[:, None], list[Tensor | None]()
            layers = _layers(parameters[2 * i * depth : 2 * (i + 1) * depth])
            for layer in range(depth - 1, -1, -1):
                rows, (weight, _) = inputs[layer], layers[layer]
                if ctx.needs_input_grad[2]:
                    grads = [_product(back, rows), back.sum(0), *grads]
                if layer:
                    back = torch.ops.aten.threshold_backward(back @ weight, rows, 0)
                elif of_x is not None:
                    of_x.index_add_(0, kept, (weight.t() @ back.t()).t())
            found += grads or [None] * (2 * depth)
        return (None, of_x, *found)


def _product(back: Tensor, rows: Tensor) -> Tensor:
    """back^T rows; of a wide and a narrow matrix the wide one's product is several times slower."""
    return back.t() @ rows if back.shape[1] <= rows.shape[1] else (rows.t() @ back).t()


def _layers(parameters: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(parameters[::2], parameters[1::2], strict=True))
