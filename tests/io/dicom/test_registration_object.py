"""Spatial Registration objects: written, validated by dciodvfy, and read whoever wrote them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import dicom_templates as t
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from scipy.spatial.transform import Rotation

from medreg.errors import MedregWarning, ReadError, TransformError, WriteError
from medreg.io.dicom.origin import Instance, Origin
from medreg.io.dicom.registration_object import (
    DEFORMABLE,
    FIDUCIALS,
    SPATIAL,
    read_registration,
    write_registration,
)

FIXED, MOVING, OTHER = "1.2.3.10", "1.2.3.20", "1.2.3.30"
POINT_MM = 1e-4
WITHIN_MM = 500.0


def _origin(frame: str, study: str = "1.2.3.1", **attributes: Any) -> Origin:
    origin = t.rich(t.CT, StudyInstanceUID=study, SeriesInstanceUID=f"{frame}.1", **attributes)
    return Origin(origin.template, origin.instances, frame)


def _matrix(angles: tuple[float, ...] = (10, -20, 30), scale: Any = 1.0, shift: tuple[float, ...] = (5, -7, 11)) -> Any:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(np.broadcast_to(scale, 3))
    matrix[:3, 3] = shift
    return matrix


def _write(path: Path, matrix: np.ndarray, moving: str = MOVING, fixed: str | None = FIXED) -> Path:
    origin = None if fixed is None else _origin(fixed, study="1.2.3.2")
    write_registration(path, matrix, moving=_origin(moving), fixed=origin, fixed_frame_of_reference=fixed or FIXED)
    return path


def _by_hand(path: Path, own: str, entries: list[tuple[str, list[Any]]], sop_class: str = SPATIAL) -> Path:
    """A REG file made without medreg: for each frame its matrices, in the sequence's order."""
    whole = Dataset()
    whole.file_meta = FileMetaDataset()
    whole.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = sop_class
    whole.SOPInstanceUID = whole.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    whole.Modality, whole.FrameOfReferenceUID = "REG", own
    parts = []
    for frame, matrices in entries:
        items = []
        for matrix in matrices:
            one = Dataset()
            one.FrameOfReferenceTransformationMatrix = [f"{v:.10g}" for v in np.ravel(matrix)]
            one.FrameOfReferenceTransformationMatrixType = "AFFINE"
            items.append(one)
        registration, part = Dataset(), Dataset()
        registration.MatrixSequence = items
        part.MatrixRegistrationSequence = [registration]
        if frame:
            part.FrameOfReferenceUID = frame
        parts.append(part)
    whole.RegistrationSequence = parts
    whole.save_as(path, enforce_file_format=True)
    return path


def test_a_moving_point_comes_to_the_fixed_one_by_the_files_own_matrix(tmp_path: Path) -> None:
    matrix = np.eye(4)
    matrix[:3] = [
        [0, -1, 0, 100],
        [1, 0, 0, 20],
        [0, 0, 1, -3],
    ]  # a quarter turn: fixed (1, 2, 3) -> moving (98, 21, 0)
    dataset = pydicom.dcmread(_write(tmp_path / "a.dcm", matrix))
    assert dataset.FrameOfReferenceUID == FIXED and dataset.Modality == "REG"
    fixed, moving = dataset.RegistrationSequence
    assert (fixed.FrameOfReferenceUID, moving.FrameOfReferenceUID) == (FIXED, MOVING)
    held = [
        np.array(i.MatrixRegistrationSequence[0].MatrixSequence[0].FrameOfReferenceTransformationMatrix, float)
        for i in (fixed, moving)
    ]
    np.testing.assert_array_equal(held[0].reshape(4, 4), np.eye(4))
    np.testing.assert_allclose(held[1].reshape(4, 4) @ [98, 21, 0, 1], [1, 2, 3, 1], atol=1e-12)
    np.testing.assert_allclose(read_registration(tmp_path / "a.dcm") @ [1, 2, 3, 1], [98, 21, 0, 1], atol=1e-12)


@pytest.mark.parametrize("fixed", [FIXED, None])
@pytest.mark.parametrize("scale", [1.0, 1.1, (1.0, 1.1, 0.9)])
def test_the_validator_finds_no_error(scale: Any, fixed: str | None, tmp_path: Path) -> None:
    path = _write(tmp_path / "reg.dcm", _matrix(scale=scale), fixed=fixed)
    assert t.validator_errors(path) == []


def test_a_poor_moving_image_gives_a_valid_object(tmp_path: Path) -> None:
    path = tmp_path / "reg.dcm"
    write_registration(path, _matrix(), moving=t.poor(t.MR), fixed=None, fixed_frame_of_reference=FIXED)
    assert t.validator_errors(path) == []


