"""The stored numbers of frames: taken from the file as they lie, or decoded by pydicom and its plug-ins."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from medreg.errors import ImageError, ReadError
from medreg.io.dicom.codestream import check_codestream
from medreg.io.dicom.frame import Frame
from medreg.io.dicom.header import text
from medreg.io.dicom.opened import whole_dataset
from medreg.io.failing import AGAIN, reason
from medreg.io.gzipping import cores
from medreg.types import VoxelArray

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from medreg.io.dicom.opened import DicomFile

_PALETTE = "PALETTE COLOR"
_WORTH_A_SHARE = 16
"""Frames of one file: fewer are not worth to open it again."""
_PLUGINS = ("pydicom", "pylibjpeg")
"""In this order: others decode the same, but end the process, or write tracebacks, on damaged streams."""


def stored_values(frames: Sequence[Frame]) -> VoxelArray:
    """(frame, y, x) of the frames as they are stored, before slope and intercept; (frame, 3, y, x) in colour.

    Files are read and decoded side by side.

    Raises:
        ReadError: a file is cut short or damaged, or its compression is none that can be decoded here.
    """
    by_file: dict[int, list[int]] = {}
    for place, frame in enumerate(frames):
        by_file.setdefault(id(frame.file), []).append(place)
    shares = [share for places in by_file.values() for share in _shares(places)]
    first = _frames_in(frames[0].file, [frames[0]])
    values = np.empty((len(frames), *first.shape[1:]), first.dtype)

    def fill(places: list[int]) -> None:
        found = _frames_in(frames[places[0]].file, [frames[place] for place in places])
        if found.shape[1:] != values.shape[1:]:
            raise ImageError(
                f"{frames[places[0]].file.path}: its pixels are {found.shape[1:]}, those of {frames[0].file.path} "
                f"{values.shape[1:]}"
            )
        values[places] = (
            found if np.can_cast(found.dtype, values.dtype, "safe") else _cast(found, values.dtype, frames[places[0]])
        )

    with ThreadPoolExecutor(cores()) as pool:
        for _ in pool.map(fill, shares):
            pass
    return values


def _shares(places: list[int]) -> list[list[int]]:
    """The frames of a file as shares to be decoded side by side."""
    size = max(_WORTH_A_SHARE, -(-len(places) // cores()))
    return [places[k : k + size] for k in range(0, len(places), size)]


def _cast(found: VoxelArray, dtype: np.dtype[Any], frame: Frame) -> VoxelArray:
    """Files of one series that differ in their type: kept where the values fit."""
    narrow = found.astype(dtype)
    if not np.array_equal(narrow, found):
        raise ImageError(
            f"{frame.file.path}: holds {found.dtype.name} numbers that the {dtype.name} of the other files cannot "
            "hold; export the series again"
        )
    return narrow


def _frames_in(file: DicomFile, frames: Sequence[Frame]) -> VoxelArray:
    """The frames of one file."""
    place = file.pixels
    wanted = sorted({frame.number for frame in frames})
    read = _plain(file, wanted) if place.plain else _decoded(file, wanted)
    found = np.stack([_cut(read[wanted.index(frame.number)], frame) for frame in frames])
    return _turned(found, file) if place.photometric == "MONOCHROME1" else found


def _cut(picture: VoxelArray, frame: Frame) -> VoxelArray:
    """The frame itself, or its tile of a mosaic."""
    if frame.tile is None:
        return picture
    row, column = frame.tile
    return picture[row : row + frame.size[1], column : column + frame.size[0]]


def _plain(file: DicomFile, wanted: Sequence[int]) -> VoxelArray:
    place, shape = file.pixels, _shape(file)
    count = shape[0] * shape[1]
    values = np.empty((len(wanted), *shape), place.dtype.newbyteorder("="))
    with file.path.open("rb") as opened:
        for k, number in enumerate(wanted):
            end = (number + 1) * place.frame_bytes
            if end > place.length:
                raise _short(file, number, end)
            opened.seek(place.offset + number * place.frame_bytes)
            values[k] = np.fromfile(opened, place.dtype, count).reshape(shape)
    return _of_bits(values, file)


def _of_bits(values: VoxelArray, file: DicomFile) -> VoxelArray:
    """Without the bits that do not count: old files keep overlays there."""
    place = file.pixels
    above, below = place.allocated - 1 - place.high, place.allocated - place.stored
    if below > 0:
        values = (values << above) >> below  # an arithmetic shift: the sign comes along
    return values


def _short(file: DicomFile, number: int, end: int) -> ReadError:
    columns, rows = _shape(file)[::-1]
    return ReadError(
        f"{file.path}: its pixels are cut short, frame {number + 1} of {columns} x {rows} needs {end} bytes, "
        f"{file.pixels.length} are there; {AGAIN}"
    )


def _shape(file: DicomFile) -> tuple[int, int]:
    """Rows and columns of the stored picture: of a mosaic all tiles."""
    return int(file.header.Rows), int(file.header.Columns)


def _decoded(file: DicomFile, wanted: Sequence[int]) -> VoxelArray:
    """By pydicom: compressed, in colour, of single bits or floats. Colour comes as (frame, 3, y, x) RGB."""
    from pydicom.pixels import get_decoder

    dataset = whole_dataset(file.path)
    syntax = file.pixels.syntax
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise ReadError(f"{file.path}: is compressed in a way that medreg does not know ({_name(syntax)})") from error
    if not decoder.is_available:
        raise ReadError(
            f"{file.path}: is compressed as {_name(syntax)}, which needs another package: "
            f"pip install pylibjpeg[all] ({'; '.join(decoder.missing_dependencies)})"
        )
    if file.pixels.compressed:
        check_codestream(dataset, file, wanted)
    elif file.pixels.length < (max(wanted) + 1) * file.pixels.frame_bytes:
        raise _short(file, max(wanted), (max(wanted) + 1) * file.pixels.frame_bytes)
    try:
        plugin = next((name for name in _PLUGINS if name in decoder.available_plugins), "")
        found = [np.asarray(decoder.as_array(dataset, index=n, decoding_plugin=plugin)[0]) for n in wanted]
        if file.pixels.photometric == _PALETTE:
            found = [_coloured(picture, dataset) for picture in found]
    except MemoryError:
        raise
    except Exception as error:  # decoders raise what they like on damaged streams
        raise ReadError(
            f"{file.path}: its pixels ({_name(syntax)}) cannot be decoded, {reason(error)}; the file may be damaged, "
            f"{AGAIN}"
        ) from error
    return np.stack([np.moveaxis(each, -1, 0) if each.ndim == 3 else each for each in found])


def _coloured(picture: VoxelArray, dataset: Dataset) -> VoxelArray:
    """The colours of a palette, 8 bits each."""
    from pydicom.pixels import apply_color_lut

    colours: VoxelArray = np.asarray(apply_color_lut(picture, dataset))[..., :3]
    return (colours >> 8).astype(np.uint8) if colours.dtype == np.uint16 else colours


def _name(syntax: str) -> str:
    from pydicom.uid import UID

    return str(UID(syntax).name)


def _turned(values: VoxelArray, file: DicomFile) -> VoxelArray:
    """MONOCHROME1: the smallest number is white. Turned, so that more is brighter; quantities stay what they are."""
    if is_quantity(file):
        return values
    low, high = file.pixels.limits
    return (low + high - values).astype(values.dtype)


def is_quantity(file: DicomFile) -> bool:
    """Whether numbers are measured in a unit, of which shown brightness says nothing."""
    modality = text(file.header, "Modality")
    return modality in ("CT", "PT", "RTDOSE") or text(file.header, "RescaleType").upper() not in ("", "US")
