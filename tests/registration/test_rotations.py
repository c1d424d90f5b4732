"""Covers of all rotations: scipy's quaternions, and how far 20,000 random rotations are from the nearest."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from medreg.registration.rotations import from_quaternions, in_plane, super_fibonacci


def angles_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(A, B) degrees by which each of (A, D, D) rotations differs from each of (B, D, D)."""
    trace = np.einsum("aij,bij->ab", first, second)
    cosine = (trace - 1) / 2 if first.shape[-1] == 3 else trace / 2
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))), dtype=np.float64)


def furthest(cover: np.ndarray, count: int) -> float:
    """Degrees from the worst of many random rotations to the nearest of the cover."""
    random = Rotation.random(count, random_state=0).as_matrix()
    return max(angles_between(part, cover).min(1).max() for part in np.array_split(random, 10))


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_the_cover_is_of_rotations_all_different(count):
    cover = super_fibonacci(count)
    assert cover.shape == (count, 3, 3)
    np.testing.assert_allclose(cover @ cover.transpose(0, 2, 1), np.broadcast_to(np.eye(3), cover.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(cover), 1, atol=1e-12)
    if count > 1:
        between = angles_between(cover, cover) + 360 * np.eye(count)
        assert between.min() > 17  # degrees; evenly spread, none is near another


def test_a_thousand_leave_no_rotation_further_than_22_degrees():
    # 21.1 degrees to the worst of 20,000; evenly spread, 1,000 balls of 14 degrees would fill all rotations
    assert 14 < furthest(super_fibonacci(1000), 20_000) < 22


def test_the_distance_falls_with_the_cube_root_of_the_count():
    coarse, fine = (furthest(super_fibonacci(count), 2000) for count in (64, 8 * 64))
    assert coarse / fine == pytest.approx(2, rel=0.25)


def test_no_direction_is_preferred():
    # random ones would be off by about 1 / sqrt(3 x 1000) = 0.018
    np.testing.assert_allclose(super_fibonacci(1000).mean(0), 0, atol=2e-3)


@pytest.mark.parametrize("count", [1, 5, 72])
def test_in_the_plane_they_are_even_from_no_turn_at_all(count):
    expected = Rotation.from_euler("z", np.arange(count)[:, None] * 360 / count, degrees=True).as_matrix()[:, :2, :2]
    np.testing.assert_allclose(in_plane(count), expected, atol=1e-12)


def test_quaternions_are_scipys():
    random = Rotation.random(100, random_state=1)
    np.testing.assert_allclose(from_quaternions(random.as_quat()[:, [3, 0, 1, 2]]), random.as_matrix(), atol=1e-12)


@pytest.mark.parametrize("dimension", [2, 3])
def test_angles_are_scipys_magnitudes(dimension):
    one, other = (Rotation.random(30, random_state=seed) for seed in (0, 1))
    if dimension == 2:
        one, other = (Rotation.from_euler("z", r.as_euler("xyz")[:, 2:]) for r in (one, other))
    expected = np.degrees([[(a.inv() * b).magnitude() for b in other] for a in one])
    found = angles_between(*(r.as_matrix()[:, :dimension, :dimension] for r in (one, other)))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_rotation_is_no_degrees_from_itself():
    cover = super_fibonacci(50)
    np.testing.assert_allclose(np.diag(angles_between(cover, cover)), 0, atol=1e-5)  # arccos loses half the digits
