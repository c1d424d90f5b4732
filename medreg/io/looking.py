"""What must be known of a picture beside what ITK reads: its orientation, its transparency, its kind of colour."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from medreg.errors import ImageError, ReadError
from medreg.io.content import Kind
from medreg.io.failing import AGAIN
from medreg.io.lengths import axes_of_pages, tiff_spacing
from medreg.io.tiff_tags import Page, Tag, pages_of

_CMYK = (
    "holds CMYK, the colours of printing inks; save it as RGB first (ImageMagick: convert IN -colorspace sRGB OUT.png)"
)
_REFUSED = {5: _CMYK, 4: "holds a transparency mask", 8: "holds CIE L*a*b* colours; save it as RGB first"}
_ODD = 32768
"""Colour models from here on are raw camera data and the like."""


@dataclass(frozen=True)
class Look:
    """What a file says of its picture.

    Attributes:
        orientation: 1 to 8, as EXIF numbers the ways in which the rows may lie.
        alpha: "straight" or "premultiplied" where the last channel is how opaque a pixel is, else "".
        grey: whether it is grey or black and white, however many channels ITK makes of it.
        palette: whether its numbers are those of a palette of 16-bit colours.
        white_is_zero: whether it is stored as a negative.
        clear: the grey value that means transparent, if one does.
        spacing_mm: between pixels along x, y(, z) as stored; None where the file does not say.
        channels: pages that are channels of one picture; 1 where pages are slices.
        copy: makes, of the file's bytes, those of a file that ITK reads right; None where it does with this one.
        packed: bytes in which such a copy holds a grey value and its opacity together; 0 where it does not.
    """

    orientation: int = 1
    alpha: str = ""
    grey: bool = False
    palette: bool = False
    white_is_zero: bool = False
    clear: int | None = None
    spacing_mm: tuple[float, ...] | None = None
    channels: int = 1
    copy: Callable[[bytes], bytes] | None = None
    packed: int = 0


def look_at(path: Path, kind: Kind) -> Look:
    """Look at a picture's header.

    Raises:
        ImageError: colours or pages that medreg does not read, with what to do.
        ReadError: a header that is damaged.
    """
    if kind is Kind.PNG:
        return _png(path)
    if kind is Kind.JPEG:
        return _jpeg(path)
    return _tiff(path) if kind is Kind.TIFF else Look()


def _png(path: Path) -> Look:
    data = path.read_bytes()
    chunks = {name: body for name, body in _chunks(data) if name != b"IDAT"}
    header = chunks.get(b"IHDR", b"")
    if len(header) < 13:
        raise ReadError(f"{path}: is cut short, its PNG header has no end; {AGAIN}")
    depth, colour = header[8], header[9]
    orientation = _orientation(chunks.get(b"eXIf", b""))
    see_through = chunks.get(b"tRNS")
    if colour == 4:  # ITK does not read it; a grey value and its opacity are stored as a pixel twice as deep is
        deeper = bytes([16, 0]) if depth == 8 else bytes([8, 6])
        return Look(orientation, "straight", grey=True, copy=lambda raw: _plain_png(raw, deeper), packed=depth // 8)
    if colour == 0 and see_through is not None:  # the same: ITK knows no grey with opacity
        clear = int.from_bytes(see_through[:2], "big")
        clear = clear * 255 // ((1 << depth) - 1) if depth < 8 else clear
        return Look(orientation, grey=True, clear=clear, copy=lambda raw: _plain_png(raw, bytes([depth, colour])))
    return Look(orientation, "straight" if colour == 6 or see_through is not None else "", grey=colour == 0)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        yield name, data[at + 8 : at + 8 + size]
        at += size + 12


def _plain_png(data: bytes, depth_and_colour: bytes) -> bytes:
    """The pixels alone, said to be of another depth and kind of colour."""
    parts = [data[:8]]
    for name, body in _chunks(data):
        if name in (b"IHDR", b"IDAT", b"IEND"):
            body = body[:8] + depth_and_colour + body[10:] if name == b"IHDR" else body
            parts.append(len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big"))
    return b"".join(parts)


def _jpeg(path: Path) -> Look:
    data = path.read_bytes()
    at, orientation = 2, 1
    while at + 4 <= len(data) and data[at] == 0xFF:
        mark, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + size]
        if mark == 0xFF:  # filling
            at += 1
            continue
        if mark == 0xE1 and body[:6] == b"Exif\0\0":
            orientation = _orientation(body[6:])
        if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):
            if len(body) > 5 and body[5] == 4:
                raise ImageError(f"{path}: {_CMYK}")
            return Look(orientation, grey=len(body) > 5 and body[5] == 1)
        if mark == 0xDA:
            break
        at += size + 2
    return Look(orientation)


def _orientation(exif: bytes) -> int:
    """1, upright, where the block says nothing or is damaged: a picture is readable without it."""
    if not exif:
        return 1
    try:
        pages = pages_of(io.BytesIO(exif), "EXIF")
    except (ReadError, ValueError):
        return 1
    return _upright(pages[0].whole(Tag.ORIENTATION, 1)) if pages else 1


def _upright(orientation: int) -> int:
    return orientation if 1 <= orientation <= 8 else 1


def _tiff(path: Path) -> Look:
    with path.open("rb") as file:
        pages = pages_of(file, str(path))
    if not pages:
        raise ReadError(f"{path}: holds no picture; {AGAIN}")
    first, samples = pages[0], pages[0].whole(Tag.SAMPLES, 1)
    photometric = first.whole(Tag.PHOTOMETRIC, 1)
    _check_samples(path, first)
    # the others are thumbnails, coarser copies and masks, marked as such; ITK passes over them, too
    full = [page for page in pages if not page.whole(Tag.SUBFILE, 0) & 5]
    alone = len(full) <= 1 and len(pages) > 1
    if not alone:
        _check_pages(path, pages)
    stack = 1 if alone else len(pages)
    said = axes_of_pages(first)
    channels = said.get("channels", 1)
    if stack > 1 and channels > 1 and stack != channels:
        raise ImageError(
            f"{path}: holds {stack} pages, {channels} channels of several slices or frames; save one channel as a "
            "file of its own (ImageJ: Image > Color > Split Channels)"
        )
    if stack > 1 and said.get("frames", 1) > 1:
        raise ImageError(f"{path}: holds {said['frames']} frames in time; save one of them as a file of its own")
    channels = channels if stack > 1 else 1
    orientation = _upright(first.whole(Tag.ORIENTATION, 1))
    patches = dict[int, bytes]()
    if orientation > 1:  # ITK turns some of them, and by half only
        patches |= {p.places[Tag.ORIENTATION]: _short(1, p.order) for p in pages if Tag.ORIENTATION in p.places}
    extra = first.whole(Tag.EXTRA_SAMPLES, 0)
    alpha = {1: "premultiplied", 2: "straight"}.get(extra, "straight") if samples == 4 else ""
    return Look(
        orientation,
        alpha,
        grey=samples == 1 and photometric in (0, 1),
        palette=photometric == 3,
        white_is_zero=photometric == 0 and first.whole(Tag.BITS, 1) >= 8,  # ITK turns the others round
        spacing_mm=tiff_spacing(first, 3 if stack > 1 and channels == 1 else 2),
        channels=channels,
        copy=(lambda raw: _patched(raw, patches)) if patches else None,
    )


def _check_samples(path: Path, page: Page) -> None:
    photometric, samples = page.whole(Tag.PHOTOMETRIC, 1), page.whole(Tag.SAMPLES, 1)
    bits, float_format = page.whole(Tag.BITS, 1), page.whole(Tag.SAMPLE_FORMAT, 1)
    if photometric in _REFUSED:
        raise ImageError(f"{path}: {_REFUSED[photometric]}")
    if photometric >= _ODD or photometric in (9, 10):
        raise ImageError(f"{path}: holds colours of kind {photometric}, which medreg does not read; save it as RGB")
    if samples not in (1, 3, 4):
        what = "grey with transparency" if samples == 2 else f"{samples} channels in each pixel"
        raise ImageError(f"{path}: holds {what}, which medreg does not read from TIFF; save it as grey or RGB")
    if bits not in (1, 2, 4, 8, 16, 32, 64) or (float_format == 3 and bits == 16) or float_format in (5, 6):
        raise ImageError(
            f"{path}: holds numbers of {bits} bits (sample format {float_format}), which medreg does not read; save it "
            "with 8 or 16 bits, or as 32-bit floats"
        )


def _check_pages(path: Path, pages: list[Page]) -> None:
    shapes = {(p.whole(Tag.WIDTH, 0), p.whole(Tag.HEIGHT, 0), p.whole(Tag.SAMPLES, 1)) for p in pages}
    if len(shapes) > 1:
        sizes = ", ".join(f"{w}x{h}" for w, h, _ in sorted(shapes, reverse=True)[:4])
        raise ImageError(
            f"{path}: holds {len(pages)} pages of different sizes ({sizes}), as slide scanners write them; save the "
            "page to register as a file of its own, for example with QuPath or ImageJ"
        )


def _short(value: int, order: str) -> bytes:
    return value.to_bytes(2, "little" if order == "<" else "big")


def _patched(data: bytes, patches: dict[int, bytes]) -> bytes:
    changed = bytearray(data)
    for at, new in patches.items():
        changed[at : at + len(new)] = new
    return bytes(changed)
