"""Homogeneous matrices: laws under hypothesis; scipy and SimpleITK are the oracles."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from medreg.errors import TransformError
from medreg.geometry.affine import (
    axis_angle,
    decompose,
    euler_angles,
    homogeneous,
    invert,
    map_points,
    rotation_exp,
    rotation_log,
)

ANGLES = st.tuples(*[st.floats(-180, 180)] * 3)
UNIT = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 1e-3)
LENGTHS = st.one_of(st.floats(0, np.pi), st.sampled_from([0.0, 1e-12, 1e-9, 1e-8, 1e-7, 1e-5, np.pi - 1e-9, np.pi]))


def turned(angles: tuple[float, float, float]) -> np.ndarray:
    """A rotation from three angles in degrees, by scipy."""
    return Rotation.from_euler("xyz", angles, degrees=True).as_matrix()


@settings(max_examples=200, deadline=None)
@given(UNIT, LENGTHS)
def test_rotation_exp_is_scipys(axis, length):
    vector = np.array(axis) / np.linalg.norm(axis) * length
    np.testing.assert_allclose(rotation_exp(vector), Rotation.from_rotvec(vector).as_matrix(), atol=1e-12)


@settings(max_examples=200, deadline=None)
@given(UNIT, LENGTHS)
def test_rotation_log_undoes_rotation_exp_up_to_half_turns(axis, length):
    vector = np.array(axis) / np.linalg.norm(axis) * length
    logged = rotation_log(rotation_exp(vector))
    np.testing.assert_allclose(np.linalg.norm(logged), length, atol=1e-7)
    np.testing.assert_allclose(rotation_exp(logged), rotation_exp(vector), atol=1e-10)  # at pi the sign is free


@settings(max_examples=100, deadline=None)
@given(ANGLES)
def test_rotation_log_is_scipys(angles):
    rotation = turned(angles)
    expected = Rotation.from_matrix(rotation).as_rotvec()
    logged = rotation_log(rotation)
    if np.linalg.norm(expected) > np.pi - 1e-6:  # half turns: either sign
        expected *= np.sign(expected @ logged)
    np.testing.assert_allclose(logged, expected, atol=1e-7)


@settings(max_examples=200, deadline=None)
@given(ANGLES)
def test_euler_angles_are_itks_zyx(angles):
    rotation = turned(angles)
    x, y, z = np.radians(euler_angles(rotation))
    transform = sitk.Euler3DTransform()
    transform.ComputeZYXOn()
    transform.SetRotation(x, y, z)
    # arcsin loses half the digits near 90 degrees
    np.testing.assert_allclose(np.array(transform.GetMatrix()).reshape(3, 3), rotation, atol=1e-7)


@pytest.mark.parametrize("y", [90.0, -90.0])
@pytest.mark.parametrize("x", [0.0, 25.0, -140.0])
@pytest.mark.parametrize("z", [0.0, 70.0])
def test_euler_angles_survive_gimbal_lock(x, y, z):
    rotation = Rotation.from_euler("ZYX", [z, y, x], degrees=True).as_matrix()
    angles = euler_angles(rotation)
    again = Rotation.from_euler("ZYX", angles[::-1], degrees=True).as_matrix()
    np.testing.assert_allclose(again, rotation, atol=1e-7)


@pytest.mark.parametrize("angle", [-179.0, -30.0, 0.0, 45.0, 180.0])
def test_in_2d_there_is_one_signed_angle(angle):
    rotation = Rotation.from_euler("z", angle, degrees=True).as_matrix()[:2, :2]
    assert euler_angles(rotation) == pytest.approx((angle,))
    assert axis_angle(rotation) == ((0.0, 0.0, 1.0), pytest.approx(angle))


def test_axis_and_angle_are_unit_and_degrees():
    axis, angle = axis_angle(rotation_exp(np.radians([0, 40, 0])))
    assert axis == pytest.approx((0, 1, 0))
    assert angle == pytest.approx(40)
    assert axis_angle(np.eye(3)) == ((0.0, 0.0, 1.0), 0.0)


@settings(max_examples=200, deadline=None)
@given(
    ANGLES,
    st.tuples(*[st.floats(0.2, 5)] * 3),
    st.tuples(*[st.floats(-1, 1)] * 3),
    st.sampled_from([1.0, -1.0]),
    st.sampled_from([2, 3]),
)
def test_decompose_gives_back_what_a_map_was_made_of(angles, scales, shears, mirror, d):
    rotation = turned(angles) if d == 3 else Rotation.from_euler("z", angles[2], degrees=True).as_matrix()[:2, :2]
    upper = np.eye(d)
    upper[np.triu_indices(d, 1)] = shears[: d * (d - 1) // 2]
    sizes = np.array([*scales[: d - 1], scales[d - 1] * mirror])
    parts = decompose(rotation @ np.diag(sizes) @ upper)
    np.testing.assert_allclose(parts.rotation, rotation, atol=1e-9)
    np.testing.assert_allclose(parts.scales, sizes, rtol=1e-9)
    np.testing.assert_allclose(parts.shears, shears[: d * (d - 1) // 2], atol=1e-8)


@settings(max_examples=100, deadline=None)
@given(ANGLES, st.tuples(*[st.floats(-300, 300)] * 3))
def test_a_map_and_its_inverse_leave_points_where_they_were(angles, offset):
    matrix = homogeneous(turned(angles) @ np.diag([0.5, 1, 2]), np.array(offset))
    points = np.random.default_rng(0).uniform(-100, 100, (10, 3))
    np.testing.assert_allclose(map_points(invert(matrix), map_points(matrix, points)), points, atol=1e-9)


def test_points_of_a_projective_map_are_divided_by_w():
    matrix = np.eye(3)
    matrix[2] = [0.5, 0, 1]
    np.testing.assert_allclose(map_points(matrix, np.array([[2.0, 4.0]])), [[1, 2]])


@pytest.mark.parametrize("matrix", [np.diag([1.0, 0, 1, 1]), np.diag([1.0, np.nan, 1, 1]), np.diag([1.0, 1e-13, 1, 1])])
def test_a_singular_map_has_no_inverse(matrix):
    with pytest.raises(TransformError, match="cannot be inverted"):
        invert(matrix)


def test_a_singular_map_has_no_parts():
    with pytest.raises(TransformError, match="singular map"):
        decompose(np.diag([1.0, 0, 1]))
