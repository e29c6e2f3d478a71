"""Losses that several methods use."""

from __future__ import annotations

from torch import Tensor


def expectile_weight(residual: Tensor, expectile: float) -> Tensor:
    """|expectile - 1[residual < 0]|, elementwise: `expectile` above 0, 1 - `expectile` below.

    The mean of squared residuals with this weight is minimal at the expectile (Newey and Powell
    1987): the mean at 1/2, the maximum towards 1.
    """
    return (expectile - (residual < 0).float()).abs()


def expectile_loss(residual: Tensor, expectile: float) -> Tensor:
    """Mean over the last dimension of squared residuals [..., B], weighted asymmetrically."""
    return (expectile_weight(residual, expectile) * residual.square()).mean(-1)
