"""Derivatives of images, along their axes and along the world's: differences, Sobel, Scharr, Prewitt, Gaussian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from medreg.geometry.grid import Grid
from medreg.ops.arguments import Numbers, one_of
from medreg.ops.voxels import Voxels, revalued
from medreg.vision.filters.blurring import gaussian_parts
from medreg.vision.filters.borders import REFLECT, Border
from medreg.vision.filters.filtering import Part, centred, filtered, filtered_back
from medreg.vision.filters.spaces import Space, dimension_of, space_of, taps


@dataclass(frozen=True)
class Forward:
    """f[i + 1] - f[i], of the slope half a voxel ahead."""


@dataclass(frozen=True)
class Backward:
    """f[i] - f[i - 1], of the slope half a voxel behind."""


@dataclass(frozen=True)
class Central:
    """(f[i + 1] - f[i - 1]) / 2."""


@dataclass(frozen=True)
class Sobel:
    """`Central`, smoothed by (1, 2, 1) / 4 along the other axes. scipy's `sobel` is this times 2 4^(D - 1)."""


@dataclass(frozen=True)
class Scharr:
    """`Central`, smoothed by (3, 10, 3) / 16: its direction is truer than Sobel's.

    After H. Scharr, Optimale Operatoren in der Digitalen Bildverarbeitung, Heidelberg 2000; as scikit-image has it.
    """


@dataclass(frozen=True)
class Prewitt:
    """`Central`, smoothed by (1, 1, 1) / 3 along the other axes. scipy's `prewitt` is this times 2 3^(D - 1)."""


@dataclass(frozen=True)
class GaussianSlope:
    """The derivative of a Gaussian: see `gaussian`, of order 1.

    Attributes:
        sigma_mm: standard deviation in millimetres (voxels of a tensor): one, or one along each of x, y(, z). A tensor
            gets its gradient.
    """

    sigma_mm: Numbers = 1.0


Slope: TypeAlias = Forward | Backward | Central | Sobel | Scharr | Prewitt | GaussianSlope

SOBEL = Sobel()

_ACROSS = {Sobel: (0.25, 0.5, 0.25), Scharr: (3 / 16, 10 / 16, 3 / 16), Prewitt: (1 / 3, 1 / 3, 1 / 3)}


def derivative(image: Voxels, axis: int, by: Slope = SOBEL, *, border: Border = REFLECT, dimension: int = 3) -> Voxels:
    """The derivative along an index axis, per millimetre (per voxel of a tensor): a ramp gives its slope.

    Args:
        image: an image, a batch, or a tensor (..., z, y, x), which has a spacing of 1. Integers become floating point.
        axis: 0 is x, 1 is y, 2 is z.
        by: which differences.
        border: what lies beyond the image. With `Edge()` the last forward difference is 0.
        dimension: space axes at the end of a tensor, 1 to 3; an image knows its own.

    Raises:
        UsageError: no such axis or choice.

    Example:
        >>> derivative(torch.tensor([1.0, 2.0, 4.0, 8.0]), 0, Forward(), dimension=1)
        tensor([1., 2., 4., 0.])
    """
    space = space_of(image, border, dimension_of(image, dimension))
    return revalued(image, filtered(space.values, _parts(space, space.axis(axis), by), border))


def derivative_adjoint(
    image: Voxels, axis: int, by: Slope = SOBEL, *, border: Border = REFLECT, dimension: int = 3
) -> Voxels:
    """The adjoint D' of `derivative` as a linear map D of images: <D x, y> = <x, D' y> for all x and y.

    It is minus a divergence, and what the gradient of a loss on derivatives goes through on its way back: that of
    sum |D x| is D' sign(D x). Arguments, results and errors are those of `derivative`.

    Example:
        >>> derivative_adjoint(torch.tensor([1.0, 2.0, 4.0]), 0, Forward(), dimension=1)
        tensor([-1., -1.,  2.])
    """
    space = space_of(image, border, dimension_of(image, dimension))
    return revalued(image, filtered_back(space.values, _parts(space, space.axis(axis), by), border))


