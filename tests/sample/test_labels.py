"""Label maps between voxels, beside SciPy's linear interpolation of each label, and SimpleITK's own."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from medreg.errors import ImageError
from medreg.geometry.affine import rotation_exp
from medreg.geometry.grid import Grid
from medreg.image import Leading, MedImage
from medreg.sample import Edge, Fill, Label, Nearest, resample
from medreg.transform.homography import Homography
from medreg.transform.linear import LinearTransform

CLEAR = 2e-5
"""Shares nearer than this to each other are the rule of ties', not the oracle's."""


@pytest.fixture
def labels(moving: MedImage) -> MedImage:
    """Nine regions about random points, with numbers that are not consecutive, on each kind of grid."""
    rng = np.random.default_rng(5)
    size = np.array(moving.size)
    seeds = rng.uniform(0, size, (9, len(size)))
    index = np.stack(np.meshgrid(*map(np.arange, moving.grid.shape), indexing="ij"), -1)[..., ::-1]
    numbers = np.array([0, 3, 4, 17, 1000, 1001, 2035, 5000, 32000])
    return moving.with_data(torch.from_numpy(numbers[cKDTree(seeds).query(index)[1]].astype(np.int16))[None])


def places(image: MedImage, points: np.ndarray) -> np.ndarray:
    """Voxels (N, D) of world points (N, D)."""
    return image.grid.to_index(points)


def world(grid: Grid, shifts: np.ndarray | None = None) -> np.ndarray:
    """The voxel centres of a grid, x fastest, (N, D); with shifts (M, D) in voxels (N, M, D)."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)[..., ::-1].reshape(-1, grid.dimension)
    if shifts is None:
        return grid.to_world(index)
    return grid.to_world((index[:, None] + shifts).reshape(-1, grid.dimension)).reshape(len(index), len(shifts), -1)


