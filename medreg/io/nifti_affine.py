"""Which of a NIfTI header's maps says where the voxels lie, in millimetres.

The rule, that of nibabel and of most tools: the sform where sform_code > 0; else the qform where qform_code > 0; else
the file does not say, and nibabel's base affine stands in (middle of the image at 0, first axis to the left), with a
warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medreg.errors import GeometryError, MedregError
from medreg.geometry.grid import Grid
from medreg.geometry.orientation import flip_lps_ras
from medreg.io.failing import warn
from medreg.types import FloatArray

AGREEMENT_MM = 0.01
"""sform and qform that differ by more than this at a corner of the image are worth a warning."""

_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_UNIT_NAME = {0: "unknown, taken as mm", 1: "metre", 2: "mm", 3: "micron"}


@dataclass(frozen=True)
class Placement:
    """Where a NIfTI file's voxels lie.

    Attributes:
        affine: 4x4, voxel index -> world, LPS mm.
        source: "sform", "qform" or "none".
        sform_code: the header's, 0 to 5.
        qform_code: the header's.
        qform: 4x4 LPS mm where the header has a usable one.
        difference_mm: largest distance between the two at a corner, where both are set.
        unit: the header's unit of length, in words.
        notes: warnings given.
    """

    affine: FloatArray
    source: str
    sform_code: int
    qform_code: int
    qform: FloatArray | None
    difference_mm: float | None
    unit: str
    notes: tuple[str, ...]


def placement(header: Any, size: tuple[int, int, int], path: Path) -> Placement:
    """Read the place from a nibabel Nifti1Header or Nifti2Header that was parsed without its checks.

    Raises:
        GeometryError: when the map that counts cannot be read, is singular or is not finite.
    """
    header = header.copy()
    notes: list[str] = []
    header["pixdim"][1:4] = np.abs(header["pixdim"][1:4])
    if header["pixdim"][0] not in (-1, 1):  # the standard: 0 (and what is neither) counts as 1
        header["pixdim"][0] = 1
    code = int(header["xyzt_units"]) & 7
    if code not in _MM_PER_UNIT:
        warn(notes, f"{path}: unknown unit of length (xyzt_units {int(header['xyzt_units'])}), taken as mm")
        code = 0
    scale = np.diag([_MM_PER_UNIT[code]] * 3 + [1.0])
    s_code, q_code = int(header["sform_code"]), int(header["qform_code"])
    sform = flip_lps_ras(scale @ _float64(header.get_sform())) if s_code > 0 else None
    qform = None
    if q_code > 0:
        try:
            qform = flip_lps_ras(scale @ _float64(header.get_qform()))
        except Exception as error:  # nibabel: ValueError for a quaternion longer than 1, its own for others
            if sform is None:
                raise GeometryError(f"{path}: the header's qform cannot be read, {error}; repair it") from error
    difference = _corner_distance(sform, qform, size) if sform is not None and qform is not None else None
    if sform is not None:
        affine, source = sform, "sform"
    elif qform is not None:
        affine, source = qform, "qform"
    else:
        affine, source = flip_lps_ras(scale @ _float64(header.get_base_affine())), "none"
    _check(affine, source, size, path, spare=source == "sform" and qform is not None)
    if difference is not None and not difference <= AGREEMENT_MM:
        warn(
            notes,
            f"{path}: sform and qform differ by {difference:.3g} mm at a corner; used the sform "
            f"(code {s_code}); set qform_code to 0 or make them agree if that is wrong",
        )
    if source == "none":
        warn(
            notes,
            f"{path}: no orientation in the file (sform_code and qform_code are 0); took nibabel's default, "
            "the middle at 0 and the first axis to the left; left and right may be wrong",
        )
    return Placement(affine, source, s_code, q_code, qform, difference, _UNIT_NAME[code], tuple(notes))


def _check(affine: FloatArray, source: str, size: tuple[int, ...], path: Path, *, spare: bool) -> None:
    try:
        Grid.from_affine(size, affine)
    except MedregError as error:
        name = "affine" if source == "none" else source
        hint = "; the qform may be right: set sform_code to 0 to use it" if spare else ""
        raise type(error)(f"{path}: bad {name}: {error}{hint}") from error


def _corner_distance(first: FloatArray, second: FloatArray, size: tuple[int, ...]) -> float:
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in size], indexing="ij"), -1).reshape(-1, 3)
    moved = corners @ (first - second)[:3, :3].T + (first - second)[:3, 3]
    return float(np.linalg.norm(moved, axis=1).max())


def _float64(affine: Any) -> FloatArray:
    return np.asarray(affine, dtype=np.float64)
