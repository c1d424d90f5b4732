"""PNG, JPEG, TIFF and BMP as viewers show them: upright, without transparency, in grey or colour."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from medreg.geometry.grid import Grid
from medreg.image import Leading
from medreg.io.content import Kind
from medreg.io.damage import check_undamaged
from medreg.io.failing import reading, warn
from medreg.io.itk import itk_image, voxels_of
from medreg.io.looking import Look, look_at
from medreg.io.stored import StoredImage
from medreg.types import VoxelArray


def read_picture(path: Path, kind: Kind) -> StoredImage:
    """Read a picture; colours become channels, pages of one size slices (or channels, where ImageJ or OME says so).

    The pixels lie as viewers show them: an orientation tag is followed. Transparency is laid on white, with a warning
    where there is any. A palette becomes its colours. The grid is in pixels, spacing 1, unless a TIFF measures the
    object (see `tiff_spacing`); resolution tags of print stay in metadata["header"]["resolution_mm"].

    Raises:
        ReadError: cut short or damaged.
        ImageError: colours or pages that medreg does not read.
    """
    with reading(path):
        check_undamaged(path, kind)
        look = look_at(path, kind)
        notes: list[str] = []
        image = _through_copy(path, kind, look) if look.copy else itk_image(path, kind)
        array, transparent = _opaque(_as_shown(voxels_of(image)[0], look), look)
        if transparent:
            warn(notes, f"{path}: {transparent} of {array[0].size} pixels are transparent; they are laid on white")
        d = array.ndim - 1
        if look.channels > 1 and d == 3:
            array, d = np.moveaxis(array, 0, 1).reshape(-1, *array.shape[2:]), 2
        array = _upright(array, look.orientation)
        spacing = look.spacing_mm
        if spacing is not None and look.orientation > 4:
            spacing = (spacing[1], spacing[0], *spacing[2:])
        grid = Grid.regular(array.shape[:0:-1], spacing or (1.0,) * d)
        header: dict[str, Any] = {"keys": {}, "resolution_mm": tuple(image.GetSpacing()[:d])}
        metadata = {
            "path": str(path),
            "format": kind.value,
            "stored_dtype": array.dtype.name,
            "unit": "px" if spacing is None else "mm",
            "world": "picture",
            "orientation_tag": look.orientation,
            "transparent": transparent,
            "grid": grid,
            "notes": tuple(notes),
            "header": header,
        }
        return StoredImage(array, grid, Leading.CHANNELS, metadata)


def _through_copy(path: Path, kind: Kind, look: Look) -> Any:
    assert look.copy is not None
    with tempfile.NamedTemporaryFile(suffix=path.suffix) as file:
        file.write(look.copy(path.read_bytes()))
        file.flush()
        return itk_image(Path(file.name), kind)


def _as_shown(array: VoxelArray, look: Look) -> VoxelArray:
    """ITK's (channel, [z,] y, x) with the channels and values that the file means."""
    if look.packed:  # a grey value and its opacity, packed by `looking._plain_png`
        wide = array.astype(np.uint16)
        if look.packed == 1:
            return np.concatenate([wide >> 8, wide & 255]).astype(np.uint8)
        return np.stack([wide[0] << 8 | wide[1], wide[2] << 8 | wide[3]])
    if look.grey and len(array) > 1:  # ITK shows what it has no type for as RGBA
        array = array[:1]
    elif len(array) == 4 and not look.alpha:
        array = array[:3]
    if look.palette and array.dtype == np.uint16:  # 16-bit colours, but for old programs, which wrote 8
        array = (array >> 8 if array.max() > 255 else array).astype(np.uint8)
    if look.white_is_zero and array.dtype.kind == "u":
        array = np.iinfo(array.dtype).max - array
    if look.clear is not None:
        opaque = np.where(array == look.clear, 0, np.iinfo(array.dtype).max).astype(array.dtype)
        array = np.concatenate([array, opaque])
    return array


def _opaque(array: VoxelArray, look: Look) -> tuple[VoxelArray, int]:
    """On white and without its last channel, where that one is how opaque a pixel is; how many are not wholly so."""
    if not look.alpha and look.clear is None:
        return array, 0
    colours, alpha = array[:-1], array[-1:]
    white = np.iinfo(array.dtype).max if array.dtype.kind == "u" else 1
    transparent = int(np.count_nonzero(alpha < white))
    if not transparent:
        return colours, 0
    share = alpha.astype(np.float32) / np.float32(white)
    shown = colours if look.alpha == "premultiplied" else colours * share
    laid = shown + (1 - share) * np.float32(white)
    whole = np.rint(np.clip(laid, 0, white)) if array.dtype.kind == "u" else laid
    return whole.astype(array.dtype), transparent


def _upright(array: VoxelArray, orientation: int) -> VoxelArray:
    """Rows and columns (..., y, x) as EXIF's orientation says that they are to be shown."""
    if orientation > 4:
        array = array.swapaxes(-1, -2)
    if orientation in (2, 3, 6, 7):
        array = array[..., ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[..., ::-1, :]
    return array
