"""How far two transforms are apart, in millimetres: the largest distance between images of the same points."""

from __future__ import annotations

import numpy as np

from medreg.geometry.affine import map_points
from medreg.geometry.grid import Grid
from medreg.types import FloatArray

POINTS = 1000
BOX_MM = 200.0
"""Side of the box about the origin that stands in for an image that is not known."""


def spread_points(grid: Grid | None, dimension: int, count: int = POINTS) -> FloatArray:
    """Points (N, D) spread evenly and at random over an image, or over a box of 200 mm; the same ones each time."""
    part = np.random.default_rng(0).uniform(0.0, 1.0, (count, dimension))
    if grid is None:
        return (part - 0.5) * BOX_MM
    return grid.to_world(part * (np.array(grid.size) - 1))


def largest_difference(one: FloatArray, other: FloatArray, points: FloatArray) -> float:
    """Largest distance (mm) between the images of `points` (N, D) under two matrices.

    Example:
        >>> shifted = np.eye(4)
        >>> shifted[0, 3] = 0.5
        >>> largest_difference(np.eye(4), shifted, np.zeros((1, 3)))
        0.5
    """
    return float(np.linalg.norm(map_points(one, points) - map_points(other, points), axis=1).max())


def share_inside(matrix: FloatArray, fixed: Grid, moving: Grid) -> float:
    """Share of the fixed image, 0 to 1, that a matrix (LPS mm) sends into the moving image.

    Example:
        >>> grid = Grid.regular((10, 10, 10), (1.0, 1.0, 1.0))
        >>> share_inside(np.eye(4), grid, grid)
        1.0
    """
    index = moving.to_index(map_points(matrix, spread_points(fixed, fixed.dimension)))
    return float(((index >= -0.5) & (index <= np.array(moving.size) - 0.5)).all(axis=1).mean())
