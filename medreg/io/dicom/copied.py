"""Attributes that go from one DICOM object into another: of the patient, the study and the scanner, cleaned on the way.

Only attributes that are named here or by the caller are taken, so private ones, overlays and curves never pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from medreg.io.dicom.header import items, text, value_of

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset


def keywords(text: str) -> tuple[str, ...]:
    """Attributes by their keywords, from a list with spaces between them."""
    return tuple(text.split())


PATIENT = keywords(
    "PatientName PatientID IssuerOfPatientID TypeOfPatientID PatientBirthDate PatientBirthTime PatientSex "
    "OtherPatientNames OtherPatientIDsSequence EthnicGroup PatientComments QualityControlSubject "
    "PatientSpeciesDescription PatientSpeciesCodeSequence PatientBreedDescription ResponsiblePerson "
    "ResponsiblePersonRole ResponsibleOrganization PatientIdentityRemoved DeidentificationMethod "
    "DeidentificationMethodCodeSequence PatientAge PatientSize PatientWeight PatientSexNeutered Occupation "
    "AdditionalPatientHistory AdmittingDiagnosesDescription MedicalAlerts Allergies SmokingStatus PregnancyStatus "
    "LastMenstrualDate PatientState SpecialNeeds"
)
"""Patient and Patient Study modules, PS3.3 C.7.1.1 and C.7.2.2."""
STUDY = keywords(
    "StudyInstanceUID StudyDate StudyTime StudyID StudyDescription AccessionNumber IssuerOfAccessionNumberSequence "
    "ReferringPhysicianName PhysiciansOfRecord NameOfPhysiciansReadingStudy ReferencedStudySequence "
    "ProcedureCodeSequence TimezoneOffsetFromUTC"
)
"""General Study module, PS3.3 C.7.2.1, and the time zone that its times are in."""
TRIAL = keywords(
    "ClinicalTrialSponsorName ClinicalTrialProtocolID ClinicalTrialProtocolName ClinicalTrialSiteID "
    "ClinicalTrialSiteName ClinicalTrialSubjectID ClinicalTrialSubjectReadingID ClinicalTrialTimePointID "
    "ClinicalTrialTimePointDescription ClinicalTrialCoordinatingCenterName"
)
"""Clinical Trial modules, PS3.3 C.7.1.3, C.7.2.3 and C.7.3.2."""
_TRIAL_NEEDS = ("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialSubjectID")
_TRIAL_EMPTY = ("ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName")

_EMPTY = keywords(
    "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime StudyID AccessionNumber "
    "ReferringPhysicianName"
)
"""Type 2: there, even if nothing is known."""
_KEPT_AS_THEY_ARE = ("PatientName", "PatientID")
_VALUES = {
    "PatientSex": ("M", "F", "O"),
    "PatientIdentityRemoved": ("YES", "NO"),
    "QualityControlSubject": ("YES", "NO"),
}
_IN_ENHANCED = {
    "EchoTime": "EffectiveEchoTime",
    "ImagedNucleus": "ResonantNucleus",
    "ImagingFrequency": "TransmitterFrequency",
    "InversionTime": "InversionTimes",
    "SequenceName": "PulseSequenceName",
}
"""Classic attributes and what they are called in the functional groups of enhanced objects."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_LARGEST_IS = 2**31 - 1


def copy_patient_and_study(source: Dataset, target: Dataset) -> None:
    """Put `target` into the study of `source`: its patient, study and clinical trial modules, type 2 filled."""
    from pydicom.uid import generate_uid

    copy_attributes([source], [*PATIENT, *STUDY], target)
    if all(text(source, key) for key in _TRIAL_NEEDS):
        copy_attributes([source], TRIAL, target)
        fill_empty(target, _TRIAL_EMPTY)
    if not text(target, "StudyInstanceUID"):
        target.StudyInstanceUID = generate_uid(prefix=None)
    if text(target, "PatientIdentityRemoved") == "YES" and not (
        {"DeidentificationMethod", "DeidentificationMethodCodeSequence"} & set(target.dir("Deidentification"))
    ):
        target.DeidentificationMethod = "NOT RECORDED"  # type 1C
    fill_empty(target, _EMPTY)


def fill_empty(target: Dataset, keywords: Iterable[str]) -> None:
    """Add each attribute that is missing, without a value."""
    from pydicom.datadict import dictionary_VR

    for keyword in keywords:
        if keyword not in target:
            setattr(target, keyword, [] if dictionary_VR(keyword) == "SQ" else "")


