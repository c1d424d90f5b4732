"""How sure a transform is: predicted against observed spread, and the algebra against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from medreg.geometry.affine import homogeneous, invert, map_points
from medreg.geometry.grid import Grid
from medreg.metric.mean_squares import MeanSquaresMeasure
from medreg.registration import recipe
from medreg.registration.level import PairLevel, Side
from medreg.registration.levels import LevelImage, Pyramid
from medreg.registration.problem import BothWays, OneWay
from medreg.registration.samples import draw
from medreg.registration.term import Term
from medreg.registration.uncertainty import Uncertainty, block_width, curvature_at, uncertainty
from medreg.transform.generators import about, exponential, generators
from medreg.transform.homography import Homography
from medreg.transform.kind import Kind
from medreg.transform.linear import LinearTransform

OBLIQUE = Rotation.from_euler("xyz", [14, -9, 21], degrees=True).as_matrix()
BENT = np.array([[1.0, 0.1, 0.0, 3], [-0.1, 1.05, 0.0, -2], [0.0, 0.05, 0.95, 1], [6e-4, -4e-4, 5e-4, 1]])


def waves(grid: Grid, bright: float = 100.0) -> np.ndarray:
    """A smooth image in closed form, (y, x): waves of 40 to 60 mm in two directions."""
    index = np.indices(grid.size, dtype=np.float64).reshape(2, -1).T
    x, y = grid.to_world(index).T
    values = np.sin(x / 7) + np.cos((y + 0.5 * x) / 9)
    return bright * values.reshape(grid.size).T


def plane(sigma_voxels: float = 0.0, seed: int = 0, noise: float = 60.0) -> tuple[LevelImage, LevelImage]:
    """A noisy fixed and a clean moving image of one object on one oblique grid; the noise is white or smoothed."""
    turn = Rotation.from_euler("z", 12, degrees=True).as_matrix()[:2, :2]
    affine = homogeneous(turn @ np.diag([2.0, 1.6]), np.array([-90.0, -70.0]))
    grid = Grid.from_affine((88, 96), affine)
    values = waves(grid)
    disturbed = np.random.default_rng(seed).standard_normal(values.shape)
    if sigma_voxels:
        disturbed = gaussian_filter(disturbed, sigma_voxels, mode="wrap")
    disturbed *= noise / disturbed.std()
    images = (torch.from_numpy(v)[None] for v in (values + disturbed, values))
    fixed, moving = (LevelImage(image, None, grid) for image in images)
    return fixed, moving


def shift_problem(fixed: LevelImage, moving: LevelImage, kind: Kind = Kind.TRANSLATION) -> OneWay:
    samples = draw(fixed.volume, fixed.grid, 10**6, fixed.grid.centre, 0)
    return OneWay([Term(samples, moving, MeanSquaresMeasure(samples.values))], kind)


def solved(problem: OneWay) -> np.ndarray:
    """Where plain Gauss-Newton ends."""
    matrix = np.eye(3)
    for _ in range(6):
        here = problem.evaluate(matrix)
        matrix = problem.move(matrix, -np.linalg.solve(here.curvature, here.gradient))
    return matrix


# Against noise -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma_voxels", [0.0, 1.5])
def test_the_predicted_spread_is_the_one_that_noise_makes(sigma_voxels: float) -> None:
    """Within 15 %: 150 draws tell a spread in two directions to about 5 %, and B has its own noise."""
    ends, predicted = [], []
    for seed in range(150):
        problem = shift_problem(*plane(sigma_voxels, seed))
        matrix = solved(problem)
        ends.append(matrix[:2, 2])
        if seed < 25:
            predicted.append(uncertainty(problem, matrix).at(np.zeros((1, 2)))[0])
    spread = np.sqrt(np.var(ends, axis=0).sum())
    assert np.sqrt(np.mean(np.square(predicted))) == pytest.approx(spread, rel=0.15)


def test_without_blocks_correlated_noise_would_be_told_several_times_too_small() -> None:
    problem = shift_problem(*plane(1.5))
    sure = uncertainty(problem, solved(problem))
    assert np.trace(sure.covariance) > 9 * np.trace(sure.naive)


def test_white_noise_has_the_variance_of_the_closed_form() -> None:
    fixed, moving = plane(0.0)
    problem = shift_problem(fixed, moving)
    sure = uncertainty(problem, solved(problem))
    slope = np.stack(np.gradient(waves(fixed.grid)))  # per voxel; the axes are at right angles
    per_mm = slope / np.array([1.6, 2.0])[:, None, None]
    information = np.einsum("iyx,jyx->ij", per_mm, per_mm) / 60.0**2
    turn = np.array(fixed.grid.direction)[:, ::-1]
    closed = turn @ np.linalg.inv(information) @ turn.T
    assert sure.naive == pytest.approx(closed, rel=0.05, abs=0.02 * np.abs(closed).max())


@pytest.mark.parametrize(("sigma_voxels", "least", "most"), [(0.0, 0.6, 1.0), (1.0, 0.05, 0.13), (2.0, 0.014, 0.045)])
def test_the_effective_samples_are_those_of_the_noises_correlation(
    sigma_voxels: float, least: float, most: float
) -> None:
    """White noise smoothed by s voxels has a sum of correlations of 4 pi s^2: 1 in 12.6 samples counts, or 1 in 50.

    Blocks of eleven voxels cut correlations at their faces, so a little more is found.
    """
    shares = []
    for seed in range(12):
        problem = shift_problem(*plane(sigma_voxels, seed))
        sure = uncertainty(problem, solved(problem))
        shares.append(sure.effective / sure.samples)
    assert least < np.mean(shares) < most


# Algebra -------------------------------------------------------------------------------------------------------------


def spd(size: int, seed: int = 0) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(size, 2 * size))
    return root @ root.T / size


def of(matrix: np.ndarray, kind: Kind, small: float = 1e-3) -> Uncertainty:
    """An uncertainty whose covariance is a random one, `small` mm in size, about a centre that is not the origin."""
    steps = np.stack([matrix @ about((12.0, -7.0, 5.0), g) for g in generators(kind, 3, 60.0)])
    size = len(steps)
    scores = np.random.default_rng(1).normal(size=(40 * size, size)) * small
    return Uncertainty(matrix, steps, scores, np.eye(size), spd(size), 1000)


@pytest.mark.parametrize("kind", [Kind.RIGID, Kind.AFFINE, Kind.HOMOGRAPHY], ids=str)
def test_the_error_at_a_point_is_that_of_many_drawn_transforms(kind: Kind) -> None:
    """4000 draws tell a root mean square to about 1 %; the motions are so small that they are linear."""
    matrix = BENT if kind is Kind.HOMOGRAPHY else homogeneous(OBLIQUE, np.array([5.0, -3, 2]))
    sure = of(matrix, kind)
    points = np.random.default_rng(2).uniform(-60, 60, (30, 3))
    drawn = np.random.default_rng(3).multivariate_normal(np.zeros(len(sure.steps)), sure.covariance, 4000)
    basis = generators(kind, 3, 60.0)
    there = map_points(matrix, points)
    square = np.zeros(len(points))
    for step in drawn:
        moved = matrix @ about((12.0, -7.0, 5.0), exponential(np.tensordot(step, basis, 1)))
        square += ((map_points(moved, points) - there) ** 2).sum(1) / len(drawn)
    assert sure.at(points) == pytest.approx(np.sqrt(square), rel=0.04)


@pytest.mark.parametrize("kind", [Kind.RIGID, Kind.SIMILARITY, Kind.AFFINE, Kind.HOMOGRAPHY], ids=str)
def test_the_jacobian_is_that_of_the_transform(kind: Kind) -> None:
    points = np.random.default_rng(2).uniform(-60, 60, (30, 3))
    if kind is Kind.HOMOGRAPHY:
        transform = Homography(BENT, (12.0, -7.0, 5.0))
    else:
        transform = LinearTransform(homogeneous(OBLIQUE, np.array([5.0, -3, 2])), kind, (12.0, -7.0, 5.0))
    mine = of(np.array(transform.matrix), kind).jacobian(points)
    assert mine == pytest.approx(transform.jacobian(points, 60.0), abs=1e-12)


def test_few_blocks_enlarge_the_covariance() -> None:
    many, few = (
        Uncertainty(np.eye(4), np.zeros((3, 4, 4)), np.tile(np.eye(3), (n, 1)) / n**0.5, np.eye(3), np.eye(3), 9)
        for n in (100, 3)
    )
    assert np.trace(many.covariance) == pytest.approx(3 * 300 / 297)
    assert np.trace(few.covariance) == pytest.approx(3 * 9 / 6)


# Of problems ---------------------------------------------------------------------------------------------------------


def problem_of(fixed, moving, metric: recipe.Metric, kind: Kind, matrix: np.ndarray, *, symmetric: bool = False):
    """The problem at 6 mm."""
    sides = [Side(Pyramid(i.data.float(), None, i.grid), None, i.grid.centre) for i in (fixed, moving)]
    level = PairLevel(0, recipe.Level(spacing_mm=6.0, samples=6000), sides[0], sides[1], 0, symmetric)
    return level.problem(metric, kind, matrix)


METRICS = [
    recipe.Correlation(),
    recipe.MutualInformation(),
    recipe.GradientFields(),
    recipe.LocalCorrelation(),
    recipe.Several(
        terms=(recipe.Weighted(metric=recipe.MeanSquares(), weight=2), recipe.Weighted(metric=recipe.Correlation()))
    ),
]


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_the_blocks_scores_sum_to_the_gradient(fixed, moved_head, truths, metric, symmetric: bool) -> None:
    truth = truths[Kind.AFFINE]
    problem = problem_of(fixed, moved_head(truth), metric, Kind.AFFINE, truth, symmetric=symmetric)
    sure = uncertainty(problem, truth)
    gradient = problem.evaluate(truth).gradient
    assert sure.scores.sum(0) == pytest.approx(gradient, abs=2e-4 * np.abs(sure.scores).sum(0).max())
    assert sure.covariance.shape == (12, 12)
    assert np.linalg.eigvalsh(sure.covariance).min() > 0


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_homographys_scores_do_too(fixed, moved_head, truths, symmetric: bool) -> None:
    truth = truths[Kind.HOMOGRAPHY]
    problem = problem_of(fixed, moved_head(truth), METRICS[0], Kind.HOMOGRAPHY, truth, symmetric=symmetric)
    sure = uncertainty(problem, truth)
    assert sure.scores.sum(0) == pytest.approx(
        problem.evaluate(truth).gradient, abs=2e-4 * np.abs(sure.scores).sum(0).max()
    )


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_steps_are_those_that_the_problem_takes(fixed, moved_head, truths, symmetric: bool) -> None:
    truth = truths[Kind.AFFINE]
    problem = problem_of(fixed, moved_head(truth), METRICS[0], Kind.AFFINE, truth, symmetric=symmetric)
    size = 1e-5
    for step, change in zip(np.eye(12) * size, problem.steps(truth), strict=True):
        assert (problem.move(truth, step) - truth) / size == pytest.approx(change, abs=1e-4)


def test_both_ways_are_as_sure_in_either_order(fixed, moved_head, truths) -> None:
    """But for the blocks, which lie in the fixed world: 15 %."""
    truth = truths[Kind.RIGID]
    there = problem_of(fixed, moved_head(truth), METRICS[0], Kind.RIGID, truth, symmetric=True)
    back = problem_of(moved_head(truth), fixed, METRICS[0], Kind.RIGID, invert(truth), symmetric=True)
    assert isinstance(there, BothWays)
    points = np.random.default_rng(0).uniform(-60, 60, (50, 3))
    one = uncertainty(there, truth).at(points)
    other = uncertainty(back, invert(truth)).at(map_points(truth, points))
    assert one.mean() == pytest.approx(other.mean(), rel=0.15)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_it_has_the_unit_of_the_images(fixed, moved_head, truths, factor: float) -> None:
    """Metres and micrometres in the place of mm: the same error in the other unit."""
    truth = truths[Kind.RIGID]
    stretch = np.diag([factor] * 3 + [1.0])
    other = stretch @ truth @ np.linalg.inv(stretch)
    sides = []
    for image in (fixed, moved_head(truth)):
        grid = Grid.from_affine(image.grid.size, stretch @ image.grid.affine)
        sides.append(Side(Pyramid(image.data.float(), None, grid), None, grid.centre))
    level = PairLevel(0, recipe.Level(spacing_mm=6.0 * factor, samples=6000), sides[0], sides[1], 0)
    mine = uncertainty(level.problem(METRICS[0], Kind.RIGID, other), other)
    same = uncertainty(problem_of(fixed, moved_head(truth), METRICS[0], Kind.RIGID, truth), truth)
    points = np.random.default_rng(0).uniform(-60, 60, (50, 3))
    assert mine.at(points * factor) / factor == pytest.approx(same.at(points), rel=1e-2)
    assert mine.effective == pytest.approx(same.effective, rel=1e-2)


def test_a_block_is_an_eighth_of_what_bears_the_slope() -> None:
    """An even cube of 160 mm in a view that is wider: blocks of 20 mm."""
    axis = np.linspace(-200, 200, 41)
    points = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)
    inside = (np.abs(points - (20, 0, -20)) <= 80).all(1).astype(float)
    assert block_width(points, inside) == pytest.approx(20, rel=0.07)


# Curvature -----------------------------------------------------------------------------------------------------------


def test_the_curvature_is_the_slope_of_the_slope() -> None:
    """Without residuals Gauss-Newton is exact, but for the bend of the interpolated image: 10 %."""
    fixed, moving = plane(noise=1e-9)
    problem = shift_problem(fixed, moving, Kind.AFFINE)
    bend = curvature_at(problem, np.eye(3), 0.8)
    gauss_newton = problem.evaluate(np.eye(3)).curvature
    assert bend == pytest.approx(gauss_newton, abs=0.1 * np.abs(gauss_newton).max())
    assert bend == pytest.approx(bend.T)


def test_the_fisher_matrix_of_mutual_information_bends_too_sharply(fixed, moved_head, truths) -> None:
    """Two to twenty times: why differences are taken."""
    truth = truths[Kind.RIGID]
    problem = problem_of(fixed, moved_head(truth, contrast="T2"), METRICS[1], Kind.RIGID, truth)
    ratio = np.linalg.eigvals(np.linalg.solve(problem.evaluate(truth).curvature, curvature_at(problem, truth, 2.4)))
    assert 0.05 < ratio.real.min() < ratio.real.max() < 0.5


def test_where_there_is_no_minimum_the_curvature_is_still_positive(fixed, moved_head, truths) -> None:
    truth = truths[Kind.RIGID] @ homogeneous(np.eye(3), np.array([40.0, 30, 20]))
    problem = problem_of(fixed, moved_head(truths[Kind.RIGID]), METRICS[0], Kind.RIGID, truth)
    assert np.linalg.eigvalsh(curvature_at(problem, truth, 2.4)).min() > 0
