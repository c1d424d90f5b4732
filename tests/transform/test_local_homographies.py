"""LocalHomographies: a partition of unity, exact where it must be, smooth across cells, and worth its parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from medreg.errors import GeometryError, TransformError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.sample import Edge, PointMap, resample
from medreg.transform.homography import Homography, project
from medreg.transform.kind import Kind
from medreg.transform.linear import LinearTransform, matrix_of
from medreg.transform.local_homographies import LocalHomographies, blend, controls_over

DIMENSIONS = pytest.mark.parametrize("dimension", [2, 3])
TURNED = ((0.8, -0.6, 0.0), (0.6, 0.8, 0.0), (0.0, 0.0, -1.0))
COUNTS = {2: 8, 3: 15}


def lattice(dimension: int) -> Grid:
    """Oblique control points, of another number and distance along each axis."""
    size, spacing, origin = (4, 3, 2), (20.0, 25.0, 30.0), (-15.0, 40.0, 7.0)
    direction = tuple(row[:dimension] for row in TURNED[:dimension])
    return Grid(size[:dimension], spacing[:dimension], origin[:dimension], direction)


def around(controls: Grid, count: int = 200, seed: int = 0) -> Tensor:
    """Random points within the lattice and up to half a cell beyond."""
    index = np.random.default_rng(seed).uniform(-0.5, np.array(controls.size) - 0.5, (count, controls.dimension))
    return torch.from_numpy(controls.to_world(index))


def wild(controls: Grid, size: float = 2.0, seed: int = 0) -> Tensor:
    """Parameters that move points near the control points by some `size` mm."""
    random = torch.Generator().manual_seed(seed)
    shape = (*controls.shape, COUNTS[controls.dimension])
    return size * (2 * torch.rand(shape, generator=random, dtype=torch.float64) - 1)


@DIMENSIONS
def test_the_weights_are_a_partition_of_unity_inside_and_outside(dimension):
    controls = lattice(dimension)
    points = torch.cat([around(controls), torch.tensor([[1e6] * dimension, [-1e6] * dimension], dtype=torch.float64)])
    places, weights = (torch.stack(parts) for parts in blend(controls, points))
    assert weights.shape == places.shape == (2**dimension, len(points))
    assert float(weights.min()) >= 0
    torch.testing.assert_close(weights.sum(0), torch.ones(len(points), dtype=torch.float64), rtol=0, atol=1e-15)
    assert 0 <= int(places.min()) <= int(places.max()) < np.prod(controls.size)


@DIMENSIONS
def test_equal_homographies_are_that_homography(dimension):
    controls = lattice(dimension)
    one = matrix_of(wild(controls)[(0,) * dimension], Kind.HOMOGRAPHY, controls.centre, 40.0)
    points = around(controls)
    local = LocalHomographies(controls, one.expand(*controls.shape, -1, -1))
    torch.testing.assert_close(local.map_points(points), project(one, points), rtol=0, atol=1e-11)  # mm
    identity = LocalHomographies.identity(controls)
    torch.testing.assert_close(identity.map_points(points), points, rtol=0, atol=1e-12)


@DIMENSIONS
@pytest.mark.parametrize("of", [Homography, LinearTransform, torch.tensor])
def test_parameters_of_zero_leave_the_overall_map(dimension, of):
    controls = lattice(dimension)
    matrix = np.eye(dimension + 1) + np.eye(dimension + 1, k=1) / 7
    points, zeros = around(controls), torch.zeros_like(wild(controls))
    local = LocalHomographies.from_parameters(zeros, controls, 10.0, of(matrix))
    torch.testing.assert_close(local.map_points(points), project(torch.tensor(matrix), points), rtol=0, atol=1e-11)


@DIMENSIONS
def test_at_a_control_point_its_own_homography_alone_counts_in_value_and_slope(dimension):
    controls, overall = lattice(dimension), np.eye(dimension + 1) + np.eye(dimension + 1, k=1) / 7
    parameters = wild(controls)
    local = LocalHomographies.from_parameters(parameters, controls, 10.0, LinearTransform.of(overall))
    for place in np.ndindex(*controls.shape):
        here = controls.to_world([place[::-1]])
        own = matrix_of(parameters[place], Kind.HOMOGRAPHY, tuple(here[0]), 10.0)
        own = torch.from_numpy(overall) @ own  # the overall map comes last
        x = torch.from_numpy(here)
        torch.testing.assert_close(local.map_points(x), project(own, x), rtol=0, atol=1e-11)
        slopes = [torch.autograd.functional.jacobian(f, x) for f in (local.map_points, lambda p, h=own: project(h, p))]
        torch.testing.assert_close(slopes[0], slopes[1], rtol=0, atol=1e-9)


@DIMENSIONS
def test_the_first_derivative_is_continuous_across_cells(dimension):
    controls = lattice(dimension)
    local = LocalHomographies.from_parameters(wild(controls), controls, 10.0)
    near, width = 1e-5, 1e-6  # of a cell, about 25 mm: apart by 2e-5 cells, slopes by finite differences within a side

    def slope(index: np.ndarray, along: int) -> np.ndarray:
        step = width * np.eye(dimension)[along]
        ends = [local.map_points(torch.from_numpy(controls.to_world(index + s))) for s in (-step, step)]
        return (ends[1] - ends[0]).numpy() / (2 * width)

    for axis in range(dimension):
        for face in range(controls.size[axis]):  # the outermost faces, too: beyond them the map goes on smoothly
            index = np.random.default_rng(face).uniform(0, np.array(controls.size) - 1, (20, dimension))
            index[:, axis] = face
            across = near * np.eye(dimension)[axis]
            for along in range(dimension):
                jump = np.abs(slope(index + across, along) - slope(index - across, along)).max()
                assert jump < 5e-3  # mm a cell: second derivatives of about 50 mm a cell^2 over 2e-5 cells, x 5
    assert np.abs(slope(around_index(controls), 0)[:, 0]).std() > 0.5  # while slopes do differ


def around_index(controls: Grid) -> np.ndarray:
    """Indices of random points."""
    return controls.to_index(around(controls).numpy())


@DIMENSIONS
def test_the_map_passes_gradcheck_to_points_parameters_and_the_overall_matrix(dimension):
    controls = lattice(dimension)
    overall = torch.eye(dimension + 1, dtype=torch.float64) + 0.001

    def mapped(points: Tensor, parameters: Tensor, overall: Tensor) -> Tensor:
        return LocalHomographies.from_parameters(parameters, controls, 10.0, overall).map_points(points)

    inputs = [t.requires_grad_() for t in (around(controls, 5), wild(controls), overall)]
    assert torch.autograd.gradcheck(mapped, inputs, fast_mode=dimension == 3)


@DIMENSIONS
def test_an_image_is_resampled_through_it_with_gradients_to_the_parameters(dimension):
    grid = Grid.regular((12, 11, 10)[:dimension], (1.0, 1.5, 2.0)[:dimension], (5.0, -4.0, 3.0)[:dimension])
    voxels = torch.rand(2, *grid.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    image, controls = MedImage.on(grid, voxels), controls_over(grid, (3, 2, 2)[:dimension])
    one = Homography(matrix_of(wild(controls)[(0,) * dimension], Kind.HOMOGRAPHY, grid.centre, 40.0).numpy())
    local = LocalHomographies(controls, torch.tensor(one.matrix).expand(*controls.shape, -1, -1))
    assert isinstance(local, PointMap)
    expected = resample(image, grid, one, outside=Edge()).data
    torch.testing.assert_close(resample(image, grid, local, outside=Edge()).data, expected, rtol=0, atol=1e-9)
    parameters = wild(controls).requires_grad_()
    moved = resample(image, grid, LocalHomographies.from_parameters(parameters, controls, 5.0), outside=Edge())
    (gradient,) = torch.autograd.grad(moved.data.square().sum(), parameters)
    assert bool((gradient.flatten(0, -2).norm(dim=1) > 0).all())  # every control point has its say


def fitted(counts: tuple[int, int], points: Tensor, there: Tensor, grid: Grid) -> float:
    """Root mean square distance, mm, left by the best homographies on a lattice of `counts`."""
    controls = controls_over(grid, counts)
    parameters = torch.zeros(*controls.shape, 8, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([parameters], max_iter=150, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        local = LocalHomographies.from_parameters(parameters, controls, 100.0 / max(counts))
        value = (local.map_points(points) - there).square().sum(1).mean()
        value.backward()
        return value

    optimiser.step(loss)
    return float(loss().detach().sqrt())


def test_a_smooth_warp_is_recovered_twenty_times_better_than_by_one_homography():
    grid = Grid.regular((101, 101), (1.0, 1.0))
    x, y = torch.meshgrid(*(torch.arange(0, 101, 4, dtype=torch.float64),) * 2, indexing="ij")
    points = torch.stack([x.flatten(), y.flatten()], 1)
    there = points + 4 * torch.sin(points.flip(1) / 16)  # a wave of 100 mm and of 4 mm each way
    one, local = fitted((1, 1), points, there, grid), fitted((5, 5), points, there, grid)
    assert one > 1.5  # mm
    assert local < one / 20


def test_control_points_reach_from_the_first_voxel_centre_to_the_last():
    grid = Grid((11, 21, 7), (2.0, 1.0, 3.0), (4.0, 5.0, 6.0), TURNED)
    np.testing.assert_allclose(controls_over(grid, (3, 2, 4)).corners, grid.corners, atol=1e-12)
    single = controls_over(grid, (1, 1, 1))
    np.testing.assert_allclose(single.to_world([[0, 0, 0]])[0], grid.centre, atol=1e-12)
    with pytest.raises(GeometryError, match="spacing"):
        controls_over(Grid.regular((5, 1), (1.0, 1.0)), (2, 2))


def test_matrices_that_are_no_local_homographies_are_refused():
    controls = Grid.regular((3, 2), (10.0, 10.0))
    good = torch.eye(3).repeat(2, 3, 1, 1)
    beyond = good.clone()
    beyond[1, 2, 2, 0] = -0.1  # w = 1 - x / 10 is -1 at x = 20
    for matrices, message in (
        (good.transpose(0, 1), r"control points \(2, 3\) need matrices \(2, 3, 3, 3\), got \(3, 2, 3, 3\)"),
        (good + torch.inf, "not finite"),
        (beyond, r"at \(20.0, 10.0\) has w = -1 there"),
    ):
        with pytest.raises(TransformError, match=message):
            LocalHomographies(controls, matrices)
    with pytest.raises(TransformError, match=r"need parameters \(2, 3, 8\), got \(2, 3, 6\)"):
        LocalHomographies.from_parameters(torch.zeros(2, 3, 6), controls, 5.0)
