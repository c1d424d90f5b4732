"""Frames of a moving picture, against means over pixels that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from medreg.errors import UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.transform.linear import LinearTransform
from medreg.vision.inverse import Descent, Frames, Smoothness, adjoint, restore

FLAT = Grid((24, 18), (0.5, 0.7), (-3.0, 8.0), ((0.6, -0.8), (0.8, 0.6)))
DEEP = Grid((12, 10, 12), (0.5, 0.7, 1.1), (-3.0, 8.0, 2.0), ((0.6, -0.8, 0.0), (0.8, 0.6, 0.0), (0.0, 0.0, -1.0)))


def moved(grid: Grid, degrees: float, shift: tuple[float, ...]) -> np.ndarray:
    """A turn about the grid's centre in the plane of its first two axes, then a shift in mm."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix, centre = np.eye(grid.dimension + 1), np.array(grid.centre)
    matrix[:2, :2] = [[c, -s], [s, c]]
    matrix[:-1, -1] = centre + shift - matrix[:-1, :-1] @ centre
    return matrix


def noise(grid: Grid, seed: int = 0) -> MedImage:
    random = torch.Generator().manual_seed(seed)
    return MedImage.on(grid, torch.randn(2, *grid.shape, generator=random, dtype=torch.float64))


@pytest.mark.parametrize("grid", [FLAT, DEEP])
def test_a_frame_that_stands_still_holds_the_means_of_blocks(grid: Grid) -> None:
    picture, d = noise(grid), grid.dimension
    seen = Frames(grid.subsampled([2] * d), [np.eye(d + 1)], 2)(picture)
    blocks = picture.data.numpy().reshape(2, *[n for size in grid.shape for n in (size // 2, 2)])
    np.testing.assert_allclose(seen[0].numpy(), blocks.mean(tuple(range(2, 2 + 2 * d, 2))), atol=1e-12)


@pytest.mark.parametrize("grid", [FLAT, DEEP])
def test_of_a_ramp_a_moved_pixel_sees_the_value_at_its_centre(grid: Grid) -> None:
    slope = np.arange(1.0, grid.dimension + 1)
    index = np.stack(np.meshgrid(*map(np.arange, grid.size), indexing="ij"), -1).astype(float)
    ramp = torch.from_numpy((grid.to_world(index) @ slope).T.copy())[None]
    coarse = grid.subsampled([3] * grid.dimension)
    maps = [moved(grid, 7.0, (0.3,) * grid.dimension), moved(grid, -20.0, (-0.4,) * grid.dimension)]
    seen = Frames(coarse, [maps[0], LinearTransform.of(maps[1])], 4)(MedImage.on(grid, ramp))
    middle = tuple(slice(n // 3, n - n // 3) for n in coarse.shape)  # whose pixels stay inside the picture
    index = np.stack(np.meshgrid(*map(np.arange, coarse.size), indexing="ij"), -1).astype(float)
    for frame, matrix in zip(seen, maps, strict=True):
        exact = ((coarse.to_world(index) @ matrix[:-1, :-1].T + matrix[:-1, -1]) @ slope).T
        np.testing.assert_allclose(frame[0].numpy()[middle], exact[middle], atol=1e-9)


def test_frames_have_their_adjoint_and_the_slopes_of_finite_differences() -> None:
    small = Grid((6, 5), FLAT.spacing, FLAT.origin, FLAT.direction)
    frames = Frames(small.subsampled([2, 2]), [np.eye(3), moved(small, 10.0, (0.2, -0.3))], 3)
    picture = noise(small)
    given = torch.randn(2, 2, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    back = adjoint(frames, given, picture)
    assert float((frames(picture) * given).sum()) == pytest.approx(float((picture.data * back.data).sum()), rel=1e-12)

    def of(data: Tensor) -> Tensor:
        return frames(MedImage.on(small, data))

    assert torch.autograd.gradcheck(of, picture.data.clone().requires_grad_())


def test_nine_frames_hold_what_one_has_lost() -> None:
    y, x = np.meshgrid(np.arange(36), np.arange(36), indexing="ij")
    stripes = torch.from_numpy(0.5 + 0.5 * np.sin(2 * np.pi * x / 4.0) * np.cos(2 * np.pi * y / 9.0))[None]
    grid = Grid.regular((36, 36), (1.0, 1.0))
    truth = MedImage.on(grid, stripes)
    maps = [moved(grid, 0.0, (dx, dy)) for dx in (-1.0, 0.0, 1.0) for dy in (-1.0, 0.0, 1.0)]
    frames = Frames(grid.subsampled([3, 3]), maps, 3)
    start = truth.with_data(torch.full_like(stripes, 0.5))
    how = Descent(evaluations=300, gain=0.0)
    many = restore(frames(truth), frames, start, [Smoothness(1e-6)], how).image
    one = Frames(frames.grid, maps[4:5], 3)
    single = restore(one(truth), one, start, [Smoothness(1e-6)], how).image
    inside = (slice(None), slice(4, -4), slice(4, -4))
    missed = [float((image.data - stripes)[inside].square().mean().sqrt()) for image in (many, single)]
    assert missed[0] < 0.05
    assert missed[1] > 0.2  # a pixel of 3 holds three quarters of a stripe


def test_frames_refuse_no_maps_and_no_samples() -> None:
    with pytest.raises(UsageError, match="one map or more and samples >= 1, got 0 and 2"):
        Frames(FLAT, [], 2)
    with pytest.raises(UsageError, match="got 1 and 0"):
        Frames(FLAT, [np.eye(3)], 0)
