"""A transform that a registration starts from: read, and refused where its family cannot begin there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medreg.errors import TransformError
from medreg.geometry.affine import derivative_at
from medreg.geometry.grid import Grid
from medreg.io.image import is_dicom_place
from medreg.io.transforms import End, read_transform
from medreg.registration.recipe import Job
from medreg.transform.kind import Kind
from medreg.types import FloatArray


@dataclass(frozen=True, eq=False)
class Initial:
    """A transform to start from.

    Attributes:
        matrix: (D+1) x (D+1), fixed -> moving points, LPS mm.
        sha256: its file's checksum.
    """

    matrix: FloatArray
    sha256: str


def read_initial(path: Path, files: Mapping[str, Path]) -> Initial:
    """The given start and its checksum; what counts in voxels goes by the headers of the images."""
    fixed, moving = (End(path=None if is_dicom_place(files[r]) else files[r]) for r in ("fixed", "moving"))
    matrix = read_transform(path, fixed=fixed, moving=moving)
    return Initial(matrix, hashlib.sha256(path.read_bytes()).hexdigest())


def check_initial(initial: Initial, job: Job, fixed: Grid) -> None:
    """Refuse a start that the asked family cannot begin at.

    Raises:
        TransformError: another dimension, a homography for a linear family, a mirror image, or w <= 0 in the image.
    """
    matrix, d, name = initial.matrix, fixed.dimension, job.initial
    if len(matrix) != d + 1:
        raise TransformError(f"{name}: is a {len(matrix) - 1}D transform, the images are {d}D; start from a {d}D one")
    if matrix[d, :d].any() and job.recipe.transform is not Kind.HOMOGRAPHY:
        raise TransformError(f"{name}: holds a homography; add --transform homography, or start from a linear one")
    w = np.column_stack([fixed.corners, np.ones(2**d)]) @ matrix[d]  # of one sign, since multiples are one map
    if not (w > 0).all() and not (w < 0).all():
        raise TransformError(f"{name}: its horizon (w = 0) crosses the fixed image; start from another transform")
    determinant = float(np.linalg.det(derivative_at(matrix, np.array(fixed.centre))))
    if not determinant > 0:
        raise TransformError(
            f"{name}: {'mirrors the image' if determinant < 0 else 'cannot be inverted'}, its determinant is "
            f"{determinant:.3g}, wanted above 0; start from another transform"
        )
