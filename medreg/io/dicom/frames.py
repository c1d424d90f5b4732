"""The frames of DICOM files: each 2D plane with its place, its scaling, and what tells it from the others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from medreg.errors import GeometryError, ImageError, ReadError
from medreg.io.dicom.header import Key, item, items, number, numbers, text, whole, words
from medreg.io.dicom.mosaic import Mosaic, mosaic_of
from medreg.io.failing import AGAIN
from medreg.types import FloatArray

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from medreg.io.dicom.opened import DicomFile

_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_RIGHT_ANGLE = 1e-3
"""Largest |cosine| between rows and columns of a plane, and largest error of their lengths."""
_COMPONENTS = ("MAGNITUDE", "PHASE", "REAL", "IMAGINARY")
_COMPONENT = dict(zip("MPRI", _COMPONENTS, strict=True)) | {name: name for name in _COMPONENTS}
_PHILIPS, _PHILIPS_SCALE, _PHILIPS_FRAME = (0x2005, 0x0010), (0x2005, 0x100E), (0x2005, 0x140F)
"""Whose the private block is, Philips' scale slope in it, and the sequence that holds both in multi-frame files."""
_CENTIMETRES = 3
"""PhysicalUnitsXDirection of ultrasound."""


@dataclass(frozen=True, eq=False)
class Plane:
    """Where a frame lies.

    Attributes:
        position: LPS mm of the centre of its first pixel.
        axes: (2, 3) unit vectors along which column and row indices grow: x, then y.
    """

    position: FloatArray
    axes: FloatArray

    @property
    def normal(self) -> FloatArray:
        """Unit vector (3,): x cross y."""
        return np.cross(self.axes[0], self.axes[1])

    def moved(self, height: float) -> Plane:
        """The plane that lies `height` mm along the normal."""
        return Plane(self.position + height * self.normal, self.axes)


@dataclass(frozen=True, eq=False)
class Frame:
    """One plane of pixels.

    Attributes:
        file: where it is.
        number: its number in the file, from 0.
        tile: of a mosaic the first row and column of this slice.
        size: columns and rows: x, y.
        plane: None where the file does not say where it lies.
        spacing: mm between columns and between rows (x, y); None where the file does not say.
        slope: value = stored * slope + intercept.
        intercept: see slope.
        kind: what frames of one image have in common beside their size: magnitude or phase, a segment, a stack.
        contrast: what tells images apart whose frames share positions: echo time in ms, 0 if unknown; echo or type.
        order: values by which volumes in time may be told apart, by name, in the order of their trust.
        space: UID of the frame of reference that the plane is in; an identifier, not to be shown.
        depth: mm between slices as the header says, of one slice alone; None where it does not.
    """

    file: DicomFile
    number: int
    size: tuple[int, int]
    plane: Plane | None
    spacing: tuple[float, float] | None
    slope: float = 1.0
    intercept: float = 0.0
    tile: tuple[int, int] | None = None
    kind: tuple[str, ...] = ()
    contrast: tuple[float, str] = (0.0, "")
    order: Mapping[str, float] = field(default_factory=dict)
    depth: float | None = None
    space: str = ""

    @property
    def placed(self) -> Plane:
        """Its plane, of a frame that is known to have one."""
        assert self.plane is not None
        return self.plane


def frames_of(file: DicomFile) -> list[Frame]:
    """The frames of a file, in its order.

    Raises:
        ImageError: a size that is missing, or a kind of image that is no plane.
        GeometryError: directions of rows and columns that are none.
    """
    header = file.header
    if text(header, "SOPClassUID") == _WHOLE_SLIDE:
        raise ImageError(f"{file.path}: is a whole slide cut into tiles; export the region to register as TIFF or PNG")
    size = (whole(header, "Columns") or 0, whole(header, "Rows") or 0)
    if min(size) < 1:
        raise ImageError(f"{file.path}: has no pixels, {size[0]} columns and {size[1]} rows")
    groups = items(header, "PerFrameFunctionalGroupsSequence")
    if groups or item(header, "SharedFunctionalGroupsSequence") is not None:
        return _enhanced(file, size, groups)
    mosaic = mosaic_of(header, size, file.path)
    if mosaic is not None:
        return _tiles(file, mosaic)
    count = _promised(file)
    one = _classic(file, size)
    if count <= 1:
        return [one]
    return _stack(one, count)


