"""Transforms in and out of files. In memory all are one thing: a matrix, fixed points -> moving points, LPS mm."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medreg.errors import ReadError, TransformError
from medreg.io.atomic import written_beside
from medreg.io.content import Kind, head_of, kind_of
from medreg.io.dicom.origin import Origin
from medreg.io.failing import AGAIN, missing_file, reason
from medreg.io.itk_text import HEADER, entries_of, matrix_of, to_itk_text
from medreg.io.libraries import simpleitk
from medreg.types import FloatArray

_BINARY = (".mat", ".h5", ".hdf5", ".he5", ".xfm")
"""Suffixes of the other forms in which ITK keeps transforms; they are read through SimpleITK."""


LINEAR, PROJECTIVE = "transform.tfm", "transform.json"
"""The names of a run's transform: ITK's text, or medreg's own JSON for a homography, which ITK cannot hold."""


def transform_name(matrix: FloatArray) -> str:
    """`LINEAR`, or `PROJECTIVE` for a homography."""
    return PROJECTIVE if matrix[-1, :-1].any() else LINEAR


def write_transform(matrix: FloatArray, path: str | Path, *, centre: Sequence[float] | None = None) -> None:
    """Write an ITK text file that holds an AffineTransform, or a JSON file, whole or not at all.

    Args:
        matrix: 4x4, or 3x3 in 2D: fixed points -> moving points, LPS mm.
        path: where to; .tfm and .txt are the suffixes that ITK reads, .json holds homographies, too.
        centre: D numbers, LPS mm, the fixed point about which the file is parametrised; the origin when None.

    Raises:
        TransformError: the matrix is not an affine one.
        WriteError: the disk refuses.
    """
    path = Path(path)
    matrix = np.asarray(matrix, dtype=np.float64)
    if path.suffix.lower() == ".json":
        text = _to_json(_projective(matrix, path))
    else:
        text = to_itk_text(_affine(matrix, path), centre)
    with written_beside(path) as temporary:
        temporary.write_text(text, encoding="ascii", newline="\n")


def is_dicom_file(path: Path) -> bool:
    """Whether a file is DICOM, which of all transforms means a Spatial Registration; False where it cannot be read."""
    try:
        return path.is_file() and kind_of(head_of(path)) is Kind.DICOM
    except OSError:
        return False


def read_transform(path: str | Path, moving: Origin | None = None, fixed: Origin | None = None) -> FloatArray:
    """The matrix that a transform file holds: 4x4, or 3x3 in 2D, fixed points -> moving points, LPS mm.

    Reads ITK's text files (every linear class, composites of them), ITK's .mat, .h5 and .xfm, medreg's `run.json` and
    `transform.json` (which may hold a homography), DICOM's Spatial Registrations, and plain text of 4 rows of 4 numbers
    (3 of 3 in 2D).

    Args:
        path: the file.
        moving: DICOM identity of the moving image, to choose among several registrations in one object.
        fixed: the fixed image's.

    Raises:
        ReadError: the file is missing, a directory, or damaged.
        TransformError: what it holds is not one linear transform.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "shift.tfm"
        >>> write_transform(np.array([[1, 0, 0.1], [0, 1, -2], [0, 0, 1]]), path, centre=(30.0, 40.0))
        >>> read_transform(path)[0].round(12).tolist()
        [1.0, 0.0, 0.1]
    """
    path = Path(path)
    if path.is_dir():
        raise ReadError(f"{path}: is a directory; name the transform in it, for example {path / 'transform.tfm'}")
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise missing_file(path) from error
    except OSError as error:
        raise ReadError(f"{path}: cannot be read, {error.strerror or error}") from error
    if is_dicom_file(path):
        from medreg.io.dicom.registration_object import read_registration

        space, onto = ("" if origin is None else origin.frame_of_reference for origin in (moving, fixed))
        images = [instance.sop_instance for instance in moving.instances] if moving else []
        return read_registration(path, space, onto, images)
    text = _text(raw)
    if text is None or (path.suffix.lower() == ".xfm" and not text.startswith(HEADER)):
        return _affine(_by_simpleitk(path), path)
    if text.startswith("#Insight Transform File"):
        return _affine(_from_itk_text(text, path), path)
    if text.lstrip().startswith("{"):
        return _scaled(_projective(_from_record(text, path), path), path)
    return _affine(_from_numbers(text, path), path)


