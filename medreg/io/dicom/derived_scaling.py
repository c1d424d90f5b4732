"""How real values become the integers that DICOM stores: value = stored * slope + intercept."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from medreg.io.dicom.header import number, whole
from medreg.io.encoding import Encoding
from medreg.io.stored import StoredImage
from medreg.types import VoxelArray

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_INT16, _UINT16, _UINT8 = np.dtype(np.int16), np.dtype(np.uint16), np.dtype(np.uint8)
_STEPS = 65533
"""Of a new scale over 16 bits: two fewer than there are, so that its ends may lie on multiples of the step."""
_COARSEST = 1e-9
"""Of the largest value: the smallest step, so that an intercept of 16 characters is exact to a tenth of it."""


class Rescale(Enum):
    """What a SOP class lets its slope and intercept be."""

    ANY = "any"
    HOUNSFIELD = "any, and -1024 by custom"
    SLOPE = "intercept 0"
    NONE = "slope 1 and intercept 0"


@dataclass(frozen=True)
class Scaling:
    """Stored numbers and what they mean, with slope and intercept as the file spells them.

    Attributes:
        dtype: uint8, int16 or uint16.
        slope: at most 16 characters.
        intercept: at most 16 characters.
    """

    dtype: np.dtype[Any]
    slope: str = "1"
    intercept: str = "0"

    @property
    def is_plain(self) -> bool:
        """Whether the stored numbers are the values."""
        return (float(self.slope), float(self.intercept)) == (1.0, 0.0)

    @property
    def encoding(self) -> Encoding:
        """With the numbers that a reader gets from the texts."""
        return Encoding(self.dtype, float(self.slope), float(self.intercept))


def scaling_for(moved: StoredImage, template: Dataset, rescale: Rescale, dtypes: tuple[str, ...]) -> Scaling | None:
    """The scale that keeps the values within one step; the moving image's own where the values fit.

    Args:
        moved: one channel, or frames.
        template: the moving image's attributes.
        rescale: what the SOP class allows.
        dtypes: what the SOP class stores, the preferred first, of "uint8", "uint16" and "int16".

    Returns:
        None where the class allows no scale that holds the values.
    """
    low, high = _ends(moved.array)
    held = [np.dtype(name) for name in dtypes]
    if len(held) > 1 and whole(template, "PixelRepresentation") == 1 and _INT16 in held:
        held.sort(key=lambda dtype: dtype != _INT16)
    for slope, intercept in _tried(moved, template, rescale, low, high):
        scaling = _fitting(low, high, slope, intercept, held)
        if scaling is not None:
            return scaling
    if rescale is Rescale.NONE or _UINT16 not in held:
        return None
    return _new_scale(low, high, rescale)


def _ends(values: VoxelArray) -> tuple[float, float]:
    """The smallest and largest finite value; 0, 0 where there is none."""
    if values.dtype.kind != "f":
        return float(values.min()), float(values.max())
    low, high = float(values.min()), float(values.max())
    if math.isfinite(low) and math.isfinite(high):
        return low, high
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _tried(
    moved: StoredImage, template: Dataset, rescale: Rescale, low: float, high: float
) -> Iterator[tuple[float, float]]:
    """Slopes and intercepts worth keeping, the best first."""
    integers = np.dtype(str(moved.metadata.get("stored_dtype", moved.array.dtype.name))).kind in "iub"
    slope, inter = float(moved.metadata.get("slope", 1.0)), float(moved.metadata.get("inter", 0.0))
    if integers and (slope, inter) != (1.0, 0.0):
        if rescale in (Rescale.ANY, Rescale.HOUNSFIELD) or (rescale is Rescale.SLOPE and inter == 0):
            yield slope, inter
        return
    if not integers:
        return
    if rescale is Rescale.HOUNSFIELD:
        source = number(template, "RescaleIntercept")
        if source is not None and source == int(source) and number(template, "RescaleSlope") == 1:
            yield 1.0, source
        yield 1.0, -1024.0
    yield 1.0, 0.0
    if rescale in (Rescale.ANY, Rescale.HOUNSFIELD) and high - low <= np.iinfo(_UINT16).max:
        yield 1.0, float(math.floor(low))


def _fitting(low: float, high: float, slope: float, intercept: float, dtypes: list[np.dtype[Any]]) -> Scaling | None:
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope == 0:
        return None
    written = Scaling(_UINT16, _decimal(slope), _decimal(intercept))
    stored = sorted((value - float(written.intercept)) / float(written.slope) for value in (low, high))
    for dtype in dtypes:
        limits = np.iinfo(dtype)
        if limits.min <= round(stored[0]) and round(stored[1]) <= limits.max:
            return Scaling(dtype, written.slope, written.intercept)
    return None


def _new_scale(low: float, high: float, rescale: Rescale) -> Scaling:
    """All of 16 bits over the values, with 0 a stored number where it lies among them."""
    if rescale is Rescale.SLOPE:
        largest = max(abs(low), abs(high))
        return Scaling(_INT16, _step(largest / 32766 if largest else 1.0), "0")
    if low > 0 and low <= high / 2:
        low = 0.0
    least = _COARSEST * max(abs(low), abs(high))
    step = _step(max(high / _STEPS - low / _STEPS if high > low else 1.0, least))
    intercept = low if low >= 0 or high <= 0 else -math.ceil(-low / float(step)) * float(step)
    return Scaling(_UINT16, step, _decimal(intercept))


def _step(step: float) -> str:
    return _decimal(max(step, 1e-300))


def _decimal(number: float) -> str:
    """A DS of at most 16 characters, whole numbers without a point."""
    from pydicom.valuerep import format_number_as_ds

    return str(int(number)) if number == int(number) and abs(number) < 1e15 else str(format_number_as_ds(number))
