"""LinearTransform and matrix_of: SimpleITK, finite differences, gradcheck, and the laws of a group."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medreg.errors import TransformError
from medreg.transform.generators import about, exponential, generators
from medreg.transform.kind import Kind
from medreg.transform.linear import LinearTransform, matrix_of

LINEAR = [kind for kind in Kind if kind is not Kind.HOMOGRAPHY]
FAMILIES = pytest.mark.parametrize(("kind", "dimension"), [(k, d) for d in (2, 3) for k in LINEAR], ids=str)
EVERY_FAMILY = pytest.mark.parametrize(("kind", "dimension"), [(k, d) for d in (2, 3) for k in Kind], ids=str)
POINTS = np.random.default_rng(0).uniform(-100, 100, (20, 3))
CENTRE = (12.5, -30.25, 44.0)


@st.composite
def transforms(draw: st.DrawFn, dimension: int = 3) -> LinearTransform:
    """Any family, up to about 40 mm of motion at 60 mm: far from singular."""
    kind = draw(st.sampled_from(LINEAR))
    basis = generators(kind, dimension, 60.0)
    step = np.array(draw(st.tuples(*[st.floats(-10, 10)] * len(basis))))
    centre = draw(st.tuples(*[st.floats(-100, 100)] * dimension))
    return LinearTransform(about(centre, exponential(np.tensordot(step, basis, 1))), kind, centre)


def matrix_3d() -> np.ndarray:
    """A rotation with scales and shears, and a shift."""
    matrix = np.eye(4)
    matrix[:3] = [[0.9, -0.3, 0.1, 5], [0.2, 1.1, -0.25, -7], [0.05, 0.3, 0.95, 11]]
    return matrix


@pytest.mark.parametrize("dimension", [2, 3])
def test_points_are_mapped_as_itks_affine_transform_maps_them(dimension):
    linear, shift, centre = matrix_3d()[:dimension, :dimension], matrix_3d()[:dimension, 3], CENTRE[:dimension]
    itk = sitk.AffineTransform(dimension)
    itk.SetMatrix(linear.ravel().tolist())
    itk.SetTranslation(shift.tolist())
    itk.SetCenter(centre)
    ours = np.eye(dimension + 1)
    ours[:dimension] = np.column_stack([linear, shift])
    points = POINTS[:, :dimension]
    theirs = [itk.TransformPoint(p.tolist()) for p in points]
    np.testing.assert_allclose(LinearTransform(about(centre, ours)).map(points), theirs, atol=1e-11)  # mm


def test_points_are_mapped_as_itks_euler_transform_maps_them():
    itk = sitk.Euler3DTransform(CENTRE, 0.2, -0.5, 1.1, (3.0, -4.0, 9.0))
    step = np.eye(4)
    step[:3] = np.column_stack([np.array(itk.GetMatrix()).reshape(3, 3), itk.GetTranslation()])
    ours = LinearTransform(about(CENTRE, step), Kind.RIGID, CENTRE)
    np.testing.assert_allclose(ours.map(POINTS), [itk.TransformPoint(p.tolist()) for p in POINTS], atol=1e-11)
    back = [itk.GetInverse().TransformPoint(p.tolist()) for p in POINTS]
    np.testing.assert_allclose(ours.inverse().map(POINTS), back, atol=1e-11)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([2, 3]).flatmap(transforms))
def test_the_inverse_undoes_a_transform_on_both_sides(transform):
    points = POINTS[:, : transform.dimension]
    for one, other in ((transform, transform.inverse()), (transform.inverse(), transform)):
        np.testing.assert_allclose(other.map(one.map(points)), points, atol=1e-9)  # mm
        np.testing.assert_allclose(other.compose(one).map(points), points, atol=1e-9)
    assert transform.inverse().kind is transform.kind
    np.testing.assert_allclose(transform.inverse().centre, transform.map(np.array([transform.centre]))[0], atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(transforms(), transforms(), transforms())
def test_composition_does_the_first_transform_first_and_is_associative(third, second, first):
    np.testing.assert_allclose(second.compose(first).map(POINTS), second.map(first.map(POINTS)), atol=1e-9)
    left, right = third.compose(second).compose(first), third.compose(second.compose(first))
    np.testing.assert_allclose(left.matrix, right.matrix, atol=1e-9)
    assert left.kind is right.kind
    undone = first.inverse().compose(second.inverse())
    np.testing.assert_allclose(second.compose(first).inverse().matrix, undone.matrix, atol=1e-8)


@pytest.mark.parametrize("second", LINEAR)
@pytest.mark.parametrize("first", LINEAR)
def test_a_composition_belongs_to_the_wider_family(second, first):
    composed = LinearTransform(np.eye(4), second).compose(LinearTransform(np.eye(4), first))
    sizes = {kind: len(generators(kind, 3, 1.0)) for kind in LINEAR}
    assert sizes[composed.kind] == max(sizes[first], sizes[second])


def test_a_homography_is_no_linear_transform():
    with pytest.raises(TransformError, match="Homography"):
        LinearTransform(np.eye(3), Kind.HOMOGRAPHY)


@FAMILIES
def test_the_jacobian_is_that_of_finite_differences(kind, dimension):
    radius, width = 55.0, 1e-4
    start = matrix_3d()[np.ix_([*range(dimension), 3], [*range(dimension), 3])]
    centre, points = CENTRE[:dimension], POINTS[:, :dimension]
    basis = generators(kind, dimension, radius)

    def mapped(step: np.ndarray) -> np.ndarray:
        return LinearTransform(start @ about(centre, exponential(np.tensordot(step, basis, 1)))).map(points)

    steps = width * np.eye(len(basis))
    numeric = np.stack([(mapped(s) - mapped(-s)) / (2 * width) for s in steps], -1)
    jacobian = LinearTransform(start, kind, centre).jacobian(points, radius)
    assert jacobian.shape == (len(points), dimension, len(basis))
    np.testing.assert_allclose(jacobian, numeric, atol=1e-7)  # mm per mm; roundings of 100 mm over 2e-4 mm


@EVERY_FAMILY
def test_matrix_of_is_the_exponential_about_the_centre(kind, dimension):
    centre, basis = CENTRE[:dimension], generators(kind, dimension, 40.0)
    parameters = np.random.default_rng(1).uniform(-8, 8, len(basis))
    ours = matrix_of(torch.from_numpy(parameters), kind, centre, 40.0)
    assert ours.dtype == torch.float64
    expected = about(centre, exponential(np.tensordot(parameters, basis, 1)))
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-12)
    zeros = torch.zeros(len(basis))
    assert torch.equal(matrix_of(zeros, kind, centre, 40.0), torch.eye(dimension + 1))


@EVERY_FAMILY
def test_matrix_of_passes_gradcheck(kind, dimension):
    count = len(generators(kind, dimension, 40.0))
    random = torch.Generator().manual_seed(2)
    parameters = (torch.rand(count, generator=random, dtype=torch.float64) * 6 - 3).requires_grad_()
    centre = CENTRE[:dimension]
    assert torch.autograd.gradcheck(lambda p: matrix_of(p, kind, centre, 40.0), (parameters,))


@FAMILIES
def test_the_slope_of_matrix_of_at_zero_is_the_registrations_own_jacobian(kind, dimension):
    centre, points = CENTRE[:dimension], torch.from_numpy(POINTS[:, :dimension])

    def mapped(parameters: torch.Tensor) -> torch.Tensor:
        matrix = matrix_of(parameters, kind, centre, 40.0)
        return points @ matrix[:-1, :-1].T + matrix[:-1, -1]

    zeros = torch.zeros(len(generators(kind, dimension, 40.0)), dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(mapped, zeros)
    jacobian = LinearTransform(np.eye(dimension + 1), kind, centre).jacobian(points.numpy(), 40.0)
    np.testing.assert_allclose(slope.numpy(), jacobian, atol=1e-12)


def test_tensors_of_points_are_mapped_alike_and_differentiable():
    transform = LinearTransform.of(matrix_3d())
    points = torch.from_numpy(POINTS).requires_grad_()
    np.testing.assert_allclose(transform.map_points(points).detach().numpy(), transform.map(POINTS), atol=1e-11)
    assert transform.map_points(points.float()).dtype == torch.float32
    assert torch.autograd.gradcheck(transform.map_points, (points,))


def test_a_transform_is_a_value_of_its_own():
    matrix = matrix_3d()
    transform = LinearTransform(matrix)
    matrix[0, 3] = 99
    assert transform.matrix[0, 3] == 5
    assert transform.matrix.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        transform.matrix[0, 3] = 1
    assert transform.centre == (0.0, 0.0, 0.0)
    assert transform.dimension == 3


def test_a_float32_matrix_is_kept_in_float64():
    assert LinearTransform(np.eye(3, dtype=np.float32)).matrix.dtype == np.float64


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(2), r"3x3 \(2D\) or 4x4 \(3D\) matrix, got shape \(2, 2\)"),
        (np.eye(5), "got shape"),
        (np.ones((3, 4)), "got shape"),
        (np.diag([1, np.nan, 1, 1]), "not finite"),
        (np.diag([1, np.inf, 1]), "not finite"),
        (np.diag([1.0, 1, 1, 2]), "last row"),
        (np.tri(4), "last row"),
    ],
)
def test_a_matrix_that_is_no_linear_map_is_refused(matrix, message):
    with pytest.raises(TransformError, match=message):
        LinearTransform(matrix)


def test_a_singular_transform_has_no_inverse():
    with pytest.raises(TransformError, match="cannot be inverted"):
        LinearTransform(np.diag([1.0, 0.0, 1.0, 1.0])).inverse()
