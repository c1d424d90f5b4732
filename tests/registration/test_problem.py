"""The analytic chain: gradients against finite differences of the value, curvatures against the rows they stand for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from medreg.geometry.affine import homogeneous, map_points
from medreg.image import MedImage
from medreg.optimise.loop import usable
from medreg.registration import recipe
from medreg.registration.levels import LevelImage
from medreg.registration.measures import measure_for
from medreg.registration.problem import OneWay
from medreg.registration.samples import Placement, draw
from medreg.registration.term import LEAST_W, Term
from medreg.transform.generators import about, exponential, generators
from medreg.transform.kind import Kind

METRICS = [
    recipe.MeanSquares(),
    recipe.Correlation(bias_order=0, powers=1),
    recipe.Correlation(bias_order=2, powers=2),
    recipe.MutualInformation(bins=24),
    recipe.NormalisedMutualInformation(bins=24),
]
EVERY_METRIC = pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
FAMILIES = pytest.mark.parametrize(("dimension", "kind"), [(d, k) for d in (2, 3) for k in Kind], ids=str)


def term(fixed: MedImage, moving: MedImage, metric: recipe.SingleMetric, mask=None, weight: float = 1.0) -> Term:
    """A term in float64 over about 1,500 scattered samples."""
    samples = draw(fixed.data, fixed.grid, 1500, fixed.grid.centre, 3, Placement.SCATTERED)
    level = LevelImage(moving.data, mask, moving.grid)
    return Term(samples, level, measure_for(metric, samples, level.volume), weight)


def made(fixed: MedImage, moving: MedImage, metric: recipe.SingleMetric, kind: Kind, mask=None) -> OneWay:
    """A problem of one term."""
    return OneWay([term(fixed, moving, metric, mask)], kind)


def somewhere(problem: OneWay, size_mm: float = 1.5) -> np.ndarray:
    """A matrix that no optimum would have."""
    step = np.random.default_rng(2).uniform(-size_mm, size_mm, len(problem.generators))
    return problem.move(np.eye(problem.terms[0].moving.grid.dimension + 1), step)


def differences(problem: OneWay, matrix: np.ndarray, width_mm: float) -> np.ndarray:
    """(P,) central differences of the value."""
    steps = np.eye(len(problem.generators)) * width_mm
    values = [[problem.evaluate(problem.move(matrix, s)).value for s in (step, -step)] for step in steps]
    return np.array([(up - down) / (2 * width_mm) for up, down in values])


def colours(first: MedImage, second: MedImage, third: MedImage) -> MedImage:
    """One image of three channels, of unlike strengths."""
    return first.with_data(torch.cat([first.data, 3 * second.data, 0.5 * third.data]))


@EVERY_METRIC
@FAMILIES
@pytest.mark.parametrize("masked", [False, True])
def test_the_gradient_is_that_of_finite_differences(texture, metric, dimension, kind, masked):
    fixed, moving = texture(dimension, seed=0), texture(dimension, seed=1)
    mask = None
    if masked:
        mask = torch.ones(moving.data.shape, dtype=torch.bool)
        mask[..., : moving.size[0] // 3] = False
    problem = made(fixed, moving, metric, kind, mask)
    matrix = somewhere(problem)
    here = problem.evaluate(matrix)
    assert 0.4 < here.overlap < 1  # some samples lie outside
    # so short that hardly a sample crosses a voxel's border, where the slope of linear interpolation jumps
    numeric = differences(problem, matrix, 1e-6)
    np.testing.assert_allclose(here.gradient, numeric, rtol=2e-3, atol=2e-3 * np.abs(numeric).max())
    assert here.gradient.dtype == here.curvature.dtype == np.float64


@EVERY_METRIC
@FAMILIES
@pytest.mark.parametrize("channels", [1, 3])
def test_the_curvature_is_its_sum_over_rows(texture, metric, dimension, kind, channels):
    images = [texture(dimension, seed=0), texture(dimension, seed=1)]
    if channels == 3:
        images = [colours(image, texture(dimension, seed=7), texture(dimension, seed=8)) for image in images]
    problem = made(*images, metric, kind)
    (one,) = problem.terms
    matrix = somewhere(problem)
    moving, inside = one.values(matrix)
    weights = one.measure(moving, inside.double()).curvature.numpy()
    assert weights.shape == (channels, len(one.samples))
    width = 1e-6
    steps = np.eye(len(problem.generators)) * width
    up, down = (np.stack([one.values(problem.move(matrix, s))[0].numpy() for s in sign * steps]) for sign in (1, -1))
    rows = (up - down) / (2 * width)  # (P, C, N)
    curvature = problem.evaluate(matrix).curvature
    expected = np.einsum("pcn,cn,qcn->pq", rows, weights, rows)
    np.testing.assert_allclose(curvature, expected, atol=5e-3 * np.abs(curvature).max())
    np.testing.assert_allclose(curvature, curvature.T, atol=1e-12 * np.abs(curvature).max())
    assert np.linalg.eigvalsh(curvature).min() > -1e-9 * np.abs(curvature).max()


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("kind", [Kind.AFFINE, Kind.HOMOGRAPHY], ids=str)
def test_values_are_scipys_at_the_mapped_points(texture, dimension, kind):
    fixed, moving = texture(dimension, seed=0), texture(dimension, seed=1, sheared=True)
    problem = made(fixed, moving, METRICS[0], kind)
    matrix = somewhere(problem)
    samples = problem.terms[0].samples
    points = samples.homogeneous[:, :-1].numpy() + samples.centre
    index = moving.grid.to_index(map_points(matrix, points))
    theirs = map_coordinates(moving.data[0].numpy(), index[:, ::-1].T, order=1, mode="nearest")
    values, inside = problem.terms[0].values(matrix)
    np.testing.assert_allclose(values[0].numpy(), theirs, atol=1e-9)
    expected = ((index >= -0.5) & (index < np.array(moving.size) - 0.5)).all(1)
    assert np.array_equal(inside.numpy(), expected)
    room = abs(np.linalg.det(moving.affine)) * moving.data[0].numel()  # of the moving image, beside the fixed one's
    room /= abs(np.linalg.det(fixed.affine)) * fixed.data[0].numel()
    assert problem.evaluate(matrix).overlap == pytest.approx(min(1, expected.mean() / min(1, room)))


def test_samples_that_land_out_of_the_moving_mask_do_not_count(texture):
    fixed, moving = texture(3, seed=0), texture(3, seed=1)
    mask = torch.zeros(moving.data.shape, dtype=torch.bool)
    mask[..., 8:18] = True
    problem = made(fixed, moving, METRICS[0], Kind.RIGID, mask)
    samples = problem.terms[0].samples
    index = moving.grid.to_index(samples.homogeneous[:, :-1].numpy() + samples.centre)
    inside = ((index >= -0.5) & (index < np.array(moving.size) - 0.5)).all(1)
    whole = inside & (index[:, 0] >= 8) & (index[:, 0] <= 17)  # both neighbours in the mask
    half = inside & (index[:, 0] > 7.49) & (index[:, 0] < 17.51)
    room = float(mask.float().mean())  # of the moving image in the fixed one, whose size it has
    assert 0 < whole.mean() <= problem.evaluate(np.eye(4)).overlap * room <= half.mean() < inside.mean()


@pytest.mark.parametrize("kind", [Kind.AFFINE, Kind.HOMOGRAPHY], ids=str)
def test_float32_images_give_the_gradient_of_float64_ones(texture, kind):
    fixed, moving = texture(3, seed=0), texture(3, seed=1)
    single = [image.with_data(image.data.float()) for image in (fixed, moving)]
    for metric in METRICS:
        double = made(fixed, moving, metric, kind)
        matrix = somewhere(double)
        wanted, got = double.evaluate(matrix), made(*single, metric, kind).evaluate(matrix)
        assert got.value == pytest.approx(wanted.value, abs=2e-4)
        np.testing.assert_allclose(got.gradient, wanted.gradient, atol=5e-3 * np.abs(wanted.gradient).max())


# Steps --------------------------------------------------------------------------------------------------------------


@FAMILIES
def test_a_step_is_the_exponential_about_the_samples_centre(texture, dimension, kind):
    problem = made(texture(dimension), texture(dimension, seed=1), METRICS[0], kind)
    samples = problem.terms[0].samples
    basis = generators(kind, dimension, samples.radius)
    step = np.random.default_rng(0).uniform(-5, 5, len(basis))
    start = somewhere(problem)
    expected = start @ about(samples.centre, exponential(np.tensordot(step, basis, 1)))
    expected = expected / (expected[-1] @ [*samples.centre, 1.0])  # the multiple whose w is 1 at the centre
    np.testing.assert_allclose(problem.move(start, step), expected, atol=1e-12)
    np.testing.assert_allclose(problem.move(start, np.zeros(len(basis))), start, atol=1e-12)


@pytest.mark.parametrize("kind", [Kind.AFFINE, Kind.HOMOGRAPHY], ids=str)
def test_a_step_of_one_moves_the_samples_by_about_a_millimetre(texture, kind):
    problem = made(texture(3), texture(3, seed=1), METRICS[0], kind)
    samples = problem.terms[0].samples
    points = samples.homogeneous[:, :-1].numpy() + samples.centre
    for step in np.eye(len(problem.generators)):
        moved = map_points(problem.move(np.eye(4), step), points) - points
        assert 0.4 < np.sqrt((moved**2).sum(1).mean()) < 1.3


def test_every_evaluation_is_counted(texture):
    problem = made(texture(2), texture(2, seed=1), METRICS[0], Kind.RIGID)
    for count in range(3):
        assert problem.evaluations == count
        problem.evaluate(np.eye(3))


# Homographies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimension", [2, 3])
def test_no_multiple_of_a_homography_is_another_map(texture, dimension):
    problem = made(texture(dimension), texture(dimension, seed=1), METRICS[0], Kind.HOMOGRAPHY)
    matrix = somewhere(problem)
    one, other = problem.evaluate(matrix), problem.evaluate(matrix * 1.7)
    assert one.value == pytest.approx(other.value, rel=1e-12)
    np.testing.assert_allclose(one.gradient, other.gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_homography_that_is_affine_is_compared_as_the_affine_one(texture, dimension):
    affine = made(texture(dimension), texture(dimension, seed=1), METRICS[0], Kind.AFFINE)
    wider = made(texture(dimension), texture(dimension, seed=1), METRICS[0], Kind.HOMOGRAPHY)
    matrix = somewhere(affine)
    one, other = affine.evaluate(matrix), wider.evaluate(matrix)
    count = len(one.gradient)  # the generators of affine maps come first
    assert other.value == one.value
    np.testing.assert_allclose(other.gradient[:count], one.gradient, rtol=1e-9)
    np.testing.assert_allclose(other.curvature[:count, :count], one.curvature, rtol=1e-9)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("least", [0.15, 0.05, 0.0, -0.5])
def test_a_map_that_tears_the_image_is_infinitely_bad(texture, dimension, least):
    problem = made(texture(dimension), texture(dimension, seed=1), METRICS[0], Kind.HOMOGRAPHY)
    corners = problem.terms[0].samples.corners
    furthest = corners[np.argmin(corners[:, 0])]
    bottom = np.zeros(dimension + 1)
    bottom[0] = (1 - least) / -furthest[0]  # w falls to `least` at the corner with the smallest x
    local = np.eye(dimension + 1)
    local[-1] += bottom
    matrix = about(problem.centre, local)
    w = (np.column_stack([corners[:, :-1] + problem.centre, corners[:, -1]]) @ matrix[-1]).min()
    assert w == pytest.approx(least)
    here = problem.evaluate(matrix)
    assert np.isfinite(here.value) == usable(here) == (least > LEAST_W)
    if least < LEAST_W:
        assert here.value == np.inf
        assert np.isfinite(here.gradient).all()


def test_a_corner_that_holds_no_sample_tears_the_image_too(texture):
    """Samples in a mask may all lie before the horizon while the fixed image, which is resampled, does not."""
    fixed = texture(2)
    allowed = torch.zeros(fixed.data.shape, dtype=torch.bool)
    allowed[..., 8:16, 8:16] = True
    samples = draw(fixed.data, fixed.grid, 1500, fixed.grid.centre, 3, allowed=allowed)
    level = LevelImage(fixed.data, None, fixed.grid)
    problem = OneWay([Term(samples, level, measure_for(METRICS[0], samples, level.volume))], Kind.HOMOGRAPHY)
    local = np.eye(3)
    local[-1, 0] = 0.95 / np.abs(samples.corners[:, 0]).max()
    matrix = about(problem.centre, local)
    points = samples.homogeneous[:, :-1].numpy() + samples.centre
    assert (np.column_stack([points, np.ones(len(points))]) @ matrix[-1]).min() > 0.5
    assert problem.evaluate(matrix).value == np.inf


# Channels and several metrics ---------------------------------------------------------------------------------------


@FAMILIES
def test_mean_squares_of_channels_is_their_sum_weighted_by_the_fixed_variances(texture, dimension, kind):
    fixed = [texture(dimension, seed=s).data * gain for s, gain in ((0, 1.0), (1, 3.0), (2, 0.5))]
    moving = [texture(dimension, seed=s).data * gain for s, gain in ((3, 1.0), (4, 3.0), (5, 0.5))]
    like = texture(dimension)
    whole = made(like.with_data(torch.cat(fixed)), like.with_data(torch.cat(moving)), METRICS[0], kind)
    matrix = somewhere(whole)
    parts = [made(like.with_data(f), like.with_data(m), METRICS[0], kind) for f, m in zip(fixed, moving, strict=True)]
    # each value is divided by the variance of what it compares: weigh it back
    shares = whole.terms[0].samples.values.var(1, correction=0).numpy()
    shares = shares / shares.sum()
    found, each = whole.evaluate(matrix), [part.evaluate(matrix) for part in parts]
    assert found.value == pytest.approx(sum(s * e.value for s, e in zip(shares, each, strict=True)), rel=1e-9)
    for name in ("gradient", "curvature"):
        expected = sum(s * getattr(e, name) for s, e in zip(shares, each, strict=True))
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize(
    "metric", [recipe.MutualInformation(bins=24), recipe.NormalisedMutualInformation(bins=24)], ids=lambda m: m.name
)
@pytest.mark.parametrize("kind", [Kind.RIGID, Kind.HOMOGRAPHY], ids=str)
def test_mutual_information_of_channels_is_their_mean(texture, metric, kind):
    fixed, moving = ([texture(3, seed=s + k).data for k in range(3)] for s in (0, 3))
    like = texture(3)
    whole = made(like.with_data(torch.cat(fixed)), like.with_data(torch.cat(moving)), metric, kind)
    matrix = somewhere(whole)
    each = [
        made(like.with_data(f), like.with_data(m), metric, kind).evaluate(matrix)
        for f, m in zip(fixed, moving, strict=True)
    ]
    found = whole.evaluate(matrix)
    assert found.value == pytest.approx(np.mean([e.value for e in each]), rel=1e-9)
    for name in ("gradient", "curvature"):
        expected = np.mean([getattr(e, name) for e in each], axis=0)
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-9 * np.abs(expected).max())


@EVERY_METRIC
@pytest.mark.parametrize("kind", [Kind.AFFINE, Kind.HOMOGRAPHY], ids=str)
def test_the_gradient_of_channels_is_that_of_finite_differences(texture, metric, kind):
    fixed, moving = (colours(*(texture(3, seed=s + k) for k in range(3))) for s in (0, 3))
    problem = made(fixed, moving, metric, kind)
    matrix = somewhere(problem)
    numeric = differences(problem, matrix, 1e-6)
    np.testing.assert_allclose(problem.evaluate(matrix).gradient, numeric, rtol=2e-3, atol=2e-3 * np.abs(numeric).max())


@FAMILIES
def test_several_metrics_are_their_weighted_sum(texture, dimension, kind):
    fixed, moving = texture(dimension, seed=0), texture(dimension, seed=1)
    mask = torch.ones(moving.data.shape, dtype=torch.bool)
    mask[..., : moving.size[0] // 3] = False
    parts = [(METRICS[0], 2.0, None), (METRICS[2], 0.5, mask), (METRICS[3], 1.0, None)]
    several = OneWay([term(fixed, moving, m, mask, weight) for m, weight, mask in parts], kind)
    matrix = somewhere(several)
    each = [made(fixed, moving, m, kind, mask).evaluate(matrix) for m, _, mask in parts]
    found = several.evaluate(matrix)
    assert found.value == pytest.approx(sum(w * e.value for (_, w, _), e in zip(parts, each, strict=True)), rel=1e-12)
    for name in ("gradient", "curvature"):
        expected = sum(w * getattr(e, name) for (_, w, _), e in zip(parts, each, strict=True))
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-12 * np.abs(expected).max())
    assert found.overlap == max(e.overlap for e in each) > min(e.overlap for e in each)  # of the mask and of all
    assert several.samples == sum(len(t.samples) for t in several.terms)


def test_values_are_compared_at_the_points_that_the_matrix_says_to_the_last_digit(texture):
    """An image against itself, moved by a known shift: the least value there is, at that matrix and no other."""
    fixed = texture(3)
    moving = MedImage(fixed.data, fixed.spacing, tuple(np.add(fixed.origin, (3.0, -2.0, 1.0))), fixed.direction)
    samples = draw(fixed.data, fixed.grid, 1500, fixed.grid.centre, 3)
    level = LevelImage(moving.data, None, moving.grid)
    problem = OneWay([Term(samples, level, measure_for(METRICS[0], samples, level.volume))], Kind.HOMOGRAPHY)
    here = problem.evaluate(homogeneous(np.eye(3), np.array([3.0, -2.0, 1.0])))
    assert here.value < 1e-24
    assert problem.evaluate(homogeneous(np.eye(3), np.array([3.0, -2.0, 1.1]))).value > 1e-4
