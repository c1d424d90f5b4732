"""Correlation ratio: how much of the moving image is a function, of any form, of the fixed one.

Roche et al. 1998 (doi:10.1007/BFb0056301). The function is a mean for each bin of fixed values. Bins are hard: the
means are then a least squares fit, so the range is exact and the fit adds nothing to the slope; and only the fixed
image, which is not differentiated, is binned. They are laid by rank, so that no mean stands on a handful of bright
voxels, which it would fit by chance; equal values (air, masks) share one bin.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medreg.metric.correlation import FLAT
from medreg.metric.measure import Slope


def correlation_ratio(fixed: Tensor, moving: Tensor, weight: Tensor, bins: int = 32) -> Tensor:
    """Share of the moving variance that no function of the fixed value explains: 0 (a function of it) to 1.

    Args:
        fixed: (N,) values, not differentiated. The bins are laid by all of them, counted or not.
        moving: (N,) values; differentiable.
        weight: (N,) non-negative.
        bins: of the fixed values, at most.

    A constant moving image gives 1. Unrelated images give about 1 - bins / N.
    """
    index = ranked_bins(fixed, bins)
    total = weight.sum().clamp(min=1e-30)
    centred = moving - (weight * moving).sum() / total
    empty = moving.new_zeros(bins)
    counts = empty.index_add(0, index, weight).clamp(min=1e-30)
    means = empty.index_add(0, index, weight * centred) / counts
    variance = (weight * centred**2).sum()
    left = (weight * (centred - means[index]) ** 2).sum()
    varies = variance > FLAT * (weight * moving**2).sum()
    return torch.where(varies, left / variance.clamp(min=1e-30), torch.ones_like(left))


def ranked_bins(values: Tensor, bins: int) -> Tensor:
    """(N,) int64, 0 to bins - 1: equally filled bins of the values (N,), where equal values are in one bin.

    A value that fills several bins leaves those between empty.
    """
    ordered = values.sort().values
    starts = (torch.arange(1, bins, device=values.device) * len(values)) // bins
    return torch.searchsorted(ordered[starts], values, right=True)


class CorrelationRatioMeasure:
    """`correlation_ratio` with its slope in closed form, channel by channel, the mean of all."""

    def __init__(self, fixed: Tensor, bins: int) -> None:
        """Bind to fixed values (C, N)."""
        self.bins = bins
        self.index = [ranked_bins(channel, bins) for channel in fixed]

    def __call__(self, moving: Tensor, weight: Tensor) -> Slope:
        """See `Measure`."""
        channels = len(self.index)
        count = float(weight.sum().clamp(min=1e-30))
        value, slope, curvature = 0.0, torch.zeros_like(moving), torch.zeros_like(moving)
        for k, index in enumerate(self.index):
            mean = float(weight.dot(moving[k])) / count
            centred = (moving[k] - mean).mul_(weight)
            variance = float(centred.dot(centred))
            if variance <= FLAT * float((moving[k] * weight).dot(moving[k])):
                value += 1.0
                continue
            means = _sums(index, centred, self.bins) / _sums(index, weight, self.bins).clamp(min=1e-30)
            residual = centred - means.to(centred)[index] * weight
            share = float(residual.dot(residual)) / variance
            value += share
            norm = 2 / (variance * channels)
            slope[k] = (residual - centred * share) * norm
            curvature[k] = weight * norm
        return Slope(value / channels, slope, curvature)


def _sums(index: Tensor, values: Tensor, bins: int) -> Tensor:
    """(bins,) float64: the values' sum in each bin, added in a fixed order on every device."""
    if index.device.type == "cpu":
        return torch.bincount(index, weights=values.double(), minlength=bins)
    # on a GPU bincount and index_add add in no fixed order
    return (torch.nn.functional.one_hot(index, bins).to(values.dtype).T @ values).double()
