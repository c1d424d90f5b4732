"""Where the result of a warp lies: on the image's grid, on a given one, or on one that holds all of the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from medreg.errors import TransformError
from medreg.geometry.affine import homogeneous
from medreg.geometry.grid import Grid
from medreg.ops.arguments import one_of
from medreg.ops.frames import FULL, Keep
from medreg.transform.composite import Composite, Map, inverse_of, mapped, matrix_of_map
from medreg.types import FloatArray

BORDER = 129
"""Most points along an axis of a face of the image that are followed, where the map bends."""

MISSED = 1e-3
"""Voxels by which a point found by search may miss the border."""

STEPS = 60
"""Of the search, at most."""

LARGEST = 1000
"""A frame of this many times the image's voxels is refused."""


@dataclass(frozen=True)
class Covering:
    """The image's own lattice, continued and cut until it just holds every voxel of the warped image, whole.

    Spacing and directions are the image's, and the origin is moved by whole voxels, so that a warp that moves nothing
    gives the image back.
    """


Frame: TypeAlias = Keep | Covering | Grid


def frame_of(frame: Frame, grid: Grid, through: Map) -> Grid:
    """The grid that an image on `grid` is warped onto.

    Args:
        frame: see there.
        grid: the image's.
        through: points of the result to points of the image, LPS mm.

    Raises:
        TransformError: where `Covering` finds none: the map takes part of the image to the horizon, or cannot be
            followed back.
        UsageError: no frame.

    Example:
        >>> import numpy as np
        >>> half = np.diag([0.5, 0.5, 1.0])  # the result shows the image twice as large
        >>> found = frame_of(Covering(), Grid.regular((10, 10), (1.0, 1.0)), half)
        >>> found.size, found.origin
        ((21, 21), (-1.0, -1.0))
    """
    one_of(frame, Frame, "frame")
    if isinstance(frame, Grid):
        return frame
    return grid if isinstance(frame, Keep) else _covering(grid, through)


def _covering(grid: Grid, through: Map) -> Grid:
    d = grid.dimension
    with torch.no_grad():
        straight = matrix_of_map(through) is not None  # between the corners lines stay straight
        border = list(product(*((-0.5, n - 0.5) for n in grid.size))) if straight else _border(grid)
        reached = _sources(through, torch.from_numpy(grid.to_world(border)), grid).cpu().numpy()
    index = grid.to_index(reached)
    low = np.floor(index.min(0) + 0.5 + FULL).astype(int)
    high = np.maximum(np.ceil(index.max(0) - 0.5 - FULL).astype(int), low)
    size = high - low + 1
    if float(np.prod(size.astype(np.float64))) > LARGEST * float(np.prod(grid.size)):
        raise TransformError(
            f"frame: Covering() would make {' x '.join(map(str, size))} voxels of {' x '.join(map(str, grid.size))}; "
            "give the part that is wanted as a Grid"
        )
    return Grid.from_affine(size.tolist(), grid.affine @ homogeneous(np.eye(d), low.astype(np.float64)))


def _by_matrix(matrix: FloatArray, points: FloatArray) -> FloatArray:
    """The points that a homogeneous matrix takes to these (N, D), all on one side of its horizon."""
    d = points.shape[1]
    if matrix.shape != (d + 1, d + 1) or not np.isfinite(matrix).all() or np.linalg.matrix_rank(matrix) <= d:
        raise TransformError(
            f"frame: Covering() in {d}D follows {d + 1}x{d + 1} matrices with an inverse, got {matrix.tolist()}"
        )
    back = np.linalg.inv(matrix)
    w = points @ back[d, :d] + back[d, d]
    if w.min() * w.max() <= 0:
        raise TransformError(
            "frame: part of the image is mapped to the horizon, which no grid holds; give the part that is wanted as a "
            "Grid, or Keep()"
        )
    return np.asarray((points @ back[:d, :d].T + back[:d, d]) / w[:, None], dtype=np.float64)


def _border(grid: Grid) -> FloatArray:
    """Indices (N, D) all over the outer faces of the image."""
    ends = [np.linspace(-0.5, n - 0.5, min(n + 1, BORDER)) for n in grid.size]
    faces = []
    for axis in range(grid.dimension):
        along = [e[[0, -1]] if k == axis else e for k, e in enumerate(ends)]
        faces.append(np.stack(np.meshgrid(*along, indexing="ij"), -1).reshape(-1, grid.dimension))
    return np.concatenate(faces)


def _sources(through: Map, points: Tensor, grid: Grid) -> Tensor:
    """The points that a map takes to these (N, D): by its inverse where it has one, else by search."""
    matrix = matrix_of_map(through)
    if matrix is not None:
        return torch.from_numpy(_by_matrix(matrix.detach().cpu().double().numpy(), points.cpu().numpy()))
    if isinstance(through, Composite):
        for part in through.maps:
            points = _sources(part, points, grid)
        return points
    back = inverse_of(through)
    if back is not None:
        return mapped(back, points)
    return _sought(lambda p: mapped(through, p), points, min(grid.spacing))


def _sought(function: Callable[[Tensor], Tensor], goals: Tensor, spacing: float) -> Tensor:
    """Newton's method for function(x) = goals, with slopes by differences and steps halved until they help.

    Raises:
        TransformError: for goals that it does not reach.
    """
    d = goals.shape[1]
    points = 2 * goals - function(goals)
    left = function(points) - goals
    for _ in range(STEPS):
        miss = left.norm(dim=1)
        if bool((miss <= MISSED * spacing).all()):
            return points
        shifts = torch.eye(d, dtype=goals.dtype) * (0.05 * spacing)
        slopes = torch.stack([function(points + s) - function(points - s) for s in shifts], 2) / (0.1 * spacing)
        known, wanted = (t.nan_to_num(0.0, 0.0, 0.0) for t in (slopes, left))  # LAPACK takes numbers only
        step = torch.linalg.lstsq(known, wanted[..., None]).solution[..., 0].nan_to_num(0.0, 0.0, 0.0)
        share = torch.ones_like(miss)
        for _ in range(8):
            trial = function(points - share[:, None] * step) - goals
            share = torch.where(trial.norm(dim=1) < miss, share, share / 2)
        points = points - share[:, None] * step
        left = function(points) - goals
    k = int(left.norm(dim=1).nan_to_num(torch.inf).argmax())
    raise TransformError(
        f"frame: Covering() found no point that the map takes to {tuple(goals[k].tolist())} on the image's border; "
        "a map that folds has none; give the frame as a Grid"
    )
