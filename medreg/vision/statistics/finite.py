"""Sums, means, extrema and quantiles of the voxels that are finite.

Each channel of each item has its own: an image gives (C,), a batch (B, C), a tensor (..., z, y, x) its leading shape.
Voxels that are infinite or not a number, or lie outside the mask, do not count, and get a gradient of 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medreg.errors import UsageError
from medreg.ops.arguments import described, numbers
from medreg.ops.histograms import quantiles
from medreg.ops.voxels import Given
from medreg.vision.statistics.counting import counted


def finite_sum(image: Given, mask: Given | None = None, *, dimension: int = 3) -> Tensor:
    """The sum of the finite voxels of each channel; added up in float64.

    Args:
        image: an image, a batch, or a tensor (..., z, y, x).
        mask: nonzero where voxels count; all by default.
        dimension: space axes at the end of a tensor, 2 or 3; an image knows its own.

    Raises:
        ImageError: a channel in which no voxel counts, or a mask that does not fit.

    Example:
        >>> finite_sum(torch.tensor([[1.0, torch.nan, 4.0]]), dimension=2)
        tensor(5.)
    """
    return counted(image, mask, dimension).each(_sum)


def finite_mean(image: Given, mask: Given | None = None, *, dimension: int = 3) -> Tensor:
    """The mean of the finite voxels of each channel: their sum over their number. Arguments as of `finite_sum`.

    Example:
        >>> finite_mean(torch.tensor([[1.0, torch.nan, 4.0]]), dimension=2)
        tensor(2.5000)
    """
    return counted(image, mask, dimension).each(lambda values: _sum(values) / len(values))


def finite_minimum(image: Given, mask: Given | None = None, *, dimension: int = 3) -> Tensor:
    """The least finite value of each channel. Equal ones share the gradient. Arguments as of `finite_sum`.

    Example:
        >>> finite_minimum(torch.tensor([[1.0, -torch.inf, 4.0]]), dimension=2)
        tensor(1.)
    """
    return counted(image, mask, dimension).each(torch.amin)


def finite_maximum(image: Given, mask: Given | None = None, *, dimension: int = 3) -> Tensor:
    """The largest finite value of each channel. Equal ones share the gradient. Arguments as of `finite_sum`.

    Example:
        >>> finite_maximum(torch.tensor([[1.0, torch.nan, 4.0]]), dimension=2)
        tensor(4.)
    """
    return counted(image, mask, dimension).each(torch.amax)


def finite_extrema(image: Given, mask: Given | None = None, *, dimension: int = 3) -> tuple[Tensor, Tensor]:
    """`finite_minimum` and `finite_maximum`, for one look at the image. Arguments as of `finite_sum`.

    Example:
        >>> finite_extrema(torch.tensor([[1.0, torch.nan, 4.0]]), dimension=2)
        (tensor(1.), tensor(4.))
    """
    low, high = counted(image, mask, dimension).each(lambda values: torch.stack(values.aminmax())).unbind(-1)
    return low, high


def finite_quantiles(
    image: Given, shares: float | Sequence[float] | Tensor, mask: Given | None = None, *, dimension: int = 3
) -> Tensor:
    """The values below which these shares of the finite voxels lie, linear between sorted values.

    `numpy.nanquantile` by its default, of what is not infinite either. Differentiable to the one or two voxels that
    make each.

    Args:
        image: an image, a batch, or a tensor (..., z, y, x).
        shares: from 0 to 1: one, or several, which are a new last axis of the result.
        mask: nonzero where voxels count; all by default.
        dimension: space axes at the end of a tensor, 2 or 3; an image knows its own.

    Raises:
        UsageError: shares outside 0 to 1, or a table of them.
        ImageError: as `finite_sum`.

    Example:
        >>> finite_quantiles(torch.tensor([[1.0, torch.nan, 4.0, 2.0]]), [0.5, 0.75], dimension=2)
        tensor([2., 3.])
    """
    wanted = numbers(shares, "shares").detach()
    if wanted.ndim > 1:
        raise UsageError(f"shares: takes one share, or a list of them, got {described(shares)}")
    found = counted(image, mask, dimension)
    several = wanted.reshape(-1).to(found.values.device)
    at = found.each(lambda values: quantiles(values, several))
    return at if wanted.ndim else at[..., 0]


def _sum(values: Tensor) -> Tensor:
    return values.sum(dtype=values.dtype if values.device.type == "mps" else torch.float64)
