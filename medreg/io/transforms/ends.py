"""The two ends of a transform: what a format must know of the images that it joins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medreg.errors import UsageError
from medreg.geometry.grid import Grid
from medreg.io.dicom.origin import Origin, origin_of
from medreg.io.transforms.headers import Header, header_of
from medreg.types import FloatArray


@dataclass(frozen=True, eq=False)
class End:
    """One of the two images of a transform, as far as it is known; most formats need to know nothing of it.

    Attributes:
        grid: where its voxels lie, with the axes as its file stores them.
        origin: its DICOM identity.
        path: its file. Formats that count in voxels look at its header, also where the grid is given: the voxel sizes
            that FSL goes by are those of the header's `pixdim`.
    """

    grid: Grid | None = None
    origin: Origin | None = None
    path: Path | None = None

    @property
    def known(self) -> bool:
        """Whether it says where the voxels lie."""
        return self.grid is not None or self.path is not None


NOTHING = End()


def header_at(end: End, role: str, why: str) -> Header:
    """The header of an end that a format cannot do without.

    Args:
        end: the image.
        role: "fixed" or "moving", for the message.
        why: the beginning of the message: the file, and what its format goes by.

    Raises:
        UsageError: nothing is known of the image.
        ReadError: its file cannot be read.
    """
    if end.path is None:
        if end.grid is None:
            raise UsageError(f"{why}; name the {role} image with --{role} FILE (in Python {role}=End(path=...))")
        return Header(end.grid, end.grid.spacing, "")
    found = header_of(end.path)
    if end.grid is None or end.grid == found.grid:
        return found
    return Header(end.grid, end.grid.spacing, found.name)


def identity_at(end: End) -> Origin | None:
    """The DICOM identity of an end; None where it has none."""
    if end.origin is not None or end.path is None or not end.path.exists():
        return end.origin
    from medreg.io.image import is_dicom_place, read_stored

    return origin_of(read_stored(end.path).metadata) if is_dicom_place(end.path) else None


def affine_in_space(grid: Grid) -> FloatArray:
    """4x4: voxel index -> LPS mm. A 2D grid is taken as one slice of 1 mm at z = 0."""
    if grid.dimension == 3:
        return grid.affine
    matrix = np.eye(4)
    matrix[np.ix_([0, 1, 3], [0, 1, 3])] = grid.affine
    return matrix
