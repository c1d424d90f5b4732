"""What a transform does, told to a person or as JSON: for verbs that make transforms from transforms. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medreg.geometry.affine import derivative_at, nearest_rotation
from medreg.geometry.grid import Grid
from medreg.io.content import PIXEL_KINDS, head_of, kind_of
from medreg.io.failing import missing_file
from medreg.io.transforms import End
from medreg.transform.kind import Kind
from medreg.types import FloatArray

ALIKE = 1e-5
"""How far a linear part may be from a rotation and count as one: some formats keep six digits."""


@dataclass(frozen=True, eq=False)
class Place:
    """An image as far as a transform must know it.

    Attributes:
        path: its file.
        grid: its voxels.
        unit: "mm", or "px".
        world: "LPS", or "picture".
    """

    path: Path
    grid: Grid
    unit: str = "mm"
    world: str = "LPS"

    @staticmethod
    def of(path: Path | None) -> Place | None:
        """The image of a file, from its header where that is enough; None for None.

        Raises:
            ReadError: a missing or damaged file.
        """
        if path is None:
            return None
        if not path.exists():
            raise missing_file(path)
        if path.is_dir() or kind_of(head_of(path)) in PIXEL_KINDS:
            from medreg.io.image import read_stored

            stored = read_stored(path)
            unit, world = (str(stored.metadata.get(name, plain)) for name, plain in (("unit", "mm"), ("world", "LPS")))
            return Place(path, stored.grid, unit, world)
        from medreg.io.transforms.headers import header_of

        return Place(path, header_of(path).grid)

    @staticmethod
    def end(place: Place | None) -> End:
        """What readers and writers of transforms want to know."""
        return End() if place is None else End(grid=place.grid, path=place.path)


def family_of(matrix: FloatArray, centre: FloatArray) -> Kind:
    """The smallest family that holds a homogeneous matrix (D+1) x (D+1), to five digits.

    Example:
        >>> family_of(np.diag([2.0, 2.0, 1.0]), np.zeros(2)).value
        'similarity'
    """
    d = len(matrix) - 1
    if matrix[d, :d].any():
        return Kind.HOMOGRAPHY
    linear = derivative_at(matrix, centre)
    if np.abs(linear - np.eye(d)).max() < ALIKE:
        return Kind.TRANSLATION
    determinant = float(np.linalg.det(linear))
    if determinant <= 0:
        return Kind.AFFINE
    scale = determinant ** (1 / d)
    if np.abs(linear / scale - nearest_rotation(linear)).max() >= ALIKE:
        return Kind.AFFINE
    return Kind.RIGID if abs(scale - 1) < ALIKE else Kind.SIMILARITY


def told_of(matrix: FloatArray, fixed: Place | None, moving: Place | None) -> dict[str, Any]:
    """The transform of a record: `motion_of` of it, its family, and the same in words.

    Without the fixed image all is told at the world's origin; without one of the two there is no `voxel_to_voxel`.
    """
    from medreg.report.motion import motion_of
    from medreg.report.page.words import words_of

    d = len(matrix) - 1
    point = Grid.regular((1,) * d, (1.0,) * d)
    known = fixed or moving
    unit, world = (known.unit, known.world) if known else ("mm", "LPS")
    motion = motion_of(matrix, fixed.grid if fixed else point, moving.grid if moving else point, unit, world)
    if fixed is None or moving is None:
        del motion["voxel_to_voxel"]
    if fixed is None:
        here, there = ([round(v, 3) + 0.0 for v in motion["example"][name]] for name in ("fixed_point", "moving_point"))
        motion["example"]["sentence"] = (
            f"The fixed point {tuple(here)} {unit}, the origin, lies at {tuple(there)} {unit} in the moving image."
        )
    centre = np.array(motion["example"]["fixed_point"])
    transform = {"kind": str(family_of(matrix, centre)), "world": world, **motion}
    return {**transform, "words": words_of(transform).sentence}


def lines_of(told: dict[str, Any], fixed: Place | None) -> list[str]:
    """What a person reads of `told_of`."""
    at = "the fixed image's centre" if fixed else "the world's origin (--fixed IMAGE tells it at that one's centre)"
    if not fixed and len(told["matrix"]) == 3:
        at = "the origin, taken for a patient's in mm (--fixed IMAGE tells it at that one's centre, and of pictures)"
    return [
        f"{told['kind']}; what it does to the moving image, at {at}:",
        f"  {told['words']}",
        told["example"]["sentence"],
    ]
