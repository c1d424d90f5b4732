"""The attributes that all slices of a derived series share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import numpy as np

from medreg.geometry.grid import Grid
from medreg.image import Leading
from medreg.io.dicom.copied import copy_patient_and_study, places
from medreg.io.dicom.derived_modules import CT, DX, MR, PET, US, Kind, add_acquisition
from medreg.io.dicom.derived_scaling import Scaling
from medreg.io.dicom.frame_attributes import PHILIPS_FRAME, philips_scale
from medreg.io.dicom.header import item, numbers, text, whole, words
from medreg.io.dicom.origin import DERIVED_BY, Origin
from medreg.io.stored import StoredImage
from medreg.types import FloatArray, VoxelArray
from medreg.version import __version__

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_LONGEST_DESCRIPTION = 64
_SERIES_STEP = 1000
"""Added to the moving series' number to get the derived one's."""


@dataclass(frozen=True)
class Request:
    """What a caller may ask of a derived series; see `write_derived`."""

    description: str = ""
    window: tuple[float, float] | None = None
    series_number: int | None = None


@dataclass(frozen=True, eq=False)
class Series:
    """What a derived series is made of: the moved image, how its values are `stored`, and where it comes from."""

    moved: StoredImage
    kind: Kind
    scaling: Scaling
    stored: VoxelArray
    moving: Origin
    fixed: Origin | None

    @property
    def template(self) -> Dataset:
        """The moving image's attributes."""
        return self.moving.template

    @property
    def coloured(self) -> bool:
        """Whether the pixels are RGB."""
        return self.moved.leading is Leading.CHANNELS and self.moved.array.shape[0] == 3


def shared_attributes(series: Series, request: Request) -> Dataset:
    """All attributes that the slices have in common, with new UIDs of the series."""
    from pydicom.dataset import Dataset

    shared = Dataset()
    copy_patient_and_study(series.template, shared)
    add_acquisition(shared, series.template, series.kind)
    _add_series(shared, series, request)
    _add_derivation(shared, series.moving)
    _add_pixel_description(shared, series)
    _add_rescale(shared, series)
    if not series.coloured:
        _add_window(shared, series, request.window)
    if series.moved.grid.dimension == 3:
        _add_frame_of_reference(shared, series.fixed)
        _add_plane(shared, series)
    elif series.moved.metadata.get("unit", "mm") == "mm":
        _add_pixel_size(shared, series)
    if series.kind is PET:
        _add_pet_series(shared, series.moved)
    elif series.moved.frames > 1:
        shared.NumberOfTemporalPositions = series.moved.frames
    return shared


def _add_series(shared: Dataset, series: Series, request: Request) -> None:
    from pydicom.uid import generate_uid

    number = request.series_number
    if number is None:
        number = number_after(series.template, _SERIES_STEP)
    # a PET series keeps its own date, which doses are decayed to
    date_now(shared, "InstanceCreation", "Content", *(() if series.kind is PET else ("Series",)))
    shared.SOPClassUID = series.kind.sop_class
    shared.SeriesInstanceUID = generate_uid(prefix=None)
    shared.SeriesNumber = number
    shared.SeriesDescription = _description(request.description, series.template)
    shared.ImageType = _image_type(series.template, series.kind)


def date_now(target: Dataset, *names: str) -> None:
    """Date and time of the making of an object: InstanceCreation, Content, Series."""
    now = _now_in_zone(target)
    for name in names:
        setattr(target, f"{name}Date", now.strftime("%Y%m%d"))
        setattr(target, f"{name}Time", now.strftime("%H%M%S"))


def number_after(template: Dataset, step: int) -> int:
    """A series number, `step` after that of the moving image."""
    return min((whole(template, "SeriesNumber") or 0) + step, 2**31 - 1)


def long_string(said: str) -> str:
    """A text as LO holds it."""
    return "".join(c for c in said if c.isprintable() and c != "\\")[:_LONGEST_DESCRIPTION]


