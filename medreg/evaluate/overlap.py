"""Overlap of two label maps on one grid: Dice, Jaccard and the similarity of volumes, label by label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medreg.errors import ImageError
from medreg.geometry.grid import Grid
from medreg.types import VoxelArray

_TABLE = 1 << 22
"""Labels that span fewer numbers than this are counted by a table, others by sorting."""
_SAME = 0.01
"""Grids whose corners lie within this share of a voxel are one: headers keep float32."""


@dataclass(frozen=True)
class LabelOverlap:
    """How one label's regions A and B agree.

    Attributes:
        label: its number.
        voxels: of A and of B.
        both: voxels of both.
    """

    label: int
    voxels: tuple[int, int]
    both: int

    @property
    def dice(self) -> float:
        """2 |A and B| / (|A| + |B|): 0 apart, 1 the same (Dice 1945, doi:10.2307/1932409)."""
        return 2 * self.both / sum(self.voxels)

    @property
    def jaccard(self) -> float:
        """|A and B| / |A or B|, 0 to 1 (Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x)."""
        return self.both / (sum(self.voxels) - self.both)

    @property
    def volume_similarity(self) -> float:
        """1 - ||A| - |B|| / (|A| + |B|), 0 to 1, wherever they lie (Taha 2015, doi:10.1186/s12880-015-0068-x)."""
        return 1 - abs(self.voxels[0] - self.voxels[1]) / sum(self.voxels)


def label_overlaps(a: VoxelArray, b: VoxelArray, labels: Sequence[int] | None = None) -> tuple[LabelOverlap, ...]:
    """The overlap of each label of two maps.

    Args:
        a: (z, y, x) or (y, x) whole numbers.
        b: the same shape.
        labels: which ones; by default all that either map holds, rising, without 0, the background.

    Raises:
        ImageError: different shapes, fractions, only background, or a label that neither map holds.

    Example:
        >>> (seven,) = label_overlaps(np.array([[0, 7, 7]]), np.array([[7, 7, 0]]))
        >>> seven.dice, seven.jaccard, seven.volume_similarity
        (0.5, 0.3333333333333333, 1.0)
    """
    if a.shape != b.shape:
        raise ImageError(f"label maps need one grid, got {a.shape} and {b.shape} voxels; resample one onto the other")
    counted = (a != 0) | (b != 0)
    a, b = a[counted], b[counted]
    if not a.size:
        raise ImageError("both label maps hold only background (0); there is nothing to compare")
    values = np.union1d(labels_in(a), labels_in(b))
    chosen = [int(value) for value in (values[values != 0] if labels is None else labels)]
    if missing := sorted(set(chosen) - (set(values.tolist()) - {0})):
        raise ImageError(f"neither map holds the labels {missing}; they hold {str(values.tolist())[:200]}")
    codes_a, codes_b = _codes(a, values), _codes(b, values)
    in_a, in_b, in_both = (
        np.bincount(codes, minlength=len(values)) for codes in (codes_a, codes_b, codes_a[codes_a == codes_b])
    )
    places = np.searchsorted(values, chosen)
    return tuple(
        LabelOverlap(label, (int(in_a[k]), int(in_b[k])), int(in_both[k]))
        for label, k in zip(chosen, places, strict=True)
    )


def labels_in(data: VoxelArray) -> NDArray[np.int64]:
    """All whole numbers that occur, rising, with 0 if it does.

    Raises:
        ImageError: voxels that are no whole numbers, or above 2^63 - 1.

    Example:
        >>> labels_in(np.array([[2.0, 0.0], [9.0, 2.0]])).tolist()
        [0, 2, 9]
    """
    fits = data.dtype.kind == "f" and bool(((data == np.rint(data)) & (np.abs(data) < 2.0**53)).all())
    if data.dtype.kind not in "iub" and not fits:
        if data.dtype.kind == "f" and not np.isfinite(data).all():
            raise ImageError("labels are whole numbers, got NaN or infinity; replace them, by 0 for background")
        raise ImageError(
            "labels are whole numbers, got fractions; was the map resampled? Bring it onto the grid with "
            "medreg apply --interpolation label"
        )
    if data.dtype == np.uint64 and int(data.max()) > np.iinfo(np.int64).max:
        raise ImageError(f"labels go up to {np.iinfo(np.int64).max}, got {int(data.max())}; number them anew")
    low, high = int(data.min()), int(data.max())
    if high - low < _TABLE:
        return np.flatnonzero(np.bincount(data.ravel().astype(np.int64) - low)).astype(np.int64) + low
    return np.unique(data).astype(np.int64)


def same_place(a: Grid, b: Grid) -> bool:
    """Whether two grids have the same voxels at the same places, to a hundredth of a voxel."""
    if a.size != b.size:
        return False
    apart = np.linalg.norm(a.corners - b.corners, axis=1).max()
    return bool(apart <= _SAME * min(*a.spacing, *b.spacing))


def _codes(flat: VoxelArray, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) the place of each voxel's label in `values`."""
    low, high = int(values[0]), int(values[-1])
    if high - low >= _TABLE:
        return np.searchsorted(values, flat.astype(np.int64)).astype(np.int64)
    table = np.zeros(high - low + 1, dtype=np.int64)
    table[values - low] = np.arange(len(values))
    return table[flat.astype(np.int64) - low]
