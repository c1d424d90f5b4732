"""Writing NIfTI: a fresh header with the old one's fields that are still true, sform and qform both set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medreg.geometry.grid import Grid
from medreg.geometry.orientation import flip_lps_ras
from medreg.image import Leading
from medreg.io.encoding import Encoding
from medreg.io.gzipping import write_gzip
from medreg.io.libraries import nibabel
from medreg.types import FloatArray, VoxelArray

_SCANNER = 1
"""NIFTI_XFORM_SCANNER_ANAT: where the scanner says that it lies."""
_ALIGNED = 2
"""NIFTI_XFORM_ALIGNED_ANAT: aligned to another image, what a registered image is."""
_VECTOR = 1007
_MILLIMETRES, _SECONDS = 2, 8
_COLOUR = {3: 128, 4: 2304}
"""NIfTI's datatypes RGB24 and RGBA32 by their number of channels."""


def write_nifti(
    path: Path,
    array: VoxelArray,
    grid: Grid,
    leading: Leading,
    encoding: Encoding,
    metadata: Mapping[str, Any],
    place: Mapping[str, Any],
    *,
    zipped: bool,
) -> None:
    """Write encoded voxels (channel or frame, [z,] y, x), the same bytes for the same input.

    Channels become RGB24 or RGBA32 where they are 3 or 4 of uint8, else the fifth axis with the vector intent.

    Args:
        path: where to, gzipped or not by `zipped`, not by its name.
        array: voxels of `encoding.dtype`.
        grid: their place; a sheared one gets an sform only, for a quaternion cannot say a shear.
        leading: frames become the fourth axis.
        encoding: slope and offset go into the header.
        metadata: of the image: format and header fields to keep.
        place: metadata of the image that `grid` comes from, for sform_code, qform_code and qform; empty when none.
        zipped: gzip, on all cores.
    """
    two = metadata.get("format") == "NIfTI-2" or max(array.shape) > 32767
    header = nibabel("nifti2").Nifti2Header() if two else nibabel("nifti1").Nifti1Header()
    colour = leading is Leading.CHANNELS and array.dtype == np.uint8 and array.shape[0] in _COLOUR
    header.set_data_dtype(_COLOUR[array.shape[0]] if colour else array.dtype)
    header.set_data_shape(_shape(array, leading) if not colour else grid.size)
    header["scl_slope"], header["scl_inter"] = encoding.slope, encoding.inter
    header["vox_offset"] = 544 if two else 352
    header["xyzt_units"] = _MILLIMETRES
    _keep(header, metadata.get("header", {}), array, grid, leading, metadata)
    _set_place(header, grid, place)
    if colour:
        array = np.ascontiguousarray(np.moveaxis(array, 0, -1))
    elif array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    start = bytes(header.binaryblock) + b"\0\0\0\0"  # four zeros: no extensions
    with path.open("wb") as file:
        if zipped:
            write_gzip(file, start, np.ascontiguousarray(array))
        else:
            file.write(start)
            file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _shape(array: VoxelArray, leading: Leading) -> tuple[int, ...]:
    space = array.shape[:0:-1]
    if array.shape[0] == 1:
        return space
    space = (*space, 1)[:3]
    return (*space, array.shape[0]) if leading is Leading.FRAMES else (*space, 1, array.shape[0])


def _keep(
    header: Any, old: Mapping[str, Any], array: VoxelArray, grid: Grid, leading: Leading, metadata: Mapping[str, Any]
) -> None:
    """Carry over what stays true; extensions and slice timing do not."""
    for name in ("descrip", "aux_file", "intent_name"):
        header[name] = old.get(name, "").encode("latin-1")
    header["intent_code"] = old.get("intent_code", 0)
    for i, value in enumerate(old.get("intent_p", ())):
        header[f"intent_p{i + 1}"] = value
    if header["dim"][0] == 5 and header["intent_code"] == 0:  # never on RGB24: ITK crashes on a vector of colours
        header["intent_code"] = _VECTOR
    if metadata.get("grid") == grid:  # which axis was frequency, phase, slice
        header["dim_info"] = old.get("dim_info", 0)
    if leading is Leading.FRAMES and array.shape[0] > 1 and old.get("frame_seconds"):
        header["pixdim"][4] = old["frame_seconds"]
        header["xyzt_units"] = _MILLIMETRES | _SECONDS
    header["cal_min"], header["cal_max"] = old.get("cal", (0.0, 0.0))


def _set_place(header: Any, grid: Grid, place: Mapping[str, Any]) -> None:
    affine = flip_lps_ras(_three_axes(grid))
    scanner = _SCANNER if place.get("format") == "DICOM" and place.get("world") != "picture" else 0
    codes = (int(place.get("sform_code", scanner)), int(place.get("qform_code", scanner)))
    s_code = codes[0] or codes[1] or _ALIGNED
    header.set_qform(affine, 0)  # for pixdim and qfac, and as what an unused qform says
    header["pixdim"][1 : grid.dimension + 1] = grid.spacing
    header.set_sform(affine, s_code)
    if codes[0] and codes[1] and place.get("qform") is not None:
        # both were set: the second may name another space (scanner beside template), still true on the same grid
        header.set_qform(flip_lps_ras(np.array(place["qform"])), codes[1])
    elif not grid.is_sheared:
        header["qform_code"] = codes[1] or s_code


def _three_axes(grid: Grid) -> FloatArray:
    if grid.dimension == 3:
        return np.array(grid.affine)
    affine = np.eye(4)
    affine[np.ix_([0, 1, 3], [0, 1, 3])] = grid.affine
    return affine