def _now_in_zone(shared: Dataset) -> datetime:
    """The time, in the zone that the object says its times are in; the local time where it says none."""
    offset = re.fullmatch(r"([+-])(\d\d)(\d\d)", text(shared, "TimezoneOffsetFromUTC"))
    if offset is None or int(offset[2]) > 14:
        return datetime.now()
    minutes = int(offset[1] + "1") * (int(offset[2]) * 60 + int(offset[3]))
    return datetime.now(timezone(timedelta(minutes=minutes)))


def _description(description: str, template: Dataset) -> str:
    said = description or f"{text(template, 'SeriesDescription')[: _LONGEST_DESCRIPTION - 7]}, moved".removeprefix(", ")
    return long_string(said)


def _image_type(template: Dataset, kind: Kind) -> list[str]:
    said = words(template, "ImageType") or ()
    third = said[2] if len(said) > 2 and said[2].replace("_", "").replace(" ", "").isalnum() else ""
    if kind is CT:
        third = third if third in ("AXIAL", "LOCALIZER") else "AXIAL"
    elif kind is MR:
        third = third if third and third != "MOSAIC" else "OTHER"
    third = third[:16]
    if kind is PET:
        return ["DERIVED", "PRIMARY"]  # PS3.3 C.8.9.4.1.3 knows no secondary ones
    return ["DERIVED", "SECONDARY", *([third] if third or kind is DX else [])]


def _add_derivation(shared: Dataset, moving: Origin) -> None:
    from pydicom.dataset import Dataset

    shared.DerivationDescription = f"{DERIVED_BY} {__version__} onto the grid of a fixed image"
    shared.DerivationCodeSequence = [_code("113085", "Spatial resampling")]
    sources = []
    for instance in moving.instances:
        source = Dataset()
        source.ReferencedSOPClassUID = instance.sop_class
        source.ReferencedSOPInstanceUID = instance.sop_instance
        source.SpatialLocationsPreserved = "NO"
        source.PurposeOfReferenceCodeSequence = [_code("121322", "Source image for image processing operation")]
        sources.append(source)
    if sources:
        shared.SourceImageSequence = sources
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [_code("109102", "Processing Equipment")]
    equipment.Manufacturer = equipment.ManufacturerModelName = "medreg"
    equipment.SoftwareVersions = __version__
    equipment.ContributionDateTime = str(shared.ContentDate) + str(shared.ContentTime)
    equipment.ContributionDescription = "Registration and resampling"
    shared.ContributingEquipmentSequence = [equipment]


def _code(value: str, meaning: str) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def _add_pixel_description(shared: Dataset, series: Series) -> None:
    bits = series.scaling.dtype.itemsize * 8
    shared.Rows, shared.Columns = series.moved.grid.size[1], series.moved.grid.size[0]
    shared.SamplesPerPixel = 3 if series.coloured else 1
    shared.PhotometricInterpretation = "RGB" if series.coloured else "MONOCHROME2"
    shared.BitsAllocated = shared.BitsStored = bits
    shared.HighBit = bits - 1
    shared.PixelRepresentation = int(series.scaling.dtype.kind == "i")
    if series.coloured:
        shared.PlanarConfiguration = 0


def _add_rescale(shared: Dataset, series: Series) -> None:
    kind, scaling = series.kind, series.scaling
    if kind in (CT, PET, DX) or not scaling.is_plain:
        shared.RescaleIntercept, shared.RescaleSlope = scaling.intercept, scaling.slope
    if kind is CT:
        said = next((said for place in places(series.template) if (said := text(place, "RescaleType"))), "HU")
        shared.RescaleType = said[:16]
    elif kind is DX or not (kind is PET or scaling.is_plain):
        shared.RescaleType = "US"


