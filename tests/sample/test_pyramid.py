"""Pyramid levels: closed forms in the world, numpy's block means."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medreg.geometry.grid import Grid
from medreg.sample import factors_of, level_of, mask_level_of, pyramid


def ramp(grid: Grid) -> torch.Tensor:
    """float64 values that grow linearly in the world, so that each tells where it lies."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")[::-1], -1)
    world = grid.to_world(index.reshape(-1, grid.dimension))
    slope = np.array([1.0, -2.0, 0.5])[: grid.dimension]
    return torch.from_numpy((world @ slope + 7).reshape(1, *grid.shape))


@pytest.mark.parametrize("spacing_mm", [1.0, 2.0, 3.1, 4.0, 8.0, 50.0])
def test_a_ramp_keeps_its_world_values_at_every_level(moving, spacing_mm):
    level, grid = level_of(ramp(moving.grid), moving.grid, spacing_mm)
    assert level.shape[1:] == grid.shape
    torch.testing.assert_close(level, ramp(grid), atol=1e-10, rtol=0)


def test_a_level_is_the_mean_of_its_blocks_and_drops_a_ragged_rest():
    grid = Grid.regular((11, 9, 8), (1.0, 1.0, 2.0))
    volume = np.random.default_rng(0).standard_normal((2, 8, 9, 11)).astype(np.float32)
    level, _ = level_of(torch.from_numpy(volume), grid, 2.0)
    wanted = volume[:, :, :8, :10].reshape(2, 8, 4, 2, 5, 2).mean((3, 5))
    np.testing.assert_allclose(level.numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "spacing", "spacing_mm", "factors"),
    [
        ((256, 256, 30), (0.9, 0.9, 5.0), 4.0, (4, 4, 1)),
        ((256, 256, 30), (0.9, 0.9, 5.0), 8.0, (9, 9, 1)),
        ((256, 256, 30), (0.9, 0.9, 5.0), 0.5, (1, 1, 1)),
        ((190, 256, 188), (0.88, 0.88, 0.88), 1.0, (1, 1, 1)),
        ((190, 256, 188), (0.88, 0.88, 0.88), 1.5, (2, 2, 2)),
        ((20, 3, 9), (1.0, 1.0, 1.0), 8.0, (5, 1, 2)),
    ],
)
def test_factors_follow_millimetres_and_keep_four_voxels(size, spacing, spacing_mm, factors):
    assert factors_of(Grid.regular(size, spacing), spacing_mm) == factors


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(*[st.integers(1, 40)] * 3),
    st.tuples(*[st.floats(0.3, 6.0)] * 3),
    st.lists(st.floats(0.2, 30.0), min_size=1, max_size=4),
)
def test_a_pyramid_is_its_levels_one_by_one(size, spacing, spacings_mm):
    grid = Grid.regular(size, spacing)
    volume = torch.from_numpy(np.random.default_rng(0).standard_normal((1, *grid.shape)))
    for (level, place), spacing_mm in zip(pyramid(volume, grid, spacings_mm), spacings_mm, strict=True):
        alone, alone_place = level_of(volume, grid, spacing_mm)
        torch.testing.assert_close(level, alone)
        assert place == alone_place


def test_integers_give_floating_point_levels():
    grid = Grid.regular((8, 8), (1.0, 1.0))
    level, _ = level_of(torch.full((1, 8, 8), 30_000, dtype=torch.int16), grid, 2.0)
    assert level.dtype == torch.float32
    assert (level == 30_000).all()


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.float32])
def test_half_of_the_fine_voxels_make_a_coarse_voxel_count(dtype):
    grid = Grid.regular((12, 8), (1.0, 1.0))
    mask = torch.zeros(1, 8, 12)
    mask[0, :2, 0:2] = torch.tensor([[1, 1], [0, 0]])  # half
    mask[0, :2, 2:4] = torch.tensor([[1, 0], [0, 0]])  # a quarter
    mask[0, :2, 4:6] = 1
    coarse, place = mask_level_of((mask * (1 if dtype in (torch.bool, torch.float32) else 7)).to(dtype), grid, 2.0)
    assert coarse.dtype == torch.bool
    assert place == grid.subsampled((2, 2))
    assert coarse[0, 0].tolist() == [True, False, True, False, False, False]
    assert not coarse[0, 1:].any()


def test_levels_pass_gradients_to_the_volume():
    grid = Grid.regular((8, 9), (1.0, 1.0))
    volume = torch.randn(1, 9, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: level_of(v, grid, 2.0)[0], (volume,))
