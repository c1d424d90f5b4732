"""Metadata of an image as JSON that gives back the same values, tuples, grids and arrays among them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from enum import Enum
from io import BytesIO
from typing import Any

import numpy as np

from medreg.errors import WriteError
from medreg.geometry.grid import Grid
from medreg.io.dicom.origin import Instance, Origin, origin_of

_MARK = "__medreg__"
"""The key of a JSON object that stands for what JSON does not have."""


class Identity(Enum):
    """What becomes of the DICOM header of an image, which holds the patient's name and all other identifiers."""

    LEFT_OUT = "left out"
    KEPT = "kept"


_NAMES_OF_FILES = ("files", "path", "notes")
"""Of DICOM, archives make them of patients' names and UIDs."""


def encoded_metadata(metadata: Mapping[str, Any], place: str, identity: Identity = Identity.LEFT_OUT) -> str:
    """JSON of all metadata but the DICOM origin, and of DICOM, unless its identity is kept, but names of files.

    Raises:
        WriteError: a value that cannot be kept, with its key.
    """
    kept = {key: value for key, value in metadata.items() if not isinstance(value, Origin)}
    if identity is Identity.LEFT_OUT and any(isinstance(value, Origin) for value in metadata.values()):
        kept = {key: value for key, value in kept.items() if key not in _NAMES_OF_FILES}
    return json.dumps(_plain(kept, f"{place}: metadata"), ensure_ascii=True, separators=(",", ":"))


def decoded_metadata(text: str) -> dict[str, Any]:
    """What `encoded_metadata` was given.

    Example:
        >>> decoded_metadata(encoded_metadata({"notes": ("a", "b"), "slope": 0.1}, "here"))
        {'notes': ('a', 'b'), 'slope': 0.1}
    """
    found: dict[str, Any] = _meant(json.loads(text))
    return found


def write_origin(group: Any, metadata: Mapping[str, Any]) -> None:
    """Keep the DICOM origin of an image, if it has one: dataset `dicom`, the header in explicit little endian."""
    origin = origin_of(metadata)
    if origin is None:
        return
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, origin.template)
    held = group.create_dataset("dicom", data=np.frombuffer(buffer.getvalue(), np.uint8))
    held.attrs["frame_of_reference"] = origin.frame_of_reference
    uids = [[one.sop_class, one.sop_instance] for one in origin.instances]
    group.create_dataset("instances", data=np.frombuffer(json.dumps(uids).encode(), np.uint8))


def read_origin(group: Any) -> Origin | None:
    """The DICOM origin of an image, where it was kept."""
    if "dicom" not in group:
        return None
    from pydicom.filereader import read_dataset

    template = read_dataset(BytesIO(group["dicom"][()].tobytes()), is_implicit_VR=False, is_little_endian=True)
    uids = json.loads(group["instances"][()].tobytes())
    return Origin(template, tuple(Instance(*pair) for pair in uids), str(group["dicom"].attrs["frame_of_reference"]))


def _plain(value: Any, place: str) -> Any:
    """The value in JSON's types."""
    if value is None or isinstance(value, bool | int | str) or type(value) is float:
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) and key != _MARK for key in value):
        return {key: _plain(each, f"{place}[{key!r}]") for key, each in value.items()}
    if type(value) is list:
        return [_plain(each, place) for each in value]
    if type(value) is tuple:
        return {_MARK: "tuple", "of": [_plain(each, place) for each in value]}
    if isinstance(value, bytes):
        return {_MARK: "bytes", "of": base64.b64encode(value).decode()}
    if isinstance(value, Grid):
        fields = (value.size, value.spacing, value.origin, value.direction)
        return {_MARK: "grid", "of": [_plain(field, place) for field in fields]}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufc":
        array = np.asarray(value)
        held = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        return {_MARK: kind, "dtype": array.dtype.str, "shape": list(array.shape), "of": held}
    raise WriteError(
        f"{place}: a {type(value).__name__} cannot be kept in HDF5; leave it out, or turn it into numbers, text, lists "
        "or arrays"
    )


def _meant(value: Any) -> Any:
    """What the JSON stands for."""
    if isinstance(value, list):
        return [_meant(each) for each in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(_MARK)
    if kind is None:
        return {key: _meant(each) for key, each in value.items()}
    if kind == "tuple":
        return tuple(_meant(each) for each in value["of"])
    if kind == "grid":
        return Grid(*(_meant(each) for each in value["of"]))
    held = base64.b64decode(value["of"])
    if kind == "bytes":
        return held
    array = np.frombuffer(held, np.dtype(value["dtype"])).reshape(value["shape"]).copy()
    return array if kind == "array" else array[()]
