"""Compressed frames, looked at before they are decoded: do they hold what the header promises?

A decoder believes its stream: a damaged size makes it ask for gigabytes, or write past its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medreg.errors import ReadError
from medreg.io.failing import AGAIN

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from medreg.io.dicom.opened import DicomFile

_RLE = "1.2.840.10008.1.2.5"
_MOST_BY_RLE = 65
"""Two bytes give at most 128; a little room for headers."""


def check_codestream(dataset: Dataset, file: DicomFile, wanted: Sequence[int]) -> None:
    """Check the frames that are wanted.

    Raises:
        ReadError: a frame is missing, or is of another size than the header says.
    """
    from pydicom.encaps import get_frame

    place = file.pixels
    columns, rows = int(file.header.Columns), int(file.header.Rows)
    frames = int(dataset.get("NumberOfFrames") or 1)
    for number in wanted:
        try:
            stream = get_frame(dataset.PixelData, number, number_of_frames=frames)
        except Exception as error:  # damaged lengths
            raise ReadError(
                f"{file.path}: frame {number + 1} of {frames} cannot be found in its compressed pixels; the file is "
                f"damaged or cut short, {AGAIN}"
            ) from error
        if place.syntax == _RLE:
            fits = place.frame_bytes <= _MOST_BY_RLE * len(stream)
            said = f"{len(stream)} bytes"
        else:
            size = size_of(stream)
            fits, said = size == (columns, rows), "of unknown size" if size is None else f"{size[0]} x {size[1]}"
        if not fits:
            raise ReadError(
                f"{file.path}: the header says {columns} x {rows} pixels, its compressed frame {number + 1} is {said}; "
                f"the file is damaged, {AGAIN}"
            )


def size_of(stream: bytes) -> tuple[int, int] | None:
    """Columns and rows that a JPEG, JPEG-LS or JPEG 2000 stream says of itself; None where it does not."""
    at = stream.find(b"\xff\x4f\xff\x51", 0, 4096)  # SOC and SIZ of JPEG 2000, perhaps in a box
    if at >= 0 and len(stream) >= at + 26:
        right, bottom, left, top = (int.from_bytes(stream[at + k : at + k + 4], "big") for k in (8, 12, 16, 20))
        return right - left, bottom - top
    at = stream.find(b"\xff\xd8", 0, 64)
    at += 2
    while at >= 2 and at + 9 <= len(stream):
        if stream[at] != 0xFF:
            return None
        mark = stream[at + 1]
        if mark == 0xFF:  # filling
            at += 1
        elif mark in (0x01, *range(0xD0, 0xD9)):  # marks without a length
            at += 2
        elif mark == 0xF7 or (0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC)):  # a frame's start
            return int.from_bytes(stream[at + 7 : at + 9], "big"), int.from_bytes(stream[at + 5 : at + 7], "big")
        else:
            at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return None
