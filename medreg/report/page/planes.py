"""The planes that a report shows: three orthogonal ones of a volume at a few places each, or the one of a 2D image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medreg.geometry.affine import homogeneous, nearest_rotation
from medreg.geometry.grid import Grid
from medreg.geometry.orientation import AXIS_LETTERS
from medreg.types import FloatArray

MOST = 256
"""Pixels along the longest side of a volume's planes."""

MOST_2D = 640
"""The same of a 2D image, which has one plane only."""

NAMES = ("sagittal", "coronal", "axial")
"""The plane across each world axis x, y, z."""

_ACROSS = {"axial": ((0, 1), (1, 1)), "coronal": ((0, 1), (2, -1)), "sagittal": ((1, 1), (2, -1))}
"""World axis and sense in which the columns and the rows of a picture run: the head up, the patient's left on the right
(radiological), and in sagittal planes the face on the left."""


@dataclass(frozen=True)
class Plane:
    """A picture's place in the world.

    Attributes:
        name: "axial", "coronal", "sagittal"; "picture" of a 2D image.
        grid: square pixels; of a volume (width, height, 1).
        letters: what lies at the left, right, top and bottom edge, such as ("R", "L", "A", "P"); empty without a
            patient.
        place: where the plane is, such as "S 12.3 mm" (towards the head from the world's origin); empty in 2D.
    """

    name: str
    grid: Grid
    letters: tuple[str, ...]
    place: str

    @property
    def width(self) -> int:
        """Pixels."""
        return self.grid.size[0]

    @property
    def height(self) -> int:
        """Pixels."""
        return self.grid.size[1]

    @property
    def pixel(self) -> float:
        """Length of a pixel's side, in the world's unit."""
        return self.grid.spacing[0]


def frame_of(grid: Grid) -> FloatArray:
    """D x D, orthonormal columns: the grid's own axes in the order and sense that is nearest to L, P(, S).

    A picture along them is not interpolated across slices. Sheared axes give their nearest rotation.
    """
    direction = np.array(grid.direction)
    d = grid.dimension
    ordered = np.zeros((d, d))
    left = np.abs(direction)
    for _ in range(d):  # as in `orientation_code`: the best match first, each axis once
        world, axis = (int(k) for k in np.unravel_index(int(np.argmax(left)), left.shape))
        ordered[:, world] = np.sign(direction[world, axis]) * direction[:, axis]
        left[world, :] = left[:, axis] = -1.0
    return nearest_rotation(ordered)


def planes_of(grid: Grid, depths: Sequence[Sequence[float]], *, world: str = "LPS") -> list[list[Plane]]:
    """The planes of an image, by the kind of plane: axial, coronal, sagittal.

    Args:
        grid: the fixed image's.
        depths: for the frame's axes x, y, z where to cut across them, in the world's unit along them (see `depths_of`);
            not looked at in 2D.
        world: "picture" for images without a patient's directions.

    Example:
        >>> rows = planes_of(Grid.regular((100, 120, 90), (1.0, 1.0, 2.0)), [[49.0], [60.0], [80.0, 100.0]])
        >>> [(row[0].name, row[0].width, row[0].height, row[0].place) for row in rows]
        [('axial', 142, 171, 'S 80.0 mm'), ('coronal', 142, 256, 'P 60.0 mm'), ('sagittal', 171, 256, 'L 49.0 mm')]
    """
    frame = frame_of(grid)
    low, high = box_of(grid, frame)
    most = MOST if grid.dimension == 3 else MOST_2D
    pixel = max(float((high - low).max()) / most, min(grid.spacing) / 2)
    if grid.dimension == 2:
        flat = _grid(frame, (low + high) / 2, high - low, pixel)
        letters = () if world == "picture" else _letters((0, 1), (1, 1))
        return [[Plane("picture", flat, letters, "")]]
    rows = []
    for name, ((u, along_u), (v, along_v)) in _ACROSS.items():
        across = NAMES.index(name)
        axes = np.stack([along_u * frame[:, u], along_v * frame[:, v], frame[:, across]], 1)
        middle, size = (low + high) / 2, (high - low)[[u, v]]
        row = []
        for depth in depths[across]:
            middle[across] = depth
            point = frame @ middle
            plane = _grid(axes, axes.T @ point, np.array([*size, grid.spacing[0]]), pixel)
            row.append(Plane(name, plane, _letters((u, along_u), (v, along_v)), _place(across, point[across])))
        rows.append(row)
    return rows


def box_of(grid: Grid, frame: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The lowest and highest coordinates along a frame's axes of the grid's outer faces."""
    ends = [(-0.5, n - 0.5) for n in grid.size]
    faces = grid.to_world(np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, grid.dimension)) @ frame
    return faces.min(0), faces.max(0)


def depths_of(grid: Grid, weight: FloatArray, shares: Sequence[Sequence[float]]) -> list[list[float]]:
    """Where to cut across each axis of the grid's frame: centres of slices, so that these are shown as they are.

    Args:
        grid: of a volume.
        weight: (z, y, x) of any coarser size over the whole grid: how much there is to see.
        shares: for the frame's axes x, y, z, of all weight how much lies below each cut, rising.
    """
    frame = frame_of(grid)
    depths = []
    for k in range(3):
        axis = int(np.argmax(np.abs(frame[:, k] @ np.array(grid.direction))))
        along = weight.sum(tuple(a for a in range(3) if a != 2 - axis))
        index = _quantiles(along, shares[k]) * grid.size[axis] - 0.5
        chosen = sorted({int(i) for i in np.clip(np.rint(index), 0, grid.size[axis] - 1)})
        points = np.tile([(n - 1) / 2 for n in grid.size], (len(chosen), 1))
        points[:, axis] = chosen
        depths.append(sorted((grid.to_world(points) @ frame[:, k]).tolist()))
    return depths


def _quantiles(weight: FloatArray, shares: Sequence[float]) -> FloatArray:
    """Places from 0 to 1 along a line below which these shares of its weight lie; evenly spread without any."""
    total = np.concatenate([[0.0], np.cumsum(weight)])
    if not total[-1] > 0:
        return np.array(shares)
    places = np.linspace(0.0, 1.0, len(total))
    return np.asarray(np.interp(np.array(shares) * total[-1], total, places), dtype=np.float64)


def _grid(axes: FloatArray, middle: FloatArray, size: FloatArray, pixel: float) -> Grid:
    """Square pixels along the first two of `axes` (columns) that cover `size` around `middle`, given along the axes."""
    width, height = (max(1, round(float(s) / pixel)) for s in size[:2])
    spacing = np.array([pixel, pixel, *size[2:]])
    corner = middle.copy()
    corner[:2] -= pixel * (np.array([width, height]) - 1) / 2
    return Grid.from_affine([width, height, 1][: len(axes)], homogeneous(axes * spacing, axes @ corner))


def _letters(columns: tuple[int, int], rows: tuple[int, int]) -> tuple[str, ...]:
    left, right = AXIS_LETTERS[columns[0]][:: columns[1]]
    top, bottom = AXIS_LETTERS[rows[0]][:: rows[1]]
    return left, right, top, bottom


def _place(axis: int, value: float) -> str:
    return f"{AXIS_LETTERS[axis][int(value >= 0)]} {abs(value):.1f} mm"
