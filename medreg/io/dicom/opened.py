"""A DICOM file that was opened: its header, and where and how it keeps its pixels, which are read when wanted."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medreg.errors import ReadError
from medreg.io.dicom.header import text, whole
from medreg.io.failing import AGAIN

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
_PIXELS, _FLOATS = (0x7FE0, 0x0010), ((0x7FE0, 0x0008), (0x7FE0, 0x0009))
_ENDLESS = 0xFFFFFFFF


@dataclass(frozen=True)
class PixelPlace:
    """Pixels in a file.

    Attributes:
        syntax: UID of the transfer syntax.
        offset: of the first byte of the value.
        length: bytes of the value; of compressed pixels up to the end of the file.
        compressed: whether each frame is a stream of its own.
        allocated: bits of a number.
        stored: bits of it that count.
        high: number of the highest that counts.
        signed: whether numbers may be negative.
        samples: numbers of a pixel: 1, or 3 for colour.
        photometric: MONOCHROME2, RGB and their like.
        plain: whether frames lie in the file as rows of whole bytes, to be taken as they are.
        frame_bytes: of one frame that is not compressed.
    """

    syntax: str
    offset: int
    length: int
    compressed: bool
    allocated: int
    stored: int
    high: int
    signed: bool
    samples: int
    photometric: str
    plain: bool
    frame_bytes: int

    @property
    def most_frames(self) -> int:
        """More frames than this the file cannot hold, whatever it says."""
        return max(1, self.length // 8 if self.compressed else self.length // max(1, self.frame_bytes))

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Of plain pixels as they lie in the file."""
        order = ">" if self.syntax == BIG else "<"
        return np.dtype(f"{order}{'i' if self.signed else 'u'}{self.allocated // 8}")

    @property
    def limits(self) -> tuple[int, int]:
        """The smallest and largest number that the bits that count can hold."""
        half = 1 << (self.stored - 1)
        return (-half, half - 1) if self.signed else (0, 2 * half - 1)


@dataclass(frozen=True, eq=False)
class DicomFile:
    """One file: its header, and where its pixels lie.

    Attributes:
        path: the file.
        header: all attributes but the pixels.
        pixels: where and how they are stored.
    """

    path: Path
    header: Dataset
    pixels: PixelPlace


def open_header(path: Path) -> DicomFile | None:
    """The header of a file; None where it holds no pixels: a report, a plan, a DICOMDIR.

    Raises:
        ReadError: the file is no DICOM, or is damaged before its pixels begin.
    """
    import pydicom

    with mapped(path) as file:
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True, force=True)
        except Exception as error:  # pydicom raises what it likes on damaged files
            raise ReadError(f"{path}: cannot be read as DICOM, its header is damaged; {AGAIN}") from error
        header.buffer = None  # the map, which no process can hand to another
        syntax = _syntax(header)
        if syntax == DEFLATED:
            return _deflated(path, header)
        found = _value_at(file, syntax)
    if found is None:
        _check_no_image(header, path)
        return None
    return DicomFile(path, header, _place(header, path, syntax, *found))


def _check_no_image(header: Dataset, path: Path) -> None:
    """Of a file without pixels: it must be something else than an image, or no DICOM at all.

    Raises:
        ReadError: it says that it is an image, or says nothing.
    """
    from pydicom.uid import UID

    meta = getattr(header, "file_meta", None) or []
    if not header and not meta:  # the mark of DICOM, and nothing of it
        return
    said = text(header, "SOPClassUID") or (text(meta, "MediaStorageSOPClassUID") if meta else "")
    kind = UID(said).name
    if not said or "Image Storage" in kind or "Rows" in header:
        raise ReadError(f"{path}: holds no pixels, though it should ({kind or 'an image'}); it is cut short, {AGAIN}")


@contextmanager
def mapped(path: Path) -> Iterator[Any]:
    """A file in memory, page by page as it is touched: to read with a damaged length asks for no more than there is.

    Raises:
        ReadError: the file is empty.
    """
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            raise ReadError(f"{path}: is empty (0 bytes); {AGAIN}")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
            yield memory


def same_pixels(one: DicomFile, other: DicomFile) -> bool:
    """Whether two files of one object are copies: their pixels, in one transfer syntax, are the same bytes.

    A file is no copy of itself.
    """
    if one is other:
        return False
    a, b = one.pixels, other.pixels
    if a.syntax != b.syntax:
        return True
    if a.length != b.length:
        return False
    with mapped(one.path) as first, mapped(other.path) as second:
        return bool(first[a.offset : a.offset + a.length] == second[b.offset : b.offset + b.length])


