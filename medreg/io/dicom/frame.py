"""Frame: one 2D plane of a DICOM file, with its place, its scaling, and what tells it from the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from medreg.errors import GeometryError
from medreg.types import FloatArray

if TYPE_CHECKING:
    from medreg.io.dicom.opened import DicomFile

_RIGHT_ANGLE = 1e-3
"""Largest |cosine| between rows and columns of a plane, and largest error of their lengths."""


@dataclass(frozen=True, eq=False)
class Plane:
    """Where a frame lies.

    Attributes:
        position: LPS mm of the centre of its first pixel.
        axes: (2, 3) unit vectors along which column and row indices grow: x, then y.
    """

    position: FloatArray
    axes: FloatArray

    @property
    def normal(self) -> FloatArray:
        """Unit vector (3,): x cross y."""
        return np.cross(self.axes[0], self.axes[1])

    def moved(self, height: float) -> Plane:
        """The plane that lies `height` mm along the normal."""
        return Plane(self.position + height * self.normal, self.axes)


@dataclass(frozen=True, eq=False)
class Frame:
    """One plane of pixels.

    Attributes:
        file: where it is.
        number: its number in the file, from 0.
        tile: of a mosaic the first row and column of this slice.
        size: columns and rows: x, y.
        plane: None where the file does not say where it lies.
        spacing: mm between columns and between rows (x, y); None where the file does not say.
        slope: value = stored * slope + intercept.
        intercept: see slope.
        kind: what frames of one image have in common beside their size: magnitude or phase, a segment, a stack.
        contrast: what tells images apart whose frames share positions: echo time in ms, 0 if unknown; echo or type.
        order: values by which volumes in time may be told apart, by name, in the order of their trust.
        space: UID of the frame of reference that the plane is in; an identifier, not to be shown.
        depth: mm between slices as the header says, of one slice alone; None where it does not.
    """

    file: DicomFile
    number: int
    size: tuple[int, int]
    plane: Plane | None
    spacing: tuple[float, float] | None
    slope: float = 1.0
    intercept: float = 0.0
    tile: tuple[int, int] | None = None
    kind: tuple[str, ...] = ()
    contrast: tuple[float, str] = (0.0, "")
    order: Mapping[str, float] = field(default_factory=dict)
    depth: float | None = None
    space: str = ""

    @property
    def placed(self) -> Plane:
        """Its plane, of a frame that is known to have one."""
        assert self.plane is not None
        return self.plane


def plane_of(position: Sequence[float] | None, orientation: Sequence[float] | None, name: object) -> Plane | None:
    """The plane of an ImagePositionPatient and ImageOrientationPatient; None where one is missing or all zeros.

    Raises:
        GeometryError: rows and columns that are not at right angles, or no directions at all.
    """
    if position is None or orientation is None or len(position) != 3 or len(orientation) != 6:
        return None
    axes = np.array(orientation, dtype=np.float64).reshape(2, 3)
    if not axes.any():
        return None
    lengths = np.linalg.norm(axes, axis=1)
    if (np.abs(lengths - 1) > _RIGHT_ANGLE).any() or abs(axes[0] @ axes[1]) > _RIGHT_ANGLE:
        raise GeometryError(
            f"{name}: the directions of its rows and columns {tuple(axes.ravel().tolist())} are no unit vectors at "
            "right angles; the header is damaged, export the series again"
        )
    return Plane(np.array(position, dtype=np.float64), axes / lengths[:, None])
