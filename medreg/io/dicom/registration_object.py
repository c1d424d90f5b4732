"""Spatial Registration objects (REG): a 4x4 matrix from one frame of reference into another, PS3.3 C.20.2.

A REG file maps each frame of reference into the registered one, whose UID is its own; medreg's matrices map fixed
points to moving points. With the fixed image's as the registered frame, the file holds the inverse of medreg's matrix.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medreg.errors import MedregError, MedregWarning, ReadError, TransformError
from medreg.geometry.affine import invert
from medreg.io.atomic import written_beside
from medreg.io.dicom.copied import copy_patient_and_study, settle_character_set
from medreg.io.dicom.header import item, items, numbers, text
from medreg.io.dicom.origin import Instance, Origin
from medreg.io.dicom.part10 import encode_elements, write_part10
from medreg.io.dicom.quiet import quiet
from medreg.io.failing import AGAIN, reading
from medreg.types import FloatArray
from medreg.version import __version__

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SPATIAL = "1.2.840.10008.5.1.4.1.1.66.1"
FIDUCIALS = "1.2.840.10008.5.1.4.1.1.66.2"
DEFORMABLE = "1.2.840.10008.5.1.4.1.1.66.3"

_MEDIA_STORAGE = re.compile(rb"\x02\x00\x02\x00UI..1\.2\.840\.10008\.5\.1\.4\.1\.1\.66\.[123](?![.0-9])", re.DOTALL)
"""The SOP class in a file's meta header, of all three."""
_RIGID_TOLERANCE = 1e-6
"""Largest |entry| of R Rᵀ - 1 of a matrix that is called rigid."""
_IDENTITY_TOLERANCE = 1e-9
_LAST_ROW_TOLERANCE = 1e-9
_SERIES_STEP = 1001
"""Added to the moving series' number: one more than a derived series gets."""


def write_registration(
    path: Path,
    matrix: FloatArray,
    *,
    moving: Origin,
    fixed: Origin | None,
    fixed_frame_of_reference: str,
    description: str = "Registration by medreg",
) -> None:
    """Write a Spatial Registration object, whole or not at all. It belongs to the moving patient's study.

    Args:
        path: the file.
        matrix: 4x4, fixed points -> moving points, LPS mm.
        moving: the moving image's identity.
        fixed: the fixed image's; None when it was no DICOM.
        fixed_frame_of_reference: the registered frame: the one that the derived series lies in; a new one when empty.
        description: of the series.

    Raises:
        TransformError: a 2D matrix, a homography, or one without an inverse.
        WriteError: the disk refuses.
    """
    into_fixed = invert(_affine(np.asarray(matrix, dtype=np.float64), path))
    with quiet():
        registration = _registration_object(into_fixed, moving, fixed, fixed_frame_of_reference, description)
        encodings = settle_character_set(registration, moving.template)
        elements = encode_elements(registration, encodings)
    with written_beside(path) as temporary:
        write_part10(temporary, SPATIAL, str(registration.SOPInstanceUID), elements)


def _registration_object(
    into_fixed: FloatArray, moving: Origin, fixed: Origin | None, fixed_frame: str, description: str
) -> Dataset:
    from pydicom.dataset import Dataset
    from pydicom.uid import generate_uid

    result = Dataset()
    fixed_frame = fixed_frame or str(generate_uid(prefix=None))
    copy_patient_and_study(moving.template, result)
    _add_series(result, moving, description)
    result.FrameOfReferenceUID = fixed_frame
    result.PositionReferenceIndicator = text(fixed.template, "PositionReferenceIndicator")[:64] if fixed else ""
    result.SOPClassUID = SPATIAL
    result.SOPInstanceUID = generate_uid(prefix=None)
    result.RegistrationSequence = [
        _registration(np.eye(4), fixed_frame, fixed.instances if fixed else ()),
        _registration(into_fixed, moving.frame_of_reference, moving.instances),
    ]
    _add_references(result, moving, fixed)
    return result


def read_registration(
    path: Path, moving_frame: str = "", fixed_frame: str = "", moving_images: Collection[str] = ()
) -> FloatArray:
    """The matrix that a Spatial Registration object holds: 4x4, fixed points -> moving points, LPS mm.

    The moving image's item is the one that refers to `moving_images`; else the one of `moving_frame`; else the only one
    of a frame other than the registered one; else the only one that moves anything. The fixed image is taken to lie in
    the registered frame, unless an item of `fixed_frame` says how it comes there, or the moving image itself is the
    registered one.

    Args:
        path: the file.
        moving_frame: FrameOfReferenceUID of the moving image, "" if not known.
        fixed_frame: FrameOfReferenceUID of the fixed image, "" if not known.
        moving_images: SOP instance UIDs of the moving image: both images of one session share a frame of reference.

    Raises:
        ReadError: no DICOM file, cut short or damaged.
        TransformError: deformable, fiducials, another kind of object, or several matrices of which none is the one.
    """
    path = Path(path)
    with reading(path), _damaged(path), quiet():
        dataset = _dataset(path)
        own = text(dataset, "FrameOfReferenceUID")
        entries = [_entry(part, path) for part in items(dataset, "RegistrationSequence")]
    if not entries:
        raise ReadError(f"{path}: holds no registration, its RegistrationSequence is empty; {AGAIN}")
    strange = [
        frame for frame in (moving_frame, fixed_frame) if frame and frame not in {own, *(e.frame for e in entries)}
    ]
    if strange:
        warnings.warn(
            f"{path}: was made for other frames of reference than those of the images; it may be of another patient",
            MedregWarning,
            stacklevel=2,
        )
    referring = [entry for entry in entries if entry.images & set(moving_images)]
    if len(referring) == 1:
        moving = referring[0]
        fixed = np.eye(4) if moving.frame == own else _fixed(entries, moving, own, fixed_frame, path)
    else:
        moving = _moving(entries, own, moving_frame, path)
        fixed = _fixed(entries, moving, own, fixed_frame, path)
    try:
        return invert(moving.matrix) @ fixed
    except TransformError as error:
        raise TransformError(f"{path}: {error}") from error


