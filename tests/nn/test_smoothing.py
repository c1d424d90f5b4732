"""Smooth is the Gaussian of `medreg.sample.smooth`, whose width may be learnt."""

from __future__ import annotations

import pytest
import torch
from scipy import ndimage
from torch import nn

from medreg.errors import ImageError
from medreg.geometry.grid import Grid
from medreg.nn import Smooth


@pytest.mark.parametrize("learnt", [False, True])
def test_it_is_scipys_gaussian_along_axes_of_any_spacing(grid: Grid, *, learnt: bool) -> None:
    images = torch.rand(2, 3, *grid.shape, dtype=torch.float64)
    sigma = nn.Parameter(torch.tensor(1.1, dtype=torch.float64)) if learnt else 1.1
    voxels = [0, 0, *(1.1 / s for s in reversed(grid.spacing))]
    expected = ndimage.gaussian_filter(images.numpy(), voxels, mode="nearest", truncate=4.0)
    torch.testing.assert_close(Smooth(grid, sigma)(images).detach(), torch.from_numpy(expected), rtol=0, atol=1e-12)


def test_the_slope_by_sigma_is_right(grid: Grid) -> None:
    images = torch.rand(1, 1, *grid.shape, dtype=torch.float64).requires_grad_()
    smooth = Smooth(grid, nn.Parameter(torch.tensor([1.05], dtype=torch.float64)))

    def smoothed(images: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(smooth, {"sigma_mm": sigma}, (images,))

    assert torch.autograd.gradcheck(smoothed, (images, smooth.sigma_mm), fast_mode=True)


def test_a_width_is_learnt() -> None:
    grid = Grid.regular((32, 32), (0.5, 0.5))
    images = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    target = Smooth(grid, 1.3)(images)
    model = nn.Sequential(Smooth(grid, nn.Parameter(torch.tensor(0.6))))
    optimiser = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(100):
        optimiser.zero_grad()
        (model(images) - target).square().sum().backward()
        optimiser.step()
    (sigma,) = model.parameters()
    assert abs(sigma.item() - 1.3) < 0.02


def test_what_does_not_fit_is_told() -> None:
    grid = Grid.regular((4, 4), (1.0, 1.0))
    with pytest.raises(ImageError, match="0 mm or more"):
        Smooth(grid, -1.0)
    with pytest.raises(ImageError, match="learns one sigma"):
        Smooth(grid, nn.Parameter(torch.ones(3)))
    with pytest.raises(ImageError, match="made for images"):
        Smooth(grid, 1.0)(torch.zeros(1, 1, 5, 4))
