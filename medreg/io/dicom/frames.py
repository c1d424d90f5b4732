"""The frames of a DICOM file: of classic files, mosaics, and multi-frame files of either kind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from medreg.errors import GeometryError, ImageError
from medreg.io.dicom.enhanced import enhanced_frames
from medreg.io.dicom.frame import Frame, Plane, plane_of
from medreg.io.dicom.frame_attributes import (
    depth_of,
    kind_of,
    known,
    moment,
    philips_scale,
    rounded,
    scaling,
    spacing_of,
)
from medreg.io.dicom.header import item, items, number, numbers, text, whole, words
from medreg.io.dicom.mosaic import Mosaic, mosaic_of
from medreg.io.dicom.opened import DicomFile, promised_frames

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"


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
        return enhanced_frames(file, size, groups)
    mosaic = mosaic_of(header, size, file.path)
    if mosaic is not None:
        return _tiles(file, mosaic)
    count = promised_frames(file)
    one = _classic(file, size)
    if count <= 1:
        return [one]
    return _stack(one, count)


def _classic(file: DicomFile, size: tuple[int, int]) -> Frame:
    header = file.header
    slope, intercept = scaling(header, philips_scale(header))
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
        spacing_of(header),
        slope,
        intercept,
        kind=kind_of(words(header, "ImageType")),
        contrast=(rounded(number(header, "EchoTime")), f"echo {echo}" if echo else ""),
        order=known(
            {
                "temporal position": number(header, "TemporalPositionIdentifier"),
                "temporal index": number(header, "TemporalPositionIndex"),
                "trigger time": number(header, "TriggerTime"),
                "acquisition number": number(header, "AcquisitionNumber"),
                "b-value": number(header, "DiffusionBValue"),
                "acquisition time": moment(header, "Acquisition"),
                "content time": moment(header, "Content"),
                "inversion time": number(header, "InversionTime"),
                "instance number": number(header, "InstanceNumber"),
            }
        ),
        depth=depth_of(header),
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
    elif len(slices) == count and (distance := step or depth_of(header)):  # nuclear medicine: gates repeat the slices
        heights = [(which - slices[0]) * distance for which in slices]
    elif step and not _is_in_time(header):
        heights = [k * step for k in range(count)]
    else:
        heights = [0.0] * count
    return [
        replace(one, number=k, plane=one.plane and one.plane.moved(height), order={**one.order, "frame": float(k)})
        for k, height in enumerate(heights)
    ]


def _is_in_time(header: Dataset) -> bool:
    """Whether frames follow each other in time and not in space."""
    pointers = {int(pointer) for pointer in numbers(header, "FrameIncrementPointer") or ()}
    return bool(pointers & {0x00181063, 0x00181065})  # FrameTime, FrameTimeVector
