"""Pictures as bytes that a page can hold in itself."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np

from medreg.types import VoxelArray

if TYPE_CHECKING:
    from PIL.Image import Image

QUALITY = 85
"""Of JPEG: no difference can be seen, at a fifth of PNG's size."""

LOW, MIDDLE, HIGH = (0, 32, 76), (124, 123, 120), (255, 233, 69)
"""A scale of colours, dark blue over grey to yellow: its lightness rises evenly, for the colour-blind and in grey."""


def to_bytes(picture: VoxelArray) -> VoxelArray:
    """0 to 1 as 0 to 255, uint8; NaN is black."""
    return np.asarray(np.rint(np.nan_to_num(picture) * 255), np.uint8)


def as_jpeg(picture: VoxelArray) -> str:
    """A grey or colour picture, 0 to 1, as a data: URI."""
    from PIL import Image

    return _uri(Image.fromarray(to_bytes(picture)), "jpeg", quality=QUALITY)


def as_lines(lines: VoxelArray, colour: tuple[int, int, int]) -> str:
    """Lines (bool) in one colour on nothing, as a data: URI of a PNG."""
    from PIL import Image

    drawn = Image.fromarray(lines.astype(np.uint8))
    drawn.putpalette([0, 0, 0, *colour])
    return _uri(drawn, "png", transparency=0, bits=1, compress_level=6)


def as_map(values: VoxelArray, top: float) -> str:
    """A map from 0 to `top` in colours, clear where NaN, as a data: URI of a PNG."""
    from PIL import Image

    known = np.isfinite(values)
    colours = coloured(np.clip(np.where(known, values, 0) / top, 0, 1))
    return _uri(Image.fromarray(np.dstack([colours, np.where(known, 255, 0).astype(np.uint8)])), "png")


def coloured(values: VoxelArray) -> VoxelArray:
    """(..., 3) uint8 of values from 0 to 1 on the scale of colours."""
    at = [0.0, 0.5, 1.0]
    return np.stack(
        [np.rint(np.interp(values, at, channel)) for channel in zip(LOW, MIDDLE, HIGH, strict=True)], -1
    ).astype(np.uint8)


def _uri(picture: Image, kind: str, **settings: object) -> str:
    held = io.BytesIO()
    picture.save(held, kind, **settings)
    return f"data:image/{kind};base64,{base64.b64encode(held.getvalue()).decode('ascii')}"
