"""Levels: the spacings that images get, and images filtered for them, whose values must stay where they lie."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medreg.geometry.grid import Grid
from medreg.registration import recipe
from medreg.registration.levels import Pyramid, default_levels

HEAD = Grid.regular((180, 220, 180), (1.0, 1.0, 1.0))


def spacings(*grids: Grid) -> list[float]:
    """Of the default levels."""
    return [level.spacing_mm for level in default_levels(*grids)]


def test_a_head_goes_from_eight_millimetres_to_its_own():
    assert spacings(HEAD, HEAD) == [8.0, 4.0, 2.0, 1.0]


def test_the_finest_level_is_the_coarser_images():
    coarse = Grid.regular((90, 110, 45), (2.0, 2.0, 4.0))
    finest = (2 * 2 * 4) ** (1 / 3)
    assert spacings(HEAD, coarse)[-1] == pytest.approx(finest)
    assert spacings(coarse, HEAD)[-1] == pytest.approx(finest)


def test_spacings_halve_and_the_work_lies_in_the_last_level():
    levels = default_levels(HEAD, HEAD)
    for coarse, fine in zip(levels, levels[1:], strict=False):
        assert coarse.spacing_mm == 2 * fine.spacing_mm
        assert coarse.tolerance_mm > fine.tolerance_mm
        assert coarse.samples <= fine.samples


def test_the_unit_of_length_does_not_matter():
    microns = Grid.regular(HEAD.size, (1e-3,) * 3)
    for one, other in zip(default_levels(HEAD, HEAD), default_levels(microns, microns), strict=True):
        assert other.spacing_mm == pytest.approx(one.spacing_mm * 1e-3)
        assert other.tolerance_mm == pytest.approx(one.tolerance_mm * 1e-3)
        assert (other.samples, other.steps) == (one.samples, one.steps)


def test_a_thumbnail_has_one_level_and_a_giant_at_most_eight():
    assert spacings(Grid.regular((16, 16), (1.0, 1.0)), HEAD.subsampled((1, 1, 1))) == [1.0]
    giant = Grid.regular((100_000, 100_000), (0.01, 0.01))
    assert len(spacings(giant, giant)) == 8


SLOPE = np.array([1.0, -2.0, 0.5])
METRICS = pytest.mark.parametrize("metric", [recipe.Correlation(), recipe.MeanSquares(), recipe.MutualInformation()])


def ramp(grid: Grid) -> torch.Tensor:
    """(1, z, y, x) float32, linear in the world, so that each value tells where it lies."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")[::-1], -1)
    world = grid.to_world(index.reshape(-1, grid.dimension))
    return torch.from_numpy((world @ SLOPE[: grid.dimension] + 7).reshape(1, *grid.shape)).float()


@METRICS
@pytest.mark.parametrize("sheared", [False, True])
@pytest.mark.parametrize("spacing_mm", [1.0, 2.2, 4.0, 7.0])
@pytest.mark.parametrize("dimension", [2, 3])
def test_a_ramp_keeps_its_world_values(texture, metric, sheared, spacing_mm, dimension):
    grid = texture(dimension, sheared=sheared).grid
    image = Pyramid(ramp(grid), None, grid).at(spacing_mm, metric)
    assert image.mask is None
    assert image.volume.shape == (1, *image.grid.shape)
    torch.testing.assert_close(image.volume, ramp(image.grid), atol=1e-4, rtol=0)  # float32 of about 100


def test_least_squares_smooths_what_pooling_left_alone_and_histograms_stay_sharp():
    grid = Grid.regular((40, 40, 40), (1.0, 1.0, 1.0))
    noise = torch.randn(1, 40, 40, 40, generator=torch.Generator().manual_seed(0))
    sharp = Pyramid(noise, None, grid).at(1.0, recipe.MutualInformation())
    smooth = Pyramid(noise, None, grid).at(1.0, recipe.Correlation())
    assert torch.equal(sharp.volume, noise)
    assert sharp.grid == grid
    assert smooth.grid.size == (38, 38, 38)
    assert float(smooth.volume.var()) == pytest.approx((3 / 8) ** 3, rel=0.1)
    pooled = Pyramid(noise, None, grid).at(2.0, recipe.Correlation())
    assert pooled.grid.size == (20, 20, 20)


def test_a_slab_loses_no_slices_and_thick_slices_are_not_smoothed():
    slab = Grid.regular((40, 40, 12), (1.0, 1.0, 1.0))
    assert Pyramid(torch.zeros(1, 12, 40, 40), None, slab).at(1.0, recipe.Correlation()).grid.size == (38, 38, 12)
    thick = Grid.regular((40, 40, 30), (1.0, 1.0, 5.0))
    assert Pyramid(torch.zeros(1, 30, 40, 40), None, thick).at(2.0, recipe.Correlation()).grid.size == (20, 20, 30)


@METRICS
@pytest.mark.parametrize("spacing_mm", [1.0, 2.0, 4.0])
def test_a_mask_stays_on_its_voxels(metric, spacing_mm):
    grid = Grid.regular((40, 36, 32), (1.0, 1.0, 2.0), (3.0, 4.0, 5.0))
    mask = torch.zeros(1, 32, 36, 40)
    mask[0, 8:20, 8:24, 12:28] = 1
    image = Pyramid(torch.zeros(1, 32, 36, 40), mask, grid).at(spacing_mm, metric)
    assert image.mask.dtype == torch.bool
    assert image.mask.shape == image.volume.shape
    inside = image.mask[0].nonzero().flip(1).numpy()
    world = image.grid.to_world(inside)
    half, voxel = np.array(image.grid.spacing) / 2, np.array(image.grid.spacing)
    low, high = grid.to_world([[12, 8, 8], [27, 23, 19]]) + np.outer([-1, 1], grid.spacing) / 2
    # a level's voxels lie within the mask; those at its border may go, where a filter reached beyond it
    assert (world.min(0) - half >= low - 1e-9).all()
    assert (world.min(0) - half <= low + voxel + 1e-9).all()
    assert (world.max(0) + half <= high + 1e-9).all()
    assert (world.max(0) + half >= high - voxel - 1e-9).all()
