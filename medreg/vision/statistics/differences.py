"""How far apart the voxels of two images are.

Each channel of each item has its own number: an image gives (C,), a batch (B, C), a tensor (..., z, y, x) its leading
shape. So a colour picture (3, y, x) gives three numbers with `dimension=2`, and one over all channels with
`dimension=3`. Voxels that are not finite in one of the two, or lie outside the mask, do not count.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medreg.ops.voxels import Given
from medreg.vision.statistics.counting import compared, range_of


def mean_absolute_difference(image: Given, other: Given, mask: Given | None = None, *, dimension: int = 3) -> Tensor:
    """The mean of |image - other|.

    Args:
        image: an image, a batch, or a tensor (..., z, y, x).
        other: the same, of the same shape and place.
        mask: nonzero where voxels count; all by default.
        dimension: space axes at the end of tensors, 2 or 3; images know their own.

    Returns:
        One number for each channel; differentiable to both images.

    Raises:
        ImageError: images of different shapes or places, a mask that does not fit, or a channel where no voxel counts.

    Example:
        >>> mean_absolute_difference(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 5.0]]), dimension=2)
        tensor(1.5000)
    """
    return compared(image, other, mask, dimension).each(lambda both: _apart(both).mean())


def sum_absolute_difference(image: Given, other: Given, mask: Given | None = None, *, dimension: int = 3) -> Tensor:
    """The sum of |image - other|. Arguments, results and errors as of `mean_absolute_difference`.

    Example:
        >>> sum_absolute_difference(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 5.0]]), dimension=2)
        tensor(4.)
    """
    return compared(image, other, mask, dimension).each(lambda both: _apart(both).sum())


def max_absolute_difference(image: Given, other: Given, mask: Given | None = None, *, dimension: int = 3) -> Tensor:
    """The largest |image - other|. Arguments, results and errors as of `mean_absolute_difference`.

    Example:
        >>> max_absolute_difference(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 5.0]]), dimension=2)
        tensor(3.)
    """
    return compared(image, other, mask, dimension).each(lambda both: _apart(both).amax())


def mean_squared_error(image: Given, other: Given, mask: Given | None = None, *, dimension: int = 3) -> Tensor:
    """The mean of (image - other)^2. Arguments, results and errors as of `mean_absolute_difference`.

    Example:
        >>> mean_squared_error(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 5.0]]), dimension=2)
        tensor(4.5000)
    """
    return compared(image, other, mask, dimension).each(_squares)


def root_mean_squared_error(image: Given, other: Given, mask: Given | None = None, *, dimension: int = 3) -> Tensor:
    """The root of `mean_squared_error`. Where the images are equal its gradient is 0.

    Arguments, results and errors as of `mean_absolute_difference`.

    Example:
        >>> root_mean_squared_error(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 4.0]]), dimension=2)
        tensor(1.4142)
    """
    return compared(image, other, mask, dimension).each(_root)


def psnr(image: Given, other: Given, mask: Given | None = None, *, data_range: float, dimension: int = 3) -> Tensor:
    """The peak signal-to-noise ratio in dB: 10 log10(data_range^2 / mean squared error).

    Infinite, with a gradient of 0, where the images are equal.

    Args:
        image: an image, a batch, or a tensor (..., z, y, x).
        other: the same, of the same shape and place.
        mask: nonzero where voxels count; all by default.
        data_range: the distance from the lowest to the highest value that such images can have: 255 of 8 bits. It is
            never guessed.
        dimension: space axes at the end of tensors, 2 or 3; images know their own.

    Raises:
        UsageError: a data range of 0 or below.
        ImageError: as `mean_absolute_difference`.

    Example:
        >>> psnr(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 2.5]]), data_range=10.0, dimension=2)
        tensor(29.0309)
    """
    peak = range_of(data_range)

    def ratio(both: Tensor) -> Tensor:
        error = _squares(both)
        same = error == 0
        return torch.where(same, torch.inf, 10 * (peak**2 / torch.where(same, 1.0, error)).log10())

    return compared(image, other, mask, dimension).each(ratio)


def _apart(both: Tensor) -> Tensor:
    """|image - other|, in the precision in which it is added up: float64 where there is one."""
    both = both if both.device.type == "mps" else both.double()
    return (both[0] - both[1]).abs()


def _squares(both: Tensor) -> Tensor:
    return _apart(both).square().mean()


def _root(both: Tensor) -> Tensor:
    error = _squares(both)
    same = error == 0
    return torch.where(same, 0.0, torch.where(same, 1.0, error).sqrt())
