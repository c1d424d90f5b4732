"""Siemens mosaics: all slices of a volume laid out as tiles of one picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medreg.errors import ImageError
from medreg.io.dicom.csa import csa_numbers, csa_of
from medreg.io.dicom.header import number, whole, words
from medreg.types import FloatArray

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_COUNT = (0x0019, 0x100A)
"""Siemens' own number of tiles, where there is no CSA header."""


@dataclass(frozen=True)
class Mosaic:
    """How a picture is cut into slices.

    Attributes:
        count: slices.
        across: tiles in a row, and rows of tiles.
        size: columns and rows of a slice.
        whole: columns and rows of the picture.
        spacing: mm between slices.
        normal: unit vector along which slices follow each other, by the scanner's own header; None where that is gone.
    """

    count: int
    across: int
    size: tuple[int, int]
    whole: tuple[int, int]
    spacing: float
    normal: tuple[float, ...] | None

    def tile(self, k: int) -> tuple[int, int]:
        """First row and column of slice k: they run as lines of text do."""
        return (k // self.across) * self.size[1], (k % self.across) * self.size[0]

    def step(self, normal: FloatArray) -> FloatArray:
        """From slice to slice, LPS mm: along or against the plane's normal, whichever the scanner's header means."""
        against = self.normal is not None and float(np.array(self.normal) @ normal) < 0
        return normal * (-self.spacing if against else self.spacing)


def mosaic_of(header: Dataset, whole_size: tuple[int, int], name: object) -> Mosaic | None:
    """The mosaic that a file is; None for any other image.

    Raises:
        ImageError: a mosaic that does not say how many slices it holds.
    """
    if "MOSAIC" not in words(header, "ImageType"):
        return None
    csa = csa_of(header)
    count = int(next(iter(csa_numbers(csa, "NumberOfImagesInMosaic")), 0)) or whole(header, _COUNT) or 0
    across = math.ceil(math.sqrt(max(0, count)))
    if not 1 <= count <= 4096 or any(length % across for length in whole_size):
        raise ImageError(
            f"{name}: is a Siemens mosaic of {whole_size[0]} x {whole_size[1]} pixels whose number of slices "
            f"({count or 'not told'}) does not fit; an anonymiser may have removed its private (CSA) header: take the "
            "original, or export single slices"
        )
    normal = csa_numbers(csa, "SliceNormalVector")
    spacing = number(header, "SpacingBetweenSlices") or number(header, "SliceThickness") or 1.0
    return Mosaic(
        count,
        across,
        (whole_size[0] // across, whole_size[1] // across),
        whole_size,
        abs(spacing),
        normal if len(normal) == 3 else None,
    )
