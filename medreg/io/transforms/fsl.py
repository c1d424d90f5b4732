"""FSL's FLIRT: 4x4 text, moving -> fixed, between the scaled voxels of the two images.

A scaled voxel is the index times the header's voxel size, in mm; where the image's axes are right-handed (its map to
RAS has a positive determinant), x counts from the other end, so that FSL always sees a left-handed ("radiological")
image. Jenkinson and Smith 2001, doi:10.1016/S1361-8415(01)00036-6.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medreg.errors import TransformError, UsageError
from medreg.geometry.affine import homogeneous, invert
from medreg.io.transforms.draft import Draft, Source
from medreg.io.transforms.ends import End, affine_in_space, header_at
from medreg.io.transforms.headers import Header
from medreg.io.transforms.numbers import rows_of, square_in
from medreg.types import FloatArray

_WHY = "FLIRT's matrices are counted in the voxels of both images"
_FLAT = 1e-9


def read(source: Source) -> FloatArray:
    """From the text of `flirt -omat`."""
    stored = square_in(source.lines, source.path, "a matrix of FLIRT")
    if len(stored) != 4:
        raise TransformError(f"{source.path}: a matrix of FLIRT has 4 rows of 4 numbers, also in 2D")
    fixed, moving = _headers(source.path, source.fixed, source.moving)
    matrix = invert(scaled_voxels(moving)) @ invert(stored) @ scaled_voxels(fixed)
    return matrix if fixed.grid.dimension == 3 else _in_plane(matrix, source.path)


def write(draft: Draft, target: Path) -> None:
    """As `flirt -applyxfm -init` takes it, with `-in MOVING -ref FIXED`."""
    fixed, moving = _headers(draft.path, draft.fixed, draft.moving)
    if fixed.grid.dimension != draft.dimension:
        raise TransformError(f"{draft.path}: the images are {fixed.grid.dimension}D, the transform {draft.dimension}D")
    matrix = draft.matrix
    if draft.dimension == 2:
        matrix = np.eye(4)
        matrix[np.ix_([0, 1, 3], [0, 1, 3])] = draft.matrix
    stored = scaled_voxels(moving) @ matrix @ invert(scaled_voxels(fixed))
    target.write_text(rows_of(invert(stored)), encoding="ascii", newline="\n")


def scaled_voxels(header: Header) -> FloatArray:
    """4x4: world point (LPS mm) -> FSL's scaled voxel coordinates (mm) of an image.

    Example:
        >>> from medreg.geometry import Grid
        >>> grid = Grid.regular((10, 20, 30), (2.0, 2.0, 3.0))  # LPS: its map to RAS has a positive determinant, too
        >>> (scaled_voxels(Header(grid, grid.spacing, "")) @ [2, 4, 6, 1]).tolist()
        [16.0, 4.0, 6.0, 1.0]
    """
    affine = affine_in_space(header.grid)
    scale = np.diag([*header.pixdim, *[1.0] * (4 - len(header.pixdim))])
    if np.linalg.det(affine[:3, :3]) > 0:  # the same in RAS: two axes change sign
        last = (header.grid.size[0] - 1) * header.pixdim[0]
        scale = homogeneous(np.diag([-1.0, 1.0, 1.0]), np.array([last, 0.0, 0.0])) @ scale
    return scale @ invert(affine)


def _headers(path: Path, fixed: End, moving: End) -> tuple[Header, Header]:
    for end, role in ((fixed, "fixed"), (moving, "moving")):
        if end.origin is not None or (end.path is not None and end.path.is_dir()):
            raise UsageError(
                f"{path}: FLIRT reads no DICOM, and its matrices are counted in the voxels of the NIfTI files that it "
                f"was given; name the NIfTI file of the {role} image"
            )
    found = header_at(fixed, "fixed", f"{path}: {_WHY}"), header_at(moving, "moving", f"{path}: {_WHY}")
    if found[0].grid.dimension != found[1].grid.dimension:
        raise TransformError(
            f"{path}: the fixed image is {found[0].grid.dimension}D, the moving one {found[1].grid.dimension}D"
        )
    return found


def _in_plane(matrix: FloatArray, path: Path) -> FloatArray:
    rest = matrix.copy()
    rest[np.ix_([0, 1, 3], [0, 1, 3])] = 0.0
    rest[2, 2] -= 1.0
    if np.abs(rest).max() > _FLAT:
        raise TransformError(f"{path}: leaves the plane of the 2D images; register them with flirt -2D")
    return matrix[np.ix_([0, 1, 3], [0, 1, 3])]
