"""Generators and their exponential; scipy is the oracle, and what a family must keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.linalg import expm

from medreg.transform.generators import about, exponential, generators
from medreg.transform.kind import Kind

COUNTS = {
    (Kind.TRANSLATION, 2): 2,
    (Kind.RIGID, 2): 3,
    (Kind.SIMILARITY, 2): 4,
    (Kind.AFFINE, 2): 6,
    (Kind.TRANSLATION, 3): 3,
    (Kind.RIGID, 3): 6,
    (Kind.SIMILARITY, 3): 7,
    (Kind.AFFINE, 3): 12,
    (Kind.HOMOGRAPHY, 2): 8,
    (Kind.HOMOGRAPHY, 3): 15,
}
FAMILIES = pytest.mark.parametrize(("kind", "dimension"), COUNTS, ids=lambda v: str(v))
SQUARES = st.sampled_from([3, 4]).flatmap(lambda n: arrays(np.float64, (n, n), elements=st.floats(-4, 4)))


def walked(kind: Kind, dimension: int, steps: int, size: float) -> np.ndarray:
    """The matrix after `steps` random steps of about `size` mm about a centre far from the origin."""
    random = np.random.default_rng(5)
    basis = generators(kind, dimension, 60.0)
    matrix = np.eye(dimension + 1)
    for _ in range(steps):
        step = random.standard_normal(len(basis)) * size
        matrix = matrix @ about((40.0, -70.0, 110.0)[:dimension], exponential(np.tensordot(step, basis, 1)))
    return matrix


@settings(max_examples=200, deadline=None)
@given(SQUARES)
def test_exponential_is_scipys(matrix):
    theirs = expm(matrix)
    # both lose about 2^halvings roundings of the largest element
    np.testing.assert_allclose(exponential(matrix), theirs, rtol=0, atol=1e-11 * max(1.0, np.abs(theirs).max()))


@settings(max_examples=200, deadline=None)
@given(SQUARES)
def test_exponential_of_a_small_step_is_exact_to_rounding(matrix):
    matrix = matrix / 40
    np.testing.assert_allclose(exponential(matrix), expm(matrix), rtol=0, atol=2e-15)


def test_exponential_of_nothing_is_the_identity():
    assert np.array_equal(exponential(np.zeros((4, 4))), np.eye(4))


@FAMILIES
def test_a_family_has_its_number_of_parameters(kind, dimension):
    basis = generators(kind, dimension, 50.0)
    assert basis.shape == (COUNTS[kind, dimension], dimension + 1, dimension + 1)
    assert basis.dtype == np.float64
    assert basis[:, -1].any() == (kind is Kind.HOMOGRAPHY)
    assert np.linalg.matrix_rank(basis.reshape(len(basis), -1)) == len(basis)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("radius", [3.0, 80.0])
def test_a_unit_step_moves_the_farthest_point_at_the_radius_by_one_millimetre(dimension, radius):
    for kind in Kind:
        for generator in generators(kind, dimension, radius):
            linear, shift = generator[:-1, :-1], generator[:-1, -1]
            pull = np.linalg.norm(generator[-1]) * radius**2  # x -> x - x (b . x)
            farthest = np.linalg.norm(linear, 2) * radius + np.linalg.norm(shift) + pull  # two of the three are zero
            assert farthest == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("radius", [3.0, 80.0])
def test_root_mean_square_displacements_at_the_radius_are_of_one_size(radius):
    sphere = radius * np.concatenate([np.eye(3), -np.eye(3)])  # has the sphere's second moments
    expected = {"rotation": np.sqrt(2 / 3), "scale": 1.0, "element": np.sqrt(1 / 3), "shift": 1.0}

    def displacements(kind: Kind) -> list[float]:
        moved = [sphere @ g[:3, :3].T + g[:3, 3] for g in generators(kind, 3, radius)]
        return [float(np.sqrt((m**2).sum(1).mean())) for m in moved]

    shifts = [expected["shift"]] * 3
    assert displacements(Kind.TRANSLATION) == pytest.approx(shifts)
    assert displacements(Kind.RIGID) == pytest.approx([expected["rotation"]] * 3 + shifts)
    assert displacements(Kind.SIMILARITY) == pytest.approx([expected["rotation"]] * 3 + [expected["scale"]] + shifts)
    assert displacements(Kind.AFFINE) == pytest.approx([expected["element"]] * 9 + shifts)


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_hundred_rigid_steps_stay_rigid(dimension):
    linear = walked(Kind.RIGID, dimension, 100, 20.0)[:-1, :-1]
    assert np.linalg.det(linear) == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(linear.T @ linear, np.eye(dimension), atol=1e-12)  # 100 products of roundings of 2e-16
    assert np.abs(linear - np.eye(dimension)).max() > 0.1


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_hundred_similarity_steps_keep_angles(dimension):
    linear = walked(Kind.SIMILARITY, dimension, 100, 5.0)[:-1, :-1]
    scale = np.linalg.det(linear) ** (1 / dimension)
    np.testing.assert_allclose(linear.T @ linear, scale**2 * np.eye(dimension), atol=1e-12 * scale**2)
    assert abs(scale - 1) > 0.01


@pytest.mark.parametrize("dimension", [2, 3])
def test_translations_leave_the_linear_part_alone(dimension):
    matrix = walked(Kind.TRANSLATION, dimension, 100, 20.0)
    assert np.array_equal(matrix[:-1, :-1], np.eye(dimension))


def test_every_family_contains_the_smaller_ones():
    spans = [generators(kind, 3, 50.0).reshape(-1, 16) for kind in Kind]
    for small, large in zip(spans, spans[1:], strict=False):
        assert np.linalg.matrix_rank(np.concatenate([large, small])) == len(large)


def test_turning_about_a_centre_leaves_it_where_it_is():
    centre = (12.0, -40.0, 77.0)
    matrix = about(centre, exponential(np.tensordot([0.3, -20, 9], generators(Kind.RIGID, 3, 50.0)[:3], 1)))
    np.testing.assert_allclose(matrix @ [*centre, 1], [*centre, 1], atol=1e-12)
