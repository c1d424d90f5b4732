"""What every made DICOM object has: who and where it claims to be of, its UIDs, its plane, its pixels, and its bytes.

Nobody was scanned: the patient, the hospital and every number are invented, so that a test can search for them where
they must not be. UIDs are hashes of seed strings and times are fixed: the same call writes the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from dicom_syntax import encode
from numpy.typing import NDArray
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DSfloat

Attributes = Mapping[str, Any]
Matrix = NDArray[np.float64]

JANE: Attributes = {
    "PatientName": "DOE^JANE",
    "PatientID": "ID-12345",
    "PatientBirthDate": "19690421",
    "PatientSex": "F",
    "PatientAge": "054Y",
    "PatientAddress": "12 Nowhere Lane",
    "OtherPatientNames": "ROE^JANE",
}
JOHN: Attributes = {
    "PatientName": "SMITH^JOHN",
    "PatientID": "ID-67890",
    "PatientBirthDate": "19580817",
    "PatientSex": "M",
    "PatientAge": "065Y",
    "PatientAddress": "34 Elsewhere Road",
    "OtherPatientNames": "SMYTHE^JOHN",
}
SITE: Attributes = {
    "StudyDate": "20231117",
    "StudyTime": "101112",
    "SeriesDate": "20231118",
    "SeriesTime": "101213",
    "AcquisitionDate": "20231119",
    "AcquisitionTime": "101314",
    "ContentDate": "20231120",
    "ContentTime": "101415",
    "AccessionNumber": "ACC-24680",
    "StudyID": "STUDY-1357",
    "InstitutionName": "Nowhere General Hospital",
    "InstitutionAddress": "56 Hospital Street",
    "InstitutionalDepartmentName": "Ward of Inventions",
    "ReferringPhysicianName": "REFERRER^RITA",
    "PerformingPhysicianName": "PERFORMER^PAUL",
    "OperatorsName": "OPERATOR^OLGA",
    "StationName": "STATION-11",
    "DeviceSerialNumber": "SERIAL-98765",
}
IDENTIFYING = tuple(
    keyword
    for keyword in (*JANE, *SITE)
    if keyword not in ("PatientSex", "PatientAge") and not keyword.endswith("Time")
)
"""Keywords of `JANE`, `JOHN` and `SITE` whose values tell who, where or when, long enough to be searched for."""

UID_ROOT = "2.25.314159"
"""How all made UIDs begin, long enough to be searched for. 2.25 needs no registration, a number below 2^128 follows."""


def identifiers(patient: Attributes = JANE) -> list[str]:
    """Every invented text that must not leave the files: names and their parts, IDs, dates, places, the UIDs' root."""
    values = [str({**SITE, **patient}[keyword]) for keyword in IDENTIFYING]
    parts = [part for value in values for part in value.split("^") if len(part) > 4]
    return sorted({*values, *parts, UID_ROOT})


def uid(*seeds: object) -> str:
    """A UID that depends on the seeds alone."""
    digest = hashlib.sha256("/".join(map(str, seeds)).encode()).digest()
    return f"{UID_ROOT}{int.from_bytes(digest[:16], 'big') % 10**32:032d}"


