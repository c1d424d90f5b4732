"""What lies about where series are kept: objects without an image, files of no kind, DICOMDIRs, zips, cut files."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dicom_attributes import About, put, uid
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import (
    BasicTextSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    RawDataStorage,
    RTStructureSetStorage,
)


def junk(folder: Path, **about: Any) -> list[Path]:
    """Files that hold no image: DICOM objects of other kinds, and files that are no DICOM at all (one is empty)."""
    claims = {"series": "junk", "description": "no image", "number": 98, **about}
    paths = [
        _object(folder / "report.dcm", BasicTextSRStorage, "SR", _report(), claims),
        _object(folder / "state.dcm", GrayscaleSoftcopyPresentationStateStorage, "PR", _STATE, claims),
        _object(folder / "structures.dcm", RTStructureSetStorage, "RTSTRUCT", _STRUCTURES, claims),
        _object(folder / "letter.dcm", EncapsulatedPDFStorage, "DOC", _LETTER, claims),
        _object(folder / "raw.dcm", RawDataStorage, "MR", {"CreatorVersionUID": uid("creator")}, claims),
    ]
    for name, content in _FILES.items():
        (folder / name).write_bytes(content)
        paths.append(folder / name)
    return paths


_STATE = {"ContentLabel": "WINDOW", "PresentationCreationDate": "20231120", "PresentationCreationTime": "101415"}
_STRUCTURES = {"StructureSetLabel": "ORGANS", "StructureSetDate": "20231120", "StructureSetTime": "101415"}
_LETTER = {
    "MIMETypeOfEncapsulatedDocument": "application/pdf",
    "EncapsulatedDocument": b"%PDF-1.4\n%%EOF\n\0",
    "BurnedInAnnotation": "YES",
    "ConversionType": "WSD",
}
_FILES = {
    "README.txt": b"Exported from the archive.\n",
    "Thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504),
    "empty.dcm": b"",
    "zeros.dcm": bytes(4096),
    "preview.jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(100) + b"\xff\xd9",
    "only_the_mark.dcm": bytes(128) + b"DICM",
}


def _report() -> dict[str, Any]:
    """A structured report's content: a container with a title and nothing in it."""
    title = Dataset()
    put(title, {"CodeValue": "18748-4", "CodingSchemeDesignator": "LN", "CodeMeaning": "Diagnostic imaging report"})
    return {
        "CompletionFlag": "COMPLETE",
        "VerificationFlag": "UNVERIFIED",
        "ValueType": "CONTAINER",
        "ContinuityOfContent": "SEPARATE",
        "ConceptNameCodeSequence": [title],
    }


def _object(path: Path, sop_class: str, modality: str, attributes: dict[str, Any], about: dict[str, Any]) -> Path:
    """Write an object without pixels."""
    claims = About(**about)
    made = claims.dataset(sop_class, modality, path.name)
    put(made, attributes)
    return claims.save(made, path)


def dicomdir(folder: Path, paths: Sequence[Path]) -> Path:
    """Copy files into a new file-set in `folder`, with the names that pydicom chooses; returns its DICOMDIR."""
    filed = FileSet()
    filed.UID = uid("file-set")
    for path in paths:
        filed.add(dcmread(path))
    folder.mkdir(parents=True, exist_ok=True)
    filed.write(folder)
    filed._stage["t"].cleanup()  # pydicom leaves a temporary folder to the collector, which warns
    return folder / "DICOMDIR"


def zipped(path: Path, paths: Sequence[Path], below: Path) -> Path:
    """Deflate files into a zip, under their paths from `below`; without times, so the same bytes every time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for each in paths:
            entry = zipfile.ZipInfo(each.relative_to(below).as_posix(), (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, each.read_bytes(), compresslevel=9)
    return path


def cut_short(path: Path, keep: float = 0.6) -> Path:
    """Keep the first part of a file, as an interrupted copy does; returns its path."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return path
