"""Where a moved image is sampled, about which axes it moves, and about which point."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import product
from math import ceil
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from medreg.errors import TransformError
from medreg.geometry.grid import Grid
from medreg.ops.arguments import Numbers, numbers, one_of
from medreg.ops.motions import about

FULL = 1e-6
"""Voxels by which an expanded grid may fall short of a corner: rounding alone must not add a voxel."""


class Axes(Enum):
    """Whose axes a motion is given in.

    `IMAGE` means the index axes of the grid: a turn about its third axis takes its first axis towards its second, which
    on a mirrored grid is left-handed in the world. Of a sheared grid the nearest orthogonal axes count.
    """

    WORLD = "world"
    IMAGE = "image"


@dataclass(frozen=True)
class Keep:
    """The moved image is sampled on the grid that it had; what leaves it is lost."""


@dataclass(frozen=True)
class Expand:
    """The grid keeps spacing and directions and becomes as large as the moved image: all voxels stay inside, whole.

    It lies symmetrically about the moved image's middle. Its size follows from the motion and carries no gradient.
    """


Frame: TypeAlias = Keep | Expand
KEEP = Keep()


def frame_grid(frame: Frame, grid: Grid, motion: Tensor) -> Grid:
    """The grid for an image on `grid` after `motion` (D+1, D+1).

    Raises:
        TransformError: a motion that is not finite.
        UsageError: another frame.
    """
    one_of(frame, Frame, "frame")
    if not bool(motion.detach().isfinite().all()):
        raise TransformError(
            f"a motion needs finite angles, factors, shifts and centre, got {motion.detach().tolist()}"
        )
    if isinstance(frame, Keep):
        return grid
    d = grid.dimension
    faces = np.array(list(product(*((-0.5, n - 0.5) for n in grid.size))))
    matrix = motion.detach().cpu().double().numpy()
    if matrix[d].tolist() != [0.0] * d + [1.0]:
        raise TransformError(
            f"frame: Expand() follows affine motions, got the last row {matrix[d].tolist()}; Keep() does"
        )
    moved = grid.to_index(grid.to_world(faces) @ matrix[:d, :d].T + matrix[:d, d])
    low, high = moved.min(0), moved.max(0)
    size = [max(1, ceil(extent - FULL)) for extent in high - low]
    affine = grid.affine.copy()
    affine[:d, d] = grid.to_world([(low + high - (np.array(size) - 1)) / 2])[0]
    return Grid(tuple(size), grid.spacing, tuple(affine[:d, d].tolist()), grid.direction)


def placed_motion(linear: Tensor, grid: Grid, centre: Numbers | None, axes: Axes) -> Tensor:
    """The homogeneous motion of a linear map (D, D) given in `axes`, about a world point or the grid's middle."""
    one_of(axes, Axes, "axes")
    point = numbers(grid.centre if centre is None else centre, "centre").to(linear.device)
    if axes is Axes.IMAGE:
        base = image_axes(grid).to(linear)
        linear = base @ linear @ base.mT
    return about(linear, point)


def image_axes(grid: Grid) -> Tensor:
    """(D, D) orthogonal: its column k is the direction of index axis k, or nearest to it on a sheared grid."""
    u, _, vt = np.linalg.svd(np.array(grid.direction))
    return torch.tensor(u @ vt)