@settings(max_examples=60, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    scale=st.tuples(*[st.floats(0.5, 2)] * 3),
    shift=st.tuples(*[st.floats(-1000, 1000)] * 3),
    point=st.tuples(*[st.floats(-WITHIN_MM, WITHIN_MM)] * 3),
)
def test_points_survive_writing_and_reading(angles: Any, scale: Any, shift: Any, point: Any) -> None:
    matrix = _matrix(angles, scale, shift)
    with tempfile.TemporaryDirectory() as folder:
        back = read_registration(_write(Path(folder) / "reg.dcm", matrix), MOVING, FIXED)
    np.testing.assert_allclose(back @ [*point, 1], matrix @ [*point, 1], rtol=0, atol=POINT_MM)


@pytest.mark.parametrize(
    ("matrix", "kind"),
    [
        (_matrix(), "RIGID"),
        (_matrix(scale=1.1), "RIGID_SCALE"),
        (_matrix((0, 0, 0), (1.1, 0.9, 1)), "RIGID_SCALE"),
        (_matrix(scale=(1.1, 0.9, 1)), "AFFINE"),  # scaled along axes that are then turned
        (np.diag([-1.0, 1, 1, 1]), "AFFINE"),
        (np.eye(4) + np.eye(4, k=1) * [0, 0.01, 0, 0], "AFFINE"),
    ],
)
def test_the_type_is_what_the_matrix_is(matrix: np.ndarray, kind: str, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(_write(tmp_path / "reg.dcm", matrix))
    one = dataset.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence[0]
    assert one.FrameOfReferenceTransformationMatrixType == kind
    assert all(len(v.original_string) <= 16 for v in one.FrameOfReferenceTransformationMatrix)


def test_a_turn_is_written_as_orthonormal_as_doubles_are(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(_write(tmp_path / "reg.dcm", _matrix((1e-4, 33.3, -0.02))))
    one = dataset.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence[0]
    turn = np.array(one.FrameOfReferenceTransformationMatrix, float).reshape(4, 4)[:3, :3]
    assert np.abs(turn @ turn.T - np.eye(3)).max() < 1e-11


def test_the_object_belongs_to_the_moving_study_and_refers_to_both(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(_write(tmp_path / "reg.dcm", _matrix()))
    assert (dataset.PatientName, dataset.StudyInstanceUID) == ("Doe^Jane", "1.2.3.1")
    assert [s.SeriesInstanceUID for s in dataset.ReferencedSeriesSequence] == [f"{MOVING}.1"]
    (other,) = dataset.StudiesContainingOtherReferencedInstancesSequence
    assert other.StudyInstanceUID == "1.2.3.2"
    assert [s.SeriesInstanceUID for s in other.ReferencedSeriesSequence] == [f"{FIXED}.1"]
    assert [len(i.ReferencedImageSequence) for i in dataset.RegistrationSequence] == [2, 2]


def test_two_images_of_one_frame_of_reference_are_told_apart(tmp_path: Path) -> None:
    path = _write(tmp_path / "reg.dcm", _matrix(), moving=FIXED)
    for frame in ("", FIXED):
        np.testing.assert_allclose(read_registration(path, frame, frame), _matrix(), atol=1e-10)
    path = _by_hand(tmp_path / "three.dcm", FIXED, [(FIXED, [np.eye(4)]), (FIXED, [_matrix()]), (OTHER, [np.eye(4)])])
    np.testing.assert_allclose(read_registration(path, FIXED, FIXED), np.linalg.inv(_matrix()), atol=1e-7)
    path = _write(tmp_path / "same.dcm", np.eye(4), moving=FIXED)
    np.testing.assert_array_equal(read_registration(path, FIXED), np.eye(4))


A, B, C = _matrix((5, 0, 0)), _matrix((0, 40, 0), shift=(1, 2, 3)), _matrix((0, 0, 70), 1.2, (0, 50, 0))


def test_several_matrices_act_in_their_order(tmp_path: Path) -> None:
    """PS3.3 Equation C.20.2-2: the first item acts on the point first."""
    path = _by_hand(tmp_path / "reg.dcm", FIXED, [(FIXED, [np.eye(4)]), (MOVING, [A, B, C])])
    moving = np.array([10.0, -20, 30, 1])
    fixed = C @ (B @ (A @ moving))
    np.testing.assert_allclose(read_registration(path) @ fixed, moving, atol=1e-7)  # ten digits were written


def test_the_named_frame_is_taken_of_several(tmp_path: Path) -> None:
    path = _by_hand(tmp_path / "reg.dcm", FIXED, [(FIXED, [np.eye(4)]), (OTHER, [A]), (MOVING, [B])])
    np.testing.assert_allclose(read_registration(path, MOVING), np.linalg.inv(B), atol=1e-7)
    np.testing.assert_allclose(read_registration(path, OTHER), np.linalg.inv(A), atol=1e-7)
    with pytest.raises(TransformError, match="holds 3 registrations"):
        read_registration(path)
    np.testing.assert_allclose(read_registration(path, MOVING, OTHER), np.linalg.inv(B) @ A, atol=1e-7)


def test_a_file_registered_to_the_moving_image_is_read_the_other_way(tmp_path: Path) -> None:
    path = _by_hand(tmp_path / "reg.dcm", MOVING, [(MOVING, [np.eye(4)]), (FIXED, [A])])
    np.testing.assert_allclose(read_registration(path, MOVING, FIXED), A, atol=1e-9)
    np.testing.assert_allclose(read_registration(path, MOVING), A, atol=1e-9)


def test_a_lone_registration_and_one_without_a_frame_are_read(tmp_path: Path) -> None:
    for own, entries in ((FIXED, [(MOVING, [A])]), (FIXED, [("", [A])]), (FIXED, [(FIXED, [A])]), ("", [("", [A])])):
        path = _by_hand(tmp_path / "reg.dcm", own, entries)
        with pytest.warns(MedregWarning, match="made for other frames of reference"):
            found = read_registration(path, "1.2.unknown")
        np.testing.assert_allclose(found, np.linalg.inv(A), atol=1e-7)


def test_what_is_no_linear_registration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reg.dcm"
    homography = np.eye(4)
    homography[3, 0] = 1e-3
    cases: list[tuple[str, list[Any], str]] = [
        (DEFORMABLE, [np.eye(4)], "deformable"),
        (FIDUCIALS, [np.eye(4)], "fiducials"),
        (t.CT, [np.eye(4)], "another kind"),
        (SPATIAL, [homography], "last row"),
        (SPATIAL, [np.diag([1.0, 0, 1, 1])], "singular"),
    ]
    for sop_class, matrices, text in cases:
        with pytest.raises(TransformError, match=text):
            read_registration(_by_hand(path, FIXED, [(MOVING, matrices)], sop_class))


def test_damaged_files_are_read_errors(tmp_path: Path) -> None:
    path = tmp_path / "reg.dcm"
    for entries, text in (
        ([(MOVING, [np.ones(12)])], "16 finite numbers"),
        ([(MOVING, [])], "without a matrix"),
        ([], "holds no"),
    ):
        with pytest.raises(ReadError, match=text):
            read_registration(_by_hand(path, FIXED, entries))
    path.write_bytes(b"not DICOM" * 100)
    with pytest.raises(ReadError, match="no DICOM file"):
        read_registration(path)
    with pytest.raises(ReadError, match="no such file"):
        read_registration(tmp_path / "missing.dcm")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_mutated_files_are_read_or_refused(data: st.DataObject, registration_bytes: bytes) -> None:
    raw = bytearray(registration_bytes)
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(128, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reg.dcm"
        path.write_bytes(raw[: data.draw(st.integers(100, len(raw)))])
        try:
            assert read_registration(path).shape == (4, 4)
        except (ReadError, TransformError) as error:
            assert str(path) in str(error)


@pytest.fixture(scope="module")
def registration_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return _write(tmp_path_factory.mktemp("reg") / "reg.dcm", _matrix()).read_bytes()


def test_images_of_one_session_are_told_apart_by_their_instances(tmp_path: Path) -> None:
    moving = Origin(t.poor(t.CT).template, (Instance(t.CT, "1.2.9.1"),), FIXED)
    fixed = Origin(t.poor(t.CT).template, (Instance(t.CT, "1.2.9.2"),), FIXED)
    path = tmp_path / "reg.dcm"
    write_registration(path, A, moving=moving, fixed=fixed, fixed_frame_of_reference=FIXED)
    images = {"moving": moving.instances, "fixed": fixed.instances}
    found = {
        name: read_registration(path, FIXED, moving_images=[each.sop_instance for each in instances])
        for name, instances in images.items()
    }
    np.testing.assert_allclose(found["moving"], A, atol=1e-7)
    np.testing.assert_array_equal(found["fixed"], np.eye(4))  # it lies where it lies


@pytest.mark.parametrize(
    ("matrix", "text"),
    [
        (np.eye(3), "4x4"),
        (np.eye(4) + np.eye(4, k=-3) * 1e-3, "homography"),
        (np.diag([1.0, 1, 0, 1]), "inverted"),
        (np.full((4, 4), np.nan), "finite"),
    ],
)
def test_matrices_that_the_object_cannot_hold_are_refused(matrix: np.ndarray, text: str, tmp_path: Path) -> None:
    with pytest.raises(TransformError, match=text):
        _write(tmp_path / "reg.dcm", matrix)
    assert not list(tmp_path.iterdir())


def test_a_fixed_image_without_a_frame_of_reference_gets_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "reg.dcm"
    write_registration(path, _matrix(), moving=_origin(MOVING), fixed=None, fixed_frame_of_reference="")
    dataset = pydicom.dcmread(path)
    assert dataset.FrameOfReferenceUID == dataset.RegistrationSequence[0].FrameOfReferenceUID != ""


def test_a_missing_folder_is_a_write_error(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="does not exist"):
        _write(tmp_path / "missing" / "reg.dcm", _matrix())
