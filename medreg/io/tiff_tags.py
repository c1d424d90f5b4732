"""The tags of TIFF files, and of the EXIF block in a JPEG or PNG, which is a TIFF without pixels."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

from medreg.errors import ReadError
from medreg.io.failing import AGAIN

_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_CODE = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_MOST_BYTES = 1 << 24
"""Of a value that is read: an OME description can be long, tables of strips are not wanted."""
_MOST_PAGES = 1 << 16

Value = tuple[float, ...] | str


class Tag(IntEnum):
    """The tags that medreg looks at, by TIFF 6.0's numbers."""

    SUBFILE = 254
    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    PHOTOMETRIC = 262
    DESCRIPTION = 270
    ORIENTATION = 274
    SAMPLES = 277
    X_RESOLUTION = 282
    Y_RESOLUTION = 283
    RESOLUTION_UNIT = 296
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339


_WANTED = frozenset(Tag)


@dataclass(frozen=True)
class Page:
    """One image of a file.

    Attributes:
        tags: the values of those of `Tag` that it has.
        places: where in the file each tag's inline value lies.
        next_place: where in the file the pointer to the next page lies.
        order: "<" or ">", the file's order of bytes.
    """

    tags: Mapping[int, Value]
    places: Mapping[int, int]
    next_place: int
    order: str

    def number(self, tag: Tag, default: float) -> float:
        """The tag's first number."""
        value = self.tags.get(tag, ())
        return value[0] if isinstance(value, tuple) and value else default

    def whole(self, tag: Tag, default: int) -> int:
        """The tag's first number, of a tag that counts or names."""
        return int(self.number(tag, default))

    def text(self, tag: Tag) -> str:
        """The tag's text, "" where there is none."""
        value = self.tags.get(tag, "")
        return value if isinstance(value, str) else ""


def pages_of(file: BinaryIO, name: str) -> list[Page]:
    """All pages of a TIFF, classic or BigTIFF, in the file's order; nothing but tags is read.

    Args:
        file: open for reading, at its start; an EXIF block may be in memory.
        name: for messages.

    Raises:
        ReadError: it ends before its tags do.
        ValueError: its pages go in circles.
    """
    try:
        return _pages(file)
    except (struct.error, IndexError, KeyError) as error:
        raise ReadError(f"{name}: is cut short or damaged, its TIFF tags cannot be read; {AGAIN}") from error


def _pages(file: BinaryIO) -> list[Page]:
    order = {b"II": "<", b"MM": ">"}[_taken(file, 2)]
    big = _number(file, order, "H") == 43
    pointer = "Q" if big else "I"
    if big:
        _taken(file, 4)
    at, seen = _number(file, order, pointer), set[int]()
    pages: list[Page] = []
    while at and len(pages) < _MOST_PAGES:
        if at in seen:  # ITK would follow them for ever
            raise ValueError("the pages of this TIFF go in circles")
        seen.add(at)
        file.seek(at)
        page = _page(file, order, big)
        pages.append(page)
        file.seek(page.next_place)
        at = _number(file, order, pointer)
    return pages


def _page(file: BinaryIO, order: str, big: bool) -> Page:  # noqa: FBT001 - the file's own flag
    count = _number(file, order, "Q" if big else "H")
    inline = 8 if big else 4
    tags: dict[int, Value] = {}
    places: dict[int, int] = {}
    start = file.tell()
    length = 4 + 2 * inline
    for index in range(count):
        file.seek(start + index * length)
        tag, kind = _number(file, order, "H"), _number(file, order, "H")
        many = _number(file, order, "Q" if big else "I")
        size = many * _BYTES.get(kind, 0)
        if tag not in _WANTED or not 0 < size <= _MOST_BYTES:
            continue
        places[tag] = file.tell()
        if size > inline:
            file.seek(_number(file, order, "Q" if big else "I"))
        tags[tag] = _value(_taken(file, size), kind, many, order)
    return Page(tags, places, start + count * length, order)


def _value(raw: bytes, kind: int, many: int, order: str) -> Value:
    if kind in (2, 7):
        return raw.split(b"\0")[0].decode("utf-8", "replace")
    if kind in (5, 10):  # fractions
        parts = struct.unpack(f"{order}{2 * many}{'I' if kind == 5 else 'i'}", raw)
        return tuple(a / b if b else 0.0 for a, b in zip(parts[::2], parts[1::2], strict=True))
    return struct.unpack(f"{order}{many}{_CODE[kind]}", raw)


def _number(file: BinaryIO, order: str, code: str) -> int:
    size = struct.calcsize(f"{order}{code}")
    return int(struct.unpack(f"{order}{code}", _taken(file, size))[0])


def _taken(file: BinaryIO, size: int) -> bytes:
    raw = file.read(size)
    if len(raw) < size:
        raise IndexError("end of file")
    return raw
