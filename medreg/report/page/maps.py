"""Maps over the middle planes: where the two images agree, and how wrong the answer may be."""

from __future__ import annotations

import numpy as np

from medreg.report.page.views import View, grey
from medreg.types import VoxelArray

BLOCK = 4
"""Pixels along a side of a map's cell."""

REACH = 2
"""Cells on all sides of a cell that its window takes in: 5 x 5 cells, 20 x 20 pixels."""

FLAT = 0.02
"""A window whose standard deviation is less (of the whole range) holds nothing to compare."""


def agreement_map(fixed: VoxelArray, moving: VoxelArray) -> VoxelArray:
    """The local correlation's size, |r|, 0 to 1, of two pictures on a coarse grid; NaN where there is nothing to see.

    Its size, since bright may be dark in another contrast. Windows that both pictures fill by less than half count as
    unseen, a flat moving picture on a structured fixed one as no agreement.

    Args:
        fixed: (height, width), 0 to 1, NaN outside.
        moving: the same.

    Returns:
        (height // 4, width // 4), float64.
    """
    known = np.isfinite(fixed) & np.isfinite(moving)
    f, m = (np.where(known, picture, 0).astype(np.float64) for picture in (fixed, moving))
    count = _windows(known.astype(np.float64))
    safe = np.maximum(count, 1)
    f_mean, m_mean = _windows(f) / safe, _windows(m) / safe
    f_var = np.maximum(_windows(f * f) / safe - f_mean**2, 0)
    m_var = np.maximum(_windows(m * m) / safe - m_mean**2, 0)
    both = _windows(f * m) / safe - f_mean * m_mean
    correlation = np.abs(both) / np.sqrt(np.maximum(f_var * np.maximum(m_var, FLAT**2 / 4), 1e-12))
    full = _windows(np.ones_like(f))
    return np.asarray(np.where((count > full / 2) & (f_var > FLAT**2), np.clip(correlation, 0, 1), np.nan))


def agreement_of(view: View) -> tuple[VoxelArray, VoxelArray]:
    """The maps of a view before and after."""
    fixed = grey(view.fixed)
    return agreement_map(fixed, grey(view.before)), agreement_map(fixed, grey(view.after))


def coarse(picture: VoxelArray) -> VoxelArray:
    """Means over the cells of a map; NaN where none of a cell is known."""
    known = np.isfinite(picture)
    count = _cells(known.astype(np.float64))
    total = _cells(np.where(known, picture, 0).astype(np.float64))
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _cells(picture: VoxelArray) -> VoxelArray:
    """Sums over whole cells."""
    height, width = (max(1, n // BLOCK) for n in picture.shape)
    cut = picture[: height * BLOCK, : width * BLOCK]
    rows = np.add.reduceat(cut, np.arange(0, cut.shape[0], BLOCK), 0)
    return np.asarray(np.add.reduceat(rows, np.arange(0, cut.shape[1], BLOCK), 1))


def _windows(picture: VoxelArray) -> VoxelArray:
    """Sums over the cells around each cell."""
    padded = np.pad(_cells(picture), REACH + 1)[:-1, :-1]
    running = padded.cumsum(0).cumsum(1)
    side = 2 * REACH + 1
    return np.asarray(running[side:, side:] - running[:-side, side:] - running[side:, :-side] + running[:-side, :-side])