def plane_of(position: Sequence[float] | None, orientation: Sequence[float] | None, name: object) -> Plane | None:
    """The plane of an ImagePositionPatient and ImageOrientationPatient; None where one is missing or all zeros.

    Raises:
        GeometryError: rows and columns that are not at right angles, or no directions at all.
    """
    if position is None or orientation is None or len(position) != 3 or len(orientation) != 6:
        return None
    axes = np.array(orientation, dtype=np.float64).reshape(2, 3)
    if not axes.any():
        return None
    lengths = np.linalg.norm(axes, axis=1)
    if (np.abs(lengths - 1) > _RIGHT_ANGLE).any() or abs(axes[0] @ axes[1]) > _RIGHT_ANGLE:
        raise GeometryError(
            f"{name}: the directions of its rows and columns {tuple(axes.ravel().tolist())} are no unit vectors at "
            "right angles; the header is damaged, export the series again"
        )
    return Plane(np.array(position, dtype=np.float64), axes / lengths[:, None])


def _classic(file: DicomFile, size: tuple[int, int]) -> Frame:
    header = file.header
    slope, intercept = _scaling(header, _philips(header))
    position, orientation = numbers(header, "ImagePositionPatient"), numbers(header, "ImageOrientationPatient")
    if text(header, "Modality") == "NM":
        detector = item(header, "DetectorInformationSequence")
        if detector is not None and position is None:
            position = numbers(detector, "ImagePositionPatient")
            orientation = numbers(detector, "ImageOrientationPatient")
    echo = whole(header, "EchoNumbers")
    return Frame(
        file,
        0,
        size,
        plane_of(position, orientation, file.path),
        _spacing(header),
        slope,
        intercept,
        kind=_kind(words(header, "ImageType")),
        contrast=(_rounded(number(header, "EchoTime")), f"echo {echo}" if echo else ""),
        order=_known(
            {
                "temporal position": number(header, "TemporalPositionIdentifier"),
                "temporal index": number(header, "TemporalPositionIndex"),
                "trigger time": number(header, "TriggerTime"),
                "acquisition number": number(header, "AcquisitionNumber"),
                "b-value": number(header, "DiffusionBValue"),
                "acquisition time": _seconds(header, "Acquisition"),
                "content time": _seconds(header, "Content"),
                "inversion time": number(header, "InversionTime"),
                "instance number": number(header, "InstanceNumber"),
            }
        ),
        depth=_depth(header),
        space=text(header, "FrameOfReferenceUID"),
    )


def _tiles(file: DicomFile, mosaic: Mosaic) -> list[Frame]:
    """The slices of a Siemens mosaic."""
    one = _classic(file, mosaic.size)
    if one.plane is None or one.spacing is None:
        raise GeometryError(f"{file.path}: is a mosaic without position; medreg cannot tell where its slices lie")
    if mosaic.normal is None:
        raise GeometryError(
            f"{file.path}: is a mosaic whose CSA header is gone, and with it which way its slices follow each other; "
            "export it again with private attributes"
        )
    # the position is that of the whole mosaic, as if it were one large slice about the same centre
    shift = (np.array(mosaic.whole) - np.array(mosaic.size)) / 2 * np.array(one.spacing)
    first = one.plane.position + shift @ one.plane.axes
    step = mosaic.step(one.plane.normal)
    return [
        replace(one, plane=Plane(first + k * step, one.plane.axes), tile=mosaic.tile(k), depth=mosaic.spacing)
        for k in range(mosaic.count)
    ]