@dataclass(frozen=True)
class About:
    """What a series claims to be; every maker takes these as keywords.

    Attributes:
        series: seed of the series' and instances' UIDs.
        part: tells the instances apart where several calls write into one series: further seed of their UIDs.
        study: seed of the StudyInstanceUID.
        space: seed of the FrameOfReferenceUID; "" for none.
        patient: `JANE`, `JOHN` or another table of attributes by keyword.
        number: SeriesNumber.
        description: SeriesDescription.
        extra: attributes by keyword that replace what the maker would write; a callable is asked with the index of the
            slice (or frame, or file), and None as a value leaves the attribute out.
        syntax: transfer syntax UID; compressed ones need their encoder.
        bare: without preamble and file meta information (then of the default syntax, implicit VR little endian).
    """

    series: str = "series"
    part: str = ""
    study: str = "study"
    space: str = "space"
    patient: Attributes = field(default_factory=lambda: JANE)
    number: int = 1
    description: str = "made series"
    extra: Attributes = field(default_factory=dict)
    syntax: str = ExplicitVRLittleEndian
    bare: bool = False

    def dataset(self, sop_class: str, modality: str, instance: object) -> Dataset:
        """A dataset with patient, study, series, equipment and SOP attributes; `instance` seeds its SOPInstanceUID."""
        made = Dataset()
        put(made, {"SpecificCharacterSet": "ISO_IR 100", "SOPClassUID": sop_class, **SITE, **self.patient})
        put(
            made,
            {
                "SOPInstanceUID": uid("instance", self.series, *filter(None, [self.part]), instance),
                "StudyInstanceUID": uid("study", self.study),
                "SeriesInstanceUID": uid("series", self.series),
                "Modality": modality,
                "Manufacturer": "Digital Phantoms",
                "ManufacturerModelName": "Maker",
                "SoftwareVersions": "1",
                "StudyDescription": "made study",
                "SeriesDescription": self.description,
                "SeriesNumber": self.number,
                "InstanceNumber": 1,
            },
        )
        if self.space:
            put(made, {"FrameOfReferenceUID": uid("space", self.space), "PositionReferenceIndicator": ""})
        return made

    def save(self, made: Dataset, path: Path, index: int = 0) -> Path:
        """Add the extra attributes, and write the file as the syntax has it."""
        put(made, {key: value(index) if callable(value) else value for key, value in self.extra.items()})
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.bare:
            made.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
            return path
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.file_meta.ImplementationClassUID = uid("implementation")
        made.file_meta.ImplementationVersionName = "MADE"
        encode(made, self.syntax)
        made.save_as(path, enforce_file_format=True)
        return path


def put(made: Dataset, attributes: Attributes) -> None:
    """Set attributes by keyword; None deletes one; decimal strings are cut to the 16 characters that they may have."""
    for keyword, value in attributes.items():
        if value is None:
            if keyword in made:
                delattr(made, keyword)
            continue
        of_decimals = dictionary_VR(keyword) == "DS"
        setattr(made, keyword, decimal(value) if of_decimals else value)


def item(attributes: Attributes) -> Dataset:
    """A sequence's item."""
    made = Dataset()
    put(made, attributes)
    return made


def decimal(value: Any) -> Any:
    """A number, or a sequence of them, as decimal strings of at most 16 characters."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence | np.ndarray):
        return [decimal(each) for each in value]
    number = float(value)
    return DSfloat(int(number) if number.is_integer() and abs(number) < 1e15 else number, auto_format=True)


# Planes --------------------------------------------------------------------------------------------------------------


def axes(affine: Matrix) -> tuple[Matrix, Matrix]:
    """Unit vectors along a row (x grows) and down a column (y grows) of an index -> world LPS affine."""
    affine = np.asarray(affine, dtype=np.float64)
    across, down = affine[:3, 0], affine[:3, 1]
    return across / np.linalg.norm(across), down / np.linalg.norm(down)


def normal(affine: Matrix) -> Matrix:
    """Unit normal of the planes, row direction x column direction: it may point against the slices."""
    crossed: Matrix = np.cross(*axes(affine))
    return crossed / np.linalg.norm(crossed)


def position(affine: Matrix, slice_index: float = 0) -> Matrix:
    """World LPS point of the first pixel's centre in a slice."""
    place: Matrix = np.asarray(affine, dtype=np.float64)[:3] @ (0, 0, slice_index, 1)
    return place


def pixel_spacing(affine: Matrix) -> list[float]:
    """Row spacing first (the step down a column, y), then column spacing (x): DICOM's order, not the affine's."""
    return [float(np.linalg.norm(np.asarray(affine)[:3, column])) for column in (1, 0)]


def slice_distance(affine: Matrix) -> float:
    """Distance of neighbouring planes along their normal, mm: less than the step where the gantry was tilted."""
    return float(abs(normal(affine) @ np.asarray(affine, dtype=np.float64)[:3, 2]))


def orientation(affine: Matrix) -> list[float]:
    """ImageOrientationPatient: six direction cosines."""
    return [float(cosine) for axis in axes(affine) for cosine in axis]


PerSlice = float | Sequence[float] | Callable[[int], float]


def of_slice(value: PerSlice, index: int) -> float:
    """A number that may differ by slice: itself, the sequence's, or what the callable says."""
    if callable(value):
        return float(value(index))
    if isinstance(value, Sequence | np.ndarray):
        return float(value[index])
    return float(value)
