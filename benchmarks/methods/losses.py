"""What the losses and updates of several methods have in common."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def expectile_weight(residual: Tensor, expectile: float) -> Tensor:
    """|expectile - 1[residual < 0]|, elementwise: `expectile` above 0, 1 - `expectile` below.

    The mean of squared residuals with this weight is minimal at the expectile (Newey and Powell
    1987): the mean at 1/2, the maximum towards 1.
    """
    return (expectile - (residual < 0).float()).abs()


def expectile_loss(residual: Tensor, expectile: float) -> Tensor:
    """Mean over the last dimension of squared residuals [..., B], weighted asymmetrically."""
    return (expectile_weight(residual, expectile) * residual.square()).mean(-1)


def optimizer_step(optimiser: Optimizer, loss: Tensor) -> None:
    """One gradient step on `loss`; the losses [K] of a stack of seeds are added up."""
    optimiser.zero_grad(set_to_none=True)
    loss.sum().backward()
    optimiser.step()


def make_target(module: nn.Module) -> Any:
    """A target network: a copy in evaluation mode that takes no gradient."""
    return deepcopy(module).eval().requires_grad_(False)


@torch.no_grad()
def polyak_update(target: nn.Module, source: nn.Module, tau: float) -> None:
    """Move the parameters of `target` by the fraction `tau` towards those of `source`."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), tau)