@dataclass(frozen=True, eq=False)
class _Entry:
    """An item of the RegistrationSequence: the matrix from a frame into the registered one, and the images meant."""

    frame: str
    matrix: FloatArray
    images: frozenset[str] = frozenset()

    @property
    def is_identity(self) -> bool:
        return bool(np.abs(self.matrix - np.eye(4)).max() < _IDENTITY_TOLERANCE)


def _affine(matrix: FloatArray, path: Path) -> FloatArray:
    if matrix.shape != (4, 4):
        raise TransformError(
            f"{path}: a DICOM registration holds a 4x4 matrix of patient coordinates, got shape {matrix.shape}; "
            "write a .tfm or .json file instead"
        )
    if not np.isfinite(matrix).all():
        raise TransformError(f"{path}: the matrix is not finite: {matrix.tolist()}")
    if np.abs(matrix[3] - (0, 0, 0, 1)).max() > _LAST_ROW_TOLERANCE:
        raise TransformError(
            f"{path}: a DICOM registration holds affine transforms, whose last row is 0, 0, 0, 1; "
            f"got {matrix[3].tolist()}; write a homography as .json"
        )
    return matrix


def _kind_of(matrix: FloatArray) -> str:
    """RIGID, RIGID_SCALE (rows and columns at right angles, no reflection) or AFFINE, PS3.3 C.20.2.1.2."""
    linear = matrix[:3, :3]
    rows, columns = linear @ linear.T, linear.T @ linear
    if np.linalg.det(linear) <= 0:
        return "AFFINE"
    if np.abs(rows - np.eye(3)).max() < _RIGID_TOLERANCE:
        return "RIGID"
    scale = rows.diagonal().max()
    skew = max(np.abs(gram - np.diag(gram.diagonal())).max() for gram in (rows, columns))
    return "RIGID_SCALE" if skew < _RIGID_TOLERANCE * scale else "AFFINE"


def _add_series(target: Dataset, moving: Origin, description: str) -> None:
    from pydicom.uid import generate_uid

    from medreg.io.dicom.derived_header import date_now, long_string, number_after

    date_now(target, "InstanceCreation", "Content", "Series")
    target.Modality = "REG"
    target.SeriesInstanceUID = generate_uid(prefix=None)
    target.SeriesNumber = number_after(moving.template, _SERIES_STEP)
    target.SeriesDescription = long_string(description)
    target.Manufacturer = target.ManufacturerModelName = "medreg"
    target.DeviceSerialNumber = "NONE"  # type 1, and software has none
    target.SoftwareVersions = __version__
    target.Laterality = ""
    target.InstanceNumber = 1
    target.ContentLabel = "REGISTRATION"
    target.ContentDescription = "Moving image to fixed image"
    target.ContentCreatorName = ""


def _registration(matrix: FloatArray, frame: str, instances: Sequence[Instance]) -> Dataset:
    from pydicom.dataset import Dataset
    from pydicom.valuerep import format_number_as_ds

    whole_matrix, registration, result = Dataset(), Dataset(), Dataset()
    numbers_16 = [str(format_number_as_ds(0.0 if abs(v) < 1e-15 else float(v))) for v in matrix.ravel()]
    whole_matrix.FrameOfReferenceTransformationMatrix = numbers_16
    written = np.array([float(v) for v in numbers_16]).reshape(4, 4)
    whole_matrix.FrameOfReferenceTransformationMatrixType = _kind_of(written)
    kind = Dataset()
    kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning = (
        ("125021", "DCM", "Frame of Reference Identity")
        if np.array_equal(matrix, np.eye(4))
        else ("125024", "DCM", "Image Content-based Alignment")
    )
    registration.RegistrationTypeCodeSequence = [kind]
    registration.MatrixSequence = [whole_matrix]
    if frame:
        result.FrameOfReferenceUID = frame
    if instances:
        result.ReferencedImageSequence = [_reference(instance) for instance in instances]
    result.MatrixRegistrationSequence = [registration]
    return result