def _stack(one: Frame, count: int) -> list[Frame]:
    """The frames of a file without functional groups: slices of nuclear medicine and doses, else pictures in time."""
    header = one.file.header
    offsets = numbers(header, "GridFrameOffsetVector")
    step = number(header, "SpacingBetweenSlices")
    slices = numbers(header, "SliceVector") or ()
    if offsets is not None and len(offsets) == count:
        heights = [offset - offsets[0] for offset in offsets]
    elif len(slices) == count and (distance := step or _depth(header)):  # nuclear medicine: gates repeat the slices
        heights = [(which - slices[0]) * distance for which in slices]
    elif step and not _is_in_time(header):
        heights = [k * step for k in range(count)]
    else:
        heights = [0.0] * count
    return [
        replace(one, number=k, plane=one.plane and one.plane.moved(height), order={**one.order, "frame": float(k)})
        for k, height in enumerate(heights)
    ]


def _promised(file: DicomFile) -> int:
    """How many frames a file says that it holds.

    Raises:
        ReadError: more than it has room for.
    """
    count = whole(file.header, "NumberOfFrames") or 1
    if count > file.pixels.most_frames:
        raise ReadError(
            f"{file.path}: its pixels are cut short, it promises {count} frames and holds no more than "
            f"{file.pixels.most_frames}; {AGAIN}"
        )
    return count


def _is_in_time(header: Dataset) -> bool:
    """Whether frames follow each other in time and not in space."""
    pointers = {int(pointer) for pointer in numbers(header, "FrameIncrementPointer") or ()}
    return bool(pointers & {0x00181063, 0x00181065})  # FrameTime, FrameTimeVector


def _enhanced(file: DicomFile, size: tuple[int, int], groups: Sequence[Dataset]) -> list[Frame]:
    """The frames of a multi-frame file with functional groups."""
    shared = item(file.header, "SharedFunctionalGroupsSequence")
    count = _promised(file)
    if groups and len(groups) != count:
        raise ImageError(
            f"{file.path}: describes {len(groups)} frames where it holds {count}; it is damaged, export it again"
        )
    groups = groups or [shared] * count if shared is not None else groups
    return [_enhanced_frame(file, size, k, _Groups(group, shared, file.header)) for k, group in enumerate(groups)]


@dataclass(frozen=True, eq=False)
class _Groups:
    """The functional groups of one frame: its own first, then those that all share."""

    own: Dataset
    shared: Dataset | None
    header: Dataset

    def get(self, sequence: Key) -> Dataset | None:
        found = item(self.own, sequence)
        return found if found is not None or self.shared is None else item(self.shared, sequence)

    def number(self, sequence: Key, key: Key) -> float | None:
        group = self.get(sequence)
        return None if group is None else number(group, key)

    def numbers(self, sequence: Key, key: Key) -> tuple[float, ...] | None:
        group = self.get(sequence)
        return None if group is None else numbers(group, key)

    def text(self, sequence: Key, key: Key) -> str:
        group = self.get(sequence)
        return "" if group is None else text(group, key)


def _enhanced_frame(file: DicomFile, size: tuple[int, int], k: int, groups: _Groups) -> Frame:
    plane = plane_of(
        groups.numbers("PlanePositionSequence", "ImagePositionPatient"),
        groups.numbers("PlaneOrientationSequence", "ImageOrientationPatient"),
        f"{file.path}, frame {k}",
    )
    measures = groups.get("PixelMeasuresSequence")
    slope, intercept = _scaling(
        groups.get("PixelValueTransformationSequence") or file.header, _philips(groups.get(_PHILIPS_FRAME))
    )
    content = groups.get("FrameContentSequence")
    frame_type = next(
        (
            found
            for name in ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence")
            if (found := groups.text(name, "FrameType"))
        ),
        "\\".join(words(file.header, "ImageType")),
    )
    segment = groups.text("SegmentIdentificationSequence", "ReferencedSegmentNumber")
    stack = "" if content is None else text(content, "StackID")
    return Frame(
        file,
        k,
        size,
        plane,
        None if measures is None else _pair(numbers(measures, "PixelSpacing")),
        slope,
        intercept,
        kind=(*_kind(tuple(frame_type.upper().split("\\"))), f"segment {segment}" if segment else "", stack),
        contrast=(_rounded(groups.number("MREchoSequence", "EffectiveEchoTime")), frame_type.upper()),
        order=_enhanced_order(file.header, k, content, groups),
        depth=None if measures is None else _depth(measures),
        space=text(file.header, "FrameOfReferenceUID"),
    )