def shares(image: MedImage, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By SciPy: all labels (L,), the share of each at places (N, D) of voxels (L, N), and which places are inside."""
    voxels = image.data[0].numpy()
    values = np.unique(voxels)
    each = [
        map_coordinates((voxels == v).astype(np.float64), index[:, ::-1].T, order=1, mode="nearest") for v in values
    ]
    inside = ((index >= -0.5) & (index < np.array(image.size) - 0.5)).all(1)
    return values, np.stack(each), inside


def mapped(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    there = points @ matrix[:, :-1].T + matrix[:, -1]
    return there[:, :-1] / there[:, -1:]


def test_the_label_with_the_largest_linear_share_wins_as_by_scipy(labels, fixed_grid, affine):
    ours = resample(labels, fixed_grid, affine, Label(samples=1), Fill(-7))
    values, share, inside = shares(labels, places(labels, mapped(affine, world(fixed_grid))))
    second, first = np.sort(share, axis=0)[-2:]
    clear = inside & (first - second > CLEAR)
    assert clear.sum() > 0.99 * inside.sum()
    assert 0.1 < inside.mean() < 0.95
    got = ours.data[0].numpy().ravel()
    assert got.dtype == np.int16
    np.testing.assert_array_equal(got[clear], values[share.argmax(0)][clear])
    assert (got[~inside] == -7).all()
    assert not (got == labels_by_nearest(labels, fixed_grid, affine)).all()


def labels_by_nearest(labels: MedImage, grid: Grid, matrix: np.ndarray) -> np.ndarray:
    return resample(labels, grid, matrix, Nearest(), Fill(-7)).data[0].numpy().ravel()


def test_simpleitks_generic_label_interpolation_agrees(labels, fixed_grid, affine, by_itk):
    theirs = by_itk(labels, fixed_grid, affine, sitk.sitkLabelLinear, -7)
    ours = resample(labels, fixed_grid, affine, Label(samples=1), Fill(-7)).data[0].numpy()
    assert (ours != theirs).mean() < 1e-4  # ITK's shares are rounded otherwise where two are equal


def test_of_equal_shares_the_smallest_label_wins_whichever_way_the_grid_runs():
    line = torch.tensor([[[5, 2, 2, 9]]])
    middle = Grid.regular((3, 1), (1.0, 1.0), (0.5, 0.0))
    flipped = Grid((3, 1), (1.0, 1.0), (2.5, 0.0), ((-1.0, 0.0), (0.0, 1.0)))
    image = MedImage.on(Grid.regular((4, 1), (1.0, 1.0)), line)
    assert resample(image, middle, None, Label()).data.tolist() == [[[2, 2, 2]]]
    assert resample(image, flipped, None, Label()).data.tolist() == [[[2, 2, 2]]]
    for nearly in (0.5 - 1e-7, 0.5 + 1e-7):  # as rounding leaves it
        assert resample(image, Grid.regular((3, 1), (1.0, 1.0), (nearly, 0.0)), None, Label()).data.tolist() == [
            [[2, 2, 2]]
        ]


def test_where_voxels_become_larger_most_points_of_a_voxel_decide(labels, dimension):
    """Against the labels that SciPy finds at the same points, counted; the map is speckled, so that centres mislead."""
    speckled = labels.data.clone()
    speckled[torch.from_numpy(np.random.default_rng(3).random(speckled.shape) < 0.2)] = 17
    labels = labels.with_data(speckled)
    coarse = Grid.from_affine(
        [max(1, n // 3) for n in labels.size], labels.grid.affine @ np.diag([3.0] * dimension + [1.0])
    )
    ours = resample(labels, coarse, None, Label(), Edge()).data[0].numpy().ravel()
    shifts = np.array(list(product(*[[-1 / 3, 0.0, 1 / 3]] * dimension)))
    points = world(coarse, shifts)
    values, share, _ = shares(labels, places(labels, points.reshape(-1, dimension)).clip(0, np.array(labels.size) - 1))
    each = share.argmax(0).reshape(len(ours), -1)  # SciPy's shares here are 0 or 1: points fall on centres
    counts = np.stack([(each == k).sum(1) for k in range(len(values))])
    np.testing.assert_array_equal(ours, values[counts.argmax(0)])
    centre = resample(labels, coarse, None, Label(samples=1), Edge()).data[0].numpy().ravel()
    assert (centre != ours).mean() > 0.02


def test_a_thin_sheet_does_not_flicker_where_voxels_become_larger():
    """One plane in four is 1: every voxel of four planes has a quarter of it, and none is more 1 than another."""
    planes = torch.zeros(1, 8, 8, 32, dtype=torch.uint8)
    planes[..., ::4] = 1
    image = MedImage.on(Grid.regular((32, 8, 8), (1.0, 1.0, 1.0)), planes)
    coarse = Grid.regular((10, 8, 8), (3.0, 1.0, 1.0), (1.0, 0.0, 0.0))
    assert not resample(image, coarse, None, Label()).data.any()
    assert resample(image, coarse, None, Label(samples=1)).data.any()


@pytest.mark.parametrize(
    ("dtype", "numbers"),
    [
        (torch.bool, [0, 1]),
        (torch.uint8, [0, 255]),
        (torch.int8, [-128, 0, 127]),
        (torch.int64, [-(2**63), 0, 2**53 + 1, 2**63 - 1]),
        (torch.int32, [0, 2**24 + 1, 2**31 - 1]),
        (torch.float32, [0.0, 0.5, 7.25]),
        (torch.float64, [0.0, float(2**53), 1e300]),
    ],
)
def test_every_dtype_keeps_its_numbers_exactly(dtype, numbers):
    rng = np.random.default_rng(1)
    coarse = gaussian_filter(rng.standard_normal((12, 11, 10)), 2)
    codes = np.searchsorted(np.quantile(coarse, np.linspace(0, 1, len(numbers) + 1)[1:-1]), coarse)
    values = torch.tensor(numbers, dtype=dtype)
    image = MedImage.on(Grid.regular((10, 11, 12), (1.0, 1.0, 1.0)), values[torch.from_numpy(codes)][None])
    grid = Grid.regular((14, 15, 16), (0.7, 0.7, 0.7), (-0.6, 0.2, 0.1))
    moved = resample(image, grid, None, Label())
    assert moved.data.dtype == dtype
    assert set(moved.data.unique().tolist()) == set(values.tolist())


def test_channels_and_frames_are_moved_each_for_itself(labels, fixed_grid, affine):
    two = MedImage.on(labels.grid, torch.cat([labels.data, labels.data.flip(-1)]), Leading.FRAMES)
    both = resample(two, fixed_grid, affine, Label())
    assert both.leading is Leading.FRAMES
    for k in range(2):
        alone = resample(labels.with_data(two.data[k : k + 1]), fixed_grid, affine, Label())
        torch.testing.assert_close(both.data[k], alone.data[0])


def test_a_homography_and_a_map_of_points_lead_to_the_same_labels(labels, fixed_grid, affine, dimension):
    matrix = affine.copy()
    matrix[-1, 0] = 0.004
    by_matrix = resample(labels, fixed_grid, matrix, Label(), Edge())

    class Moved:
        def map_points(self, points):
            return Homography(matrix).map_points(points)

    by_points = resample(labels, fixed_grid, Moved(), Label(), Edge())
    assert (by_matrix.data != by_points.data).double().mean() < 1e-3  # ties, by rounding
    values, share, _ = shares(labels, places(labels, mapped(matrix, world(fixed_grid))))
    second, first = np.sort(share, axis=0)[-2:]
    got = resample(labels, fixed_grid, matrix, Label(samples=1), Edge()).data[0].numpy().ravel()
    inside = ((places(labels, mapped(matrix, world(fixed_grid))) >= 0).all(1)) & (
        places(labels, mapped(matrix, world(fixed_grid))) <= np.array(labels.size) - 1
    ).all(1)
    clear = inside & (first - second > CLEAR)
    np.testing.assert_array_equal(got[clear], values[share.argmax(0)][clear])


def test_a_linear_transform_serves_as_its_matrix(labels, fixed_grid, affine):
    by_object = resample(labels, fixed_grid, LinearTransform.of(affine), Label())
    torch.testing.assert_close(by_object.data, resample(labels, fixed_grid, affine, Label()).data)


def test_a_shape_keeps_its_volume_better_than_nearest_leaves_its_outline():
    """A ball of 6 voxels' radius, turned: the outline misses the true one by less than the nearest voxel's."""
    n, radius = 24, 6.3
    grid = Grid.regular((n, n, n), (1.0, 1.0, 1.0), [-(n - 1) / 2] * 3)
    fine = Grid.regular((72, 72, 72), (1 / 3,) * 3, [-(72 - 1) / 6] * 3)
    ball = np.linalg.norm(world(grid), axis=1).reshape(n, n, n) <= radius
    truth = np.linalg.norm(world(fine), axis=1).reshape(72, 72, 72) <= radius
    image = MedImage.on(grid, torch.from_numpy(ball.astype(np.uint8))[None])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_exp(np.array([0.2, -0.3, 0.4]))
    wrong = {k: (resample(image, fine, matrix, k()).data[0].numpy() != truth).sum() for k in (Nearest, Label)}
    assert wrong[Label] < 0.8 * wrong[Nearest]


def test_what_is_no_label_is_refused():
    grid = Grid.regular((2, 2), (1.0, 1.0))
    with pytest.raises(ImageError, match="NaN"):
        resample(MedImage.on(grid, torch.full((1, 2, 2), torch.nan)), grid, None, Label())
    with pytest.raises(ImageError, match="fill value"):
        resample(MedImage.on(grid, torch.zeros(1, 2, 2, dtype=torch.uint8)), grid, None, Label(), Fill(-1))
    with pytest.raises(ImageError, match="1 to 16"):
        Label(samples=0)


def test_one_voxel_thick_and_one_voxel_wide_maps_work():
    image = MedImage.on(Grid.regular((1, 3, 1), (1.0, 1.0, 1.0)), torch.tensor([3, 0, 4]).view(1, 1, 3, 1))
    moved = resample(image, Grid.regular((1, 6, 1), (1.0, 0.5, 1.0), (0.2, -0.25, 0.1)), None, Label())
    assert moved.data.flatten().tolist() == [3, 3, 0, 0, 4, 4]