def _text(raw: bytes) -> str | None:
    """The file's text without a byte-order mark; None when it is not text."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _from_itk_text(text: str, path: Path) -> FloatArray:
    try:
        entries = entries_of(text)
        composite = entries[0].name == "CompositeTransform"
        parts = entries[1:] if composite else entries
        found = [matrix_of(entry) for entry in parts]
    except TransformError as error:
        raise TransformError(f"{path}: {error}") from error
    if not composite and len(parts) > 1:
        names = ", ".join(entry.name for entry in parts)
        raise TransformError(
            f"{path}: lists {len(parts)} transforms ({names}) without saying how they are joined; keep one in the file"
        )
    matrices = [matrix for matrix in found if matrix is not None]
    if len(matrices) < len(parts):
        return _by_simpleitk(path)
    whole = np.eye(entries[0].dimension + 1)
    for matrix in matrices:  # ITK applies the last of a composite first
        whole = whole @ matrix
    return whole


def _to_json(matrix: FloatArray) -> str:
    content = {
        "transform": {
            "kind": "homography" if matrix[-1, :-1].any() else "affine",
            "dimension": len(matrix) - 1,
            "matrix": matrix.tolist(),
            "convention": "(u, w) = matrix @ (fixed point, 1); moving point = u / w; LPS mm, or px for pictures",
        }
    }
    return json.dumps(content, indent=2) + "\n"


def _from_record(text: str, path: Path) -> FloatArray:
    try:
        matrix = np.array(json.loads(text)["transform"]["matrix"], dtype=np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise TransformError(
            f"{path}: is no run.json or transform.json of medreg, it has no transform.matrix"
        ) from error
    return matrix


def _from_numbers(text: str, path: Path) -> FloatArray:
    if path.suffix.lower() == ".mat":
        raise TransformError(
            f"{path}: looks like a FLIRT matrix, which maps moving to fixed in scaled voxel coordinates of its two "
            "images; convert it to ITK's form first, for example with c3d_affine_tool -fsl2ras -oitk"
        )
    lines = [line.partition("#")[0].replace(",", " ").split() for line in text.splitlines()]
    try:
        rows = [[float(v) for v in line] for line in lines if line]
    except ValueError as error:
        raise TransformError(
            f"{path}: is not a transform that medreg reads: ITK's .tfm, .txt, .mat, .h5 or .xfm, medreg's run.json, or "
            "plain text of 4 rows of 4 numbers (3 of 3 in 2D)"
        ) from error
    if not rows or len({len(row) for row in rows}) > 1:
        raise TransformError(f"{path}: a matrix has rows of one length, got {[len(row) for row in rows]}")
    return np.array(rows)


def _by_simpleitk(path: Path) -> FloatArray:
    sitk = simpleitk()
    try:
        transform: Any = sitk.ReadTransform(str(path))
    except RuntimeError as error:
        raise ReadError(f"{path}: cannot be read as a transform, {reason(error)}; {AGAIN}") from error
    if not transform.IsLinear():
        raise TransformError(f"{path}: holds a {transform.GetName()}, which bends; medreg reads linear transforms only")
    d = transform.GetDimension()
    zero = np.array(transform.TransformPoint((0.0,) * d))
    columns = [np.array(transform.TransformPoint(tuple(axis))) - zero for axis in np.eye(d)]
    matrix = np.eye(d + 1)
    matrix[:d] = np.column_stack([*columns, zero])
    return matrix


def _affine(matrix: FloatArray, path: Path) -> FloatArray:
    matrix = _projective(matrix, path)
    last = [0.0] * (len(matrix) - 1) + [1.0]
    if np.abs(matrix[-1] - last).max() > 1e-12:
        raise TransformError(
            f"{path}: the last row of a linear transform is {last}, got {matrix[-1].tolist()}; is it transposed? "
            "A homography is kept in medreg's own .json"
        )
    return matrix


def _scaled(matrix: FloatArray, path: Path) -> FloatArray:
    """A linear map as the one of its multiples whose last row ends in 1; homographies stay as they are."""
    if not matrix[-1].any():
        raise TransformError(f"{path}: the last row of the matrix is zero, which maps no point anywhere")
    return matrix if matrix[-1, :-1].any() else matrix / matrix[-1, -1]


def _projective(matrix: FloatArray, path: Path) -> FloatArray:
    if matrix.shape not in ((3, 3), (4, 4)):
        raise TransformError(
            f"{path}: a transform is a matrix of 4 rows of 4 numbers (3 of 3 in 2D), got shape {matrix.shape}"
        )
    if not np.isfinite(matrix).all():
        raise TransformError(f"{path}: the matrix is not finite: {matrix.tolist()}")
    return matrix
