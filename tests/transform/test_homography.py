"""Homography: exact fractions by hand, finite differences, autograd, gradcheck, and the laws of a group."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medreg.errors import TransformError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.sample import Edge, resample, sample
from medreg.transform.generators import about, exponential, generators
from medreg.transform.homography import Homography, gradient_by_matrix, project
from medreg.transform.kind import Kind
from medreg.transform.linear import LinearTransform

DIMENSIONS = pytest.mark.parametrize("dimension", [2, 3])
CENTRE = (12.5, -30.25, 44.0)
POINTS = np.array(CENTRE) + np.random.default_rng(0).uniform(-40, 40, (25, 3))


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float64)


def stepped(seed: int, dimension: int, size: float = 6.0) -> Homography:
    """A homography that moves points at 40 mm from CENTRE by some `size` mm for each of its parameters."""
    basis, centre = generators(Kind.HOMOGRAPHY, dimension, 40.0), CENTRE[:dimension]
    step = np.random.default_rng(seed).uniform(-size, size, len(basis))
    return Homography(about(centre, exponential(np.tensordot(step, basis, 1))), centre)


def test_points_are_divided_by_w_as_exact_fractions_say():
    rows = [[3, 1, -2], [1, 4, 5], [1, -1, 7]]
    x, y = Fraction(5, 2), Fraction(-3)
    u, v, w = (a * x + b * y + c for a, b, c in rows)
    h = Homography(np.array(rows, dtype=float))
    assert h(np.array([2.5, -3.0])) == pytest.approx([float(u / w), float(v / w)], abs=1e-15)
    assert h.map(np.array([[2.5, -3.0]]))[0] == pytest.approx([float(u / w), float(v / w)], abs=1e-15)
    assert h.w(np.array([[2.5, -3.0]]))[0] == pytest.approx(float(w / 7), abs=1e-15)  # 7 is w at the origin


def test_the_identity_projects_homogeneous_coordinates():
    assert Homography(np.eye(3))(np.array([1, 2, 3])) == pytest.approx([1 / 3, 2 / 3], abs=1e-16)
    assert Homography(np.eye(4))(np.array([1, 2, 3])).tolist() == [1, 2, 3]  # in 3D three numbers are a point
    assert Homography(np.eye(4))(np.array([1, 2, 3, 2])).tolist() == [0.5, 1, 1.5]
    with pytest.raises(TransformError, match=r"maps 2 or 3 coordinates, got shape \(4,\)"):
        Homography(np.eye(3))(np.ones(4))


def test_an_origin_on_the_horizon_does_no_harm_since_w_is_1_at_the_centre():
    matrix = np.array([[0.0, 0, 1], [0, 1, 0], [0.01, 0, 0]])  # w = x / 100
    h = Homography(matrix * 17, (50.0, 0.0))
    assert h.w(np.array([h.centre])) == pytest.approx([1.0], abs=1e-15)
    assert h(np.array([200.0, 50.0])) == pytest.approx([0.5, 25.0])
    with pytest.raises(TransformError, match="w = 0 at its centre"):
        Homography(matrix)
    with pytest.raises(TransformError, match="w = -0.5 at its centre"):  # the first map goes beyond the horizon
        h.compose(LinearTransform(np.array([[1.0, 0, -25], [0, 1, 0], [0, 0, 1]])))


@settings(max_examples=80, deadline=None)
@given(st.builds(stepped, st.integers(0, 10_000), st.sampled_from([2, 3]), st.floats(0, 4)))
def test_the_inverse_undoes_a_homography_on_both_sides(h):
    points = POINTS[:, : h.dimension]
    for one, other in ((h, h.inverse()), (h.inverse(), h)):
        start = points if one is h else h.map(points)
        np.testing.assert_allclose(other.map(one.map(start)), start, atol=1e-10)  # mm
        np.testing.assert_allclose(other.compose(one).map(start), start, atol=1e-10)
    np.testing.assert_allclose(h.inverse().inverse().matrix, h.matrix, atol=1e-10)
    np.testing.assert_allclose(h.inverse().centre, h(np.array(h.centre)), atol=1e-12)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 3]))
def test_composition_does_the_first_map_first_and_is_associative(seed, dimension):
    third, second, first = (stepped(seed + k, dimension, 2.0) for k in range(3))
    points = POINTS[:, :dimension]
    np.testing.assert_allclose(second.compose(first).map(points), second.map(first.map(points)), atol=1e-9)
    left, right = third.compose(second).compose(first), third.compose(second.compose(first))
    np.testing.assert_allclose(left.matrix, right.matrix, atol=1e-9)
    linear = LinearTransform(np.eye(dimension + 1) + np.eye(dimension + 1, k=1) / 5, Kind.AFFINE, CENTRE[:dimension])
    np.testing.assert_allclose(second.compose(linear).map(points), second.map(linear.map(points)), atol=1e-9)
    assert second.compose(linear).centre == linear.centre
    assert np.array_equal(Homography.of(linear.matrix).matrix, linear.matrix)


@DIMENSIONS
def test_the_jacobian_is_that_of_finite_differences(dimension):
    radius, width, h = 35.0, 1e-4, stepped(6, dimension)
    basis, points = generators(Kind.HOMOGRAPHY, dimension, radius), POINTS[:, :dimension]

    def mapped(step: np.ndarray) -> np.ndarray:
        return Homography(h.matrix @ about(h.centre, exponential(np.tensordot(step, basis, 1))), h.centre).map(points)

    steps = width * np.eye(len(basis))
    numeric = np.stack([(mapped(s) - mapped(-s)) / (2 * width) for s in steps], -1)
    jacobian = h.jacobian(points, radius)
    assert jacobian.shape == (len(points), dimension, {2: 8, 3: 15}[dimension])
    np.testing.assert_allclose(jacobian, numeric, atol=1e-6)  # mm per mm; roundings of 100 mm over 2e-4 mm


@DIMENSIONS
@pytest.mark.parametrize("seed", range(5))
def test_the_closed_form_gradient_is_autograds(dimension, seed):
    matrix = tensor(stepped(seed, dimension).matrix) * (seed + 1)  # of any scale
    points = tensor(POINTS[:, :dimension])
    pull = torch.randn(points.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    matrix.requires_grad_()
    (project(matrix, points) * pull).sum().backward()
    closed = gradient_by_matrix(matrix.detach(), points, pull)
    torch.testing.assert_close(closed, matrix.grad, rtol=1e-10, atol=1e-10)


@DIMENSIONS
def test_the_closed_form_gradient_is_that_of_finite_differences(dimension):
    matrix, points = tensor(stepped(9, dimension).matrix), tensor(POINTS[:, :dimension])
    pull, width = torch.sin(points), 1e-6
    closed = gradient_by_matrix(matrix, points, pull)
    steps = width * torch.eye(matrix.numel(), dtype=torch.float64).view(-1, *matrix.shape)
    change = project(matrix + steps, points) - project(matrix - steps, points)
    numeric = (change * pull).sum((1, 2)).view_as(matrix) / (2 * width)
    # roundings of 100 mm over 1e-6, and the truncation of order width^2
    torch.testing.assert_close(closed, numeric, rtol=1e-6, atol=1e-6 * float(closed.abs().max()))


@DIMENSIONS
def test_projection_passes_gradcheck_with_one_matrix_and_with_a_stack(dimension):
    points = tensor(POINTS[:4, :dimension]).requires_grad_()
    matrix = tensor(stepped(1, dimension).matrix).requires_grad_()
    assert torch.autograd.gradcheck(project, (matrix, points))
    stack = torch.stack([tensor(stepped(k, dimension).matrix) for k in range(3)]).requires_grad_()
    assert torch.autograd.gradcheck(project, (stack, points))
    each = torch.stack([project(m, points) for m in stack])
    torch.testing.assert_close(project(stack, points), each, rtol=0, atol=1e-11)


@DIMENSIONS
def test_tensors_of_points_are_mapped_alike_and_differentiable(dimension):
    h, points = stepped(7, dimension), tensor(POINTS[:, :dimension]).requires_grad_()
    np.testing.assert_allclose(h.map_points(points).detach().numpy(), h.map(points.detach().numpy()), atol=1e-11)
    assert h.map_points(points.float()).dtype == torch.float32
    assert torch.autograd.gradcheck(h.map_points, (points,), fast_mode=True)


def test_w_is_positive_over_a_grid_if_it_is_so_to_the_outer_faces_of_its_voxels():
    h = Homography(np.array([[1.0, 0, 0], [0, 1, 0], [-0.1, 0, 1]]))  # the horizon is x = 10
    assert h.positive_over(Grid.regular((10, 5), (1.0, 1.0)))  # x to 9.5
    assert not h.positive_over(Grid.regular((11, 5), (1.0, 1.0)))  # x to 10.5, its last centres on the horizon
    assert not h.positive_over(Grid.regular((2, 5), (1.0, 1.0), (8.8, 0.0)))  # centres to 9.8, faces to 10.3
    assert h.positive_over(Grid((20, 3), (1.0, 1.0), (0.0, 0.0), ((-1.0, 0.0), (0.0, 1.0))))  # x from 0.5 to -19.5
    assert not h.positive_over(Grid((3, 20), (1.0, 1.0), (0.0, 0.0), ((0.0, 1.0), (1.0, 0.0))))  # axes exchanged
    assert np.isinf(h.map(np.array([[10.0, 3.0]]))).all()  # on the horizon, without a warning


@DIMENSIONS
def test_an_image_is_resampled_through_a_homography_as_through_its_points(dimension):
    size = (9, 8, 7)[:dimension]
    grid = Grid.regular(size, (1.0,) * dimension, [c - 4 for c in CENTRE[:dimension]])
    voxels = torch.rand(1, *grid.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    image, h = MedImage.on(grid, voxels), stepped(8, dimension, 2.0)
    index = grid.to_index(h.map(grid.to_world(np.indices(size).reshape(dimension, -1).T)))
    by_matrix = resample(image, grid, h, outside=Edge()).data
    by_points = sample(voxels, tensor(index), outside=Edge()).view(1, *size).permute(0, *range(dimension, 0, -1))
    torch.testing.assert_close(by_matrix, by_points, rtol=0, atol=1e-9)
    assert float((by_matrix - voxels).abs().max()) > 0.1


def test_a_homography_is_a_value_of_its_own():
    matrix = np.diag([2.0, 2, 2])
    h = Homography(matrix)
    matrix[0, 2] = 99
    assert np.array_equal(h.matrix, np.eye(3))
    with pytest.raises(ValueError, match="read-only"):
        h.matrix[0, 2] = 1
    assert (h.centre, h.dimension, h.kind) == ((0.0, 0.0), 2, Kind.HOMOGRAPHY)
    assert Homography(np.eye(4, dtype=np.float32)).matrix.dtype == np.float64


@pytest.mark.parametrize(
    ("matrix", "centre", "message"),
    [
        (np.eye(2), (), r"3x3 \(2D\) or 4x4 \(3D\) matrix, got shape \(2, 2\)"),
        (np.diag([1, np.nan, 1, 1]), (), "not finite"),
        (np.eye(3), (1.0, 2.0, 3.0), "centre of 2 coordinates"),
        (np.diag([1.0, 1, -1]), (), "w = -1 at its centre"),
        (np.diag([1.0, 1, 1, 0]), (), "w = 0 at its centre"),
        (np.diag([1.0, 0, 1]), (), "singular"),
        # a regular linear part, but the last row is a tenth and a fifth of the others: all points go onto a line
        (np.array([[1.0, 0, 1], [0, 1, 2], [0.1, 0.2, 0.5]]), (), "singular"),
    ],
)
def test_a_matrix_that_is_no_homography_is_refused(matrix, centre, message):
    with pytest.raises(TransformError, match=message):
        Homography(matrix, centre)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_whether_a_homography_is_singular_does_not_depend_on_the_unit_of_length(unit):
    scaled = np.diag([unit, unit, 1.0])
    matrix = scaled @ np.array([[1.0, 0.1, 500], [-0.2, 1, 900], [0.01, 0.02, 1]]) @ np.linalg.inv(scaled)
    assert Homography(matrix).inverse().dimension == 2
