"""Grids made to measure: extents, middles and directions, against every voxel face of the image."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from medreg.errors import GeometryError, TransformError
from medreg.geometry.affine import invert, map_points
from medreg.geometry.covering import covering, respaced
from medreg.geometry.grid import Grid

DIRECTIONS = {
    "identity": np.eye(3),
    "flipped": np.diag([-1.0, -1.0, 1.0]),
    "coronal": np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]),
    "oblique": Rotation.from_euler("xyz", [20, -15, 30], degrees=True).as_matrix(),
}
MOTION = np.eye(4)
MOTION[:3, :3] = Rotation.from_euler("xyz", [5, 8, -12], degrees=True).as_matrix() * [1.1, 0.9, 1.0]
MOTION[:3, 3] = (4.0, -7.0, 11.0)


@pytest.fixture(params=DIRECTIONS)
def grid(request: pytest.FixtureRequest) -> Grid:
    return Grid((20, 30, 12), (1.0, 1.5, 4.0), (-10.0, 5.0, 3.0), tuple(map(tuple, DIRECTIONS[request.param].tolist())))


def faces(grid: Grid) -> np.ndarray:
    return grid.to_world(list(product(*((-0.5, n - 0.5) for n in grid.size))))


@pytest.mark.parametrize("matrix", [None, MOTION], ids=["still", "moved"])
def test_a_covering_grid_holds_all_of_the_image_and_no_voxel_more(grid, matrix):
    found = covering(grid, [2.0, 3.0, 2.5], matrix)
    onto = np.eye(4) if matrix is None else np.linalg.inv(matrix)
    index = found.to_index(map_points(onto, faces(grid)))
    size = np.array(found.size)
    assert (index.min(0) >= -0.5 - 1e-6).all()
    assert (index.max(0) <= size - 0.5 + 1e-6).all()
    assert (size - (index.max(0) - index.min(0)) < 1).all()
    assert found.spacing == (2.0, 3.0, 2.5)


def test_its_axes_are_the_worlds_in_the_order_of_the_images(grid):
    direction = np.array(covering(grid, [1.0]).direction)
    assert set(np.abs(direction).ravel().tolist()) == {0.0, 1.0}
    along = (direction * np.array(grid.direction)).sum(0)  # cosines of its axes with the image's
    assert (along > np.cos(np.radians(45))).all()


def test_a_grid_without_motion_is_itself_where_its_spacing_is_kept():
    grid = Grid((20, 30, 12), (1.0, 1.5, 4.0), (-10.0, 5.0, 3.0), tuple(map(tuple, np.diag([-1.0, 1, 1]).tolist())))
    same = covering(grid, grid.spacing)
    assert same.size == grid.size
    assert same.direction == grid.direction
    np.testing.assert_allclose(same.origin, grid.origin, atol=1e-9)


def test_respacing_keeps_middle_and_direction_and_the_extent_to_half_a_voxel(grid):
    found = respaced(grid, [2.0, 2.0, 2.0])
    np.testing.assert_allclose(found.centre, grid.centre, atol=1e-9)
    assert found.direction == grid.direction
    assert all(abs(a - b) <= 1.0 for a, b in zip(found.extent, grid.extent, strict=True))


def test_a_perspective_is_covered_up_to_its_horizon():
    grid = Grid.regular((100, 80), (1.0, 1.0))
    tilt = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.002, 0.0, 1.0]])
    found = covering(grid, [1.0], tilt)
    index = found.to_index(map_points(invert(tilt), faces(grid)))
    assert (index > -0.5 - 1e-6).all()
    twice = covering(grid, [1.0], -2 * tilt)  # the same map
    assert twice.size == found.size
    with pytest.raises(TransformError, match="horizon"):
        covering(grid, [1.0], np.linalg.inv(np.array([[1.0, 0, 0], [0, 1.0, 0], [-0.02, 0, 1.0]])))


def test_spacings_out_of_reason_are_refused():
    grid = Grid.regular((100, 100, 100), (1.0, 1.0, 1.0))
    for make in (covering, respaced):
        with pytest.raises(GeometryError, match="in millimetres"):
            make(grid, [1e-5])
        with pytest.raises(GeometryError, match="above 0"):
            make(grid, [1.0, -1.0, 1.0])
        with pytest.raises(GeometryError, match="3 spacings"):
            make(grid, [1.0, 1.0])
