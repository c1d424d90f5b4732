"""Labels, centroids, radii, and masks from points, against scipy.ndimage and closed forms, on grids of every kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.autograd import gradcheck

from medreg.batch import MedImageBatch
from medreg.errors import ImageError, UsageError
from medreg.geometry.affine import rotation_exp
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.metric.label_overlap import one_hot as one_hot_of_the_metric
from medreg.ops.label_maps import centroids, centroids_on, found_labels, maximum_radii, maximum_radii_on, one_hot
from medreg.ops.mask_points import balls, masks_from_points, points_from_masks, points_on

SIZE = (11, 9, 7)
TURN = rotation_exp(np.array([0.3, -0.5, 0.4]))
SHEAR = np.array([[1, 0, 0], [0, 1, 0.3], [0, 0, 1.0]])
LINEAR = {
    "identity": np.eye(3),
    "flipped": np.diag([-1.0, -1.0, 1.0]),
    "anisotropic": np.diag([0.5, 1.5, 3.0]),
    "oblique": TURN @ np.diag([0.8, 1.1, 2.0]),
    "sheared": TURN @ SHEAR @ np.diag([0.8, -1.1, 2.0]),
}


@pytest.fixture(params=LINEAR)
def grid(request: pytest.FixtureRequest) -> Grid:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = LINEAR[request.param], (12.0, -34.0, 56.0)
    return Grid.from_affine(SIZE, affine)


@pytest.fixture
def labels() -> torch.Tensor:
    noise = torch.rand(1, *SIZE[::-1], generator=torch.Generator().manual_seed(2))
    return (noise * 4).long() * 3  # 0, 3, 6, 9


def world(grid: Grid) -> np.ndarray:
    """(z, y, x, 3): where each voxel lies, by the affine alone."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij")[::-1], -1)
    return index @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def soft(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_each_label_has_its_channel(labels):
    assert found_labels(labels) == (3, 6, 9)
    found = one_hot(labels)
    assert (found.shape, found.dtype) == ((3, *SIZE[::-1]), torch.float32)
    assert torch.equal(found, one_hot_of_the_metric(labels, [3, 6, 9]))
    assert torch.equal((found * torch.tensor([3, 6, 9])[:, None, None, None]).sum(0, keepdim=True).long(), labels)
    assert torch.equal(one_hot(labels.float(), [9, 4]), torch.cat([labels == 9, labels == 4]).float())


def test_a_batch_of_labels_gives_what_its_items_give(labels):
    batch = torch.stack([labels, labels.flip(1)])
    for k in range(2):
        assert torch.equal(one_hot(batch)[k], one_hot(batch[k]))
    assert one_hot(batch[:, :, 0], dimension=2).shape == (2, 3, *SIZE[1::-1])


def test_an_image_of_labels_says_which_channel_is_which(labels, grid):
    found = one_hot(MedImage.on(grid, labels, metadata={"stored_dtype": "uint8"}))
    assert (found.metadata["labels"], found.metadata["stored_dtype"], found.grid) == ((3, 6, 9), "float32", grid)


def test_what_are_no_labels_is_refused(labels):
    for bad in (labels + 0.5, labels.to(torch.complex64), torch.full((1, 2, 2, 2), float("nan"))):
        with pytest.raises(ImageError, match="whole numbers"):
            one_hot(bad)
    with pytest.raises(ImageError, match="only background"):
        one_hot(torch.zeros_like(labels))
    with pytest.raises(ImageError, match="one channel"):
        one_hot(labels.expand(2, *SIZE[::-1]))
    for values in ([3, 3], []):
        with pytest.raises(ImageError, match="different labels"):
            one_hot(labels, values)


def test_centroids_are_those_of_scipy_in_the_world(labels, grid):
    found = centroids(one_hot(MedImage.on(grid, labels)))
    index = np.array(ndimage.center_of_mass(np.ones(grid.shape), labels[0].numpy(), [3, 6, 9]))[:, ::-1]
    assert found.dtype is torch.float64
    np.testing.assert_allclose(found, grid.to_world(index), atol=1e-10)  # mm, of float64


def test_soft_centroids_are_weighted_means(grid):
    masks = soft(2, 3, *grid.shape)
    points = world(grid)
    wanted = [[(w[..., None] * points).sum((0, 1, 2)) / w.sum() for w in item] for item in masks.numpy()]
    np.testing.assert_allclose(centroids_on(masks, grid), wanted, atol=1e-10)
    for k in range(2):
        assert torch.equal(centroids_on(masks, grid)[k], centroids_on(masks[k], grid))
    assert torch.equal(centroids_on(masks[0, 0], grid), centroids_on(masks, grid)[0, 0])


def test_gradients_reach_soft_masks():
    affine = np.eye(4)
    affine[:3, :3] = LINEAR["oblique"]
    small = Grid.from_affine((3, 2, 4), affine)
    masks = soft(2, *small.shape).requires_grad_()
    assert gradcheck(lambda w: centroids_on(w, small), (masks,))
    assert gradcheck(lambda w: maximum_radii_on(w, small, above=0.3), (masks,))


def test_the_radius_reaches_the_farthest_voxel(labels, grid):
    found = maximum_radii(one_hot(MedImage.on(grid, labels)))
    points = world(grid)
    for radius, label in zip(found.tolist(), (3, 6, 9), strict=True):
        inside = points[labels[0].numpy() == label]
        assert radius == pytest.approx(np.linalg.norm(inside - inside.mean(0), axis=1).max(), abs=1e-10)


def test_the_radius_of_a_box_is_half_its_diagonal(grid):
    mask = torch.zeros(1, *grid.shape)
    mask[0, 1:6, 2:5, 3:10] = 1
    ends = world(grid)[[1, 5, 1, 5, 1, 5, 1, 5], [2, 2, 4, 4, 2, 2, 4, 4], [3, 3, 3, 3, 9, 9, 9, 9]]
    wanted = max(np.linalg.norm(a - b) for a in ends for b in ends) / 2
    assert float(maximum_radii_on(mask, grid)) == pytest.approx(wanted, abs=1e-10)
    one = torch.zeros(1, *grid.shape)
    one[0, 1, 2, 3] = 1
    assert float(maximum_radii_on(one, grid)) == 0


def test_masks_without_a_centre_are_refused(grid):
    for bad, said in ((0.0, "empty"), (-1.0, "0 or more"), (float("nan"), "0 or more")):
        with pytest.raises(ImageError, match=said):
            centroids_on(torch.full((1, *grid.shape), bad), grid)
    with pytest.raises(ImageError, match="do not fill"):
        centroids_on(torch.ones(1, 2, 2, 2), grid)
    with pytest.raises(ImageError, match="lower the threshold"):
        maximum_radii_on(torch.full((1, *grid.shape), 0.25), grid)


@pytest.mark.parametrize("radius", [0.0, 0.7, 2.0, 4.5, 100.0])
def test_balls_are_round_in_the_world(grid, radius):
    index = np.array([[5, 4, 3], [0, 0, 0], [4.4, 3.6, 2.2], [10.3, 8, 6]])
    points = grid.to_world(index)
    found = balls(points, grid, radius)
    assert found.dtype is torch.uint8
    for mask, point, at in zip(found.numpy(), points, index, strict=True):
        wanted = np.linalg.norm(world(grid) - point, axis=-1) <= radius * (1 + 1e-9)
        wanted[tuple(np.floor(at + 0.5).astype(int)[::-1])] = True
        np.testing.assert_array_equal(mask, wanted)


def test_a_ball_may_reach_in_from_outside_but_not_miss(grid):
    outside = grid.to_world([[-1.6, 4, 3]])
    reach = 1.7 * float(np.linalg.norm(grid.affine[:3, 0]))
    assert int(balls(outside, grid, reach).sum()) >= 1
    with pytest.raises(ImageError, match="point 0 lies outside"):
        balls(outside, grid, 1e-3)
    with pytest.raises(ImageError, match="point 1 lies outside"):
        balls(grid.to_world([[1, 1, 1], [500, 1, 1]]), grid, 5.0)
    for bad in ([[1.0, 2.0]], [[np.nan, 0, 0]], np.zeros((0, 3))):
        with pytest.raises(UsageError, match="points need"):
            balls(bad, grid)
    with pytest.raises(UsageError, match="radius"):
        balls(outside, grid, -1.0)


def test_points_come_back_from_their_masks(grid):
    points = torch.tensor(grid.to_world([[5, 4, 3], [0, 0, 0], [10, 8, 6]]))
    masks = masks_from_points(points, grid)
    assert masks.grid == grid
    np.testing.assert_allclose(torch.cat(points_from_masks(masks)), points, atol=1e-10)
    wide = masks_from_points(points[:1], grid, radius_mm=1.2)  # symmetric about its point
    np.testing.assert_allclose(centroids(wide), points[:1], atol=1e-10)


def test_points_are_those_of_numpy_and_thinned_evenly(grid, labels):
    masks = torch.cat([labels == 3, labels == 99])
    found, none = points_on(masks, grid)
    np.testing.assert_allclose(found, world(grid)[masks[0].numpy()], atol=1e-10)
    assert none.shape == (0, 3)
    few, _ = points_on(masks, grid, at_most=10)
    places = np.flatnonzero((found[:, None] == few[None]).all(-1).any(1).numpy())
    assert len(few) == 10
    assert np.ptp(np.diff(places)) <= 1
    assert torch.equal(points_on(masks, grid, at_most=10**6)[0], found)
    with pytest.raises(UsageError, match="at_most"):
        points_on(masks, grid, at_most=0)


def test_pictures_have_two_axes():
    grid = Grid((5, 4), (0.5, 2.0), (1.0, 2.0), ((0.6, -0.8), (0.8, 0.6)))
    labels = torch.zeros(1, 4, 5, dtype=torch.uint8)
    labels[0, 1:3, 2:4] = 7
    masks = one_hot(MedImage.on(grid, labels))
    np.testing.assert_allclose(centroids(masks), grid.to_world([[2.5, 1.5]]), atol=1e-12)
    assert float(maximum_radii(masks)) == pytest.approx(np.hypot(0.25, 1.0), abs=1e-12)
    assert int(balls(grid.to_world([[2, 2]]), grid, 0.5).sum()) == 3


def test_a_batch_is_the_loop_over_its_items_with_labels_in_common() -> None:
    grids = [Grid.regular((6, 5, 4), (1.0, 2.0, 3.0), origin) for origin in ((0.0, 0.0, 0.0), (10.0, -5.0, 2.0))]
    maps = [torch.randint(0, 4, (1, 4, 5, 6), generator=torch.Generator().manual_seed(k)) for k in (0, 1)]
    images = [MedImage.on(grid, data) for grid, data in zip(grids, maps, strict=True)]
    batch = MedImageBatch.stack(images)
    assert found_labels(batch) == (1, 2, 3)
    channels = one_hot(batch)
    assert torch.equal(channels.data, torch.stack([one_hot(image, (1, 2, 3)).data for image in images]))
    assert torch.equal(centroids(channels), torch.stack([centroids(one_hot(image)) for image in images]))
    assert torch.equal(maximum_radii(channels), torch.stack([maximum_radii(one_hot(image)) for image in images]))


def test_channels_of_labels_have_no_unit_of_the_map() -> None:
    grid = Grid.regular((4, 1, 1), (1.0, 1.0, 1.0))
    labels = MedImage.on(
        grid, torch.tensor([[[[0, 5, 5, 3]]]]), metadata={"units": "HU", "slope": 2.0, "path": "a.nii"}
    )
    assert one_hot(labels).metadata == {"path": "a.nii", "labels": (3, 5), "stored_dtype": "float32"}
