"""Cropping and padding by whole voxels: the ones that stay keep their values and their places in the world."""

from __future__ import annotations

import torch

from medreg.errors import ImageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops.arguments import Whole, whole_numbers
from medreg.ops.background import Beyond, resolved
from medreg.ops.batching import for_batches
from medreg.ops.placing import ZERO
from medreg.ops.room import check_room
from medreg.sample import Nearest, warp

NEAREST = Nearest()


@for_batches
def crop(image: MedImage, start: Whole, size: Whole) -> MedImage:
    """The box of `size` voxels that begins at voxel `start`, both x, y(, z).

    Raises:
        ImageError: for a box that is not inside the image.

    Example:
        >>> image = MedImage.on(Grid.regular((4, 3), (2.0, 2.0)), torch.arange(12).view(1, 3, 4))
        >>> cropped = crop(image, (1, 1), (2, 1))
        >>> cropped.data.tolist(), cropped.origin
        ([[[5, 6]]], (2.0, 2.0))
    """
    first, extent = _whole(image, start, "start"), _whole(image, size, "size")
    if not all(a >= 0 and n >= 1 and a + n <= m for a, n, m in zip(first, extent, image.size, strict=True)):
        raise ImageError(
            f"{image.name}: start, size: the box from {first} of {extent} voxels is not inside {image.size} (x, y, z); "
            "use crop_or_pad (on the command line: medreg pad --size) to go beyond"
        )
    return _boxed(image, first, extent, ZERO)


@for_batches
def pad(image: MedImage, before: Whole, after: Whole, outside: Beyond = ZERO) -> MedImage:
    """`image` with more voxels at both ends of its axes.

    Args:
        image: or a batch, with `each` for parameters of items.
        before: voxels to add at the low ends of x, y(, z), 0 or more.
        after: voxels to add at the high ends.
        outside: what they get; a tensor in `Fill` gets its gradient.

    Raises:
        ImageError: for negative numbers, or not as many as axes, or a fill value that the voxels cannot hold.
    """
    low, high = _whole(image, before, "before"), _whole(image, after, "after")
    if min(*low, *high) < 0:
        raise ImageError(
            f"{image.name}: before, after: padding is 0 or more voxels, got {low} and {high}; use crop to take away"
        )
    size = [a + n + b for a, n, b in zip(low, image.size, high, strict=True)]
    return _boxed(image, [-a for a in low], size, outside, f"before {tuple(low)} and after {tuple(high)}")


@for_batches
def crop_or_pad(image: MedImage, size: Whole, outside: Beyond = ZERO) -> MedImage:
    """`image` with `size` voxels along x, y(, z), about its middle.

    Of an odd number of voxels to take away or to add, the smaller half is at the low end: floor(difference / 2).

    Raises:
        ImageError: for sizes below 1, or not as many as axes.
    """
    wanted = _whole(image, size, "size")
    if min(wanted) < 1:
        raise ImageError(f"{image.name}: size: is 1 voxel or more along every axis, got {wanted}")
    start = [(n - m) // 2 if n >= m else -((m - n) // 2) for n, m in zip(image.size, wanted, strict=True)]
    return _boxed(image, start, wanted, outside)


def _whole(image: MedImage, values: Whole, name: str) -> list[int]:
    return whole_numbers(values, name, image.dimension, of=f"{image.name}: ")


def _boxed(image: MedImage, start: list[int], size: list[int], outside: Beyond, cause: str = "size") -> MedImage:
    """The box of voxels that begins at `start`, which may be outside."""
    policy = resolved(outside, image.data, NEAREST)
    check_room(image.data, size[::-1], image.name, cause, keeps_dtype=True)
    d = image.dimension
    matrix = torch.eye(d + 1, dtype=torch.float64)
    matrix[:d, d] = torch.tensor(start, dtype=torch.float64)
    data = warp(image.data, matrix, tuple(reversed(size)), NEAREST, policy)
    origin = tuple(image.grid.to_world([start])[0].tolist())
    grid = Grid(tuple(size), image.spacing, origin, image.direction)
    return MedImage.on(grid, data, image.leading, image.metadata)
