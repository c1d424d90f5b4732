"""Orientation codes and the change between LPS and RAS: nibabel is the oracle."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from medreg.geometry.orientation import conjugate_lps_ras, flip_lps_ras, lps_ras, orientation_code


@settings(max_examples=200, deadline=None)
@given(st.tuples(*[st.floats(-180, 180)] * 3), st.permutations(range(3)), st.tuples(*[st.sampled_from([1, -1])] * 3))
def test_the_code_is_nibabels(angles, order, signs):
    turn = Rotation.from_euler("xyz", np.array(angles) * 0.2, degrees=True).as_matrix()  # up to 36 degrees an axis
    direction = (turn @ np.diag(signs))[:, list(order)]
    largest = np.sort(np.abs(direction), axis=0)
    assume((largest[2] - largest[1]).min() > 0.05)  # near 45 degrees either code is right
    assume(len(set(np.abs(direction).argmax(0))) == 3)
    affine = np.eye(4)
    affine[:3, :3] = direction
    assert orientation_code(direction) == "".join(nib.aff2axcodes(flip_lps_ras(affine)))


@pytest.mark.parametrize(
    ("direction", "code"),
    [
        (np.eye(3), "LPS"),
        (np.diag([-1, -1, 1]), "RAS"),
        (np.diag([1, -1, -1]), "LAI"),
        (np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]]), "PIL"),
        (np.eye(2), "LP"),
        (np.array([[0, -1], [1, 0]]), "PR"),
    ],
)
def test_codes_say_where_each_index_axis_points(direction, code):
    assert orientation_code(direction) == code


def test_each_world_axis_is_named_once_even_when_two_index_axes_lean_to_it():
    direction = np.array([[0.9, 0.8, 0], [0.43, 0.6, 0], [0, 0, 1]])  # heavily sheared
    assert orientation_code(direction) == "LPS"
    direction = np.array([[0.71, 0.1, 0.69], [0.70, 0.3, 0.5], [0, 0.95, 0.52]])
    assert orientation_code(direction) == "LSP"


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_change_of_world_undoes_itself_and_carries_points(dimension):
    rng = np.random.default_rng(0)
    affine = np.eye(dimension + 1)
    affine[:dimension] = rng.normal(size=(dimension, dimension + 1))
    np.testing.assert_array_equal(flip_lps_ras(flip_lps_ras(affine)), affine)
    np.testing.assert_array_equal(conjugate_lps_ras(conjugate_lps_ras(affine)), affine)
    point = np.append(rng.normal(size=dimension), 1)
    flip = lps_ras(dimension)
    np.testing.assert_allclose(conjugate_lps_ras(affine) @ (flip @ point), flip @ (affine @ point), atol=1e-12)
    np.testing.assert_allclose(flip_lps_ras(affine) @ point, flip @ (affine @ point), atol=1e-12)
