"""Between points in the world and masks on a grid: balls around points, and the points of a mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from medreg.errors import ImageError, UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops.arguments import described, number, numbers, one_of, whole_number
from medreg.types import FloatArray

Points: TypeAlias = Tensor | FloatArray | Sequence[Sequence[float]]
"""(P, D) world points x, y(, z), LPS mm."""

_ROUNDING = 1e-9
"""Of the radius: a voxel centre that lies on the sphere is inside, whatever the last digits say."""


def masks_from_points(points: Points, onto: Grid, radius_mm: float = 0.0) -> MedImage:
    """A ball around each point, as an image of P channels, uint8; see `balls`.

    Example:
        >>> grid = Grid.regular((5, 1, 1), (2.0, 1.0, 1.0))
        >>> masks_from_points([[4.0, 0.0, 0.0]], grid, radius_mm=2.5).data.flatten().tolist()
        [0, 1, 1, 1, 0]
    """
    one_of(onto, Grid, "onto")
    return MedImage.on(onto, balls(points, onto, radius_mm), metadata={"path": "masks of points"})


def balls(points: Points, grid: Grid, radius_mm: float = 0.0) -> Tensor:
    """(P, z, y, x) uint8: 1 where a voxel's centre is at most `radius_mm` from the point, and in the voxel nearest it.

    Distances are those of the world, so that a ball is round whatever the voxels are.

    Args:
        points: (P, D) world points x, y(, z), LPS mm.
        grid: where the voxels lie; oblique and sheared ones are fine.
        radius_mm: 0 or more; 0 gives the voxel nearest the point alone.

    Raises:
        ImageError: a point whose ball holds no voxel, as it lies outside the grid.
        UsageError: points that are not (P, D) and finite, or a negative radius.
    """
    one_of(grid, Grid, "grid")
    centres = _checked(points, grid)
    if not number(radius_mm, "radius_mm", wanted="a radius of 0 mm or more") >= 0:
        raise UsageError(f"radius_mm: a ball needs a radius of 0 mm or more, got {radius_mm}")
    device = points.device if isinstance(points, Tensor) else None
    d = grid.dimension
    # |index - centre| <= radius times the norm of the inverse affine's row: the box around the ellipsoid
    reach = radius_mm * np.linalg.norm(grid.inverse_affine[:d, :d], axis=1)
    masks = torch.zeros(len(centres), *grid.shape, dtype=torch.uint8, device=device)
    size = np.array(grid.size)
    for k, (centre, at) in enumerate(zip(centres, grid.to_index(centres), strict=True)):
        nearest = np.floor(at + 0.5)
        low = np.maximum(np.minimum(np.ceil(at - reach - 1e-6), nearest), 0).astype(int)
        high = np.minimum(np.maximum(np.floor(at + reach + 1e-6), nearest) + 1, size).astype(int)
        if (low >= high).any():
            raise _outside(k, radius_mm)
        axes = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
        index = np.stack(np.meshgrid(*axes, indexing="ij"), -1).T.reshape(d, -1).T  # x fastest
        inside = np.linalg.norm(grid.to_world(index) - centre, axis=1) <= radius_mm * (1 + _ROUNDING)
        inside |= (index == nearest).all(1)
        if not inside.any():
            raise _outside(k, radius_mm)
        box = tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1], strict=True))
        shape = [int(b - a) for a, b in zip(low[::-1], high[::-1], strict=True)]
        masks[k][box] = torch.from_numpy(inside.reshape(shape)).to(masks)
    return masks


def points_from_masks(masks: MedImage, *, at_most: int | None = None) -> list[Tensor]:
    """The world points of the voxels in each channel; see `points_on`.

    Example:
        >>> grid = Grid.regular((4, 1, 1), (2.0, 1.0, 1.0))
        >>> [points] = points_from_masks(MedImage.on(grid, torch.tensor([[[[0, 1, 0, 1]]]])))
        >>> points.tolist()
        [[2.0, 0.0, 0.0], [6.0, 0.0, 0.0]]
    """
    one_of(masks, MedImage, "masks")
    return points_on(masks.data, masks.grid, at_most=at_most)


def points_on(masks: Tensor, grid: Grid, *, at_most: int | None = None) -> list[Tensor]:
    """The voxel centres of each mask, as world points.

    Args:
        masks: (P, z, y, x), inside where not 0.
        grid: where the voxels lie.
        at_most: of a mask with more voxels, this many, evenly spaced in memory order (x fastest); None for all.

    Returns:
        For each mask (n, D) float64 x, y(, z), LPS mm, in memory order; n is 0 for an empty one.

    Raises:
        ImageError: masks that do not fill the grid.
        UsageError: `at_most` below 1.
    """
    one_of(masks, Tensor, "masks")
    one_of(grid, Grid, "grid")
    if masks.shape[1:] != grid.shape:
        raise ImageError(f"masks {tuple(masks.shape)} do not fill a grid of {grid.size} (x, y, z) voxels")
    if at_most is not None:
        whole_number(at_most, "at_most", 1)
    affine = torch.tensor(grid.affine, device=masks.device)
    found = []
    for mask in masks.detach():
        index = mask.nonzero()
        if at_most is not None and len(index) > at_most:
            index = index[torch.arange(at_most, device=index.device) * len(index) // at_most]
        found.append(index.flip(-1).double() @ affine[:-1, :-1].T + affine[:-1, -1])
    return found


def _checked(points: Points, grid: Grid) -> FloatArray:
    """(P, D) float64, finite."""
    try:
        centres: FloatArray = numbers(points, "points").detach().cpu().double().numpy()  # type: ignore[arg-type]
    except UsageError:
        centres = np.zeros(0)
    if centres.ndim != 2 or centres.shape[1] != grid.dimension:
        raise UsageError(f"points: points need a table (P, {grid.dimension}) of finite mm, got {described(points)}")
    return centres


def _outside(number: int, radius_mm: float) -> ImageError:
    return ImageError(
        f"point {number} lies outside the grid, with no voxel within {radius_mm:g} mm of it; leave it out, or pad the "
        "grid"
    )