def whole_dataset(path: Path) -> Dataset:
    """All of a file, its pixels too.

    Raises:
        Exception: whatever pydicom raises on damaged files.
    """
    import pydicom

    with mapped(path) as file:
        return pydicom.dcmread(file, force=True)


def _syntax(header: Dataset) -> str:
    """UID of the transfer syntax; as pydicom guessed it where the file has no meta header."""
    said = text(getattr(header, "file_meta", header), "TransferSyntaxUID")
    if said:
        return said
    implicit, little = header.original_encoding
    return IMPLICIT if implicit else EXPLICIT if little else BIG


def _deflated(path: Path, header: Dataset) -> DicomFile | None:
    """Of a file that is compressed as a whole, the header with pixels that are still to be unpacked."""
    whole_file = whole_dataset(path)
    if "PixelData" not in whole_file:
        return None
    return DicomFile(path, header, _place(header, path, DEFLATED, 0, len(whole_file.PixelData), floats=False))


def _value_at(file: Any, syntax: str) -> tuple[int, int, bool] | None:
    """Offset and length of the pixels' value, from where pydicom stopped, and whether they are floats; None without."""
    order = ">" if syntax == BIG else "<"
    start = file.tell()
    head = file.read(12)
    tag = struct.unpack(f"{order}HH", head[:4]) if len(head) >= 8 else None
    if tag != _PIXELS and tag not in _FLOATS:
        return None
    if head[4:5] not in (b"O", b"U"):  # implicit, whatever the meta header says: a length is even, these two are odd
        offset, length = start + 8, struct.unpack(f"{order}I", head[4:8])[0]
    else:
        offset, length = start + 12, struct.unpack(f"{order}I", head[8:12])[0] if len(head) == 12 else 0
    end = file.size()
    return offset, max(0, end - offset if length == _ENDLESS else min(length, end - offset)), tag != _PIXELS


def _high_bit(header: Dataset, stored: int, allocated: int) -> int:
    """The number of the highest bit that counts; where the header cannot be right, as usual just above the others."""
    said = whole(header, "HighBit")
    return said if said is not None and stored - 1 <= said < allocated else stored - 1


def _place(header: Dataset, path: Path, syntax: str, offset: int, length: int, floats: bool) -> PixelPlace:  # noqa: FBT001
    allocated = whole(header, "BitsAllocated") or 16
    stored = whole(header, "BitsStored") or allocated
    if not (1 <= stored <= allocated <= 64 and (allocated == 1 or allocated % 8 == 0)):
        raise ReadError(
            f"{path}: its numbers have {stored} of {allocated} bits, which no image has; the header is damaged, {AGAIN}"
        )
    samples = whole(header, "SamplesPerPixel") or 1
    if samples not in (1, 3):
        raise ReadError(f"{path}: has {samples} samples in a pixel, wanted 1 (grey) or 3 (colour); {AGAIN}")
    compressed = syntax not in (IMPLICIT, EXPLICIT, BIG, DEFLATED)
    photometric = text(header, "PhotometricInterpretation").upper() or "MONOCHROME2"
    size = (whole(header, "Rows") or 0) * (whole(header, "Columns") or 0) * samples
    if photometric == "YBR_FULL_422" and not compressed:  # two pixels share their colours
        size = size // 3 * 2
    return PixelPlace(
        syntax,
        offset,
        length,
        compressed,
        allocated,
        stored,
        _high_bit(header, stored, allocated),
        whole(header, "PixelRepresentation") == 1,
        samples,
        photometric,
        plain=not compressed
        and syntax != DEFLATED
        and allocated in (8, 16, 32)
        and samples == 1
        and photometric in ("MONOCHROME1", "MONOCHROME2")
        and not floats,
        frame_bytes=size * allocated // 8,
    )


def promised_frames(file: DicomFile) -> int:
    """How many frames a file says that it holds.

    Raises:
        ReadError: more than it has room for.
    """
    count = whole(file.header, "NumberOfFrames") or 1
    if count > file.pixels.most_frames:
        raise ReadError(
            f"{file.path}: its pixels are cut short, it promises {count} frames and holds no more than "
            f"{file.pixels.most_frames}; {AGAIN}"
        )
    return count
