"""Grids made to measure: another spacing over the same extent, and a grid that covers an image that was moved."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product

import numpy as np

from medreg.errors import GeometryError, TransformError
from medreg.geometry.affine import derivative_at, invert, map_points, nearest_rotation
from medreg.geometry.grid import Grid
from medreg.types import FloatArray

MOST_VOXELS = 2**33
"""More than these fit in no memory: whoever asks for them has mistaken the unit."""
_WHOLE = 1e-6
"""Voxels by which an extent may exceed a whole number of them without another one being added."""


def respaced(grid: Grid, spacing: Sequence[float]) -> Grid:
    """The grid of the same directions and middle, with voxels of another size: round(extent / spacing) of them.

    Args:
        grid: whose extent to cover.
        spacing: mm, one for all axes or one for each of x, y(, z).

    Raises:
        GeometryError: spacings that are not positive, of another number, or that make too many voxels.

    Example:
        >>> respaced(Grid.regular((4, 4), (1.0, 2.0)), [2.0]).size
        (2, 4)
    """
    steps = _steps(grid, spacing)
    size = _sized([max(1, round(extent / step)) for extent, step in zip(grid.extent, steps, strict=True)], steps)
    linear = np.array(grid.direction) * steps
    origin = np.array(grid.centre) - linear @ ((np.array(size) - 1) / 2)
    return Grid(size, tuple(steps), tuple(origin.tolist()), grid.direction)


def covering(grid: Grid, spacing: Sequence[float], matrix: FloatArray | None = None) -> Grid:
    """A grid along the world's axes that covers all of an image after it was moved.

    Its index axes are those of the image as nearly as the world's axes are, so that a coronal image stays coronal.

    Args:
        grid: the image's, before it is moved.
        spacing: mm of the result, one for all axes or one for each of x, y(, z) of the result.
        matrix: fixed points -> the image's points, LPS mm, as resampling uses it; None for the identity.

    Raises:
        GeometryError: spacings that are not positive, of another number, or that make too many voxels.
        TransformError: a matrix without an inverse, or a homography whose horizon cuts the image.

    Example:
        >>> covering(Grid.regular((10, 10), (1.0, 1.0)), [2.0]).origin
        (0.5, 0.5)
    """
    d = grid.dimension
    steps = _steps(grid, spacing)
    onto = np.eye(d + 1) if matrix is None else invert(matrix)
    faces = grid.to_world(list(product(*((-0.5, n - 0.5) for n in grid.size))))
    onto = onto / (onto[d] @ [*grid.centre, 1.0])
    if ((faces @ onto[d, :d] + onto[d, d]) <= 0).any():
        raise TransformError("the horizon of this homography cuts the image, so no grid holds all of it; name one")
    corners = map_points(onto, faces)
    turned = nearest_rotation(derivative_at(onto, np.array(grid.centre)) @ np.array(grid.direction))
    direction = _nearest_axes(turned)
    along = corners @ direction
    low, high = along.min(0), along.max(0)
    size = _sized([max(1, int(np.ceil((high[k] - low[k]) / steps[k] - _WHOLE))) for k in range(d)], steps)
    first = (low + high) / 2 - (np.array(size) - 1) * steps / 2
    return Grid(size, tuple(steps), tuple((direction @ first).tolist()), tuple(map(tuple, direction.tolist())))


def _steps(grid: Grid, spacing: Sequence[float]) -> list[float]:
    d = grid.dimension
    steps = [float(s) for s in (list(spacing) * d if len(spacing) == 1 else spacing)]
    if len(steps) != d or not all(np.isfinite(s) and s > 0 for s in steps):
        raise GeometryError(f"{d} axes need {d} spacings above 0 mm, or one for all, got {tuple(spacing)}")
    return steps


def _sized(size: Sequence[int], steps: Sequence[float]) -> tuple[int, ...]:
    """The size, unless it is out of all reason."""
    if float(np.prod(np.array(size, dtype=np.float64))) > MOST_VOXELS:
        raise GeometryError(
            f"voxels of {' x '.join(f'{s:g}' for s in steps)} mm make {' x '.join(map(str, size))} of them, more than "
            "fit; is the spacing in millimetres?"
        )
    return tuple(int(n) for n in size)


def _nearest_axes(rotation: FloatArray) -> FloatArray:
    """The signed permutation nearest to a rotation: each column a world axis."""
    d = len(rotation)
    best = max(permutations(range(d)), key=lambda order: sum(abs(rotation[order[k], k]) for k in range(d)))
    axes = np.zeros((d, d))
    for k, world in enumerate(best):
        axes[world, k] = 1.0 if rotation[world, k] >= 0 else -1.0
    return axes
