"""The median over a box of voxels."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor

from medreg.errors import UsageError
from medreg.ops.voxels import Voxels
from medreg.sample import Fill
from medreg.sample.interpolation import check_fits
from medreg.vision.filters.borders import REFLECT, Border, extended, filling
from medreg.vision.filters.spaces import dimension_of, in_place_of, space_of

_AT_ONCE = 2**22
"""Voxels of windows that are held in memory at a time."""


def median(image: Voxels, size: int | Sequence[int] = 3, *, border: Border = REFLECT, dimension: int = 3) -> Voxels:
    """The median of a box of voxels around each, as `scipy.ndimage.median_filter`: noise goes, edges stay.

    The gradient goes to the one voxel whose value was chosen; among equal ones to one of them.

    Args:
        image: an image, a batch, or a tensor (..., z, y, x). Integers stay integers. A window that holds not-a-number
            gives not-a-number.
        size: voxels, odd: one number, or one along each of x, y(, z).
        border: what lies beyond the image.
        dimension: space axes at the end of a tensor, 1 to 3; an image knows its own.

    Raises:
        UsageError: an even size.
        ImageError: a fill that the voxels cannot hold, or complex numbers.

    Example:
        >>> median(torch.tensor([1, 9, 2, 3, 4]), dimension=1)
        tensor([1, 2, 3, 3, 4])
    """
    space = space_of(image, border, dimension_of(image, dimension))
    sizes = space.whole(size, "size", 1)
    if any(n % 2 == 0 for n in sizes):
        raise UsageError(f"size: a median takes odd numbers of voxels, got {size}; box takes even ones, too")
    if isinstance(border, Fill):
        check_fits(border.value, space.data.dtype)
    values = space.data if not space.data.is_complex() else space.values
    fill = filling(border, values, space.dimension)
    for k, n in zip(range(-space.dimension, 0), sizes, strict=True):
        values = extended(values, k, n // 2, n // 2, border, fill)
    wanted = values.requires_grad and torch.is_grad_enabled()
    lines = values.reshape(-1, *values.shape[values.ndim - space.dimension :])
    found = [_chosen(one, sizes) if wanted else _median(one, sizes) for one in lines]
    return in_place_of(image, torch.stack(found).view(space.data.shape))


def _median(volume: Tensor, sizes: Sequence[int]) -> Tensor:
    """(z, y, x), smaller by the windows' reach."""
    if volume.dtype == torch.bool:
        return _median(volume.byte(), sizes).bool()
    by_numpy = volume.device.type == "cpu" and volume.dtype != torch.bfloat16 and not bool(volume.isnan().any())
    middle = prod(sizes) // 2
    parts = []
    for windows in _windows(volume, sizes):
        flat = windows.flatten(windows.ndim - len(sizes))
        if by_numpy:  # its selection is five times as fast as torch's
            parts.append(torch.from_numpy(np.partition(flat.detach().numpy(), middle)[..., middle].copy()))
        else:
            parts.append(flat.median(-1).values)
    return torch.cat(parts)


def _chosen(volume: Tensor, sizes: Sequence[int]) -> Tensor:
    """The same, taken from `volume` by the places of the chosen voxels, so that they get the gradient."""
    places = torch.arange(volume.numel(), device=volume.device).view(volume.shape)
    picked = []
    for windows, where in zip(_windows(volume.detach(), sizes), _windows(places, sizes), strict=True):
        flat = windows.flatten(windows.ndim - len(sizes))
        at = flat.median(-1, keepdim=True).indices
        picked.append(where.flatten(where.ndim - len(sizes)).gather(-1, at)[..., 0])
    return volume.flatten()[torch.cat(picked)]


def _windows(volume: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """Views (n, y, x, *sizes), slab after slab along the first axis."""
    for axis, n in enumerate(sizes):
        volume = volume.unfold(axis, n, 1)
    slab = prod(volume.shape[1:])
    return list(torch.split(volume, max(1, _AT_ONCE // slab)))
