"""What of an image is the object: by contrast with its border, without a person's help."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from medreg.errors import ImageError
from medreg.image import Leading, MedImage
from medreg.registration.contrast import threshold
from medreg.sample import factors_of, level_of

VIEW = 64
"""The mask is made of voxels about this many times smaller than the view."""

MARGIN = 0.03
"""Share of the view by which the mask reaches beyond what was found: it is outlines that place an image."""

BRIGHTEST = 0.99
"""Brighter than this share of all voxels counts as no brighter: vessels, metal and dust must not set the threshold."""

THIN = 16
"""Axes with fewer coarse voxels have no border: the outer slices of a slab show the object."""


def foreground_mask(image: MedImage) -> MedImage:
    """Where the object is, on the image's grid: uint8, 1 there and 0 in the background.

    Each voxel of a coarse copy is compared with the median of the border, by the distance of their grey values or
    colours; Otsu's threshold (doi:10.1109/TSMC.1979.4310076) splits the distances. So it does not matter whether the
    background is dark, as around a head, or bright, as around a section on a slide. Small gaps are closed, holes are
    filled, and the mask reaches about 3 % of the view beyond what was found, at least two coarse voxels, so that the
    outline lies in it.

    Raises:
        ImageError: a series of volumes, or an image that is constant.
    """
    if image.leading is Leading.FRAMES and image.channels > 1:
        raise ImageError(f"{image.name} holds {image.channels} volumes; choose one before its foreground is looked for")
    spacing_mm = math.prod(image.grid.extent) ** (1 / image.dimension) / VIEW
    coarse = level_of(image.data.float(), image.grid, spacing_mm)[0]
    apart = _distance_from_border(coarse)
    if not bool(apart.max() > 0):
        raise ImageError(f"{image.name} is constant: it has no foreground")
    apart = apart.clamp(max=_share(apart, BRIGHTEST)).sqrt()  # dark tissue is nearer to bright than to none
    found = apart > threshold(apart.flatten())
    reach = [max(2, round(MARGIN * n)) if n >= THIN else 0 for n in found.shape]
    closed = ~_grown(~_grown(found, reach), reach)
    mask = _grown(_filled(closed), reach)
    for axis, factor in enumerate(reversed(factors_of(image.grid, spacing_mm))):
        voxels = torch.arange(image.data.shape[1 + axis], device=mask.device)
        mask = mask.index_select(axis, (voxels // factor).clamp(max=mask.shape[axis] - 1))
    return image.with_data(mask[None].to(torch.uint8)).with_metadata(path=f"the foreground of {image.name}")


def _distance_from_border(volume: Tensor) -> Tensor:
    """(z, y, x): how far each voxel (C, z, y, x) is from the median colour of the outermost ones."""
    border = _border(volume[0])
    values = volume[:, border if bool(border.any()) else ~border]
    usual = values.median(dim=1).values
    distance: Tensor = torch.linalg.vector_norm(volume - usual.view(-1, *[1] * border.ndim), dim=0)
    return distance


def _share(values: Tensor, share: float) -> float:
    """The value below which `share` of all lie; the largest, where that is 0."""
    ordered = values.flatten().sort().values
    value = float(ordered[min(len(ordered) - 1, int(share * len(ordered)))])
    return value if value > 0 else float(ordered[-1])


def _grown(mask: Tensor, reach: Sequence[int]) -> Tensor:
    """A mask (z, y, x) grown by about a ball of `reach` voxels along each axis.

    A cross and a square in turn make an octagon.
    """
    for step in range(1, max(reach) + 1):
        grown = mask.clone()
        for axis in (k for k, n in enumerate(reach) if step <= n):
            source = mask if step % 2 else grown.clone()
            n = mask.shape[axis]
            grown.narrow(axis, 1, n - 1).logical_or_(source.narrow(axis, 0, n - 1))
            grown.narrow(axis, 0, n - 1).logical_or_(source.narrow(axis, 1, n - 1))
        mask = grown
    return mask


def _filled(mask: Tensor) -> Tensor:
    """With all that the background cannot reach from the border."""
    outside = _border(mask) & ~mask
    if not bool(outside.any()):
        return mask
    while True:
        grown = _grown(outside, [1] * mask.ndim) & ~mask
        if bool((grown == outside).all()):
            return ~outside
        outside = grown


def _border(volume: Tensor) -> Tensor:
    """The outermost voxels of a volume (z, y, x), bool; none along axes that are thin."""
    border = torch.zeros(volume.shape, dtype=torch.bool, device=volume.device)
    for axis, n in enumerate(volume.shape):
        if n >= THIN:
            border.index_fill_(axis, torch.tensor([0, n - 1], device=border.device), 1)
    return border
