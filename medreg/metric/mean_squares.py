"""Mean squared difference: for two images of the same scale, such as repeated scans in Hounsfield units."""

from __future__ import annotations

from torch import Tensor

from medreg.metric.measure import Slope


def mean_squares(fixed: Tensor, moving: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of (moving - fixed)^2, in squared image units; 0 for equal images.

    Args:
        fixed: (N,) values.
        moving: (N,) values; differentiable.
        weight: (N,) non-negative, not all zero.
    """
    return (weight * (moving - fixed) ** 2).sum() / weight.sum()


class MeanSquaresMeasure:
    """`mean_squares` of all channels (C, N), divided by the fixed samples' variance, so that its value has no unit."""

    def __init__(self, fixed: Tensor) -> None:
        self.fixed = fixed
        self.scale = float(fixed.var(1, correction=0).sum().clamp(min=1e-30))

    def __call__(self, moving: Tensor, weight: Tensor) -> Slope:
        """See `Measure`."""
        residual = (moving - self.fixed) * weight
        norm = 2.0 / (self.scale * float(weight.sum().clamp(min=1.0)))
        value = float(residual.flatten().dot(residual.flatten())) * norm / 2
        return Slope(value, residual * norm, (weight * norm).expand_as(moving))
