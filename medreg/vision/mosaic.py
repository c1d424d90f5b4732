"""From placed pictures to one: its canvas, the exposures, and the feathered mean.

Each pixel is the mean of the pictures that reach it, weighted by how far it lies from their borders (R. Szeliski, 2006,
doi:10.1561/0600000009, section 6): a picture fades out before it ends, so no border can be seen. Blending in several
bands (Burt, Adelson 1983, doi:10.1145/245.247) would hide larger differences of exposure, but those are solved for
first, and in one band a pixel of the mosaic depends on nothing but the pixels below it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medreg.errors import TransformError
from medreg.geometry.affine import homogeneous, invert, map_points
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.sample import CubicBSpline, resample
from medreg.sample.resampling import PointMap
from medreg.types import FloatArray

LARGEST = 20.0
"""A mosaic with this many times the pixels of all pictures together is refused: some picture is seen too obliquely."""

SHARPNESS = 2
"""Power of the weights: how soon the nearer picture takes over."""

MEASURED = 400_000
"""Most pixels of an overlap that are compared."""


def canvas_of(grids: Sequence[Grid], placed: Sequence[FloatArray], names: Sequence[str], reference: int) -> Grid:
    """The smallest grid that holds all pictures, on the reference's own pixels continued.

    Args:
        grids: where each picture's pixels lie.
        placed: 3x3 of each, its points -> the reference's.
        names: of the pictures, for messages.
        reference: which one stays as it is.

    Raises:
        TransformError: where a picture reaches beyond the horizon, or makes the mosaic far larger than all pictures.
    """
    own = grids[reference]
    boxes = []
    for grid, matrix, name in zip(grids, placed, names, strict=True):
        corners = _faces(grid)
        w = np.column_stack([corners, np.ones(4)]) @ matrix[2]
        index = own.to_index(map_points(matrix, corners)) if w.min() > 0 else np.array([[math.inf] * 2])
        boxes.append((index.min(0), index.max(0)))
        area = float(np.prod(boxes[-1][1] - boxes[-1][0])) if w.min() > 0 else math.inf
        if not area <= LARGEST * sum(math.prod(g.size) for g in grids):
            seen = "reaches beyond the horizon" if area == math.inf else f"would cover {area / 1e6:.0f} million pixels"
            raise TransformError(
                f"{name}: seen from {names[reference]} it {seen}, too much perspective for one flat mosaic; "
                "try --transform affine, another --reference, or fewer pictures"
            )
    low, high = np.ceil(np.min([b[0] for b in boxes], 0)), np.floor(np.max([b[1] for b in boxes], 0))
    size = (high - low + 1).astype(int).tolist()
    if math.prod(size) > LARGEST * sum(math.prod(g.size) for g in grids):
        raise TransformError(
            f"the mosaic would have {size[0]} x {size[1]} pixels, far more than all pictures together; "
            "they lie too far apart or are seen too obliquely: try --transform affine, or fewer pictures"
        )
    return Grid.from_affine(size, own.affine @ homogeneous(np.eye(2), low))


def part_of(canvas: Grid, points: FloatArray, step: int = 1) -> tuple[Grid, tuple[slice, slice]] | None:
    """The part of a canvas around points (N, 2), each `step`-th pixel, and its place (rows, columns), or None."""
    index = canvas.to_index(points)
    low = np.maximum(np.floor(index.min(0)), 0).astype(int)
    high = np.minimum(np.ceil(index.max(0)) + 1, canvas.size).astype(int)
    if (high <= low).any():
        return None
    affine = canvas.affine @ homogeneous(step * np.eye(2), low.astype(np.float64))
    size = [-(-int(n) // step) for n in high - low]
    return Grid.from_affine(size, affine), (slice(low[1], high[1], step), slice(low[0], high[0], step))


class Layer:
    """A picture as it lies in the mosaic.

    Args:
        image: the picture, (C, y, x).
        placed: 3x3, its points -> the reference's; where it is, but for a bend.
        bend: the reference's points -> the picture's, in the place of the matrix's inverse.
    """

    def __init__(self, image: MedImage, placed: FloatArray, bend: PointMap | None = None) -> None:
        """See the class."""
        self.image, self.placed = image, placed
        self.through: FloatArray | PointMap = invert(placed) if bend is None else bend
        self.outline = map_points(placed, _faces(image.grid))

    def on(self, grid: Grid) -> Tensor:
        """(C, y, x) float32 on a grid of the mosaic's; cubic, so that nothing is blurred."""
        image = self.image.with_data(self.image.data.float())
        return resample(image, onto=grid, through=self.through, interpolation=CubicBSpline()).data

    def weight(self, grid: Grid) -> Tensor:
        """(y, x): 1 in the picture's middle, falling to 0 at its border, 0 beyond."""
        fades = []
        for n in self.image.data.shape[1:]:
            place = torch.arange(n, dtype=torch.float32, device=self.image.data.device) + 0.5
            fades.append(torch.minimum(place, n - place) * (2 / n))
        hat = (fades[0][:, None] * fades[1])[None]
        return resample(self.image.with_data(hat), onto=grid, through=self.through).data[0].float()


def compose(layers: Sequence[Layer], canvas: Grid, gains: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """The mosaic (C, y, x) float32, 0 where no picture reaches, and where one does (y, x), bool.

    Args:
        layers: all pictures.
        canvas: of the mosaic.
        gains: (K, C) by which each picture's channels are multiplied,
        offsets: (K, C) and what is added then.
    """
    shape = (len(layers[0].image.data), *canvas.shape)
    total = torch.zeros(shape, device=layers[0].image.data.device)
    weights = torch.zeros(shape[1:], device=total.device)
    for layer, gain, offset in zip(layers, gains, offsets, strict=True):
        part = part_of(canvas, layer.outline)
        if part is None:
            continue
        grid, (rows, columns) = part
        weight = layer.weight(grid) ** SHARPNESS
        total[:, rows, columns] += weight * (layer.on(grid) * gain[:, None, None] + offset[:, None, None])
        weights[rows, columns] += weight
    covered = weights > 0
    return torch.where(covered, total / torch.where(covered, weights, 1.0), 0.0), covered


def overlap_of(one: Layer, other: Layer, canvas: Grid) -> tuple[Tensor, Tensor]:
    """What both pictures show where they overlap, (C, N) each; at most about `MEASURED` pixels, evenly spread."""
    corners = overlap_corners(one, other)
    pixels = 0.0 if corners is None else float(np.prod(np.ptp(corners, axis=0))) / math.prod(canvas.spacing)
    step = max(1, round(math.sqrt(pixels / MEASURED)))
    part = None if corners is None else part_of(canvas, corners, step)
    if part is None:
        empty = torch.zeros(len(one.image.data), 0)
        return empty, empty
    both = (one.weight(part[0]) > 0) & (other.weight(part[0]) > 0)
    return one.on(part[0])[:, both], other.on(part[0])[:, both]


def overlap_corners(one: Layer, other: Layer) -> FloatArray | None:
    """Corners (4, 2) of the box that both outlines' boxes share, in the reference's world; None where there is none."""
    low = np.maximum(one.outline.min(0), other.outline.min(0))
    high = np.minimum(one.outline.max(0), other.outline.max(0))
    if (high <= low).any():
        return None
    return np.array([[x, y] for x in (low[0], high[0]) for y in (low[1], high[1])])


def _faces(grid: Grid) -> FloatArray:
    """World points (4, 2) of the outer corners of the outermost pixels."""
    ends = [(-0.5, n - 0.5) for n in grid.size]
    return grid.to_world(np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 2))
