"""Landmark errors are lengths of what is left, and points are paired as their names say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from medreg.errors import ImageError, TransformError, UsageError
from medreg.evaluate import MatchedBy, landmark_errors, paired

RNG = np.random.default_rng(5)
FIXED = RNG.normal(size=(17, 3)) * 50


def test_errors_through_a_known_transform_are_the_noise_that_was_added() -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [10, -20, 30], degrees=True).as_matrix() * 1.1
    matrix[:3, 3] = (5, -6, 7)
    noise = RNG.normal(size=(17, 3))
    moving = FIXED @ matrix[:3, :3].T + matrix[:3, 3] - noise
    found = landmark_errors(FIXED, moving, matrix)
    lengths = np.sqrt((noise**2).sum(1))
    np.testing.assert_allclose(found.vectors, noise, atol=1e-12)  # mm, rounding
    assert found.mean == pytest.approx(lengths.mean())
    assert found.median == pytest.approx(np.median(lengths))
    assert found.maximum == pytest.approx(lengths.max())
    assert found.rms == pytest.approx(np.sqrt((lengths**2).mean()))


def test_points_of_a_picture_go_through_a_homography() -> None:
    matrix = np.array([[1.0, 0, 5], [0, 1, 0], [0.001, 0, 1]])
    found = landmark_errors(np.array([[100.0, 50.0]]), np.array([[105 / 1.1, 50 / 1.1 + 2]]), matrix)
    assert found.distances == pytest.approx([2.0])


def test_points_are_paired_by_names_in_any_order_and_the_others_are_listed() -> None:
    pairing = paired(["a", "b", "c"], ["c", "x", "a"], (3, 3))
    assert pairing.by is MatchedBy.NAME
    assert (pairing.fixed, pairing.moving, pairing.names) == ((0, 2), (2, 0), ("a", "c"))
    assert (pairing.only_fixed, pairing.only_moving) == (("b",), ("x",))


@pytest.mark.parametrize(
    ("fixed", "moving", "names"),
    [
        ([], [], ("1", "2")),
        (["1", "1"], ["1", "1"], ("1", "2")),
        (["a", ""], ["a", "b"], ("a", "b")),
        (["a", "b"], [], ("a", "b")),
    ],
)
def test_points_without_names_of_their_own_are_paired_by_order(
    fixed: list[str], moving: list[str], names: tuple[str, ...]
) -> None:
    pairing = paired(fixed, moving, (2, 2))
    assert pairing.by is MatchedBy.ORDER
    assert (pairing.fixed, pairing.moving, pairing.names) == ((0, 1), (0, 1), names)


def test_lists_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(UsageError, match="no name in common"):
        paired(["a"], ["b"], (1, 1))
    with pytest.raises(UsageError, match="there are 2 fixed and 3 moving points"):
        paired([], [], (2, 3))


def test_points_of_another_number_or_dimension_are_refused() -> None:
    with pytest.raises(ImageError, match="N at least 1"):
        landmark_errors(FIXED, FIXED[:3])
    with pytest.raises(ImageError, match="N at least 1"):
        landmark_errors(FIXED[:0], FIXED[:0])
    with pytest.raises(ImageError, match="the points have 3 coordinates, the transform is 2D"):
        landmark_errors(FIXED, FIXED, np.eye(3))


def test_points_beyond_a_horizon_have_no_error() -> None:
    matrix = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.01, 0.0, 1.0]])  # w = 0 at x = -100
    points = np.array([[0.0, 0.0], [-99.0, 5.0]])
    assert landmark_errors(points, points, matrix).distances[0] == 0.0
    points[1, 0] = -101.0
    with pytest.raises(TransformError, match="beyond the horizon"):
        landmark_errors(points, points, matrix)
