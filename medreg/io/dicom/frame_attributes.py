"""What classic files keep at the top and enhanced ones in their functional groups: scaling, kind, spacing, moments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from medreg.io.dicom.header import items, number, numbers, text, whole

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_COMPONENTS = ("MAGNITUDE", "PHASE", "REAL", "IMAGINARY")
_COMPONENT = dict(zip("MPRI", _COMPONENTS, strict=True)) | {name: name for name in _COMPONENTS}
_PHILIPS, _PHILIPS_SCALE = (0x2005, 0x0010), (0x2005, 0x100E)
"""Whose the private block is, and Philips' scale slope in it."""
PHILIPS_FRAME = (0x2005, 0x140F)
"""Philips' own sequence in multi-frame files, which holds the scale slope of a frame."""
_CENTIMETRES = 3
"""PhysicalUnitsXDirection of ultrasound."""


def scaling(header: Dataset, philips: float | None) -> tuple[float, float]:
    """Slope and intercept; a dose grid has its own. A slope of 0 says nothing and counts as 1.

    Philips scales each MR series for display; its own scale slope leads back to signals that can be compared between
    series, and those are taken (doi:10.1593/tlo.13811).
    """
    slope = number(header, "RescaleSlope") or number(header, "DoseGridScaling") or 1.0
    intercept = number(header, "RescaleIntercept") or 0.0
    if philips is not None and philips > 0:
        return 1 / philips, intercept / (slope * philips)
    return slope, intercept


def philips_scale(dataset: Dataset | None) -> float | None:
    """Philips' scale slope, of a header that has it."""
    if dataset is None or not text(dataset, _PHILIPS).startswith("Philips"):
        return None
    return number(dataset, _PHILIPS_SCALE)


def kind_of(image_type: Sequence[str]) -> tuple[str, ...]:
    """Magnitude, phase, real or imaginary; a localiser."""
    component = next((_COMPONENT[word] for word in image_type[2:] if word in _COMPONENT), "")
    return component, "LOCALIZER" if "LOCALIZER" in image_type else ""


def spacing_of(header: Dataset) -> tuple[float, float] | None:
    """Mm between columns and rows; of projections at the detector, since nobody knows the object's."""
    for key in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        found = pair(numbers(header, key))
        if found is not None:
            return found
    regions = items(header, "SequenceOfUltrasoundRegions")
    if len(regions) == 1 and whole(regions[0], "PhysicalUnitsXDirection") == _CENTIMETRES:
        across = tuple(abs(number(regions[0], f"PhysicalDelta{axis}") or 0.0) * 10 for axis in "XY")
        return (across[0], across[1]) if min(across) > 0 else None
    return None


def pair(row_then_column: Sequence[float] | None) -> tuple[float, float] | None:
    """(x, y): DICOM puts the distance of rows, along y, first."""
    if row_then_column is None or len(row_then_column) != 2 or min(row_then_column) <= 0:
        return None
    return (row_then_column[1], row_then_column[0])


def depth_of(header: Dataset) -> float | None:
    """Mm between slices, or the thickness of one; None where the header says neither."""
    for key in ("SpacingBetweenSlices", "SliceThickness"):
        found = number(header, key)
        if found:
            return abs(found)
    return None


def moment(header: Dataset, what: str) -> float | None:
    """Date and time of acquisition or content as seconds, to be compared only."""
    moment = re.sub(r"[+-]\d{4}$", "", text(header, f"{what}DateTime")) or text(header, f"{what}Date") + text(
        header, f"{what}Time"
    )
    digits = moment.replace(":", "").replace("-", "")
    try:
        date, time = (digits[:8], digits[8:]) if len(digits.partition(".")[0]) > 6 else ("", digits)
        day = float(np.datetime64(f"{date[:4]}-{date[4:6]}-{date[6:8]}", "D").astype(int)) if date else 0.0
        return day * 86400 + float(time[:2]) * 3600 + float(time[2:4] or 0) * 60 + float(time[4:] or 0)
    except ValueError:
        return None


def rounded(value: float | None) -> float:
    """Four digits of a number, 0 for none: echo times are told apart by no more."""
    return 0.0 if value is None else float(f"{value:.4g}")


def known(values: Mapping[str, float | None]) -> Mapping[str, float]:
    """Those of the values that there are."""
    return {name: value for name, value in values.items() if value is not None}
