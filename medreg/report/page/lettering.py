"""Letters of `figure.png`: names of files hold letters of any script, Pillow's own font hardly more than ASCII."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

_OTHERS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "Arial Unicode.ttf",
    "Arial.ttf",
    "segoeui.ttf",
    "msgothic.ttc",
    "PingFang.ttc",
)
"""Fonts of Linux, macOS and Windows, found by name where the system has them."""
_NOWHERE = "\U0010ffff"
"""No character: a font draws the box for it that it draws for all that it lacks."""


def lettered(text: str, size: int) -> tuple[str, Any]:
    """A text, and a font that has its letters.

    Pillow's own font, so that a figure looks the same everywhere, or where that lacks a letter the first of the
    system's fonts that has all. Where there is none either, letters become those below their accents, or "?".

    Args:
        text: one line.
        size: pixels.

    Example:
        >>> lettered("a, b", 20)[0]
        'a, b'
    """
    own = own_font(size)
    if not _lacking(text, own):
        return text, own
    for name in _OTHERS:
        other = _system_font(name, size)
        if other is not None and not _lacking(text, other):
            return text, other
    return "".join(letter if not _lacking(letter, own) else _nearest(letter, own) for letter in text), own


@cache
def own_font(size: int) -> Any:
    """Pillow's own."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


@cache
def _system_font(name: str, size: int) -> Any:
    """A font of the system; None where it is not there."""
    from PIL import ImageFont

    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


def _lacking(text: str, font: Any) -> bool:
    """Whether a font draws a box for any of the letters."""
    box = _drawn(_NOWHERE, font)
    return any(_drawn(letter, font) == box for letter in set(text) if not letter.isspace())


@cache
def _drawn(letter: str, font: Any) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)


def _nearest(letter: str, font: Any) -> str:
    """The letter below its accents, or "?"."""
    below = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    return below if below and not _lacking(below, font) else "?"
