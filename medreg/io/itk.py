"""NRRD and MetaImage, by SimpleITK, whose world is LPS like medreg's; and the writing of pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from medreg.errors import ImageError, ReadError
from medreg.geometry.grid import Grid
from medreg.image import Leading
from medreg.io.content import PIXEL_KINDS, Kind, head_of
from medreg.io.damage import check_undamaged
from medreg.io.failing import reading, warn
from medreg.io.lengths import MM_PER_UNIT
from medreg.io.libraries import simpleitk
from medreg.io.stored import StoredImage
from medreg.types import VoxelArray

_ITK_NAME = {
    Kind.NRRD: "NrrdImageIO",
    Kind.META: "MetaImageIO",
    Kind.PNG: "PNGImageIO",
    Kind.JPEG: "JPEGImageIO",
    Kind.TIFF: "TIFFImageIO",
    Kind.BMP: "BMPImageIO",
}
_FAST_LEVEL = 1


def read_itk(path: Path, kind: Kind) -> StoredImage:
    """Read an NRRD or MetaImage; components become channels, a fourth axis frames. Sheared directions are kept.

    Raises:
        ReadError: cut short, damaged, or data beside the header missing.
        GeometryError: zero spacing or a singular direction.
        ImageError: complex numbers, or five axes and more.
    """
    with reading(path):
        check_undamaged(path, kind)
        image = itk_image(path, kind)
        axes = image.GetDimension()
        if axes > 4 or axes < 2:
            raise ImageError(f"{path}: has {axes} axes; medreg reads 2 or 3 and frames; split it first")
        array, leading = voxels_of(image)
        notes: list[str] = []
        keys = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
        if keys.get("NRRD_kinds[pixel]") == "list" and array.shape[0] > 1:  # 3D Slicer's sequences
            leading = Leading.FRAMES
        if leading is Leading.FRAMES and array.shape[0] == 1:
            leading = Leading.CHANNELS
        d = min(axes, 3)
        header: dict[str, Any] = {"keys": {k: v for k, v in keys.items() if not k.startswith(("NRRD_", "ITK_"))}}
        if axes == 4:
            header["frame_step"] = float(image.GetSpacing()[3])
        grid = _grid(image, d, _millimetres(path, kind, notes))
        metadata = {
            "path": str(path),
            "format": kind.value,
            "stored_dtype": array.dtype.name,
            "unit": "mm",
            "grid": grid,
            "notes": tuple(notes),
            "header": header,
        }
        return StoredImage(array, grid, leading, metadata)


def write_itk(path: Path, kind: Kind, array: VoxelArray, grid: Grid, leading: Leading, header: dict[str, Any]) -> None:
    """Write (channel or frame, [z,] y, x) voxels of a dtype that the format holds, with the geometry where it can.

    Raises:
        RuntimeError: ITK's, when it cannot.
    """
    sitk = simpleitk()
    d = grid.dimension
    if leading is Leading.FRAMES and array.shape[0] > 1:
        image = sitk.GetImageFromArray(array, isVector=False)
    elif array.shape[0] > 1:
        image = sitk.GetImageFromArray(np.moveaxis(array, 0, -1), isVector=True)
    else:
        image = sitk.GetImageFromArray(array[0], isVector=False)
    if kind not in PIXEL_KINDS:
        direction = np.eye(image.GetDimension())
        direction[:d, :d] = grid.direction
        more = image.GetDimension() - d
        image.SetSpacing(
            (*grid.spacing, *[float(header.get("frame_step") or header.get("frame_seconds") or 1.0)] * more)
        )
        image.SetOrigin((*grid.origin, *[0.0] * more))
        image.SetDirection(direction.ravel().tolist())
        for key, value in header.get("keys", {}).items():
            image.SetMetaData(key, value)
    elif kind is Kind.TIFF:
        image.SetSpacing(grid.spacing)  # its resolution tags
    writer = sitk.ImageFileWriter()
    writer.SetImageIO(_ITK_NAME[kind])
    writer.SetFileName(str(path))
    if kind in (Kind.NRRD, Kind.META):
        writer.UseCompressionOn()
        writer.SetCompressionLevel(_FAST_LEVEL)
    writer.Execute(image)


def itk_image(path: Path, kind: Kind) -> Any:
    """SimpleITK's image of a file.

    Raises:
        RuntimeError: ITK's, when it cannot read it.
    """
    reader = simpleitk().ImageFileReader()
    reader.SetImageIO(_ITK_NAME[kind])  # by content: a wrong suffix does not matter
    reader.SetFileName(str(path))
    return reader.Execute()


def voxels_of(image: Any) -> tuple[VoxelArray, Leading]:
    """(channel or frame, [z,] y, x) of a SimpleITK image; not contiguous where the pixels are vectors.

    Raises:
        ImageError: frames of several channels each.
    """
    array: VoxelArray = simpleitk().GetArrayFromImage(image)
    vector = image.GetNumberOfComponentsPerPixel() > 1
    if image.GetDimension() == 4:
        if vector:
            raise ImageError("has frames of several channels each; split it first")
        return array, Leading.FRAMES
    return (np.moveaxis(array, -1, 0) if vector else array[None]), Leading.CHANNELS


def _grid(image: Any, d: int, scale: float) -> Grid:
    axes = image.GetDimension()
    direction = np.array(image.GetDirection()).reshape(axes, axes)[:d, :d]
    return Grid(
        tuple(image.GetSize()[:d]),
        tuple(s * scale for s in image.GetSpacing()[:d]),
        tuple(o * scale for o in image.GetOrigin()[:d]),
        tuple(map(tuple, direction.tolist())),
    )


def _millimetres(path: Path, kind: Kind, notes: list[str]) -> float:
    """Millimetres per unit of length: NRRD may say another in its header, which ITK does not hand on."""
    if kind is not Kind.NRRD:
        return 1.0
    match = re.search(r'^space units:\s*((?:"[^"]*"\s*)+)$', head_of(path).decode("utf-8", "replace"), re.MULTILINE)
    units = set(re.findall(r'"([^"]*)"', match[1])) - {"", "???"} if match else set()
    if not units or units == {"mm"}:
        return 1.0
    if len(units) > 1 or (unit := units.pop()) not in MM_PER_UNIT:
        raise ReadError(f"{path}: space units {match and match[1].strip()} are not understood; write them in mm")
    warn(notes, f"{path}: its lengths are in {unit}; converted to mm")
    return MM_PER_UNIT[unit]
