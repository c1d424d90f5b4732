"""Free text of a header, but only where it tells nothing of whose or when it was."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING

from medreg.io.dicom.header import Key, raw, text

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_PEOPLE: tuple[Key, ...] = (  # each piece of them gives a text away
    *("PatientName", "PatientID", "OtherPatientNames", "OtherPatientIDs", "PatientBirthName", "PatientMotherBirthName"),
    *("AccessionNumber", "StudyID", "ResponsiblePerson", "OperatorsName", "ReferringPhysicianName"),
    *("PerformingPhysicianName", "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy", "RequestingPhysician"),
)
_PLACES: tuple[Key, ...] = (  # as a whole
    *("InstitutionName", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber"),
)
_SPELT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DATED = re.compile(
    r"\d{6}"  # 20180918, 180918, or a number that somebody or something is filed under
    r"|(?<!\d)(?:19|20)\d\d[-./_ ]\d{1,2}[-./_ ]\d{1,2}(?!\d)"
    r"|(?<!\d)\d{1,2}[-./_ ]\d{1,2}[-./_ ](?:19|20)\d\d"
    r"|(?<!\d)\d{1,2}[-/]\d{1,2}[-/]\d\d(?!\d)|(?<!\d)\d\d\.\d\d\.\d\d(?!\d)"
    rf"|\d[-./_ ,]*{_MONTH}[-./_ ,]*\d|{_MONTH}[-./_ ,]*(?:\d{{1,2}}[-./_ ,]+)?(?:19|20)\d\d"
    r"|(?<!\d)(?:[01]?\d|2[0-3]):[0-5]\d"  # a time of day
    r"|\d+(?:\.\d+){5,}",  # a UID
    re.IGNORECASE,
)


def scrubbed(said: str, template: Dataset) -> str:
    """A free text of a header, or "" where it may tell whose or when it was.

    It is dropped whole where it holds a piece (of three letters or digits) of a name or number of the patient or of a
    physician or operator, in any case and with or without accents; the institution's name or the device's serial
    number; a date, a time of day, a UID, or six digits in a row.

    Args:
        said: the text.
        template: the header that it is from.

    Example:
        >>> from pydicom.dataset import Dataset
        >>> header = Dataset()
        >>> header.PatientName = "Doe^Jane"
        >>> scrubbed("T1 sagittal", header), scrubbed("T1 of JANE", header), scrubbed("T1 2019-03-02", header)
        ('T1 sagittal', '', '')
    """
    if _DATED.search(_folded(said)):
        return ""
    for fold in (_folded, _spelt):  # Müller is also Muller and Mueller
        if _names(fold(said), template, fold):
            return ""
    return said


def _names(plain: str, template: Dataset, fold: Callable[[str], str]) -> bool:
    """Whether a folded text names somebody or some place that the header names."""
    squeezed = re.sub(r"[\W_]+", "", plain)
    words = set(re.split(r"[\W_]+", plain))
    if (text(template, "PatientBirthDate")[:4] or None) in words:
        return True
    for key in (*_PEOPLE, *_PLACES):
        value = fold(text(template, key) or raw(template, key).decode("utf-8", "replace"))
        pieces = [piece for piece in re.split(r"[\W_]+", value) if piece]
        whole = "".join(pieces)
        if _tells(whole) and whole in squeezed:
            return True
        if key in _PEOPLE and any(_tells(piece) and piece in plain for piece in pieces):
            return True
        if key == "PatientName" and len(pieces) > 1 and all(piece in words for piece in pieces):
            return True
        if key == "InstitutionName" and sum(len(piece) > 3 and piece in words for piece in pieces) > 1:
            return True
    return False


def _tells(piece: str) -> bool:
    """Whether a piece is long enough to mean somebody: two signs are a name in Chinese, but not in Latin letters."""
    return len(piece) >= (3 if piece.isascii() else 2)


def _folded(said: str) -> str:
    """Without case and accents."""
    parts = unicodedata.normalize("NFKD", said)
    return "".join(c for c in parts if not unicodedata.combining(c)).casefold()


def _spelt(said: str) -> str:
    """Without case, and with letters that have marks spelt out as German and Danish do."""
    return _folded(unicodedata.normalize("NFC", said).casefold().translate(_SPELT))