def _reference(instance: Instance) -> Dataset:
    from pydicom.dataset import Dataset

    reference = Dataset()
    reference.ReferencedSOPClassUID = instance.sop_class
    reference.ReferencedSOPInstanceUID = instance.sop_instance
    return reference


def _add_references(target: Dataset, moving: Origin, fixed: Origin | None) -> None:
    """Common Instance Reference module: the series that the registration speaks of, those of other studies apart."""
    from pydicom.dataset import Dataset

    studies: dict[str, dict[str, dict[str, Instance]]] = {}
    for origin in (moving, *([fixed] if fixed else [])):
        study = text(origin.template, "StudyInstanceUID") or str(target.StudyInstanceUID)
        series = text(origin.template, "SeriesInstanceUID")
        if series and origin.instances:
            known = studies.setdefault(study, {}).setdefault(series, {})
            known.update({instance.sop_instance: instance for instance in origin.instances})
    for study, by_series in studies.items():
        referenced = []
        for uid, instances in by_series.items():
            series_item = Dataset()
            series_item.SeriesInstanceUID = uid
            series_item.ReferencedInstanceSequence = [_reference(instance) for instance in instances.values()]
            referenced.append(series_item)
        if study == str(target.StudyInstanceUID):
            target.ReferencedSeriesSequence = referenced
        else:
            other = Dataset()
            other.StudyInstanceUID = study
            other.ReferencedSeriesSequence = referenced
            target.StudiesContainingOtherReferencedInstancesSequence = [other]


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Turn whatever pydicom raises into a ReadError."""
    try:
        yield
    except (MedregError, OSError, MemoryError):
        raise
    except Exception as error:
        raise ReadError(f"{path}: the DICOM file is damaged ({type(error).__name__}); {AGAIN}") from error


def _dataset(path: Path) -> Dataset:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        dataset: Dataset = dcmread(path, stop_before_pixels=True)
    except InvalidDicomError as error:
        raise ReadError(f"{path}: is no DICOM file, or its head is damaged; {AGAIN}") from error
    sop_class = text(dataset, "SOPClassUID") or text(dataset.file_meta, "MediaStorageSOPClassUID")
    if sop_class == DEFORMABLE:
        raise TransformError(
            f"{path}: holds a deformable registration, which bends; medreg reads linear transforms only"
        )
    if sop_class == FIDUCIALS:
        raise TransformError(
            f"{path}: holds fiducials and no transform; give medreg a Spatial Registration (REG) object"
        )
    if sop_class != SPATIAL:
        raise TransformError(
            f"{path}: is a DICOM file of another kind ({text(dataset, 'Modality') or 'unknown'}); a transform is a "
            "Spatial Registration object, Modality REG"
        )
    return dataset


def _entry(part: Dataset, path: Path) -> _Entry:
    frame = text(part, "FrameOfReferenceUID")
    registration = item(part, "MatrixRegistrationSequence")
    found = items(registration, "MatrixSequence") if registration is not None else []
    if not found:
        raise ReadError(f"{path}: a registration without a matrix; {AGAIN}")
    product = np.eye(4)
    for one in found:  # PS3.3 Equation C.20.2-2: the first item of the sequence acts on the point first
        values = numbers(one, "FrameOfReferenceTransformationMatrix")
        if values is None or len(values) != 16:
            raise ReadError(f"{path}: a registration's matrix has 16 finite numbers, got {len(values or ())}; {AGAIN}")
        product = _affine(np.array(values).reshape(4, 4), path) @ product
    images = (text(each, "ReferencedSOPInstanceUID") for each in items(part, "ReferencedImageSequence"))
    return _Entry(frame, product, frozenset(images) - {""})


def _moving(entries: Sequence[_Entry], own: str, frame: str, path: Path) -> _Entry:
    named = [entry for entry in entries if frame and entry.frame == frame]
    other = [entry for entry in entries if entry.frame != own]
    active = [entry for entry in entries if not entry.is_identity]
    for choice in ([e for e in named if not e.is_identity] or named[:1], other, active):
        if len(choice) == 1 or (choice and _alike(choice)):
            return choice[0]
    if not other and not active:
        return entries[-1]
    raise TransformError(
        f"{path}: holds {len(entries)} registrations ({len(active)} that move anything), and none of them is known to "
        "be the moving image's; apply it to the DICOM image that it was made for, or keep one in the file"
    )


def _fixed(entries: Sequence[_Entry], moving: _Entry, own: str, frame: str, path: Path) -> FloatArray:
    """Fixed points into the registered frame."""
    rest = [entry for entry in entries if entry is not moving]
    named = [entry for entry in rest if frame and entry.frame == frame]
    if not named and moving.is_identity and moving.frame == own:
        named = rest  # the moving image is the registered one: the other item is the fixed image's
    if named and not _alike(named):
        raise TransformError(
            f"{path}: holds {len(named)} registrations that could be the fixed image's; keep one of them in the file"
        )
    return named[0].matrix if named else np.eye(4)


def _alike(entries: Sequence[_Entry]) -> bool:
    return all(np.abs(entry.matrix - entries[0].matrix).max() < _IDENTITY_TOLERANCE for entry in entries)
