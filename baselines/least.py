"""The least of several networks' values, whose gradient passes the network that gave it alone.

Autograd sends zeros through all others: of two networks, half of the rows that go back. Here they
are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_PARAMETERS = 2
"""Of a layer: weight and bias."""


def least(networks: Sequence[nn.Sequential], x: Tensor) -> Tensor:
    """min_i q_i(x) [B] of networks of linear layers and ReLUs to one value, for data `x` [B, d].

    Gradients reach the networks' parameters, not `x`.
    """
    value: Tensor = _Least.apply(len(networks), x, *_parameters(networks))
    return value


def _parameters(networks: Sequence[nn.Sequential]) -> list[Tensor]:
    return [
        parameter
        for network in networks
        for layer in network
        if isinstance(layer, nn.Linear)
        for parameter in (layer.weight, layer.bias)
    ]


class _Least(torch.autograd.Function):
    """Forward through all networks; back, for each network, the rows where it was the least."""

    @staticmethod
    def forward(ctx: Any, count: int, x: Tensor, *parameters: Tensor) -> Tensor:
        each = len(parameters) // count
        inputs = []  # of every layer, network by network
        values = []
        for start in range(0, len(parameters), each):
            *hidden, (weight, bias) = _layers(parameters[start : start + each])
            rows = [x]
            for w, b in hidden:
                rows.append(torch.addmm(b, rows[-1], w.t()).relu_())
            inputs.append(rows)
            values.append(torch.addmm(bias, rows[-1], weight.t())[:, 0])
        value, winner = torch.stack(values).min(0)
        kept = [winner]
        for i, rows in enumerate(inputs):
            own = (winner == i).nonzero()[:, 0]
            kept += [one[own] for one in rows]
        ctx.count = count
        ctx.save_for_backward(*kept, *parameters)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        depth = (len(saved) - 1) // (ctx.count * (1 + _PARAMETERS))
        winner, inputs = saved[0], saved[1 : 1 + ctx.count * depth]
        parameters = saved[1 + ctx.count * depth :]
        found: list[Tensor] = []
        for i in range(ctx.count):
            rows = inputs[i * depth : (i + 1) * depth]
            layers = _layers(parameters[_PARAMETERS * i * depth : _PARAMETERS * (i + 1) * depth])
            back = gradient[winner == i][:, None]
            own: list[Tensor] = []
            for layer in range(depth - 1, -1, -1):
                own = [back.t() @ rows[layer], back.sum(0), *own]
                if layer:
                    back = (back @ layers[layer][0]) * (rows[layer] > 0)
            found += own
        return (None, None, *found)


def _layers(parameters: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(parameters[::2], parameters[1::2], strict=True))