def _enhanced_order(header: Dataset, k: int, content: Dataset | None, groups: _Groups) -> Mapping[str, float]:
    return _known(
        {
            "temporal index": None if content is None else number(content, "TemporalPositionIndex"),
            "trigger time": groups.number("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
            "b-value": groups.number("MRDiffusionSequence", "DiffusionBValue"),
            "acquisition number": None if content is None else number(content, "FrameAcquisitionNumber"),
            "acquisition time": _seconds(header, "Acquisition"),
            "inversion time": groups.number("MRModifierSequence", "InversionTimes"),
            "instance number": number(header, "InstanceNumber"),
            "frame": float(k),
        }
    )


def _scaling(header: Dataset, philips: float | None) -> tuple[float, float]:
    """Slope and intercept; a dose grid has its own. A slope of 0 says nothing and counts as 1.

    Philips scales each MR series for display; its own scale slope leads back to signals that can be compared between
    series, and those are taken (doi:10.1593/tlo.13811).
    """
    slope = number(header, "RescaleSlope") or number(header, "DoseGridScaling") or 1.0
    intercept = number(header, "RescaleIntercept") or 0.0
    if philips is not None and philips > 0:
        return 1 / philips, intercept / (slope * philips)
    return slope, intercept


def _philips(dataset: Dataset | None) -> float | None:
    """Philips' scale slope, of a header that has it."""
    if dataset is None or not text(dataset, _PHILIPS).startswith("Philips"):
        return None
    return number(dataset, _PHILIPS_SCALE)


def _kind(image_type: Sequence[str]) -> tuple[str, ...]:
    """Magnitude, phase, real or imaginary; a localiser; derived or not."""
    component = next((_COMPONENT[word] for word in image_type[2:] if word in _COMPONENT), "")
    return component, "LOCALIZER" if "LOCALIZER" in image_type else ""


def _spacing(header: Dataset) -> tuple[float, float] | None:
    """Mm between columns and rows; of projections at the detector, since nobody knows the object's."""
    for key in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        found = _pair(numbers(header, key))
        if found is not None:
            return found
    regions = items(header, "SequenceOfUltrasoundRegions")
    if len(regions) == 1 and whole(regions[0], "PhysicalUnitsXDirection") == _CENTIMETRES:
        across = tuple(abs(number(regions[0], f"PhysicalDelta{axis}") or 0.0) * 10 for axis in "XY")
        return (across[0], across[1]) if min(across) > 0 else None
    return None


def _pair(row_then_column: Sequence[float] | None) -> tuple[float, float] | None:
    """(x, y): DICOM puts the distance of rows, along y, first."""
    if row_then_column is None or len(row_then_column) != 2 or min(row_then_column) <= 0:
        return None
    return (row_then_column[1], row_then_column[0])


def _depth(header: Dataset) -> float | None:
    for key in ("SpacingBetweenSlices", "SliceThickness"):
        found = number(header, key)
        if found:
            return abs(found)
    return None


def _seconds(header: Dataset, what: str) -> float | None:
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


def _rounded(value: float | None) -> float:
    return 0.0 if value is None else float(f"{value:.4g}")


def _known(values: Mapping[str, float | None]) -> Mapping[str, float]:
    return {name: value for name, value in values.items() if value is not None}
