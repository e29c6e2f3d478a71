"""Values of an ensemble of critics; the backward pass skips rows whose gradient is zero.

Autograd propagates zeros through every network: for the larger of two values, for a penalty whose
weight is 0, for rows that a loss masks out. Here such rows are left out of the backward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def ensemble_values(networks: Sequence[nn.Sequential], x: Tensor) -> Tensor:
    """q_i(x) [n, B] of n networks of linear layers and ReLUs with one output, for `x` [B, d]."""
    result: Tensor = _EnsembleValues.apply(len(networks), x, *_parameters(networks))
    return result


def min_q(networks: Sequence[nn.Sequential], x: Tensor) -> Tensor:
    """min_i q_i(x) [B]; each row's gradient passes only through the network with the minimum."""
    return ensemble_values(networks, x).min(0).values


def _parameters(networks: Sequence[nn.Sequential]) -> list[Tensor]:
    return [
        parameter
        for network in networks
        for layer in network
        if isinstance(layer, nn.Linear)
        for parameter in (layer.weight, layer.bias)
    ]


class _EnsembleValues(torch.autograd.Function):
    """Forward through all networks; backward through each only rows with a non-zero gradient."""

    @staticmethod
    def forward(ctx: Any, count: int, x: Tensor, *parameters: Tensor) -> Tensor:
        per_network = len(parameters) // count
        activations, outputs = [], []
        for start in range(0, len(parameters), per_network):
            *inner, (weight, bias) = _layers(parameters[start : start + per_network])
            h = x
            for w, b in inner:
                h = torch.addmm(b, h, w.t()).relu_()
                activations.append(h)
            outputs.append(torch.addmm(bias, h, weight.t())[:, 0])
        ctx.count = count
        ctx.save_for_backward(x, *parameters, *activations)
        return torch.stack(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x, *saved), count = ctx.saved_tensors, ctx.count
        # saved: a weight and a bias for each layer, and the input of each layer but the first
        depth = (len(saved) // count + 1) // 3
        parameters, activations = saved[: 2 * depth * count], saved[2 * depth * count :]
        x_grad = torch.zeros_like(x) if ctx.needs_input_grad[1] else None
        parameter_grads: list[Tensor | None] = []
        for i, grad in enumerate(gradient):
            inputs = [x, *activations[i * (depth - 1) : (i + 1) * (depth - 1)]]
            # on a GPU, finding the non-zero rows would synchronise with the CPU
            rows = (
                grad.nonzero()[:, 0] if grad.is_cpu else torch.arange(len(grad), device=grad.device)
            )
            if len(rows) < len(grad):
                grad, *inputs = (values.index_select(0, rows) for values in (grad, *inputs))
            back, grads = grad[:, None], list[Tensor | None]()
            layers = _layers(parameters[2 * i * depth : 2 * (i + 1) * depth])
            for layer in range(depth - 1, -1, -1):
                h, (weight, _) = inputs[layer], layers[layer]
                if ctx.needs_input_grad[2]:
                    grads = [_outer_product(back, h), back.sum(0), *grads]
                if layer:
                    back = torch.ops.aten.threshold_backward(back @ weight, h, 0)
                elif x_grad is not None:
                    x_grad.index_add_(0, rows, (weight.t() @ back.t()).t())
            parameter_grads += grads or [None] * (2 * depth)
        return (None, x_grad, *parameter_grads)


def _outer_product(back: Tensor, h: Tensor) -> Tensor:
    """back^T h, with the narrower matrix first: the other order is several times slower."""
    return back.t() @ h if back.shape[1] <= h.shape[1] else (h.t() @ back).t()


def _layers(parameters: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(parameters[::2], parameters[1::2], strict=True))
