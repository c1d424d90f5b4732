"""Samples: evenly spread, repeatable, where they claim to lie; patches whole and in order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion, map_coordinates

from medreg.errors import RegistrationError
from medreg.geometry.grid import Grid
from medreg.registration.samples import LEAST, Placement, draw

ORIGIN = (0.0, 0.0, 0.0)


def numbered(size: tuple[int, ...]) -> tuple[torch.Tensor, Grid]:
    """A volume whose values are the voxels' flat numbers, and a plain grid for it."""
    grid = Grid.regular(size, (1.0,) * len(size))
    return torch.arange(float(np.prod(size)), dtype=torch.float64).reshape(1, *grid.shape), grid


@settings(max_examples=50, deadline=None)
@given(st.integers(100, 3000), st.integers(0, 1000), st.tuples(*[st.integers(4, 16)] * 3))
def test_one_voxel_is_drawn_from_each_of_equal_runs(count, seed, size):
    volume, grid = numbered(size)
    total = volume.numel()
    if total < LEAST:
        return
    drawn = draw(volume, grid, count, ORIGIN, seed).values[0].numpy()
    if total <= count:
        assert np.array_equal(drawn, np.arange(total))
        return
    runs = np.floor((drawn + 1) * count / total - 1e-9)  # a run may begin within a voxel
    assert len(drawn) == count
    assert (np.diff(drawn) >= 0).all()
    assert np.abs(runs - np.arange(count)).max() <= 1


def test_a_seed_draws_the_same_and_another_seed_other_voxels():
    volume, grid = numbered((20, 20, 20))
    for placement in Placement:
        one, same, other = (draw(volume, grid, 500, ORIGIN, seed, placement) for seed in (4, 4, 5))
        assert torch.equal(one.values, same.values)
        assert torch.equal(one.homogeneous, same.homogeneous)
        assert not torch.equal(one.values, other.values)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("sheared", [False, True])
def test_each_value_lies_where_its_point_says(texture, dimension, sheared):
    image = texture(dimension, sheared=sheared)
    centre = tuple(np.array(image.grid.centre) + 1.7)
    for placement in Placement:
        samples = draw(image.data, image.grid, 200, centre, 0, placement)
        points = samples.homogeneous[:, :-1].numpy() + centre
        index = image.grid.to_index(points)
        theirs = map_coordinates(image.data[0].numpy(), index[:, ::-1].T, order=1, mode="nearest")
        np.testing.assert_allclose(samples.values[0].numpy(), theirs, atol=1e-9)
        assert (samples.homogeneous[:, -1] == 1).all()
        assert samples.radius == pytest.approx(np.sqrt(((points - centre) ** 2).sum(1).mean()))
        assert float(samples.position.abs().max()) < 2
        expected = np.einsum("ni,nj->nij", *[samples.homogeneous.numpy()] * 2)
        rows, columns = np.triu_indices(dimension + 1)
        np.testing.assert_allclose(samples.products.numpy(), expected[:, rows, columns])
        corners = samples.corners[:, :-1] + centre
        assert {tuple(c) for c in corners.round(6)} == {tuple(c) for c in image.grid.corners.round(6)}


def test_scattered_samples_stay_within_their_voxels_and_fill_them():
    volume, grid = numbered((20, 20, 20))
    centres = draw(volume, grid, 2000, ORIGIN, 7, Placement.CENTRES).homogeneous[:, :-1]
    scattered = draw(volume, grid, 2000, ORIGIN, 7, Placement.SCATTERED).homogeneous[:, :-1]
    offset = (scattered - centres).numpy()
    assert np.abs(offset).max() <= 0.5
    np.testing.assert_allclose(offset.mean(0), 0, atol=0.03)  # voxels; uniform: 0.29 / sqrt(2000) = 0.006
    np.testing.assert_allclose(offset.std(0), 1 / np.sqrt(12), atol=0.02)


@pytest.mark.parametrize("placement", Placement)
@pytest.mark.parametrize("count", [100, 100_000])
def test_only_allowed_voxels_are_drawn(placement, count):
    volume, grid = numbered((14, 15, 16))
    allowed = torch.rand(volume.shape, generator=torch.Generator().manual_seed(0)) < 0.2  # patches are of 1 voxel
    samples = draw(volume, grid, count, ORIGIN, 0, placement, allowed)
    index = (samples.homogeneous[:, :-1] + 0.5).floor().long() if placement is Placement.SCATTERED else None
    voxels = samples.homogeneous[:, :-1].long() if index is None else index
    assert allowed[0, voxels[:, 2], voxels[:, 1], voxels[:, 0]].all()
    assert len(samples) == min(count, int(allowed.sum()))


