"""Self-similarity context (MIND-SSC): each voxel described by how alike the patches around it are to one another.

Heinrich et al. 2013 (doi:10.1007/978-3-642-40811-3_24) and 2012 (doi:10.1016/j.media.2012.05.008). Which neighbours
look alike hardly depends on the contrast, so descriptors of two modalities compare by plain mean squares over their
channels. The neighbours lie along given vectors, not along the grid: two grids turned to one another then describe the
same directions.
"""

from __future__ import annotations

from itertools import combinations
from math import floor, inf

import numpy as np
import torch
from torch import Tensor

from medreg.errors import ImageError
from medreg.sample.smoothing import smooth
from medreg.types import FloatArray

LEAST, MOST = 1e-3, 1e3
"""Bounds of the local variance, as shares of its mean over the volume."""


def right_angled_pairs(dimension: int) -> list[tuple[int, int]]:
    """Pairs of neighbours on different axes: 12 in 3D, 4 in 2D, in the order of the descriptor's channels.

    Neighbour 2k lies at plus the k-th step, 2k + 1 at minus it.

    Example:
        >>> right_angled_pairs(2)
        [(0, 2), (0, 3), (1, 2), (1, 3)]
    """
    return [(a, b) for a, b in combinations(range(2 * dimension), 2) if a // 2 != b // 2]


def self_similarity(volume: Tensor, steps: Tensor | FloatArray, patch: float = 0.5) -> Tensor:
    """The descriptor exp(-(D - min D) / V) of every voxel: 0 (unlike) to 1, which the most alike pair of each has.

    D is the squared difference of two patches beside the voxel, one channel for each of `right_angled_pairs`; V their
    mean at the voxel, held between 0.001 and 1000 times its own mean over the volume. Gain and offset of the image do
    not matter. A constant volume gives 1.

    Args:
        volume: (1, z, y, x) or (1, y, x). Differentiable.
        steps: (D, D): row k is the way to the k-th neighbour in voxels of this volume, x, y(, z), fractions allowed.
            For the fixed image with a distance r in mm: diag(r / spacing). For the moving image the same vectors in its
            own voxels, so that both descriptors look along the same directions of the world.
        patch: standard deviation of the Gaussian patch as a share of the steps' length; the same in mm in all
            directions, since along a voxel axis the length is the norm of that column of `steps`.

    Returns:
        (12, z, y, x) or (4, y, x). Outside the volume its edge voxels go on.

    Raises:
        ImageError: for several channels, steps that do not match the axes or are not finite, or a negative patch.
    """
    dimension = volume.ndim - 1
    offsets = np.asarray(steps.detach().cpu() if isinstance(steps, Tensor) else steps, dtype=np.float64)
    square = offsets.shape == (dimension, dimension)
    if volume.shape[0] != 1 or not square or not np.isfinite(offsets).all() or patch < 0:
        raise ImageError(
            f"self-similarity needs one channel, {dimension} finite steps of {dimension} voxels and a patch >= 0; "
            f"got a volume {tuple(volume.shape)}, steps {offsets.shape} and patch {patch}"
        )
    around = [shifted(volume[0], sign * row) for row in offsets for sign in (1, -1)]
    squares = torch.stack([(around[a] - around[b]) ** 2 for a, b in right_angled_pairs(dimension)])
    lengths = patch * np.linalg.norm(offsets, axis=0)
    distances = smooth(squares, 1.0, [1 / s if s > 0 else inf for s in lengths])
    variance = distances.mean(0)
    mean = variance.mean()
    variance = torch.minimum(torch.maximum(variance, LEAST * mean), MOST * mean).clamp(min=1e-30)
    return torch.exp((distances.amin(0) - distances) / variance)


def shifted(volume: Tensor, offset: FloatArray) -> Tensor:
    """`volume` (z, y, x) or (y, x) read at every voxel plus `offset` (x, y(, z) voxels): linear, edges repeated."""
    for axis, way in enumerate(offset):
        volume = _shifted_along(volume, volume.ndim - 1 - axis, float(way))
    return volume


def _shifted_along(volume: Tensor, axis: int, way: float) -> Tensor:
    whole = floor(way)
    near = _rolled(volume, axis, whole)
    if way == whole:
        return near
    return torch.lerp(near, _rolled(volume, axis, whole + 1), way - whole)  # exact for a constant volume


def _rolled(volume: Tensor, axis: int, whole: int) -> Tensor:
    if whole == 0:
        return volume
    n = volume.shape[axis]
    index = (torch.arange(n, device=volume.device) + whole).clamp(0, n - 1)
    return volume.index_select(axis, index)
