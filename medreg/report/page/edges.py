"""Edges of pictures as lines: where the Laplacian of the smoothed picture changes sign on a steep slope.

Marr and Hildreth 1980 (doi:10.1098/rspb.1980.0020). The lines are closed curves but for where the slope is flat, lie
between pixels, and need no threshold on values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medreg.types import VoxelArray

SIGMA = 1.6
"""Pixels: what is smaller has no outline."""

STEEP = 0.3
"""Least slope, as a share of the 97th percentile of all slopes of the pictures."""

FINER = 2
"""Pixels of the lines along a side of a picture's pixel."""


def edges_of(pictures: Sequence[VoxelArray]) -> list[VoxelArray]:
    """Lines, bool (2 height, 2 width), of grey pictures (height, width) of any values; NaN has no edges.

    The pictures share one measure of steepness.
    """
    smoothed = _smoothed(pictures)
    slopes = [np.hypot(*np.gradient(picture)) if min(picture.shape) > 1 else 0 * picture for picture in smoothed]
    every = np.concatenate([slope.ravel() for slope in slopes])
    steep = STEEP * float(np.percentile(every, 97)) if every.size else 0.0
    return [_lines(picture, slope, max(steep, 1e-6)) for picture, slope in zip(smoothed, slopes, strict=True)]


def _smoothed(pictures: Sequence[VoxelArray]) -> list[VoxelArray]:
    """Each under a Gaussian, what is not known filled by the median; pictures of one size at once."""
    smoothed: dict[int, VoxelArray] = {}
    for shape in {picture.shape for picture in pictures}:
        alike = [k for k, picture in enumerate(pictures) if picture.shape == shape]
        filled = np.stack([_filled(pictures[k]) for k in alike])
        smoothed.update(zip(alike, _along(_along(filled, 1), 2), strict=True))
    return [smoothed[k] for k in range(len(pictures))]


def _along(pictures: VoxelArray, axis: int) -> VoxelArray:
    """(K, height, width) under a Gaussian along an axis; the edge goes on."""
    reach = int(3 * SIGMA + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SIGMA) ** 2)
    kernel /= kernel.sum()
    n = pictures.shape[axis]
    padded = np.pad(pictures, [(reach, reach) if a == axis else (0, 0) for a in range(3)], mode="edge")
    total = np.zeros_like(pictures)
    for k, weight in enumerate(kernel.astype(pictures.dtype)):
        total += weight * padded[(slice(None),) * axis + (slice(k, k + n),)]
    return total


def _filled(picture: VoxelArray) -> VoxelArray:
    known = np.isfinite(picture)
    if known.all():
        return picture.astype(np.float32)
    return np.where(known, picture, np.median(picture[known]) if known.any() else 0.0).astype(np.float32)


def _lines(picture: VoxelArray, slope: VoxelArray, steep: float) -> VoxelArray:
    padded = np.pad(picture, 1, mode="edge")
    bend = padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2] - 4 * picture
    bend, slope = _finer(bend), _finer(slope)
    up = bend > 0
    changes = np.zeros(up.shape, bool)
    changes[:, :-1] |= up[:, :-1] != up[:, 1:]
    changes[:-1] |= up[:-1] != up[1:]
    return np.asarray(changes & (slope > steep))


def _finer(picture: VoxelArray) -> VoxelArray:
    from PIL import Image

    height, width = picture.shape
    large = Image.fromarray(picture.astype(np.float32)).resize(
        (FINER * width, FINER * height), Image.Resampling.BILINEAR
    )
    return np.asarray(large)