def gradient(image: Voxels, by: Slope = SOBEL, *, border: Border = REFLECT, dimension: int = 3) -> tuple[Voxels, ...]:
    """The derivatives per millimetre along the axes of the world (LPS): images along x, y(, z).

    Of a tensor the world's axes are its own. On oblique and sheared grids the derivatives along the grid's axes g_k are
    turned into those of the world, D'^-1 g, where D holds the grid's directions in its columns.

    Arguments and errors are those of `derivative`.

    Example:
        >>> x, y = gradient(torch.tensor([[0.0, 2.0, 4.0]] * 3), dimension=2)
        >>> float(x[1, 1]), float(y[1, 1])
        (2.0, 0.0)
    """
    space = space_of(image, border, dimension_of(image, dimension))
    return tuple(revalued(image, one) for one in _in_world(_along_axes(space, by, border), space.grids))


def gradient_magnitude(image: Voxels, by: Slope = SOBEL, *, border: Border = REFLECT, dimension: int = 3) -> Voxels:
    """The length of `gradient`, per millimetre. Where it is 0 its own gradient is 0.

    With `GaussianSlope` it is `scipy.ndimage.gaussian_gradient_magnitude`. Arguments and errors are those of
    `derivative`.

    Example:
        >>> float(gradient_magnitude(torch.tensor([[0.0, 3.0, 6.0]] * 3), dimension=2)[1, 1])
        3.0
    """
    space = space_of(image, border, dimension_of(image, dimension))
    slopes = _along_axes(space, by, border)
    if any(grid.is_sheared for grid in space.grids):  # where axes are at right angles, turning them changes nothing
        slopes = _in_world(slopes, space.grids)
    squares = [slope.square() for slope in slopes]
    total = sum(squares[1:], squares[0])
    flat = total == 0
    return revalued(image, torch.where(flat, 1.0, total).sqrt() * ~flat)


def _along_axes(space: Space, by: Slope, border: Border) -> Sequence[Tensor]:
    """The derivative (..., z, y, x) along each index axis, x first."""
    values = space.values
    return [filtered(values, _parts(space, -1 - k, by), border) for k in range(space.dimension)]


def _in_world(slopes: Sequence[Tensor], grids: tuple[Grid, ...]) -> Sequence[Tensor]:
    """The same along the axes of the world; one grid for each item of a batch, none of a tensor."""
    if all(np.array_equal(grid.direction, np.eye(len(slopes))) for grid in grids):
        return slopes
    turns = np.stack([np.linalg.inv(np.array(grid.direction)).T for grid in grids])
    turn = torch.from_numpy(turns).to(slopes[0])
    stacked = torch.stack(list(slopes))
    batch = stacked if stacked.ndim == turn.shape[1] + 3 else stacked[:, None]  # (D, B, C, z, y, x)
    return torch.einsum("bij,jb...->ib...", turn, batch).view(stacked.shape).unbind()


def _parts(space: Space, axis: int, by: Slope) -> list[Part]:
    """The kernels of a derivative along a tensor axis, counted from the end."""
    one_of(by, Slope, "by")
    d, step = space.dimension, space.spacing[-1 - axis]
    if isinstance(by, GaussianSlope):
        return gaussian_parts(space, by.sigma_mm, [int(k == axis) for k in range(-d, 0)])
    if isinstance(by, Forward | Backward):
        ahead = taps([-1 / step, 1 / step], axis, d)
        return [centred(ahead) if isinstance(by, Backward) else Part(ahead, (0,) * d)]
    own = centred(taps([-0.5 / step, 0.0, 0.5 / step], axis, d))
    across = [k for k in range(-d, 0) if k != axis and type(by) in _ACROSS]
    return [own, *(centred(taps(_ACROSS[type(by)], k, d)) for k in across)]
