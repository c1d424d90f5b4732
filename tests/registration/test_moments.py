"""Moments: scipy's centre of mass and numpy's eigenvectors of the weighted covariance, on dark and bright grounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import center_of_mass

from medreg.geometry.affine import homogeneous, rotation_exp
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.registration import recipe
from medreg.registration.levels import LevelImage, Pyramid
from medreg.registration.moments import POINTS, centre_of_mass, foreground_points, frames, mass


def blob(image: MedImage) -> torch.Tensor:
    """A bright ellipsoid off the middle, on zero, float32."""
    middle, widths = (9, 14, 11), (20, 8, 12)
    index = torch.meshgrid(*(torch.arange(float(n)) for n in image.grid.shape), indexing="ij")[::-1]
    parts = [(i - m) ** 2 / w for i, m, w in zip(index, middle, widths, strict=False)]
    return 100 * torch.exp(-sum(parts))[None]


def oblique_or_not(image: MedImage, straight: bool) -> Grid:
    return Grid.regular(image.size, image.spacing, image.origin) if straight else image.grid


def masked(image: MedImage) -> torch.Tensor:
    allowed = torch.zeros(1, *image.grid.shape, dtype=torch.bool)
    allowed[(0, *(slice(5, 20),) * image.dimension)] = True
    return allowed


# The centre ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("straight", [True, False], ids=["straight", "oblique"])
@pytest.mark.parametrize("dimension", [2, 3])
def test_the_centre_of_mass_is_scipys_of_the_brightness_above_the_mean(texture, straight, dimension):
    image = texture(dimension)
    grid, volume = oblique_or_not(image, straight), blob(image)
    above = (volume[0] - volume.mean()).clamp(min=0).double().numpy()
    expected = grid.to_world([center_of_mass(above)[::-1]])[0]
    found = centre_of_mass(LevelImage(volume, None, grid))
    np.testing.assert_allclose(found, expected, atol=1e-4)  # mm; voxels are float32


@pytest.mark.parametrize("straight", [True, False], ids=["straight", "oblique"])
@pytest.mark.parametrize("dimension", [2, 3])
def test_in_a_mask_it_is_scipys_above_the_masks_mean(texture, straight, dimension):
    image = texture(dimension)
    grid, volume, allowed = oblique_or_not(image, straight), blob(image), masked(image)
    above = (volume - volume[allowed].mean()).clamp(min=0) * allowed
    expected = grid.to_world([center_of_mass(above[0].double().numpy())[::-1]])[0]
    np.testing.assert_allclose(centre_of_mass(LevelImage(volume, allowed, grid)), expected, atol=1e-4)  # mm


def test_an_offset_or_a_gain_does_not_move_the_centre_of_mass(texture):
    image = texture(3)
    volume = blob(image)
    found = [centre_of_mass(LevelImage(v, None, image.grid)) for v in (3 * volume + 50, volume, 1e-6 * volume)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)
    np.testing.assert_allclose(found[2], found[1], atol=1e-3)


@pytest.mark.parametrize("dimension", [2, 3])
def test_on_a_bright_ground_it_is_that_of_the_dark_object(texture, dimension):
    image = texture(dimension)
    volume = blob(image)
    dark, bright = (LevelImage(v, None, image.grid) for v in (volume, 240 - volume))
    np.testing.assert_allclose(centre_of_mass(bright), centre_of_mass(dark), atol=1e-3)  # mm
    torch.testing.assert_close(mass(bright), mass(dark), atol=1e-3, rtol=0)


def test_the_ground_of_a_slab_is_told_by_its_sides_alone():
    """Every voxel of the outer slices of a slab may show the object: they are no border."""
    grid = Grid.regular((30, 30, 3), (1.0, 1.0, 5.0))
    volume = torch.zeros(1, 3, 30, 30)
    volume[..., 2:28, 2:28] = 100
    assert float(mass(LevelImage(volume, None, grid))[1, 15, 15]) > 0
    np.testing.assert_allclose(centre_of_mass(LevelImage(volume, None, grid)), grid.centre, atol=1e-6)


def test_channels_are_averaged(texture):
    image = texture(3)
    colours = torch.cat([blob(image) * share for share in (0.5, 1.0, 1.5)])
    one, mean = (LevelImage(v, None, image.grid) for v in (colours, blob(image)))
    np.testing.assert_allclose(centre_of_mass(one), centre_of_mass(mean), atol=1e-4)


def test_voxels_out_of_the_mask_do_not_move_the_centre_of_mass(texture):
    image = texture(3)
    volume, allowed = blob(image), masked(image)
    painted = torch.where(allowed, volume, 7.0)
    found = [centre_of_mass(LevelImage(v, allowed, image.grid)) for v in (painted, volume)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_a_head_in_a_mask_that_leaves_the_border_out_is_bright_at_every_level(fixed):
    mask = torch.zeros_like(fixed.data)
    mask[(0, *(slice(int(0.12 * n), int(0.88 * n)) for n in fixed.data.shape[1:]))] = 1
    pyramid = Pyramid(fixed.data, mask, fixed.grid)
    levels = [pyramid.at(spacing, recipe.MutualInformation()) for spacing in (4.0, 8.0)]
    for level in levels:
        values = level.volume[0][level.mask[0]]
        assert np.corrcoef(values, mass(level)[level.mask[0]])[0, 1] > 0.5
    np.testing.assert_allclose(*map(centre_of_mass, levels), atol=3)  # mm, less than half a voxel of 8 mm


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_constant_image_has_its_centre_in_the_middle_and_the_worlds_axes(texture, dimension):
    image = texture(dimension)
    flat = LevelImage(torch.full_like(image.data, 3.0), None, image.grid)
    assert centre_of_mass(flat) == image.grid.centre
    assert [f.tolist() for f in frames(flat)] == [np.eye(dimension).tolist()]


# The axes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("ground", ["dark", "bright"])
def test_the_axes_are_numpys_eigenvectors_of_the_weighted_covariance(texture, dimension, ground):
    image = texture(dimension)
    volume = blob(image) if ground == "dark" else 240 - blob(image)
    above = np.abs((volume[0] - volume.mean()).double().numpy())
    above[(volume[0] < volume.mean()).numpy() == (ground == "dark")] = 0
    index = np.argwhere(above > 0)
    points = image.grid.to_world(index[:, ::-1].astype(float))
    covariance = np.cov(points.T, aweights=above[above > 0], bias=True)
    strength = np.linalg.eigvalsh(covariance)
    found = frames(LevelImage(volume, None, image.grid))
    assert len(found) == 2 ** (dimension - 1)
    for frame in found:
        np.testing.assert_allclose(covariance @ frame, frame * strength, atol=1e-4 * strength.max())
        np.testing.assert_allclose(frame.T @ frame, np.eye(dimension), atol=1e-10)
        assert np.linalg.det(frame) == pytest.approx(1)
    for k, one in enumerate(found):
        for other in found[:k]:
            np.testing.assert_allclose(np.abs(np.diag(one.T @ other)), 1)  # they differ in signs alone
            assert np.trace(one.T @ other) < dimension - 1


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_axes_turn_with_the_image(texture, dimension):
    image = texture(dimension)
    turn = rotation_exp(np.array([0, 0, 2.2]) if dimension == 2 else np.array([1.0, -1.4, 0.9]))[:dimension, :dimension]
    moved = Grid.from_affine(image.size, homogeneous(turn, np.zeros(dimension)) @ image.grid.affine)
    near, far = (frames(LevelImage(blob(image), None, grid)) for grid in (image.grid, moved))
    turns = [other @ near[0].T for other in far]
    assert min(np.abs(t - turn).max() for t in turns) < 1e-6  # one choice of signs is the turn itself


def test_a_mask_hides_what_does_not_count_from_the_axes(texture):
    image = texture(3)
    volume, allowed = blob(image), masked(image)
    painted = torch.where(allowed, volume, 7.0)
    one, other = (frames(LevelImage(v, allowed, image.grid)) for v in (volume, painted))
    np.testing.assert_allclose(one, other, atol=1e-9)


# Points -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimension", [2, 3])
def test_foreground_points_are_voxels_of_the_object_evenly_taken(texture, dimension):
    image = texture(dimension, size=60)
    level = LevelImage(image.data.float(), None, image.grid)
    inside = mass(level) > 0
    points = foreground_points(level)
    assert POINTS <= len(points) < 2 * POINTS
    index = image.grid.to_index(points)
    np.testing.assert_allclose(index, index.round(), atol=1e-9)  # voxels: whole indices
    assert all(bool(inside[tuple(reversed(place))]) for place in index.round().astype(int).tolist())
    of_all = inside.nonzero().double().mean(0).flip(0).numpy()
    np.testing.assert_allclose(index.mean(0), of_all, atol=1.5)  # voxels of some 60


def test_the_foreground_of_a_constant_image_is_its_corners(texture):
    image = texture(3)
    flat = LevelImage(torch.full_like(image.data, 3.0), None, image.grid)
    np.testing.assert_array_equal(foreground_points(flat), image.grid.corners)
