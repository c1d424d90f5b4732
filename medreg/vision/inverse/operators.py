"""Forward operators: from an image to what would be measured of it, and back by the adjoint.

Any differentiable function of an image is one: a filter, a warp, a raster, ray sums, a module, or several in a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from medreg.batch import MedImageBatch
from medreg.errors import DeviceError, UsageError
from medreg.image import MedImage
from medreg.ops.arguments import described
from medreg.ops.voxels import Given, Voxels
from medreg.vision.filters.borders import REFLECT
from medreg.vision.filters.spaces import Space, dimension_of, in_place_of, space_of

Measured: TypeAlias = Given
Operator: TypeAlias = Callable[[Voxels], Measured]


def data_of(measured: object) -> Tensor:
    """The values of what was measured, or predicted.

    Raises:
        UsageError: neither a tensor nor an image nor a batch.
    """
    if isinstance(measured, MedImage | MedImageBatch):
        return measured.data
    if isinstance(measured, Tensor):
        return measured
    raise UsageError(f"measured, and what `through` returns: a tensor or an image, got {described(measured)}")


def voxels_of(image: Voxels, dimension: int) -> Space:
    """An image, a batch or a tensor (..., z, y, x) taken apart, once checked.

    Raises:
        UsageError: no number of axes.
        ImageError: no image, too few axes, or no voxels.
    """
    return space_of(image, REFLECT, dimension_of(image, dimension))


def predicted(through: Operator[Voxels], like: Voxels, values: Tensor, measured: Tensor) -> Tensor:
    """What would be measured of an image with these values.

    Raises:
        UsageError: it has another shape than what was measured, or no gradient to values that want one.
        DeviceError: it is on another device.
    """
    found = data_of(through(in_place_of(like, values)))
    if found.shape != measured.shape:
        raise UsageError(
            f"through: makes {tuple(found.shape)} of an image of {tuple(values.shape)}, but {tuple(measured.shape)} "
            "was measured; the two must have one shape"
        )
    if found.device != measured.device:
        raise DeviceError(
            f"measured: is on {measured.device}, what `through` makes of the image on {found.device}; move one with "
            ".to(...)"
        )
    if values.requires_grad and not found.requires_grad:
        raise UsageError("through: its result has no gradient to the image; use differentiable operations only")
    return found


def adjoint(through: Operator[Voxels], measured: Measured, like: Voxels, *, dimension: int = 3) -> Voxels:
    """W' y of a linear operator W: the image z with <W x, y> = <x, z> for every x. Of a projection: back-projection.

    Args:
        through: W, from an image like `like`.
        measured: y, in the shape of what W gives.
        like: in whose place the result lies; its values do not count.
        dimension: space axes at the end of tensors; images know their own.

    Raises:
        UsageError: y has another shape than W gives, or that has no gradient to the image.
        DeviceError: y is on another device than what W gives.

    Example:
        >>> slope = lambda line: line[..., 1:] - line[..., :-1]
        >>> adjoint(slope, torch.tensor([[1.0, 5.0]]), torch.zeros(1, 3), dimension=1)
        tensor([[-1., -4.,  5.]])
    """
    with torch.enable_grad():
        zeros = torch.zeros_like(voxels_of(like, dimension).values).requires_grad_()
        given = data_of(measured)
        found = predicted(through, like, zeros, given)
        (pulled,) = torch.autograd.grad(found, zeros, given.to(found))
    return in_place_of(like, pulled)
