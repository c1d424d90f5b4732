"""Second derivatives summed over the axes."""

from __future__ import annotations

import torch

from medreg.errors import ImageError
from medreg.ops.arguments import Numbers
from medreg.ops.voxels import Voxels, revalued
from medreg.vision.filters.blurring import gaussian_parts
from medreg.vision.filters.borders import REFLECT, Border
from medreg.vision.filters.filtering import centred, filtered
from medreg.vision.filters.spaces import Space, dimension_of, space_of


def laplacian(image: Voxels, *, border: Border = REFLECT, dimension: int = 3) -> Voxels:
    """The sum over the axes of (f[i + 1] - 2 f[i] + f[i - 1]) / step^2, per mm^2: `scipy.ndimage.laplace`.

    Args:
        image: an image, a batch, or a tensor (..., z, y, x), which has a spacing of 1. Integers become floating point.
        border: what lies beyond the image.
        dimension: space axes at the end of a tensor, 1 to 3; an image knows its own.

    Raises:
        ImageError: a sheared grid, whose axes are not at right angles.

    Example:
        >>> laplacian(torch.tensor([0.0, 1.0, 4.0, 9.0]), dimension=1)
        tensor([ 1.,  2.,  2., -5.])
    """
    space = _at_right_angles(image, border, dimension)
    d = space.dimension
    kernel = torch.zeros([3] * d, dtype=torch.float64)
    for axis, step in enumerate(reversed(space.spacing)):
        line = [slice(None) if k == axis else 1 for k in range(d)]
        kernel[tuple(line)] += torch.tensor([1.0, -2.0, 1.0], dtype=torch.float64) / step**2
    return revalued(image, filtered(space.values, [centred(kernel)], border))


def laplacian_of_gaussian(image: Voxels, sigma_mm: Numbers, *, border: Border = REFLECT, dimension: int = 3) -> Voxels:
    """The sum over the axes of the second derivatives of a Gaussian, per mm^2: `scipy.ndimage.gaussian_laplace`.

    Args:
        image: an image, a batch, or a tensor (..., z, y, x), which has a spacing of 1. Integers become floating point.
        sigma_mm: standard deviation in millimetres (voxels of a tensor): one, or one along each of x, y(, z). A tensor
            gets its gradient.
        border: what lies beyond the image.
        dimension: space axes at the end of a tensor, 1 to 3; an image knows its own.

    Raises:
        UsageError: another number of sigmas.
        ImageError: a sheared grid, or a sigma below an eighth of a voxel.

    Example:
        >>> bright = torch.zeros(1, 9, 9)
        >>> bright[0, 4, 4] = 1
        >>> round(float(laplacian_of_gaussian(bright, 1.0, dimension=2)[0, 4, 4]), 4)
        -0.3183
    """
    space = _at_right_angles(image, border, dimension)
    values = space.values
    orders = 2 * torch.eye(space.dimension, dtype=torch.long)
    second = [filtered(values, gaussian_parts(space, sigma_mm, of_axis), border) for of_axis in orders.tolist()]
    return revalued(image, sum(second[1:], second[0]))


def _at_right_angles(image: Voxels, border: Border, dimension: int) -> Space:
    space = space_of(image, border, dimension_of(image, dimension))
    if any(grid.is_sheared for grid in space.grids):
        raise ImageError(
            f"{space.name}: its grid is sheared (a tilted gantry), and a Laplacian needs axes at right angles; "
            "resample it first"
        )
    return space
