"""Warping an image through any coordinate map, with gradients to the image, the map and what lies outside.

One sampler serves all maps; matrices take its fast ways, other maps are asked for their points, a chunk at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medreg.errors import TransformError, UsageError
from medreg.image import MedImage
from medreg.ops.arguments import described
from medreg.ops.background import Between, Beyond, resolved
from medreg.ops.batching import for_batches
from medreg.ops.frames import KEEP
from medreg.ops.label_likeness import warn_of_mixing
from medreg.ops.placing import LINEAR, ZERO, onto_grid
from medreg.ops.room import check_room
from medreg.sample import Label, Nearest
from medreg.sample.resampling import Through
from medreg.transform.composite import Map, is_map, mapped, matrix_of_map
from medreg.vision.warping_frames import Frame, frame_of


@for_batches
def warp(
    image: MedImage,
    through: Map,
    frame: Frame = KEEP,
    interpolation: Between = LINEAR,
    outside: Beyond = ZERO,
) -> MedImage:
    """`image` seen through a coordinate map: the result at x is the image at through(x), interpolated once.

    Args:
        image: or a batch, with `each` for a map of each item. A tensor (C, y, x), (C, z, y, x) or (N, C, z, y, x) has
            spacing 1 and its first voxel at the origin, so that points are indices x, y(, z).
        through: points of the result to points of the image, LPS mm (a transform's own sense): a homogeneous matrix, a
            transform, a `Composite`, a torch module, or a function of points (N, D) float64 that returns as many.
        frame: where the result lies: `Keep()` the image's grid, a `Grid`, or `Covering()`, which loses no voxel and
            whose offset is the result's origin (of tensors, ask `frame_of`).
        interpolation: `Nearest`, `Linear`, `CubicBSpline`, `WindowedSinc` (Lanczos), `PiecewisePolynomial`, or `Label`.
        outside: `Fill`, `Edge`, `Periodic`, `Reflect`, `Mirror`, or `Background`.

    Returns:
        The image on its new grid, a batch, or a tensor, as was given. Differentiable to the voxels, the parameters of
        the map, a learnt kernel's coefficients, and a fill.

    Raises:
        TransformError: a map of another dimension, one that does not return points, a matrix that is not finite, or no
            frame that covers.
        UsageError: what is no map, frame, kernel or policy.

    Example:
        >>> picture = torch.arange(6.0).view(1, 1, 6)
        >>> warp(picture, lambda points: points + torch.tensor([0.5, 0.0]))
        tensor([[[0.5000, 1.5000, 2.5000, 3.5000, 4.5000, 0.0000]]])
    """
    policy = resolved(outside, image.data, interpolation)
    warn_of_mixing(image, interpolation)
    way = _way(through, image.dimension)
    grid = frame_of(frame, image.grid, through)
    keeps_dtype = isinstance(interpolation, Nearest | Label)
    check_room(image.data, grid.shape, image.name, "the frame asked for", keeps_dtype=keeps_dtype)
    return onto_grid(image, grid, way, interpolation, policy)


def parameter_jacobian(function: Callable[[Tensor], Tensor], parameters: Tensor) -> Tensor:
    """How every value of a result moves with every parameter of what made it: (*result, *parameters).

    Meant for results of many values and few parameters, as warps by a pose are: it takes one pass for each parameter.
    The vector-Jacobian product g(v) is linear in v, so that the slope of one of its entries by v is a column of the
    Jacobian: two reverse passes stand for a forward one, which the sampler's own backward does not offer to
    `torch.func.jacfwd`.

    Args:
        function: of a tensor shaped as `parameters`, such as `lambda angle: warp(picture, turned(angle))`.
        parameters: floating point.

    Raises:
        UsageError: parameters that are no floating-point tensor, or a function that returns none.

    Example:
        >>> ramp = torch.arange(5.0, dtype=torch.float64).view(1, 1, 5)
        >>> shifted = lambda shift: warp(ramp, lambda points: points + shift)
        >>> parameter_jacobian(shifted, torch.tensor([-0.5, 0.0], dtype=torch.float64))[0, 0, 2]
        tensor([1., 0.], dtype=torch.float64)
    """
    if not isinstance(parameters, Tensor) or not parameters.is_floating_point():
        raise UsageError(f"parameters: takes a floating-point tensor, got {described(parameters)}")
    with torch.enable_grad():
        given = parameters.detach().requires_grad_()
        result = function(given)
        if not isinstance(result, Tensor):
            raise UsageError(f"function: returns a tensor (the data of an image), got {described(result)}")
        if not result.requires_grad:  # nothing in it follows the parameters
            return result.new_zeros(*result.shape, *parameters.shape)
        pull = torch.zeros_like(result, requires_grad=True)
        (slope,) = torch.autograd.grad(result, given, pull, create_graph=True)
        columns = [torch.autograd.grad(entry, pull, retain_graph=True)[0] for entry in slope.flatten()]
    return torch.stack(columns, -1).view(*result.shape, *parameters.shape)


@dataclass(frozen=True, eq=False)
class _Points:
    """Any map, as resampling asks for it."""

    through: Map

    def map_points(self, points: Tensor) -> Tensor:
        return mapped(self.through, points)


def _way(through: Map, dimension: int) -> Through:
    """The map as resampling takes it.

    Raises:
        TransformError: a matrix of another dimension, or one that is not finite.
        UsageError: no map.
    """
    if not is_map(through):
        raise UsageError(
            "through: takes a matrix, a transform, a torch module or a function of points (N, D), got "
            f"{described(through)}"
        )
    matrix = matrix_of_map(through)
    if matrix is not None:
        if matrix.shape != (dimension + 1,) * 2 or not matrix.is_floating_point():
            raise TransformError(
                f"through: a {dimension}D image is warped by a floating-point {dimension + 1}x{dimension + 1} matrix, "
                f"got {matrix.dtype} {tuple(matrix.shape)}"
            )
        if not bool(matrix.detach().isfinite().all()):
            raise TransformError(f"through: takes a matrix of finite numbers, got {matrix.tolist()}")
        return matrix
    return _Points(through)
