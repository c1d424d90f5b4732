"""DICOM in: one image out of a file, a folder, a DICOMDIR or a zip, or the list of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medreg.errors import GeometryError, ImageError
from medreg.image import Leading
from medreg.io.dicom.choice import Choice
from medreg.io.dicom.choosing import Listing, check_any, choose, row_of
from medreg.io.dicom.csa import csa_numbers, csa_of
from medreg.io.dicom.files import Found, found_in
from medreg.io.dicom.gaps import interpolate_slices
from medreg.io.dicom.header import items, number, text
from medreg.io.dicom.identity import origin_from
from medreg.io.dicom.quiet import quiet
from medreg.io.dicom.series import Series, Sorted, sort_files
from medreg.io.dicom.stacking import Stack, stack
from medreg.io.dicom.values import Values, values_of
from medreg.io.failing import reading, warn
from medreg.io.stored import StoredImage
from medreg.types import VoxelArray

_UNITS = {"CT": "HU"}
_LIKE_REPETITION = 0.05
"""Part of the repetition time by which the times of volumes may differ from it, being rounded."""


def read_dicom(path: Path, choice: Choice | None = None, option: str = "--series") -> StoredImage:
    """Read one DICOM image.

    Slices are put in order by their positions, along the cross product of their rows and columns. A tilted gantry gives
    a sheared grid. Several volumes in one place become frames, colours channels. What does not say where it lies
    (secondary captures, X-rays) is a 2D picture.

    Args:
        path: a file, a folder (searched to its depths), a DICOMDIR or a zip.
        choice: which image, and what to do with uneven slices.
        option: the flag that chooses an image, for messages.

    Raises:
        ReadError: no DICOM there, no image, or damaged files.
        UsageError: several images and no choice, or one that fits none; the message lists them.
        GeometryError: slices that are missing, uneven or twice in one place.
        ImageError: images of kinds that medreg does not read.
    """
    choice = choice or Choice()
    with reading(path), found_in(path) as found:
        notes: list[str] = []
        with quiet():
            images = sort_files(found, str(path))
            series, left = choose(images, choice.series, str(path), option)
            arranged = _stacked(series, images, str(path), choice)
            values = values_of(arranged.frames)
        odd = (*_left_out(path, found, images), *_alone(path, series), *_not_applied(path, series))
        for text_ in (*found.notes, *left, *odd, *arranged.notes):
            warn(notes, text_)
        return _stored(path, found, series, arranged, values, tuple(notes))


def list_series(path: Path) -> Listing:
    """All images in a file, a folder, a DICOMDIR or a zip, without reading a pixel.

    Raises:
        ReadError: no DICOM there, or no image.
    """
    with reading(path), found_in(path) as found, quiet():
        images = sort_files(found, str(path))
        check_any(images, str(path))
        rows = tuple(row_of(series) for series in images.series)
        return Listing(rows, len(found.others) + images.objects, (*found.notes, *images.unreadable))


def _stacked(series: Series, images: Sorted, name: str, choice: Choice) -> Stack:
    """The frames in order; where slices are missing, the files that could not be read are named, too."""
    try:
        return stack(series.frames, name, choice.uneven)
    except GeometryError as error:
        if not images.unreadable:
            raise
        files = f"{len(images.unreadable)} of its files cannot be read"
        raise GeometryError(f"{error}; {files}: {images.unreadable[0]}") from error


def _left_out(path: Path, found: Found, images: Sorted) -> tuple[str, ...]:
    """Files that did not count, without their names, which archives make of patients'; `medreg info` tells them."""
    if not images.unreadable:
        return ()
    count = len(images.unreadable)
    return (f"{path}: {count} of its {len(found.files)} files cannot be read; medreg info {path} names them",)


def _alone(path: Path, series: Series) -> tuple[str, ...]:
    """Whoever names one slice of a series may have meant the folder."""
    if not path.is_file() or len(series.frames) > 1 or series.frames[0].plane is None:
        return ()
    if sum(1 for _ in path.parent.iterdir()) < 2:
        return ()
    return (f"{path}: is one slice; name its folder {path.parent} to read the whole series",)


