"""Samples: evenly spread, repeatable, where they claim to lie; scipy's centre of mass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import center_of_mass, map_coordinates

from medreg.errors import RegistrationError
from medreg.geometry.grid import Grid
from medreg.registration.samples import LEAST, Placement, centre_of_mass, draw

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
    drawn = draw(volume, grid, count, ORIGIN, seed).values.numpy()
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
        np.testing.assert_allclose(samples.values.numpy(), theirs, atol=1e-9)
        assert (samples.homogeneous[:, -1] == 1).all()
        assert samples.radius == pytest.approx(np.sqrt(((points - centre) ** 2).sum(1).mean()))
        assert float(samples.position.abs().max()) < 2


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
    allowed = torch.rand(volume.shape, generator=torch.Generator().manual_seed(0)) < 0.2
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


def blob(image) -> torch.Tensor:
    """A bright ellipsoid off the middle, on zero, float32."""
    z, y, x = torch.meshgrid(*(torch.arange(float(n)) for n in image.grid.shape), indexing="ij")
    return (100 * torch.exp(-((x - 9) ** 2 / 20 + (y - 14) ** 2 / 8 + (z - 11) ** 2 / 12)))[None]


def oblique_or_not(image, straight: bool) -> Grid:
    return Grid.regular(image.size, image.spacing, image.origin) if straight else image.grid


@pytest.mark.parametrize("straight", [True, False], ids=["straight", "oblique"])
def test_the_centre_of_mass_is_scipys_of_the_brightness_above_the_mean(texture, straight):
    image = texture(3)
    grid, volume = oblique_or_not(image, straight), blob(image)
    above = (volume[0] - volume.mean()).clamp(min=0).double().numpy()
    expected = grid.to_world([center_of_mass(above)[::-1]])[0]
    np.testing.assert_allclose(centre_of_mass(volume, grid), expected, atol=1e-4)  # mm; voxels are float32
    allowed = torch.zeros(volume.shape, dtype=torch.bool)
    allowed[0, :, 10:, 6:] = True
    expected = grid.to_world([center_of_mass(above * allowed[0].numpy())[::-1]])[0]
    masked = centre_of_mass(volume, grid, allowed)
    assert np.abs(np.subtract(masked, expected)).max() < 1.0  # mm; the mean may be that of the allowed voxels alone


def test_an_offset_or_a_gain_does_not_move_the_centre_of_mass(texture):
    image = texture(3)
    volume = blob(image)
    np.testing.assert_allclose(
        centre_of_mass(3 * volume + 50, image.grid), centre_of_mass(volume, image.grid), atol=1e-3
    )


def test_voxels_out_of_the_mask_do_not_move_the_centre_of_mass(texture):
    image = texture(3)
    volume, allowed = blob(image), torch.zeros(1, *image.grid.shape, dtype=torch.bool)
    allowed[0, 5:18, 8:20, 3:16] = True
    painted = torch.where(allowed, volume, 700.0)
    np.testing.assert_allclose(
        centre_of_mass(painted, image.grid, allowed), centre_of_mass(volume, image.grid, allowed), atol=1e-6
    )


def test_a_constant_image_has_its_centre_in_the_middle(texture):
    image = texture(2)
    assert centre_of_mass(torch.full_like(image.data, 3.0), image.grid) == image.grid.centre