def _add_window(shared: Dataset, series: Series, asked: tuple[float, float] | None) -> None:
    """The asked window or the moving image's, in real values."""
    window = _Window((float(asked[0]),), (float(asked[1]),)) if asked else _window_of(series.template)
    if window is not None and window.is_sound:
        shared.WindowCenter, shared.WindowWidth = decimals(window.centres), decimals(window.widths)
        if window.function:
            shared.VOILUTFunction = window.function
    elif series.kind is DX:  # of images for presentation it is type 1: show all values
        low, high = int(series.stored.min()), int(series.stored.max())
        shared.WindowCenter, shared.WindowWidth = str((low + high + 1) // 2), str(high - low + 1)


@dataclass(frozen=True)
class _Window:
    """Grey values to show, several choices of them."""

    centres: tuple[float, ...]
    widths: tuple[float, ...]
    function: str = ""

    @property
    def is_sound(self) -> bool:
        least = 1.0 if self.function in ("", "LINEAR") else 1e-12
        return len(self.centres) == len(self.widths) and min(self.widths) >= least


def _window_of(template: Dataset) -> _Window | None:
    """None also where values are no longer those that are shown: turned MONOCHROME1, and Philips' own scale."""
    if text(template, "PhotometricInterpretation") == "MONOCHROME1":
        return None
    if any(philips_scale(place) or philips_scale(item(place, PHILIPS_FRAME)) for place in places(template)):
        return None
    for place in places(template):
        centres, widths = numbers(place, "WindowCenter"), numbers(place, "WindowWidth")
        if centres and widths:
            function = text(place, "VOILUTFunction")
            return _Window(centres, widths, function if function in ("LINEAR_EXACT", "SIGMOID") else "")
    return None


def _add_frame_of_reference(shared: Dataset, fixed: Origin | None) -> None:
    from pydicom.uid import generate_uid

    shared.FrameOfReferenceUID = (fixed.frame_of_reference if fixed else "") or generate_uid(prefix=None)
    shared.PositionReferenceIndicator = text(fixed.template, "PositionReferenceIndicator")[:64] if fixed else ""


def _add_plane(shared: Dataset, series: Series) -> None:
    grid = series.moved.grid
    direction = np.array(grid.direction)
    gap = abs(float(normal_of(grid) @ direction[:, 2])) * grid.spacing[2]
    shared.PixelSpacing = decimals((grid.spacing[1], grid.spacing[0]))
    shared.ImageOrientationPatient = decimals([*direction[:, 0], *direction[:, 1]])
    shared.SliceThickness = decimals([gap])[0]
    if series.kind is MR:
        shared.SpacingBetweenSlices = decimals([gap])[0]


def _add_pixel_size(shared: Dataset, series: Series) -> None:
    spacing = decimals(series.moved.grid.spacing[::-1])
    if series.kind is DX:
        shared.ImagerPixelSpacing = spacing
    elif series.kind is not US:  # which keeps it in regions
        shared.PixelSpacing = spacing


def normal_of(grid: Grid) -> FloatArray:
    """Unit vector at right angles to rows and columns, right-handed: slices are counted along it."""
    direction = np.array(grid.direction)
    normal: FloatArray = np.cross(direction[:, 0], direction[:, 1])
    normal /= np.linalg.norm(normal)
    return normal


def _add_pet_series(shared: Dataset, moved: StoredImage) -> None:
    said = words(shared, "SeriesType")
    first = said[0] if said and said[0] in ("STATIC", "DYNAMIC", "GATED", "WHOLE BODY") else "STATIC"
    if moved.frames > 1:
        first = "DYNAMIC"
        shared.NumberOfTimeSlices = moved.frames
    elif first in ("DYNAMIC", "GATED"):
        first = "STATIC"
    shared.SeriesType = [first, "IMAGE"]
    for keyword in ("NumberOfRRIntervals", "NumberOfTimeSlots", "ReprojectionMethod"):
        shared.pop(keyword, None)
    shared.NumberOfSlices = moved.grid.size[2]
    units = str(moved.metadata.get("units", ""))
    if text(shared, "Units") == "NONE" and units.isalnum() and len(units) <= 16:
        shared.Units = units.upper()


def decimals(values: Sequence[float] | FloatArray) -> list[str]:
    """DS texts of at most 16 characters, at least ten digits of each number."""
    from pydicom.valuerep import format_number_as_ds

    return [str(format_number_as_ds(0.0 if abs(v) < 1e-13 else float(v))).removesuffix(".0") for v in values]