def test_samples_keep_the_volumes_precision():
    volume, grid = numbered((10, 10, 10))
    for dtype in (torch.float32, torch.float64):
        samples = draw(volume.to(dtype), grid, 100, ORIGIN, 0)
        assert samples.values.dtype == samples.homogeneous.dtype == dtype


def test_points_far_from_the_worlds_origin_lose_nothing_in_float32():
    volume, _ = numbered((10, 10, 10))
    grid = Grid.regular((10, 10, 10), (1.0, 1.0, 1.0), (1e6, -1e6, 1e6))
    samples = draw(volume.float(), grid, 10_000, grid.centre, 0)
    index = samples.homogeneous[:, :-1].double().numpy() + 4.5
    np.testing.assert_allclose(index, np.rint(index), atol=1e-6)


def test_too_few_voxels_are_told():
    volume, grid = numbered((10, 10, 10))
    allowed = torch.zeros(volume.shape, dtype=torch.bool)
    allowed[0, 0, :4] = True
    with pytest.raises(RegistrationError, match=f"only 40 voxels .* {LEAST} are needed; use a larger mask"):
        draw(volume, grid, 100, ORIGIN, 0, allowed=allowed)


def test_channels_are_drawn_at_the_same_places(texture):
    first, second = texture(3, seed=0), texture(3, seed=1)
    both = torch.cat([first.data, second.data])
    for placement in Placement:
        drawn = (draw(data, first.grid, 300, ORIGIN, 0, placement) for data in (both, first.data, second.data))
        whole, one, two = drawn
        assert torch.equal(whole.homogeneous, one.homogeneous)
        assert torch.equal(whole.values, torch.cat([one.values, two.values]))
        assert len(whole) == 300


# Patches ------------------------------------------------------------------------------------------------------------


def patches(size: tuple[int, ...], count: int, patch: int, allowed=None, seed: int = 0) -> np.ndarray:
    """(K, patch^D, D) voxel indices x, y(, z) of the drawn patches."""
    volume, grid = numbered(size)
    drawn = draw(volume, grid, count, ORIGIN[: len(size)], seed, Placement.PATCHES, allowed, patch)
    index = drawn.homogeneous[:, :-1].numpy().astype(int)
    strides = np.cumprod([1, *size[:-1]])
    assert np.array_equal(drawn.values[0].numpy(), index @ strides)  # each value is that of its voxel
    return index.reshape(-1, patch ** len(size), len(size))


@pytest.mark.parametrize("patch", [3, 5])
@pytest.mark.parametrize("size", [(40, 30), (20, 18, 16)])
def test_patches_are_whole_cubes_in_a_row_x_fastest(size, patch):
    d = len(size)
    found = patches(size, 100 * patch**d, patch)
    assert len(found) == 100
    offsets = np.stack(np.meshgrid(*[np.arange(patch)] * d, indexing="ij")[::-1], -1).reshape(-1, d)
    np.testing.assert_array_equal(found - found.min(1, keepdims=True), np.broadcast_to(offsets, found.shape))
    assert found.min() >= 0
    assert (found < np.array(size)).all()
    assert len({tuple(middle) for middle in found[:, patch**d // 2]}) == 100  # no patch twice


@pytest.mark.parametrize("patch", [3, 5])
@pytest.mark.parametrize("size", [(40, 30), (20, 18, 16)])
@pytest.mark.parametrize("count", [100, 10_000_000])
def test_no_patch_reaches_out_of_the_mask(size, patch, count):
    allowed = torch.ones(1, *size[::-1], dtype=torch.bool)
    allowed[..., : size[1] // 2, : size[0] // 3] = False
    allowed[(0, *(n // 2 + 1 for n in size[::-1]))] = False
    found = patches(size, count, patch, allowed)
    assert allowed[0].numpy()[tuple(found.reshape(-1, len(size)).T[::-1])].all()
    whole = binary_erosion(allowed[0].numpy(), np.ones((patch,) * len(size)))  # out of the view nothing is allowed
    middles = {tuple(m) for m in found[:, patch ** len(size) // 2, ::-1]}
    if count > whole.sum() * patch ** len(size):
        assert middles == {tuple(m) for m in np.argwhere(whole)}
    else:
        assert len(middles) == LEAST  # so many patches, at least


def test_a_mask_without_room_for_patches_is_told():
    volume, grid = numbered((12, 12, 12))
    allowed = (torch.arange(12) % 3 > 0).expand(1, 12, 12, 12)
    with pytest.raises(RegistrationError, match="only 0 voxels .* use a larger mask"):
        draw(volume, grid, 1000, ORIGIN, 0, Placement.PATCHES, allowed, 3)
