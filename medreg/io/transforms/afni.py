"""AFNI's .1D matrices: 12 numbers, base (fixed) -> source (moving), in DICOM order (RAI), which is LPS mm.

AFNI reckons with the grids as if their axes were the scanner's nearest ones: an oblique image keeps the place of its
first voxel and loses its tilt. With both images known that is undone here, as 3dAllineate's matrices are the voxels'.
"""

from __future__ import annotations

import warnings
from itertools import permutations
from pathlib import Path

import numpy as np

from medreg.errors import MedregWarning, TransformError
from medreg.geometry.affine import invert
from medreg.geometry.grid import Grid
from medreg.io.transforms.draft import Draft, Source, in_space
from medreg.io.transforms.ends import End, header_at
from medreg.io.transforms.numbers import numbers_in, row_of
from medreg.types import FloatArray

HEADER = "# 3dAllineate matrices (DICOM-to-DICOM, row-by-row):"


def read(source: Source) -> FloatArray:
    """One line of 12 numbers, as -1Dmatrix_save writes it, or 3 rows of 4 (cat_matvec), or 4 of 4."""
    rows = numbers_in(source.lines, source.path, "a matrix of AFNI")
    if len(rows) > 1 and {len(row) for row in rows} == {12}:
        raise TransformError(
            f"{source.path}: holds {len(rows)} matrices, one for each volume of a series; keep the line of one of them"
        )
    if [len(row) for row in rows] not in ([12], [4] * 3, [4] * 4):
        raise TransformError(
            f"{source.path}: a matrix of AFNI is one line of 12 numbers or 3 rows of 4, got rows of "
            f"{[len(row) for row in rows]}; a file of shifts and angles (-1Dparam_save) is no matrix"
        )
    stored = np.array([number for row in rows for number in row][:12]).reshape(3, 4)
    matrix = np.vstack([stored, (0.0, 0.0, 0.0, 1.0)])
    fixed, moving = _tilts(source.fixed, source.moving, source.path)
    result: FloatArray = invert(moving) @ matrix @ fixed
    return result


def write(draft: Draft, target: Path) -> None:
    """As `3dAllineate -1Dmatrix_apply OUT -base FIXED -source MOVING` takes it."""
    fixed, moving = _tilts(draft.fixed, draft.moving, draft.path)
    stored = moving @ in_space(draft, "an AFNI matrix") @ invert(fixed)
    target.write_text(f"{HEADER}\n{row_of(stored[:3].ravel())}\n", encoding="ascii", newline="\n")


def untilted(grid: Grid) -> FloatArray:
    """4x4: world point (LPS mm) -> the point at which AFNI takes it to lie; the identity for axes of the scanner.

    Example:
        >>> untilted(Grid.regular((4, 5, 6), (1, 2, 3), (7, 8, 9))).tolist() == np.eye(4).tolist()
        True
    """
    direction = np.array(grid.direction)
    order = max(permutations(range(3)), key=lambda axes: sum(abs(direction[axes[k], k]) for k in range(3)))
    cardinal = np.eye(4)
    cardinal[:3, 3] = grid.origin
    for k, axis in enumerate(order):
        cardinal[:3, k] = 0.0
        cardinal[axis, k] = np.copysign(grid.spacing[k], direction[axis, k])
    if np.array_equal(cardinal, grid.affine):
        return np.eye(4)
    return cardinal @ grid.inverse_affine


def _tilts(fixed: End, moving: End, path: Path) -> tuple[FloatArray, FloatArray]:
    if not (fixed.known and moving.known):
        text = (
            "taken as of images whose axes are the scanner's, since not both images are named; AFNI reckons "
            "otherwise for oblique ones: name both then"
        )
        warnings.warn(f"{path}: {text}", MedregWarning, stacklevel=5)
        return np.eye(4), np.eye(4)
    grids = [header_at(end, role, str(path)).grid for end, role in ((fixed, "fixed"), (moving, "moving"))]
    if any(grid.dimension != 3 for grid in grids):
        raise TransformError(f"{path}: AFNI's matrices are 3D, the images 2D")
    return untilted(grids[0]), untilted(grids[1])
