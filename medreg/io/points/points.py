"""Points: named places in the world, with what their file said beside them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Protocol

import numpy as np

from medreg.errors import MedregWarning, ReadError, UsageError
from medreg.geometry.affine import map_points
from medreg.io.points.space import Known, Space, to_lps
from medreg.types import FloatArray


class Form(Enum):
    """A format of points; the value is its name in messages."""

    CSV = "CSV"
    FCSV = "Slicer's FCSV"
    MARKUPS = "Slicer's markups"
    VTK = "VTK"
    JSON = "JSON"
    TEXT = "plain text"


ASSUMED = {
    Form.CSV: Space.LPS,
    Form.FCSV: Space.RAS,
    Form.MARKUPS: Space.LPS,
    Form.VTK: Space.LPS,
    Form.JSON: Space.LPS,
    Form.TEXT: Space.RAS,
}
"""The space of points with three coordinates where the file does not say it.

CSV: ANTs. FCSV: Slicer before it wrote the space. Markups: their schema. VTK: ITK, and Slicer since 4.11. Plain text:
FSL and ITK-SNAP. JSON: medreg's own world.
"""


class Carried(Protocol):
    """What a file holds beside its points, in its own form."""

    @property
    def count(self) -> int:
        """Points in the file."""

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """Texts beside each point, by name; the names of the points are not among them."""


@dataclass(frozen=True, eq=False)
class Points:
    """Places in the world.

    Attributes:
        coordinates: (N, D) float64, x, y(, z), LPS mm; with two coordinates those of a picture.
        names: one for each point, or none at all; they may repeat, see `has_own_names`.
        space: the space of the file's numbers; in memory all are LPS.
        known: how that space is known.
        form: the file's format.
        carried: labels, comments, further columns, the faces of a mesh: what `write_points` writes again.
        path: the file.

    Raises:
        ReadError: no points, coordinates that are not finite or of the wrong shape, names of another number.

    Example:
        >>> points = Points(np.array([[1.0, 2.0, 3.0]]), ("AC",))
        >>> shift = np.array([[1, 0, 0, 5.0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        >>> points.through(shift).coordinates.tolist()
        [[6.0, 2.0, 3.0]]
    """

    coordinates: FloatArray
    names: tuple[str, ...] = ()
    space: Space = Space.LPS
    known: Known = Known.ASKED
    form: Form = Form.CSV
    carried: Carried | None = None
    path: Path | None = None

    def __post_init__(self) -> None:
        coordinates = np.array(self.coordinates, dtype=np.float64)
        name = self.path or "points"
        if coordinates.ndim != 2 or coordinates.shape[1] not in (2, 3):
            raise ReadError(f"{name}: points are (N, 2) or (N, 3) numbers, got shape {coordinates.shape}")
        if not len(coordinates):
            raise ReadError(f"{name}: holds no points")
        if not np.isfinite(coordinates).all():
            bad = int(np.argwhere(~np.isfinite(coordinates).all(1))[0, 0])
            raise ReadError(f"{name}: point {bad + 1} is not finite, {coordinates[bad].tolist()}; remove it")
        n = len(coordinates)
        if len(self.names) not in (0, n) or (self.carried is not None and self.carried.count != n):
            raise ReadError(f"{name}: {n} points with {len(self.names)} names and another number of rows beside them")
        coordinates.flags.writeable = False
        object.__setattr__(self, "coordinates", coordinates)

    def __len__(self) -> int:
        return len(self.coordinates)

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return int(self.coordinates.shape[1])

    @property
    def has_own_names(self) -> bool:
        """Whether each point has a name that no other has."""
        return bool(self.names) and all(self.names) and len(set(self.names)) == len(self.names)

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """Texts beside the points, by name."""
        return {} if self.carried is None else self.carried.columns

    @property
    def sentence(self) -> str:
        """In which space the file was taken to be, and why: a verb that reads points tells it."""
        space = "pixels of a picture, x to the right, y down" if self.space is Space.PICTURE else self.space.value
        if self.known is Known.SAID:
            return f"{space}, as the file says"
        if self.known is Known.ASKED:
            return f"{space}, as asked"
        if self.space is Space.PICTURE:
            return f"{space} (two coordinates)"
        return f"{space}, which {self.form.value} is taken to be where it does not say"

    def moved_to(self, coordinates: FloatArray) -> Points:
        """The same points at other places (N, D), LPS mm."""
        return replace(self, coordinates=coordinates)

    def through(self, matrix: FloatArray) -> Points:
        """The points mapped by a homogeneous matrix, LPS mm; for one of 2D see `in_dimension`.

        Raises:
            UsageError: a matrix of another dimension.
        """
        here = self.in_dimension(len(matrix) - 1)
        return here.moved_to(map_points(np.asarray(matrix, dtype=np.float64), here.coordinates))

    def in_dimension(self, dimension: int) -> Points:
        """Points of this dimension; three coordinates become two where all z are 0, as ANTs writes a plane's points.

        Raises:
            UsageError: the points have another dimension.
        """
        if self.dimension == dimension:
            return self
        if self.dimension == 3 and dimension == 2 and not self.coordinates[:, 2].any():
            return replace(self, coordinates=self.coordinates[:, :2])
        raise UsageError(
            f"{self.path or 'points'}: the points have {self.dimension} coordinates, {dimension} are needed here"
        )


def placed(
    numbers: FloatArray, said: Space | None, asked: Space | None, form: Form, path: Path
) -> tuple[FloatArray, Space, Known]:
    """A file's numbers (N, D) in LPS, the space that they were in, and how it is known.

    Args:
        numbers: as in the file.
        said: the space that the file tells.
        asked: the space that the caller tells; it has the last word.
        form: for the space of files that tell none.
        path: for the warning where the file and the caller disagree.
    """
    if asked and said and asked is not said and numbers.shape[1] == 3:
        warnings.warn(
            f"{path}: says that its points are {said.value}; read as {asked.value}, as asked",
            MedregWarning,
            stacklevel=3,
        )
    known = Known.ASKED if asked else Known.SAID if said else Known.ASSUMED
    space = asked or said or (ASSUMED[form] if numbers.shape[1] == 3 else Space.PICTURE)
    return to_lps(numbers, space), space, known
