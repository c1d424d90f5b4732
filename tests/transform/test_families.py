"""The nearest member of a family belongs to it and carries the centre to the same place; its own stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import polar

from medreg.geometry.affine import map_points
from medreg.transform.families import nearest
from medreg.transform.generators import about, exponential, generators
from medreg.transform.kind import Kind

CENTRE = (30.0, -20.0, 55.0)


def member(kind: Kind, dimension: int, seed: int) -> np.ndarray:
    """A transform of the family, some 20 mm away from the identity."""
    basis = generators(kind, dimension, 60.0)
    step = np.random.default_rng(seed).uniform(-12, 12, len(basis))
    return about(CENTRE[:dimension], exponential(np.tensordot(step, basis, 1)))


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("kind", Kind)
def test_a_member_stays_as_it_is(kind, dimension):
    matrix = member(kind, dimension, 1)
    np.testing.assert_allclose(nearest(kind, matrix, CENTRE[:dimension]), matrix, atol=1e-12)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("kind", [Kind.TRANSLATION, Kind.RIGID, Kind.SIMILARITY, Kind.AFFINE])
def test_a_homography_is_brought_into_each_family(kind, dimension):
    matrix, centre = member(Kind.HOMOGRAPHY, dimension, 2), np.array([CENTRE[:dimension]])
    found = nearest(kind, matrix, CENTRE[:dimension])
    np.testing.assert_allclose(map_points(found, centre), map_points(matrix, centre), atol=1e-10)
    assert np.array_equal(found[-1], np.eye(dimension + 1)[-1])
    width = 1e-5
    steps = centre + width * np.eye(dimension)
    slope = ((map_points(matrix, steps) - map_points(matrix, centre)) / width).T
    rotation, stretch = polar(slope)
    wanted = {
        Kind.TRANSLATION: np.eye(dimension),
        Kind.RIGID: rotation,
        Kind.SIMILARITY: rotation * np.linalg.det(stretch) ** (1 / dimension),
        Kind.AFFINE: slope,
    }[kind]
    np.testing.assert_allclose(found[:-1, :-1], wanted, atol=1e-5)  # of a difference over 1e-5 mm
