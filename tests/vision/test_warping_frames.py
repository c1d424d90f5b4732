"""Where the result of a warp lies: a frame that is given, kept, or found so that no voxel is lost."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from medreg.errors import TransformError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops import Keep
from medreg.sample import Nearest
from medreg.transform.composite import Composite, Map
from medreg.transform.homography import Homography
from medreg.transform.kind import Kind
from medreg.transform.linear import LinearTransform, matrix_of
from medreg.transform.local_homographies import LocalHomographies, controls_over
from medreg.vision.warping import warp
from medreg.vision.warping_frames import Covering, frame_of

OBLIQUE = Rotation.from_euler("xyz", [20, -15, 30], degrees=True).as_matrix()
GRIDS = {
    "identity": Grid.regular((9, 8, 7), (1.0, 1.0, 1.0)),
    "flipped": Grid((9, 8, 7), (1.0, 1.5, 2.0), (-3.0, 40.0, 5.0), ((-1.0, 0, 0), (0, -1.0, 0), (0, 0, 1.0))),
    "oblique": Grid((9, 8, 7), (0.8, 1.5, 4.0), (-100.0, 5.0, 3.0), tuple(map(tuple, OBLIQUE.tolist()))),
    "plane": Grid((14, 11), (0.5, 2.0), (7.0, -9.0), ((0.6, -0.8), (0.8, 0.6))),
}


def picture(grid: Grid, channels: int = 1) -> MedImage:
    return MedImage.on(grid, torch.from_numpy(np.random.default_rng(0).normal(size=(channels, *grid.shape))))


def wave(points: Tensor) -> Tensor:
    """Bends by up to a millimetre."""
    return points + torch.sin(points.roll(1, 1) / 5)


def motion(grid: Grid) -> LinearTransform:
    """A turn and a shift about the middle of the grid."""
    d = grid.dimension
    parameters = torch.linspace(0.5, 2.0, 3 if d == 2 else 6, dtype=torch.float64)
    return LinearTransform.of(matrix_of(parameters, Kind.RIGID, grid.centre, 10.0).numpy())


def test_a_frame_that_is_given_or_kept_is_where_the_result_lies() -> None:
    image, other = picture(GRIDS["oblique"]), GRIDS["flipped"]
    assert warp(image, wave).grid == image.grid
    assert warp(image, wave, frame=Keep()).grid == image.grid
    onto = warp(image, wave, frame=other)
    assert onto.grid == other


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_covering_nothing_that_moved_is_the_images_own_grid(grid: Grid) -> None:
    for through in (np.eye(grid.dimension + 1), lambda points: points, Composite(lambda points: points)):
        covering = frame_of(Covering(), grid, through)
        assert covering.size == grid.size
        assert np.abs(covering.affine - grid.affine).max() < 1e-9


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("kind", ["linear", "homography", "function", "composite", "local"])
def test_covering_holds_every_voxel_whole_and_is_no_larger_than_it_must(kind: str, grid: Grid) -> None:
    d = grid.dimension
    projective = motion(grid).matrix.copy()
    projective[d, :d] = 0.02 / d
    projective[d, d] = 1 - projective[d, :d] @ grid.centre
    local = torch.full((*(2,) * d, 8 if d == 2 else 15), 0.1, dtype=torch.float64)
    through: Map = {
        "linear": motion(grid),
        "homography": Homography(projective, grid.centre),
        "function": wave,
        "composite": Composite(wave, motion(grid)),
        "local": LocalHomographies.from_parameters(local, controls_over(grid, (2,) * d), 5.0),
    }[kind]
    covering = frame_of(Covering(), grid, through)
    offset = grid.to_index([covering.origin])[0]
    assert np.abs(offset - offset.round()).max() < 1e-6  # whole voxels of the image's own lattice
    assert np.abs(np.array(covering.direction) - np.array(grid.direction)).max() < 1e-12

    # a frame three voxels larger all around shows the image in the covering part alone, and at each side of that
    margin = 3
    wide = Grid.from_affine([n + 2 * margin for n in covering.size], covering.affine)
    start = wide.affine.copy()
    start[:d, d] = covering.to_world([[-margin] * d])[0]
    fine = 8  # points along each axis of a voxel
    small = start.copy()
    small[:d, :d] /= fine
    small[:d, d] += start[:d, :d] @ np.full(d, (1 / fine - 1) / 2)
    dense = Grid.from_affine([n * fine for n in wide.size], small) if d == 2 else Grid.from_affine(wide.size, start)
    ones = MedImage.on(grid, torch.ones(1, *grid.shape, dtype=torch.float64))
    shown = warp(ones, through, frame=dense, interpolation=Nearest()).data[0]
    where = shown.nonzero().numpy()[:, ::-1]
    scale = fine if d == 2 else 1
    low, high = where.min(0) / scale, (where.max(0) + 1) / scale
    assert (low >= margin - 1e-9).all()
    assert (high <= np.array(covering.size) + margin + 1e-9).all()
    slack = 1 if d == 2 else 2  # a corner may reach into a voxel between the points; in 3D centres alone are asked
    assert (low <= margin + slack).all()
    assert (high >= np.array(covering.size) + margin - slack).all()


def test_covering_a_turn_holds_all_four_corners_with_its_offset_as_origin() -> None:
    grid = Grid.regular((20, 10), (1.0, 1.0))
    turn = LinearTransform.of(matrix_of(torch.tensor([0.0, 0.0, 5.0]).double(), Kind.RIGID, grid.centre, 10.0).numpy())
    frame = frame_of(Covering(), grid, turn)
    corners = frame.to_index(turn.inverse().map(grid.to_world([[-0.5, -0.5], [19.5, -0.5], [-0.5, 9.5], [19.5, 9.5]])))
    assert (corners >= -0.5).all()
    assert (corners <= np.array(frame.size) - 0.5).all()
    assert frame.origin != grid.origin


def test_maps_whose_horizons_cancel_are_covered() -> None:
    grid = Grid.regular((20, 20), (1.0, 1.0))
    there = Homography(np.array([[1.0, 0, 0], [0, 1, 0], [0.1, 0, 1]]))
    covering = frame_of(Covering(), grid, Composite(there, there.inverse()))
    assert covering.size == grid.size
    assert np.abs(covering.affine - grid.affine).max() < 1e-9


def test_what_left_the_frame_comes_back_from_a_covering_one() -> None:
    grid = Grid.regular((8, 8), (1.0, 1.0))
    image = picture(grid)
    shift = LinearTransform.of(np.array([[0.0, 1, 30], [-1, 0, -17], [0, 0, 1]]))
    back = warp(warp(image, shift, frame=Covering()), shift.inverse(), frame=grid)
    assert torch.equal(back.data, image.data)


def test_maps_that_no_frame_covers_are_told() -> None:
    grid = Grid.regular((20, 20), (1.0, 1.0))
    horizon = Homography(np.array([[1.0, 0, 0], [0, 1, 0], [0.1, 0, 1]]))
    with pytest.raises(TransformError, match="mapped to the horizon"):
        frame_of(Covering(), grid, horizon)
    with pytest.raises(TransformError, match="a map that folds has none"):
        frame_of(Covering(), grid, lambda points: points.abs())
    with pytest.raises(TransformError, match="an inverse, got"):
        frame_of(Covering(), grid, np.diag([1.0, 0.0, 1.0]))
    for through in (Composite(lambda points: points, horizon), Composite(horizon, lambda points: points)):
        with pytest.raises(TransformError, match="mapped to the horizon"):
            frame_of(Covering(), grid, through)
    for nowhere in (lambda points: points * torch.nan, lambda points: 0 * points):
        with pytest.raises(TransformError, match=r"Covering\(\) found no point that the map takes to"):
            frame_of(Covering(), grid, nowhere)
    with pytest.raises(TransformError, match=r"would make .* voxels of 20 x 20"):
        frame_of(Covering(), grid, np.diag([1e-3, 1e-3, 1.0]))