def _not_applied(path: Path, series: Series) -> tuple[str, ...]:
    """Values by a table are rare; those of the table's input are read."""
    if not items(series.first.header, "ModalityLUTSequence"):
        return ()
    return (f"{path}: has a table of values (Modality LUT), which medreg does not apply; its values are as stored",)


def _stored(
    path: Path, found: Found, series: Series, arranged: Stack, values: Values, notes: tuple[str, ...]
) -> StoredImage:
    array, leading = _shaped(arranged, values.array, path)
    header = series.first.header
    metadata: dict[str, Any] = {
        "path": str(path),
        "format": "DICOM",
        "stored_dtype": values.stored_dtype.name,
        "unit": "mm" if arranged.millimetres else "px",
        "grid": arranged.grid,
        "notes": notes,
        "header": _header(series, arranged),
        "modality": series.modality,
        "description": series.description,
        "series": series.number,
        "units": text(header, "Units") or text(header, "DoseUnits") or _UNITS.get(series.modality, ""),
        "dicom": origin_from(arranged),
        "files": (str(path),) if found.unpacked else tuple(sorted({str(f.file.path) for f in series.frames})),
        **({"world": "picture"} if arranged.flat else {}),
        **_slice_times(arranged),
    }
    if values.slope != 1.0 or values.intercept != 0.0:
        metadata |= {"slope": values.slope, "inter": values.intercept}
    return StoredImage(array, arranged.grid, leading, metadata)


def _shaped(arranged: Stack, array: VoxelArray, path: Path) -> tuple[VoxelArray, Leading]:
    """(channel or frame, z, y, x), or (channel or frame, y, x), of the frames' values."""
    volumes, colour = len(arranged.volumes), array.ndim == 4
    if colour and volumes > 1:
        raise ImageError(
            f"{path}: holds {volumes} pictures or volumes in colour, and medreg reads several in grey only; save "
            "the one to register as a file of its own"
        )
    if arranged.flat:
        return (array[0] if colour else array), Leading.FRAMES if volumes > 1 else Leading.CHANNELS
    shaped = array.reshape(volumes, -1, *array.shape[1:])
    if arranged.heights is not None:
        count = arranged.grid.size[2]
        whole = array.dtype.kind in "iu"
        even = [interpolate_slices(volume, arranged.heights, count) for volume in shaped]
        shaped = np.stack([(np.rint(volume) if whole else volume).astype(array.dtype) for volume in even])
    if colour:
        return np.moveaxis(shaped[0], 1, 0), Leading.CHANNELS
    return shaped, Leading.FRAMES if volumes > 1 else Leading.CHANNELS


def _header(series: Series, arranged: Stack) -> dict[str, Any]:
    """Fields that other formats keep: the time between volumes."""
    if len(arranged.volumes) < 2 or arranged.flat:
        return {}
    repetition = (number(series.first.header, "RepetitionTime") or 0.0) / 1000
    times = [volume[0].order.get("acquisition time") for volume in (arranged.volumes[0], arranged.volumes[-1])]
    apart = 0.0 if times[0] is None or times[1] is None else (times[1] - times[0]) / (len(arranged.volumes) - 1)
    seconds = apart if apart > 0 and abs(apart - repetition) > _LIKE_REPETITION * repetition else repetition
    return {"frame_seconds": seconds} if seconds else {}


def _slice_times(arranged: Stack) -> dict[str, Any]:
    """When each slice of a mosaic was taken, ms, in the order of the grid, if its header says."""
    first = arranged.volumes[0][0]
    if first.tile is None:
        return {}
    times = csa_numbers(csa_of(first.file.header), "MosaicRefAcqTimes")
    across = -(-first.file.header.Columns // first.size[0])
    tiles = [frame.tile for frame in arranged.volumes[0] if frame.tile is not None]
    order = [row // first.size[1] * across + column // first.size[0] for row, column in tiles]
    return {"slice_times_ms": tuple(times[k] for k in order)} if len(times) == len(order) else {}
