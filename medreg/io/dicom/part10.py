"""DICOM files in explicit little endian: what many files share is encoded once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

EncodedElements = Mapping[int, bytes]
"""Encoded elements by their tag."""

_PIXEL_DATA = 0x7FE00010


def encode_elements(dataset: Dataset, encodings: Sequence[str]) -> dict[int, bytes]:
    """Each element in explicit VR little endian; text in the first of `encodings` (Python's names)."""
    return {int(element.tag): _encoded(element, encodings) for element in dataset}


def pixel_element(stored: bytes, bits: int) -> dict[int, bytes]:
    """Pixel Data, padded to an even length."""
    header = b"\xe0\x7f\x10\x00" + (b"OB" if bits <= 8 else b"OW") + b"\0\0"
    padding = b"\0" * (len(stored) % 2)
    return {_PIXEL_DATA: header + (len(stored) + len(padding)).to_bytes(4, "little") + stored + padding}


def write_part10(path: Path, sop_class: str, sop_instance: str, *parts: EncodedElements) -> None:
    """Write a DICOM file of encoded elements; where two parts hold a tag, the later one counts."""
    elements: dict[int, bytes] = {}
    for part in parts:
        elements.update(part)
    with path.open("wb") as file:
        file.write(bytes(128) + b"DICM" + _file_meta(sop_class, sop_instance))
        file.writelines(elements[tag] for tag in sorted(elements))


def _encoded(element: DataElement, encodings: Sequence[str]) -> bytes:
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_data_element

    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_data_element(buffer, element, list(encodings))
    return bytes(buffer.getvalue())


def _file_meta(sop_class: str, sop_instance: str) -> bytes:
    from pydicom.dataset import FileMetaDataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    meta.ImplementationVersionName = "MEDREG"
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_file_meta_info(buffer, meta, enforce_standard=True)
    return bytes(buffer.getvalue())
