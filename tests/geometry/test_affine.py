"""Homogeneous matrices: laws under hypothesis; scipy and SimpleITK are the oracles."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.spatial.transform import Rotation

from medreg.errors import TransformError
from medreg.geometry.affine import (
    axis_angle,
    decompose,
    euler_angles,
    halves,
    homogeneous,
    invert,
    map_points,
    rotation_exp,
    rotation_log,
    square_root,
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


# Halves -------------------------------------------------------------------------------------------------------------

SCALES = st.tuples(*[st.floats(0.4, 2.5)] * 3)
SHEARS = st.tuples(*[st.floats(-0.5, 0.5)] * 3)
SHIFTS = st.tuples(*[st.floats(-200, 200)] * 3)
DIMENSIONS = st.sampled_from([2, 3])


def motion(axis, degrees: float, scales, shears, shift, d: int) -> np.ndarray:
    """A turn by `degrees` after scales and shears, and a shift."""
    turn = Rotation.from_rotvec(np.radians(degrees) * np.array(axis) / np.linalg.norm(axis)).as_matrix()
    if d == 2:
        turn = Rotation.from_euler("z", degrees, degrees=True).as_matrix()[:2, :2]
    upper = np.diag(scales[:d])
    upper[np.triu_indices(d, 1)] = shears[: d * (d - 1) // 2]
    return homogeneous(turn @ upper, np.array(shift[:d]))


@settings(max_examples=200, deadline=None)
@given(UNIT, st.floats(-180, 180), SCALES, SHEARS, SHIFTS, DIMENSIONS)
def test_the_second_half_after_the_first_is_the_whole(axis, degrees, scales, shears, shift, d):
    matrix = motion(axis, degrees, scales, shears, shift, d)
    first, second = halves(matrix)
    np.testing.assert_allclose(second @ first, matrix, atol=1e-9 * np.abs(matrix).max())
    assert first[-1].tolist() == second[-1].tolist() == [0] * d + [1]


@settings(max_examples=200, deadline=None)
@given(UNIT, st.floats(-179.9, 179.9), SCALES, SHEARS, SHIFTS, DIMENSIONS)
def test_the_halves_of_the_inverse_are_the_inverses_exchanged(axis, degrees, scales, shears, shift, d):
    matrix = motion(axis, degrees, scales, shears, shift, d)
    (first, second), (back, back_again) = halves(matrix), halves(invert(matrix))
    np.testing.assert_allclose(back @ second, np.eye(d + 1), atol=1e-7)  # up to 200 mm: 1e-9 of them
    np.testing.assert_allclose(back_again @ first, np.eye(d + 1), atol=1e-7)


@settings(max_examples=100, deadline=None)
@given(UNIT, st.floats(-180, 180), SHIFTS, DIMENSIONS)
def test_each_half_of_a_rigid_motion_is_rigid_and_turns_half_as_far(axis, degrees, shift, d):
    for half in halves(motion(axis, degrees, (1, 1, 1), (0, 0, 0), shift, d)):
        linear = half[:d, :d]
        np.testing.assert_allclose(linear.T @ linear, np.eye(d), atol=1e-10)
        assert abs(axis_angle(linear)[1]) == pytest.approx(abs(degrees) / 2, abs=1e-5)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -2, 0.5)])
@pytest.mark.parametrize("d", [2, 3])
def test_half_of_a_half_turn_is_a_quarter_turn(axis, d):
    first, second = halves(motion(axis, 180.0, (1.1, 0.9, 1.0), (0.1, 0, 0), (30, -20, 10), d))
    for half in (first, second):
        u, _, vt = np.linalg.svd(half[:d, :d])
        assert abs(axis_angle(u @ vt)[1]) == pytest.approx(90, abs=3)  # the shear turns a little too


@pytest.mark.parametrize("kind", ["nothing", "shift", "stretch"])
def test_halves_of_what_does_not_turn_are_equal(kind):
    matrix = np.eye(4)
    matrix[:3, 3] = (0, 0, 0) if kind == "nothing" else (8, -6, 4)
    if kind == "stretch":
        matrix[:3, :3] = np.diag([1.2, 0.9, 1.0])
    first, second = halves(matrix)
    np.testing.assert_allclose(first, second, atol=1e-12)
    np.testing.assert_allclose(first, sqrtm(matrix), atol=1e-9)


@pytest.mark.parametrize("d", [2, 3])
def test_what_mirrors_or_flattens_has_no_half(d):
    for last in (-1.0, 0.0):
        matrix = np.diag([1.0] * (d - 1) + [last, 1.0])
        with pytest.raises(TransformError, match="a map that mirrors or flattens has no half"):
            halves(matrix)


@pytest.mark.parametrize("d", [2, 3])
def test_two_axes_turned_round_are_a_half_turn_and_no_mirror(d):
    first, second = halves(np.diag([-1.0, -1.0, *[1.0] * (d - 1)]))
    np.testing.assert_allclose(second @ first, np.diag([-1.0, -1.0, *[1.0] * (d - 1)]), atol=1e-12)
    assert np.linalg.det(first) == pytest.approx(1)


@pytest.mark.parametrize("d", [2, 3])
def test_halves_of_a_homography_make_the_whole(d):
    matrix = motion((1, 2, 3), 40, (1.1, 0.9, 1.0), (0.1, 0, 0), (3, -2, 1), d)
    matrix[d, :d] = np.array([2e-3, -1e-3, 5e-4])[:d]
    first, second = halves(matrix)
    np.testing.assert_allclose(second @ first, matrix, atol=1e-10)


@settings(max_examples=200, deadline=None)
@given(UNIT, st.floats(-150, 150), SCALES, SHIFTS, DIMENSIONS)
def test_the_square_root_is_scipys_principal_one(axis, degrees, scales, shift, d):
    matrix = motion(axis, degrees, scales, (0, 0, 0), shift, d)
    eigenvalues = np.linalg.eigvals(matrix)
    if np.abs(np.angle(eigenvalues)).max() > 3.0:  # scales may bring a turn near to the half, where there is none
        return
    root = square_root(matrix)
    np.testing.assert_allclose(root @ root, matrix, atol=1e-8 * np.abs(matrix).max())
    np.testing.assert_allclose(root, sqrtm(matrix).real, atol=1e-6 * np.abs(root).max())


@pytest.mark.parametrize("matrix", [np.diag([-1.0, 1.0, 1.0]), np.diag([-1.0, 1.0, 1.0, 1.0]), np.diag([-4.0, -1, 1])])
def test_a_mirror_has_no_square_root(matrix):
    with pytest.raises(TransformError, match="has no square root"):
        square_root(matrix)
