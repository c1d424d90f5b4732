"""Transforms against each other over the voxels of an image: how far points end up apart, in mm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from medreg.errors import TransformError
from medreg.geometry.affine import map_points
from medreg.geometry.grid import Grid
from medreg.types import FloatArray

MOST_POINTS = 1 << 21
"""Of images with more voxels, evenly spread points stand for blocks of them; the outermost voxels always count."""


@dataclass(frozen=True)
class Displacements:
    """How far points of an image are moved, in mm (pixels for pictures without spacing).

    Attributes:
        mean: of all voxel centres.
        rms: the root of the mean square.
        percentile_95: 95 % of the voxels are moved less.
        maximum: the largest; of linear maps it occurs at a corner.
        points: how many were looked at.
    """

    mean: float
    rms: float
    percentile_95: float
    maximum: float
    points: int


def transform_difference(first: FloatArray, second: FloatArray, grid: Grid) -> Displacements:
    """How far apart two transforms carry the points of an image.

    Args:
        first: fixed points -> moving points, (D+1) x (D+1), LPS mm.
        second: the same, of another origin.
        grid: of the fixed image.

    Raises:
        TransformError: another dimension than the grid's, or points that are carried to infinity.

    Example:
        >>> shift = np.array([[1, 0, 3.0], [0, 1, 4], [0, 0, 1]])
        >>> transform_difference(np.eye(3), shift, Grid.regular((9, 9), (1.0, 1.0))).maximum
        5.0
    """
    for matrix in (first, second):
        _check(matrix, grid, grid.corners)
    return _displacements(lambda points: map_points(first, points) - map_points(second, points), grid)


def inverse_consistency(there: FloatArray, back: FloatArray, grid: Grid) -> Displacements:
    """How far from where they began points end up that go there and back (Christensen 2001, doi:10.1109/42.932742).

    Args:
        there: points of an image A -> points of an image B, (D+1) x (D+1), LPS mm.
        back: points of B -> points of A, found on its own.
        grid: of image A.

    Raises:
        TransformError: another dimension than the grid's, or points that are carried to infinity.

    Example:
        >>> shift = np.array([[1, 0, 3.0], [0, 1, 4], [0, 0, 1]])
        >>> inverse_consistency(shift, np.linalg.inv(shift), Grid.regular((9, 9), (1.0, 1.0))).maximum
        0.0
    """
    _check(there, grid, grid.corners)
    _check(back, grid, map_points(there, grid.corners))
    return _displacements(lambda points: map_points(back, map_points(there, points)) - points, grid)


def _check(matrix: FloatArray, grid: Grid, corners: FloatArray) -> None:
    """Refuse a matrix of another dimension, or one whose horizon, where w = 0, crosses what the corners enclose."""
    d = grid.dimension
    if np.shape(matrix) != (d + 1, d + 1):
        raise TransformError(f"the image is {d}D, the transform is {len(matrix) - 1}D; they must agree")
    w = corners @ matrix[d, :d] + matrix[d, d]
    if w.min() <= 0 <= w.max():
        raise TransformError("a transform carries points of the image to infinity, its horizon crosses the image")


def _displacements(moved: Callable[[FloatArray], FloatArray], grid: Grid) -> Displacements:
    lengths = np.concatenate([np.linalg.norm(moved(points), axis=1) for points in _planes(grid)])
    corners = np.linalg.norm(moved(grid.corners), axis=1)
    return Displacements(
        float(lengths.mean()),
        float(np.sqrt(np.square(lengths).mean())),
        float(np.percentile(lengths, 95)),
        float(max(lengths.max(), corners.max())),
        len(lengths),
    )


def _planes(grid: Grid) -> Iterator[FloatArray]:
    """The world points of a grid, (N, D), plane by plane; of large grids those of blocks of voxels."""
    factor = 1
    while np.prod([max(1, n // factor) for n in grid.size]) > MOST_POINTS:
        factor += 1
    coarse = grid if factor == 1 else grid.subsampled([min(factor, n) for n in grid.size])
    axes = [np.arange(n, dtype=np.float64) for n in coarse.size]
    plane = np.stack(np.meshgrid(*axes[:2], indexing="xy"), -1).reshape(-1, 2)
    if coarse.dimension == 2:
        yield coarse.to_world(plane)
        return
    for z in axes[2]:
        yield coarse.to_world(np.column_stack([plane, np.full(len(plane), z)]))
