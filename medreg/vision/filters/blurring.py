"""Smoothing: Gaussians in millimetres and their derivatives, and the mean over a box."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medreg.errors import ImageError
from medreg.ops.arguments import Numbers
from medreg.ops.voxels import Voxels, revalued
from medreg.sample.smoothing import TRUNCATE, gaussian_taps
from medreg.vision.filters.borders import REFLECT, Border
from medreg.vision.filters.filtering import Part, centred, filtered
from medreg.vision.filters.spaces import Space, along, dimension_of, in_place_of, space_of, taps


def gaussian(
    image: Voxels,
    sigma_mm: Numbers,
    *,
    order: int | Sequence[int] = 0,
    border: Border = REFLECT,
    dimension: int = 3,
) -> Voxels:
    """The image under a Gaussian, or under a derivative of one.

    The kernel is exp(-x^2 / (2 sigma^2)) at whole voxels up to 4 sigma, scaled to sum 1, along one axis after another;
    for a derivative it is multiplied by the polynomial that differentiation gives. So does
    `scipy.ndimage.gaussian_filter`. With `Edge()` and order 0 it is `medreg.sample.smooth`. Below about 0.8
    voxels sampled derivatives are rough: at 0.6 the second one of a constant is -0.065 times the constant, not 0.

    Args:
        image: an image, a batch, or a tensor (..., z, y, x), which has a spacing of 1. Integers become floating point.
        sigma_mm: standard deviation, 0 or more, in millimetres (voxels of a tensor): one, or one along each of
            x, y(, z). A tensor gets its gradient, and so may be learnt; the kernel's length follows its value in steps.
        order: 0 smooths, 1 and 2 give that derivative along the axis, per mm (per mm^2): one for all axes, or one for
            each of x, y(, z).
        border: what lies beyond the image.
        dimension: space axes at the end of a tensor, 1 to 3; an image knows its own.

    Raises:
        UsageError: numbers of another kind or count.
        ImageError: a negative sigma, or one below an eighth of a voxel where a derivative is asked for.

    Example:
        >>> gaussian(torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0]), 0.5, dimension=1)
        tensor([2.6387e-04, 1.0645e-01, 7.8657e-01, 1.0645e-01, 2.6387e-04])
    """
    space = space_of(image, border, dimension_of(image, dimension))
    orders = space.whole(order, "order", 0)
    smoothed = filtered(space.values, gaussian_parts(space, sigma_mm, orders), border)
    return revalued(image, smoothed) if any(orders) else in_place_of(image, smoothed)


def box(image: Voxels, size: int | Sequence[int], *, border: Border = REFLECT, dimension: int = 3) -> Voxels:
    """The mean over a box of voxels around each, as `scipy.ndimage.uniform_filter`.

    Args:
        image: an image, a batch, or a tensor (..., z, y, x). Integers become floating point.
        size: voxels, 1 or more: one number, or one along each of x, y(, z). Of an even number the voxel is the right
            one of the two in the middle.
        border: what lies beyond the image.
        dimension: space axes at the end of a tensor, 1 to 3; an image knows its own.

    Raises:
        UsageError: a size that is not whole, or below 1.

    Example:
        >>> box(torch.tensor([3.0, 6.0, 0.0]), 3, dimension=1)
        tensor([4., 3., 2.])
    """
    space = space_of(image, border, dimension_of(image, dimension))
    sizes = space.whole(size, "size", 1)
    parts = [centred(taps([1 / n] * n, k, space.dimension)) for k, n in enumerate(sizes) if n > 1]
    return in_place_of(image, filtered(space.values, parts, border))


def gaussian_parts(space: Space, sigma_mm: Numbers, orders: Sequence[int]) -> list[Part]:
    """The kernels of a Gaussian, with a derivative's order for each tensor axis; differentiable to sigma.

    Raises:
        UsageError: another number of sigmas.
        ImageError: a sigma that is negative, or too small for a derivative; or an order above 2.
    """
    parts = []
    sigmas = space.several(sigma_mm, "sigma_mm")
    for axis, (sigma, step, order) in enumerate(zip(sigmas, reversed(space.spacing), orders, strict=True)):
        kernel = _taps(sigma, step, order, space.name)
        if len(kernel) > 1:
            parts.append(centred(kernel.view(along(axis, len(kernel), space.dimension))))
    return parts


def _taps(sigma_mm: Tensor, step_mm: float, order: int, name: str) -> Tensor:
    """(n,) float64: the kernel along one axis, to correlate with."""
    sigma = sigma_mm / step_mm
    width = float(sigma.detach())
    reach = int(TRUNCATE * width + 0.5)
    if width < 0:
        raise ImageError(f"{name}: a Gaussian needs a sigma of 0 mm or more, got {width * step_mm:g}")
    if order > 2:
        raise ImageError(f"{name}: derivatives of a Gaussian go up to order 2, asked for {order}; filter twice")
    if order and not reach:
        raise ImageError(
            f"{name}: a derivative needs a sigma of an eighth of a voxel or more, got {width * step_mm:g} mm at "
            f"{step_mm:g} mm between voxels; take `derivative(image, axis, by=Central())`"
        )
    if not reach:
        return torch.ones_like(sigma).reshape(1)
    x = torch.arange(-reach, reach + 1, dtype=sigma.dtype, device=sigma.device)
    weights = gaussian_taps(sigma, reach)
    if order == 1:
        return x / sigma**2 * weights / step_mm
    if order == 2:
        return (x**2 / sigma**2 - 1) / sigma**2 * weights / step_mm**2
    return weights
