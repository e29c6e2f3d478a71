"""What losses of several methods have in common."""

from __future__ import annotations

from torch import Tensor


def expectile_weight(residual: Tensor, expectile: float) -> Tensor:
    """|expectile - 1[residual < 0]|, elementwise: `expectile` above 0, the rest below.

    The mean of squared residuals with this weight is least at the expectile (Newey and Powell
    1987); at 1/2 that is the mean, towards 1 the largest value.
    """
    return (expectile - (residual < 0).float()).abs()
