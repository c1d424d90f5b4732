"""Distances between the outlines of labels, in mm, on grids of any spacing, tilt and shear.

The outline of a label is made of those of its voxels that have a neighbour across a face which does not bear it; the
world ends with the image. Distances are those between voxel centres in the world, found by a k-d tree (Bentley 1975,
doi:10.1145/361002.361007), which is exact, and unlike a distance transform does not need axes at right angles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medreg.errors import ImageError
from medreg.geometry.grid import Grid
from medreg.types import FloatArray, VoxelArray


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """How far the outlines of one label's regions A and B are apart.

    Attributes:
        label: its number.
        from_a: (N,) from each outline voxel of A to the nearest of B, mm.
        from_b: (M,) the other way.
    """

    label: int
    from_a: FloatArray
    from_b: FloatArray

    @property
    def mean(self) -> float:
        """The mean of all distances both ways, mm (Heimann 2009, doi:10.1109/TMI.2009.2013851)."""
        return float((self.from_a.sum() + self.from_b.sum()) / (len(self.from_a) + len(self.from_b)))

    @property
    def hausdorff(self) -> float:
        """The largest distance, mm (Huttenlocher 1993, doi:10.1109/34.232073)."""
        return float(max(self.from_a.max(), self.from_b.max()))

    @property
    def hausdorff_95(self) -> float:
        """The larger of the two 95th percentiles, mm (Maier-Hein 2024, doi:10.1038/s41592-023-02151-z)."""
        return float(max(np.percentile(self.from_a, 95), np.percentile(self.from_b, 95)))


def surface_distances(
    a: VoxelArray, b: VoxelArray, grid: Grid, labels: Sequence[int]
) -> tuple[SurfaceDistances | None, ...]:
    """The distances between the outlines of each label in two maps.

    Args:
        a: (z, y, x) or (y, x) whole numbers.
        b: the same shape.
        grid: where their voxels lie.
        labels: which ones.

    Returns:
        For each label its distances; None where one of the maps does not hold it.

    Raises:
        ImageError: maps that do not fill the grid.

    Example:
        >>> grid = Grid.regular((4, 1), (2.0, 1.0))
        >>> (seven,) = surface_distances(np.array([[7, 0, 0, 0]]), np.array([[0, 0, 7, 7]]), grid, [7])
        >>> seven.mean, seven.hausdorff
        (4.666666666666667, 6.0)
    """
    for data in (a, b):
        if data.shape != grid.shape:
            raise ImageError(f"label maps (z, y, x) of {data.shape} voxels do not fill a grid of {grid.shape}")
    outlines = [_outlines(data, grid, labels) for data in (a, b)]
    return tuple(_between(label, *found) for label, *found in zip(labels, *outlines, strict=True))


def _outlines(data: VoxelArray, grid: Grid, labels: Sequence[int]) -> list[FloatArray]:
    """The outline of each label: world points (N, D), LPS mm. One pass finds those of all labels."""
    edge = np.zeros(data.shape, dtype=bool)
    for axis in range(data.ndim):
        here, there = _beside(data.ndim, axis)
        differs = data[here] != data[there]
        edge[here] |= differs
        edge[there] |= differs
        edge[tuple(slice(None) if k != axis else [0, -1] for k in range(data.ndim))] = True
    places = np.flatnonzero(edge & (data != 0))
    bearers = data.reshape(-1)[places]
    order = np.argsort(bearers, kind="stable")
    places, bearers = places[order], bearers[order]
    starts = np.searchsorted(bearers, labels, side="left")
    ends = np.searchsorted(bearers, labels, side="right")
    return [
        grid.to_world(np.stack(np.unravel_index(places[start:end], data.shape)[::-1], axis=1))
        for start, end in zip(starts, ends, strict=True)
    ]


def _beside(dimension: int, axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """All voxels but the last along an axis, and all but the first."""
    whole = [slice(None)] * dimension
    here, there = list(whole), list(whole)
    here[axis], there[axis] = slice(None, -1), slice(1, None)
    return tuple(here), tuple(there)


def _between(label: int, a: FloatArray, b: FloatArray) -> SurfaceDistances | None:
    from scipy.spatial import KDTree

    if not len(a) or not len(b):
        return None
    from_a, _ = KDTree(b, balanced_tree=False, compact_nodes=False).query(a)
    from_b, _ = KDTree(a, balanced_tree=False, compact_nodes=False).query(b)
    return SurfaceDistances(int(label), np.asarray(from_a, np.float64), np.asarray(from_b, np.float64))
