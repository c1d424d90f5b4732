"""What kind of file this is: told from its first bytes, because a suffix may lie or be missing."""

from __future__ import annotations

import zlib
from enum import Enum
from pathlib import Path

HEAD_BYTES = 4096
"""How much of a file (after unzipping) is looked at; every format shows itself well before."""


class Kind(Enum):
    """A file format that medreg knows by sight; the value is the name that messages use."""

    NIFTI = "NIfTI"
    NIFTI_PAIR = "NIfTI .hdr and .img"
    ANALYZE = "Analyze 7.5"
    MGH = "MGH"
    NRRD = "NRRD"
    META = "MetaImage"
    PNG = "PNG"
    JPEG = "JPEG"
    TIFF = "TIFF"
    BMP = "BMP"
    DICOM = "DICOM"
    ZIP = "zip"
    HDF5 = "HDF5"


KIND_OF_SUFFIX = {
    ".nii": Kind.NIFTI,
    ".nii.gz": Kind.NIFTI,
    ".mgz": Kind.MGH,
    ".mgh": Kind.MGH,
    ".mgh.gz": Kind.MGH,
    ".nrrd": Kind.NRRD,
    ".nhdr": Kind.NRRD,
    ".mha": Kind.META,
    ".mhd": Kind.META,
    ".png": Kind.PNG,
    ".jpg": Kind.JPEG,
    ".jpeg": Kind.JPEG,
    ".tif": Kind.TIFF,
    ".tiff": Kind.TIFF,
    ".bmp": Kind.BMP,
}
"""Suffixes (lower case) that medreg reads and writes."""

PIXEL_KINDS = frozenset({Kind.PNG, Kind.JPEG, Kind.TIFF, Kind.BMP})
"""Formats of pictures: they keep no place in the world, their grid is counted in pixels."""


def suffix_of(path: Path) -> str:
    """The suffix in lower case, both parts where the last is .gz: ".nii.gz"; "" where there is none."""
    suffixes = [s.lower() for s in path.suffixes[-2:]]
    if suffixes and suffixes[-1] == ".gz":
        return "".join(suffixes) if len(suffixes) == 2 else ".gz"
    return suffixes[-1] if suffixes else ""


def stem_of(path: Path) -> str:
    """The file's name without its suffix, ".nii.gz" counting as one; a folder's whole name."""
    if path.is_dir():
        return path.resolve().name
    return path.name[: len(path.name) - len(suffix_of(path))] or path.name


def known_suffixes() -> str:
    """All suffixes in one line, for messages."""
    return ", ".join(KIND_OF_SUFFIX)


def head_of(path: Path) -> bytes:
    """The first bytes of a file, unzipped where it is gzipped as far as they can be.

    Raises:
        OSError: when the file cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head[:2] == b"\x1f\x8b":
        try:
            return zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
        except zlib.error:
            return b""
    return head


def kind_of(head: bytes) -> Kind | None:
    """The format that the first bytes of a file show, None where they show none that medreg knows."""
    if head[128:132] == b"DICM":  # first: what comes before may be that of a TIFF, for programs that know no DICOM
        return Kind.DICOM
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if _begins_as_dicom(head):
        return Kind.DICOM
    if head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c"):  # sizeof_hdr = 348
        if len(head) < 348:  # cut short before its magic: its reader says so
            return Kind.NIFTI
        return {b"n+1\0": Kind.NIFTI, b"ni1\0": Kind.NIFTI_PAIR}.get(head[344:348], Kind.ANALYZE)
    if head[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c"):  # sizeof_hdr = 540
        return {b"n+2\0": Kind.NIFTI, b"ni2\0": Kind.NIFTI_PAIR}.get(head[4:8])
    if head[:4] == b"\0\0\0\x01" and len(head) >= 284 and 0 < int.from_bytes(head[4:8], "big") < 1 << 20:
        return Kind.MGH
    if head[:2] == b"BM" and head[14:18] in (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0"):
        return Kind.BMP
    if b"NDims" in head and b"=" in head:  # MetaImage is text; ObjectType or Comment may come before
        return Kind.META
    return None


def _begins_as_dicom(head: bytes) -> bool:
    """Whether the bytes are those of a DICOM data set without preamble: an element of group 8 (or 2) of sane length."""
    for order in ("little", "big"):
        group, element = (int.from_bytes(head[k : k + 2], order) for k in (0, 2))
        if group in (2, 8) and element < 0x0100 and len(head) >= 8:
            explicit = head[4:6].isalpha() and head[4:6].isupper()
            length = int.from_bytes(head[6:8] if explicit else head[4:8], order)
            if length <= 128:
                return True
    return False


_MAGIC = (
    (b"NRRD00", Kind.NRRD),
    (b"PK\x03\x04", Kind.ZIP),
    (b"\x89HDF\r\n\x1a\n", Kind.HDF5),
    (b"\x89PNG\r\n\x1a\n", Kind.PNG),
    (b"\xff\xd8\xff", Kind.JPEG),
    (b"II*\0", Kind.TIFF),
    (b"MM\0*", Kind.TIFF),
    (b"II+\0", Kind.TIFF),
    (b"MM\0+", Kind.TIFF),
)
