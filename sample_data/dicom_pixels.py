"""Pixels of a made DICOM object: how integers are stored and described."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from dicom_attributes import put
from numpy.typing import NDArray
from pydicom.dataset import Dataset


@dataclass(frozen=True)
class Stored:
    """How pixels are stored.

    Attributes:
        bits: BitsStored; 0 for all that the array's dtype has.
        above: bits set above the stored ones, as old files keep an overlay there; a reader must ignore them.
        photometric: PhotometricInterpretation.
        planar: PlanarConfiguration of colour, 0 (RGBRGB) or 1 (RRGGBB).
        palette: (entries, 3) uint16 colours for PALETTE COLOR.
    """

    bits: int = 0
    above: int = 0
    photometric: str = "MONOCHROME2"
    planar: int = 0
    palette: NDArray[np.uint16] | None = None

    def fill(self, made: Dataset, pixels: NDArray[np.generic], *, frames: bool = False) -> None:
        """Put (y, x) or (y, x, 3) pixels, or with `frames` (frame, y, x[, 3]) and what describes them."""
        if pixels.dtype.kind not in "iu":
            raise TypeError(f"stored values are integers, got {pixels.dtype}")
        stack = pixels if frames else pixels[None]
        samples = stack.shape[3] if stack.ndim == 4 else 1
        allocated = pixels.dtype.itemsize * 8
        bits = self.bits or allocated
        put(
            made,
            {
                "SamplesPerPixel": samples,
                "PhotometricInterpretation": self.photometric,
                "Rows": stack.shape[1],
                "Columns": stack.shape[2],
                "BitsAllocated": allocated,
                "BitsStored": bits,
                "HighBit": bits - 1,
                "PixelRepresentation": int(pixels.dtype.kind == "i"),
                "PlanarConfiguration": self.planar if samples > 1 else None,
                "NumberOfFrames": len(stack) if frames else None,
            },
        )
        if self.palette is not None:
            for channel, name in enumerate(("Red", "Green", "Blue")):
                colours = self.palette[:, channel].astype("<u2").tobytes()
                made.add_new(_LUT[name][0], "US", [len(self.palette) % 65536, 0, 16])
                made.add_new(_LUT[name][1], "OW", colours)
        if samples > 1 and self.planar:
            stack = np.moveaxis(stack, -1, 1)
        words = stack.astype(stack.dtype.newbyteorder("<"), copy=True)
        if self.above:
            unsigned = words.view(f"<u{words.dtype.itemsize}")
            unsigned &= (1 << bits) - 1
            unsigned |= self.above << bits
        raw = words.tobytes()
        made.add_new("PixelData", "OB" if allocated == 8 else "OW", raw + b"\0" * (len(raw) % 2))


_LUT = {"Red": (0x00281101, 0x00281201), "Green": (0x00281102, 0x00281202), "Blue": (0x00281103, 0x00281203)}