def places(template: Dataset) -> list[Dataset]:
    """Where an attribute may be: in the object itself, or in the functional groups of all frames or of the first."""
    found = [template]
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        found.extend(macro for item in items(template, groups)[:1] for macro in _nested(item))
    return found


def _nested(item: Dataset) -> Iterator[Dataset]:
    for keyword in item.dir():
        yield from items(item, keyword)[:1]


def copy_attributes(sources: Iterable[Dataset], keywords: Iterable[str], target: Dataset) -> None:
    """Copy each attribute from the first source that has a value for it; what breaks its VR is left out."""
    sources = list(sources)
    for keyword in keywords:
        for name in (keyword, _IN_ENHANCED.get(keyword)):
            element = next((e for s in sources if name and (e := _sound(s, name, keyword)) is not None), None)
            if element is not None:
                target.add(element)
                break


def _sound(source: Dataset, name: str, keyword: str) -> DataElement | None:
    """The attribute `name` as a new element `keyword`; None where it has no value that its VR allows."""
    from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword
    from pydicom.dataelem import DataElement

    vr, tag = dictionary_VR(keyword), tag_for_keyword(keyword)
    if vr == "SQ":
        kept = [item for part in items(source, name) if (item := _sound_item(part, keyword)) is not None]
        return DataElement(tag, "SQ", kept) if kept else None
    value = value_of(source, name)
    many = list(value) if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
    if dictionary_VM(keyword) == "1":
        many = many[:1]
    if keyword not in _KEPT_AS_THEY_ARE:
        many = [_sound_value(vr, v) for v in many]
    else:
        many = [_CONTROL.sub("", str(v)).strip() for v in many if v is not None]
    allowed = _VALUES.get(keyword)
    if not many or any(v is None or v == "" or (allowed and v not in allowed) for v in many):
        return None
    return DataElement(tag, vr, many if len(many) > 1 else many[0])


def _sound_item(item: Dataset, keyword: str) -> Dataset | None:
    from pydicom.datadict import keyword_for_tag
    from pydicom.dataset import Dataset

    copy = Dataset()
    for tag in item.keys():  # noqa: SIM118 - a Dataset iterates over elements, which would decode private ones
        name = keyword_for_tag(tag)
        if name and name != "SpecificCharacterSet" and (element := _sound(item, name, name)) is not None:
            copy.add(element)
    needs: tuple[str, ...] = ()
    if keyword.endswith("CodeSequence"):
        needs = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
    elif keyword.startswith("Referenced"):
        needs = ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")
    return copy if len(copy) and all(need in copy for need in needs) else None


def _sound_value(vr: str, value: Any) -> Any:
    """The value as its VR allows it, "" for an empty one; None where it cannot be put right."""
    from pydicom.config import RAISE
    from pydicom.valuerep import format_number_as_ds, validate_value

    try:
        if value is None or isinstance(value, bytes):
            return "" if value is None else None
        if vr in ("DS", "IS", "FD", "FL", "US", "UL", "SS", "SL"):
            number = float(value)
            if not math.isfinite(number):
                return None
            if vr == "DS":
                written = str(value).strip()
                return written if len(written) <= 16 and float(written) == number else format_number_as_ds(number)
            if vr in ("FD", "FL"):
                return number
            return int(number) if abs(number) <= _LARGEST_IS and number == int(number) else None
        said = _CONTROL.sub("", str(value)).strip()
        said = said.upper() if vr == "CS" else said
        validate_value(vr, said, RAISE)
    except (ValueError, TypeError, OverflowError):
        return None
    return said


def settle_character_set(target: Dataset, template: Dataset) -> list[str]:
    """Set SpecificCharacterSet so that all text of `target` fits: the template's, or Unicode where it does not do.

    Returns:
        The Python encodings to write with.
    """
    from pydicom.charset import python_encoding

    said = "".join(_texts(target))
    if said.isascii():
        if "SpecificCharacterSet" in target:
            del target.SpecificCharacterSet
        return ["iso8859"]
    name = text(template, "SpecificCharacterSet")
    encoding = python_encoding.get(name)
    try:
        if encoding is None or name.startswith("ISO 2022"):
            raise LookupError
        said.encode(encoding)
    except (UnicodeError, LookupError):
        name, encoding = "ISO_IR 192", "utf8"
    target.SpecificCharacterSet = name
    return [encoding]


def _texts(dataset: Dataset) -> Iterator[str]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.VR in ("PN", "LO", "SH", "ST", "LT", "UT", "UC"):
            yield str(element.value)
