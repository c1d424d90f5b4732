"""The JSON beside a converted image: facts of its acquisition, and, only when asked for, whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medreg.io.dicom.csa import csa_numbers, csa_of
from medreg.io.dicom.facts import facts_of
from medreg.io.dicom.header import text
from medreg.io.dicom.origin import origin_of

if TYPE_CHECKING:
    from medreg.io.stored import StoredImage

_IDENTIFIERS = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientWeight",
    "StudyDate",
    "StudyTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "AccessionNumber",
    "StudyID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "InstitutionName",
    "ReferringPhysicianName",
    "StationName",
    "DeviceSerialNumber",
)


def sidecar_of(image: StoredImage, *, identifiers: bool = False) -> dict[str, Any]:
    """Facts by their BIDS names, as plain JSON; nothing for an image that is not from DICOM.

    Args:
        image: as it was read.
        identifiers: whether to add what names the patient, the place and the day.
    """
    origin = origin_of(image.metadata)
    if origin is None:
        return {}
    header = origin.template
    positive = csa_numbers(csa_of(header), "PhaseEncodingDirectionPositive")
    facts = facts_of(
        header,
        size=image.grid.size[:2],
        slice_times_ms=image.metadata.get("slice_times_ms"),
        phase_positive=bool(positive[0]) if positive else None,
        volumes=[volume.template for volume in origin.volumes],
    )
    return facts | (identifiers_of(header) if identifiers else {})


def identifiers_of(header: Any) -> dict[str, str]:
    """What a header says of who, where and when, by DICOM's keywords."""
    return {name: said for name in _IDENTIFIERS if (said := text(header, name))}
