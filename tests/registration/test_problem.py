"""The analytic chain: gradients against finite differences of the value, curvatures against the rows they stand for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from medreg.image import MedImage
from medreg.registration import recipe
from medreg.registration.levels import LevelImage
from medreg.registration.measures import measure_for
from medreg.registration.problem import SampledProblem
from medreg.registration.samples import Placement, draw
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


def made(fixed: MedImage, moving: MedImage, metric: recipe.Metric, kind: Kind, mask=None) -> SampledProblem:
    """A problem in float64 over about 1,500 scattered samples."""
    samples = draw(fixed.data, fixed.grid, 1500, fixed.grid.centre, 3, Placement.SCATTERED)
    level = LevelImage(moving.data, mask, moving.grid)
    return SampledProblem(samples, level, measure_for(metric, samples, level.volume), kind)


def somewhere(problem: SampledProblem, size_mm: float = 1.5) -> np.ndarray:
    """A matrix that no optimum would have."""
    step = np.random.default_rng(2).uniform(-size_mm, size_mm, len(problem.generators))
    return problem.move(np.eye(problem.moving.grid.dimension + 1), step)


def differences(problem: SampledProblem, matrix: np.ndarray, width_mm: float) -> np.ndarray:
    """(P,) central differences of the value."""
    steps = np.eye(len(problem.generators)) * width_mm
    values = [[problem.evaluate(problem.move(matrix, s)).value for s in (step, -step)] for step in steps]
    return np.array([(up - down) / (2 * width_mm) for up, down in values])


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
def test_the_curvature_is_its_sum_over_rows(texture, metric, dimension, kind):
    problem = made(texture(dimension, seed=0), texture(dimension, seed=1), metric, kind)
    matrix = somewhere(problem)
    moving, inside = problem.values(matrix)
    weights = problem.measure(moving, inside.double()).curvature.numpy()
    width = 1e-6
    steps = np.eye(len(problem.generators)) * width
    rows = np.stack(
        [
            (problem.values(problem.move(matrix, s))[0] - problem.values(problem.move(matrix, -s))[0]).numpy()
            / (2 * width)
            for s in steps
        ]
    )
    curvature = problem.evaluate(matrix).curvature
    np.testing.assert_allclose(curvature, (rows * weights) @ rows.T, atol=5e-3 * np.abs(curvature).max())
    np.testing.assert_allclose(curvature, curvature.T, atol=1e-12 * np.abs(curvature).max())
    assert np.linalg.eigvalsh(curvature).min() > -1e-9 * np.abs(curvature).max()


@pytest.mark.parametrize("dimension", [2, 3])
def test_values_are_scipys_at_the_mapped_points(texture, dimension):
    fixed, moving = texture(dimension, seed=0), texture(dimension, seed=1, sheared=True)
    problem = made(fixed, moving, METRICS[0], Kind.AFFINE)
    matrix = somewhere(problem)
    points = problem.samples.homogeneous[:, :-1].numpy() + problem.samples.centre
    index = moving.grid.to_index(points @ matrix[:-1, :-1].T + matrix[:-1, -1])
    theirs = map_coordinates(moving.data[0].numpy(), index[:, ::-1].T, order=1, mode="nearest")
    values, inside = problem.values(matrix)
    np.testing.assert_allclose(values.numpy(), theirs, atol=1e-9)
    expected = ((index >= -0.5) & (index < np.array(moving.size) - 0.5)).all(1)
    assert np.array_equal(inside.numpy(), expected)
    assert problem.evaluate(matrix).overlap == pytest.approx(expected.mean())


def test_samples_that_land_out_of_the_moving_mask_do_not_count(texture):
    fixed, moving = texture(3, seed=0), texture(3, seed=1)
    mask = torch.zeros(moving.data.shape, dtype=torch.bool)
    mask[..., 8:18] = True
    problem = made(fixed, moving, METRICS[0], Kind.RIGID, mask)
    index = moving.grid.to_index(problem.samples.homogeneous[:, :-1].numpy() + problem.samples.centre)
    inside = ((index >= -0.5) & (index < np.array(moving.size) - 0.5)).all(1)
    whole = inside & (index[:, 0] >= 8) & (index[:, 0] <= 17)  # both neighbours in the mask
    half = inside & (index[:, 0] > 7.49) & (index[:, 0] < 17.51)
    assert 0 < whole.mean() <= problem.evaluate(np.eye(4)).overlap <= half.mean() < inside.mean()


def test_float32_images_give_the_gradient_of_float64_ones(texture):
    fixed, moving = texture(3, seed=0), texture(3, seed=1)
    single = [image.with_data(image.data.float()) for image in (fixed, moving)]
    for metric in METRICS:
        double = made(fixed, moving, metric, Kind.AFFINE)
        matrix = somewhere(double)
        wanted, got = double.evaluate(matrix), made(*single, metric, Kind.AFFINE).evaluate(matrix)
        assert got.value == pytest.approx(wanted.value, abs=2e-4)
        np.testing.assert_allclose(got.gradient, wanted.gradient, atol=5e-3 * np.abs(wanted.gradient).max())


@FAMILIES
def test_a_step_is_the_exponential_about_the_samples_centre(texture, dimension, kind):
    problem = made(texture(dimension), texture(dimension, seed=1), METRICS[0], kind)
    basis = generators(kind, dimension, problem.samples.radius)
    step = np.random.default_rng(0).uniform(-5, 5, len(basis))
    start = somewhere(problem)
    expected = start @ about(problem.samples.centre, exponential(np.tensordot(step, basis, 1)))
    np.testing.assert_allclose(problem.move(start, step), expected, atol=1e-12)
    np.testing.assert_allclose(problem.move(start, np.zeros(len(basis))), start, atol=1e-12)


def test_a_step_of_one_moves_the_samples_by_about_a_millimetre(texture):
    problem = made(texture(3), texture(3, seed=1), METRICS[0], Kind.AFFINE)
    points = problem.samples.homogeneous.numpy() + np.append(problem.samples.centre, 0)
    for step in np.eye(12):
        moved = points @ (problem.move(np.eye(4), step) - np.eye(4)).T
        assert 0.4 < np.sqrt((moved**2).sum(1).mean()) < 1.3
