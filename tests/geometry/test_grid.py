"""Grid: laws under hypothesis, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from medreg.errors import GeometryError
from medreg.geometry import Grid
from medreg.geometry.grid import SHEAR_TOLERANCE

ANGLES = st.tuples(*[st.floats(-180, 180)] * 3)
LENGTHS = st.floats(0.05, 20)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """2D and 3D grids: turned, mirrored, anisotropic and sheared by up to 30 degrees."""
    d = draw(st.sampled_from([2, 3]))
    linear = Rotation.from_euler("xyz", draw(ANGLES), degrees=True).as_matrix()
    if d == 2:
        linear = Rotation.from_euler("z", draw(st.floats(-180, 180)), degrees=True).as_matrix()[:2, :2]
    shear = np.eye(d)
    shear[0, d - 1] = np.tan(np.radians(draw(st.floats(-30, 30))))
    scales = np.array([draw(LENGTHS) * draw(st.sampled_from([1, -1])) for _ in range(d)])
    affine = np.eye(d + 1)
    affine[:d, :d] = linear @ shear @ np.diag(scales)
    affine[:d, d] = [draw(st.floats(-500, 500)) for _ in range(d)]
    return Grid.from_affine([draw(st.integers(1, 300)) for _ in range(d)], affine)


@settings(max_examples=100, deadline=None)
@given(grids(), st.integers(0, 2**32 - 1))
def test_to_index_undoes_to_world(grid, seed):
    index = np.random.default_rng(seed).uniform(-1, 1, (20, grid.dimension)) * grid.size
    np.testing.assert_allclose(grid.to_index(grid.to_world(index)), index, atol=1e-8)


@settings(max_examples=50, deadline=None)
@given(grids())
def test_its_affine_makes_the_same_grid_again(grid):
    again = Grid.from_affine(grid.size, grid.affine)
    np.testing.assert_allclose(again.corners, grid.corners, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(np.array(grid.direction), axis=0), 1, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(grids(), st.tuples(*[st.integers(1, 4)] * 3))
def test_a_block_of_a_subsampled_grid_lies_at_the_mean_of_its_voxels(grid, factors):
    factors = factors[: grid.dimension]
    if any(n < f for n, f in zip(grid.size, factors, strict=True)):
        return
    coarse = grid.subsampled(factors)
    block = np.stack(np.meshgrid(*[np.arange(f) for f in factors], indexing="ij"), -1).reshape(-1, grid.dimension)
    np.testing.assert_allclose(coarse.to_world([[0] * grid.dimension])[0], grid.to_world(block).mean(0), atol=1e-9)
    second = [0] * (grid.dimension - 1) + [1]
    shifted = grid.to_world(block + np.array(second) * factors).mean(0)
    np.testing.assert_allclose(coarse.to_world([second])[0], shifted, atol=1e-9)
    assert coarse.size == tuple(n // f for n, f in zip(grid.size, factors, strict=True))


@settings(max_examples=50, deadline=None)
@given(grids(), st.tuples(*[st.integers(1, 4)] * 3))
def test_a_subdivided_grid_covers_the_same_space_and_subsampling_leads_back(grid, factors):
    factors = factors[: grid.dimension]
    fine = grid.subdivided(factors)
    assert fine.volume == pytest.approx(grid.volume, rel=1e-9)
    faces = [[-0.5] * grid.dimension, [n - 0.5 for n in grid.size]]
    fine_faces = [[-0.5] * grid.dimension, [n - 0.5 for n in fine.size]]
    np.testing.assert_allclose(fine.to_world(fine_faces), grid.to_world(faces), atol=1e-9)
    back = fine.subsampled(factors)
    assert back.size == grid.size
    np.testing.assert_allclose(back.affine, grid.affine, atol=1e-9)


def test_voxel_000_lies_at_the_origin_and_columns_of_direction_are_index_axes():
    turn = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    grid = Grid((4, 5, 6), (1.0, 2.0, 3.0), (10.0, 20.0, 30.0), turn)
    assert grid.to_world([[0, 0, 0], [1, 0, 0], [0, 1, 0]]).tolist() == [[10, 20, 30], [10, 21, 30], [8, 20, 30]]


def test_centre_extent_and_volume():
    grid = Grid.regular((5, 3, 1), (1, 2, 4), (10, 0, 0))
    assert grid.centre == (12, 2, 0)
    assert grid.extent == (5, 6, 4)
    assert grid.voxel_volume == pytest.approx(8)
    assert grid.shape == (1, 3, 5)
    assert grid.corners.shape == (8, 3)


def test_a_sheared_voxel_counts_as_the_parallelepiped_that_it_is():
    affine = np.eye(4)
    affine[0, 2] = 1.0
    grid = Grid.from_affine((2, 2, 2), affine)
    assert grid.is_sheared
    assert grid.spacing == pytest.approx((1, 1, np.sqrt(2)))
    assert grid.voxel_volume == pytest.approx(1)


@pytest.mark.parametrize(("cosine", "sheared"), [(SHEAR_TOLERANCE / 2, False), (SHEAR_TOLERANCE * 2, True)])
def test_the_noise_of_a_float32_header_is_no_shear(cosine, sheared):
    affine = np.eye(4)
    affine[0, 1] = cosine
    assert Grid.from_affine((2, 2, 2), affine).is_sheared is sheared


def test_grids_are_compared_by_value_and_cannot_be_changed():
    grid = Grid.regular((2, 3), (1, 1))
    assert grid == Grid.regular((2, 3), (1, 1))
    assert hash(grid) == hash(Grid.regular((2, 3), (1, 1)))
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 0] = 2


@pytest.mark.parametrize(
    ("size", "spacing", "text"),
    [
        ((0, 2), (1, 1), "the image is empty: its size is 0x2 voxels"),
        ((2, 2), (1, 0), "spacing must be positive and finite"),
        ((2, 2), (1, -1), "spacing must be positive and finite"),
        ((2, 2), (1, np.nan), "spacing must be positive and finite"),
        ((2,), (1,), "2 or 3 axes"),
        ((2, 2), (1, 1, 1), "needs 2 spacings"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(size, spacing, text):
    with pytest.raises(GeometryError, match=text):
        Grid.regular(size, spacing, (0.0,) * len(size))


@pytest.mark.parametrize(
    ("row", "text"), [([1, 0, 0, 0], "singular"), ([0, 0, 0, 0], "singular"), ([0, 0, 1, np.inf], "not finite")]
)
def test_an_affine_that_is_no_map_is_refused(row, text):
    affine = np.eye(4)
    affine[2] = row
    with pytest.raises(GeometryError, match=text):
        Grid.from_affine((2, 2, 2), affine)


def test_an_origin_that_is_not_finite_is_refused():
    with pytest.raises(GeometryError, match="origin or direction is not finite"):
        Grid.regular((2, 2), (1, 1), (np.nan, 0))


def test_an_affine_of_the_wrong_size_is_refused():
    with pytest.raises(GeometryError, match="needs a 3x3 affine"):
        Grid.from_affine((2, 2), np.eye(4))
