"""What a report looks at: planes of the fixed image, and of the moving one before and after it was moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medreg.report.page.planes import Plane
from medreg.types import VoxelArray


@dataclass(frozen=True, eq=False)
class View:
    """One plane.

    Attributes:
        plane: where.
        fixed: (height, width) grey or (height, width, 3) colour, 0 to 1; NaN where the image does not reach.
        before: the moving image as the headers place it, 0 to 1.
        after: the same through the transform.
    """

    plane: Plane
    fixed: VoxelArray
    before: VoxelArray
    after: VoxelArray


@dataclass(frozen=True, eq=False)
class Views:
    """All planes of a pair of images.

    Attributes:
        rows: by the kind of plane, each from low to high.
        unit: of lengths, "mm" or "px".
        error: (height, width) predicted error in `unit` of the middle view of each row; empty where it is not known.
    """

    rows: tuple[tuple[View, ...], ...]
    unit: str
    error: tuple[VoxelArray, ...] = ()

    @property
    def middles(self) -> tuple[View, ...]:
        """The middle view of each row."""
        return tuple(row[len(row) // 2] for row in self.rows)


def grey(picture: VoxelArray) -> VoxelArray:
    """(height, width) of a grey or colour picture (luma of ITU-R BT.601, as Pillow's)."""
    if picture.ndim == 2:
        return picture
    return np.asarray(picture @ np.array([0.299, 0.587, 0.114], np.float32))
