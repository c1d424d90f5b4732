"""The numbers of a transform, beside scipy and worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from medreg.geometry import Grid
from medreg.report.motion import motion_of

FIXED = Grid.regular((11, 21, 31), (2.0, 2.0, 2.0), (-10.0, -20.0, -30.0))  # centred on the world's origin
MOVING = Grid.regular((11, 21, 31), (1.0, 2.0, 4.0), (5.0, 0.0, 0.0))


def rigid(angles: tuple[float, float, float], shift: tuple[float, float, float]) -> np.ndarray:
    """Rz Ry Rx by degrees, then the shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def test_angles_and_axis_are_scipys() -> None:
    matrix = rigid((10, -20, 30), (1, 2, 3))
    motion = motion_of(matrix, FIXED, MOVING)
    assert list(motion["euler_angles_deg"].values()) == pytest.approx([10, -20, 30])
    vector = Rotation.from_matrix(matrix[:3, :3]).as_rotvec(degrees=True)
    assert np.array(motion["rotation_axis"]) * motion["rotation_angle_deg"] == pytest.approx(vector)


def test_the_translation_at_the_centre_is_not_that_of_the_matrix() -> None:
    away = Grid.regular((11, 21, 31), (2.0, 2.0, 2.0), (90.0, -20.0, -30.0))  # centre at (100, 0, 0)
    motion = motion_of(rigid((0, 0, 90), (0, 0, 0)), away, MOVING)
    assert motion["translation_of_matrix_mm"] == [0, 0, 0]
    assert motion["translation_at_centre_mm"] == pytest.approx([-100, 100, 0])
    assert motion["translation_length_mm"] == pytest.approx(np.hypot(100, 100))


def test_ras_and_voxel_matrices_map_the_same_voxel() -> None:
    matrix = rigid((10, -20, 30), (1, 2, 3))
    motion = motion_of(matrix, FIXED, MOVING)
    flip = np.diag([-1.0, -1, 1, 1])
    voxel = np.array([3, 4, 5, 1.0])
    by_voxels = np.array(motion["voxel_to_voxel"]) @ voxel
    by_ras = np.linalg.inv(flip @ MOVING.affine) @ np.array(motion["matrix_ras"]) @ flip @ FIXED.affine @ voxel
    assert by_voxels == pytest.approx(by_ras)


def test_scales_and_shears_come_back() -> None:
    matrix = rigid((10, -20, 30), (1, 2, 3))
    shears = np.array([[1, 0.1, 0.2], [0, 1, 0.3], [0, 0, 1]])
    matrix[:3, :3] = matrix[:3, :3] @ np.diag([1.1, 0.9, 1.2]) @ shears
    motion = motion_of(matrix, FIXED, MOVING)
    assert motion["scales"] == pytest.approx([1.1, 0.9, 1.2])
    assert list(motion["shears"].values()) == pytest.approx([0.1, 0.2, 0.3])
    assert list(motion["euler_angles_deg"].values()) == pytest.approx([10, -20, 30])


def test_a_homography_is_told_by_its_derivative_at_the_centre() -> None:
    matrix = rigid((10, -20, 30), (1, 2, 3))
    matrix[3, :3] = (2e-3, -1e-3, 3e-3)
    motion = motion_of(matrix, FIXED, MOVING)
    centre, step = np.array(FIXED.centre), 1e-4
    moved = lambda p: (matrix[:3] @ np.append(p, 1)) / (matrix[3] @ np.append(p, 1))  # noqa: E731
    derivative = np.stack([(moved(centre + e) - moved(centre - e)) / (2 * step) for e in step * np.eye(3)], 1)
    shears = np.eye(3)
    shears[np.triu_indices(3, 1)] = list(motion["shears"].values())
    turn = Rotation.from_euler("xyz", list(motion["euler_angles_deg"].values()), degrees=True).as_matrix()
    np.testing.assert_allclose(turn @ np.diag(motion["scales"]) @ shears, derivative, atol=1e-7)  # of the difference
    assert motion["example"]["moving_point"] == pytest.approx(moved(centre))
    assert "This one is a homography: the result is divided by its last coordinate" in motion["convention"]
    assert "homography" not in motion_of(rigid((0, 0, 0), (0, 0, 0)), FIXED, MOVING)["convention"]


def test_the_example_is_a_point_through_the_matrix_in_words() -> None:
    example = motion_of(rigid((0, 0, 90), (1, 2, 3)), FIXED, MOVING)["example"]
    assert example["sentence"] == (
        "The centre of the fixed image, (0.000, 0.000, 0.000) mm, lies at (1.000, 2.000, 3.000) mm in the moving image."
    )


def test_pictures_are_told_in_pixels() -> None:
    flat = Grid.regular((11, 21), (1.0, 1.0))
    motion = motion_of(np.eye(3), flat, flat, "px")
    assert "pixels" in motion["convention"]
    assert "millimetres" not in motion["convention"]
    assert motion["euler_angles_deg"] == {"z": 0.0}


def test_pictures_of_known_spacing_are_told_in_millimetres_without_a_patients_directions() -> None:
    flat = Grid.regular((11, 21), (0.5, 0.5))
    said = motion_of(np.eye(3), flat, flat, "mm", "picture")["convention"]
    assert "millimetres from the first pixel's centre" in said
    assert "patient" not in said
