"""Filters know where voxels lie: millimetres, oblique, flipped and sheared grids, batches, and what metadata say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from medreg.batch import MedImageBatch
from medreg.errors import ImageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops import flip
from medreg.vision.filters import (
    Central,
    Edge,
    Forward,
    GaussianSlope,
    Mirror,
    Scharr,
    Slope,
    Sobel,
    box,
    convolve,
    derivative,
    derivative_adjoint,
    filter,
    filter_adjoint,
    gaussian,
    gradient,
    gradient_magnitude,
    laplacian,
    laplacian_of_gaussian,
    median,
)

SPACING = (0.8, 1.5, 2.5)
ALIGNED = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
FLIPPED = ((-1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))
OBLIQUE = ((0.36, 0.48, -0.8), (-0.8, 0.6, 0.0), (0.48, 0.64, 0.6))
SHEARED = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.6), (0.0, 0.0, 0.8))  # a tilted gantry
GRIDS = {
    name: Grid((20, 18, 16), SPACING, (10.0, -20.0, 30.0), direction)
    for name, direction in (("aligned", ALIGNED), ("flipped", FLIPPED), ("oblique", OBLIQUE), ("sheared", SHEARED))
}
every_grid = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
MIDDLE = (slice(None), *(slice(6, -6),) * 3)


def on(grid: Grid, of_world: Callable[[np.ndarray], np.ndarray]) -> MedImage:
    """An image whose voxels are a function of their points (N, 3) in the world."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.size), indexing="ij"), -1).reshape(-1, 3)
    values = of_world(grid.to_world(index)).reshape(grid.size)
    return MedImage.on(grid, torch.from_numpy(values.T.copy())[None])


def drawn(grid: Grid = GRIDS["oblique"], seed: int = 0) -> MedImage:
    """Two channels of numbers around 0, float64."""
    data = torch.randn((2, *grid.shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return MedImage.on(grid, data, metadata={"path": "ct.nii", "units": "HU", "stored_dtype": "int16"})


@every_grid
@pytest.mark.parametrize(
    "by", [Central(), Forward(), Sobel(), Scharr(), GaussianSlope((1.0, 2.0, 3.0))], ids=lambda by: type(by).__name__
)
def test_the_gradient_is_that_of_the_world_in_millimetres(grid: Grid, by: Slope) -> None:
    wanted = np.array([0.5, -2.0, 3.0])
    image = on(grid, lambda points: points @ wanted + 100)
    # a sampled Gaussian of 1.2 voxels or more has a slope of 1 to 3e-4
    tolerance = 1e-3 if isinstance(by, GaussianSlope) else 1e-11
    for found, one in zip(gradient(image, by), wanted, strict=True):
        assert float((found.data[MIDDLE] - one).abs().max()) < tolerance * 4
    length = gradient_magnitude(image, by)
    assert length.grid == grid
    assert float((length.data[MIDDLE] - np.linalg.norm(wanted)).abs().max()) < tolerance * 4


@pytest.mark.parametrize("name", ["aligned", "flipped", "oblique"])
def test_the_laplacian_is_per_square_millimetre(name: str) -> None:
    image = on(GRIDS[name], lambda p: 2 * p[:, 0] ** 2 - p[:, 1] ** 2 + 0.5 * p[:, 2] ** 2 + p[:, 0] * p[:, 2])
    found = laplacian(image).data[MIDDLE]
    assert float((found - 3.0).abs().max()) < 1e-10  # 4 - 2 + 1; of values up to 10,000
    image = drawn(GRIDS[name])
    sigmas, wanted = np.array([1.2, 2.0, 2.5]), 0.0
    for axis, orders in enumerate(2 * np.eye(3, dtype=int)):
        along = ndimage.gaussian_filter(image.data[0].numpy(), (sigmas / SPACING)[::-1], order=orders[::-1])
        wanted = wanted + along / SPACING[axis] ** 2
    assert np.abs(laplacian_of_gaussian(image, sigmas).data[0].numpy() - wanted).max() < 1e-12


def test_the_laplacian_refuses_a_sheared_grid() -> None:
    for call in (laplacian, lambda image: laplacian_of_gaussian(image, 2.0)):
        with pytest.raises(ImageError, match=r"ct\.nii: its grid is sheared.*resample it first"):
            call(drawn(GRIDS["sheared"]))


@every_grid
def test_widths_are_millimetres_along_the_axes(grid: Grid) -> None:
    image = drawn(grid)
    sigmas = np.array([1.0, 2.0, 3.0])
    in_voxels = (sigmas / SPACING)[::-1]
    for found, orders, per_mm in (
        (gaussian(image, sigmas), (0, 0, 0), 1.0),
        (gaussian(image, sigmas, order=(1, 0, 2)), (2, 0, 1), 0.8 * 2.5**2),
    ):
        wanted = np.stack([ndimage.gaussian_filter(one, in_voxels, order=orders) for one in image.data.numpy()])
        assert found.grid == grid
        assert np.abs(found.data.numpy() * per_mm - wanted).max() < 1e-12
    wanted = np.stack([ndimage.gaussian_filter(one, 2.0 / np.array(SPACING[::-1])) for one in image.data.numpy()])
    assert np.abs(gaussian(image, 2.0).data.numpy() - wanted).max() < 1e-12


def test_a_difference_along_an_axis_is_per_millimetre_and_so_is_its_adjoint() -> None:
    image, other = drawn(), drawn(seed=1)
    for axis, step in enumerate(SPACING):
        found = derivative(image, axis, Forward(), border=Edge()).data
        assert torch.allclose(found, derivative(image.data, axis, Forward(), border=Edge()) / step, rtol=1e-13)
        back = derivative_adjoint(other, axis, Forward(), border=Edge()).data
        assert float((found * other.data).sum()) == pytest.approx(float((image.data * back).sum()), abs=1e-10)


def test_flipping_the_storage_changes_nothing_in_the_world() -> None:
    image = drawn()
    turned = flip(image, [0, 2])
    for one, other in zip(gradient(image), gradient(turned), strict=True):
        assert float((flip(other, [0, 2]).data - one.data).abs().max()) < 1e-13
    for function in (lambda i: gaussian(i, 2.0), lambda i: gradient_magnitude(i), median, laplacian):
        assert float((flip(function(turned), [0, 2]).data - function(image).data).abs().max()) < 1e-13


CALLS: dict[str, Callable[[MedImageBatch | MedImage], MedImageBatch | MedImage]] = {
    "filter": lambda i: filter(i, torch.arange(24.0).view(2, 3, 4), Mirror()),
    "convolve": lambda i: convolve(i, torch.arange(24.0).view(2, 3, 4)),
    "adjoint": lambda i: filter_adjoint(i, torch.arange(24.0).view(2, 3, 4)),
    "gaussian": lambda i: gaussian(i, 2.0),
    "box": lambda i: box(i, (3, 2, 1)),
    "median": lambda i: median(i, (3, 1, 3)),
    "derivative": lambda i: derivative(i, 1),
    "z": lambda i: gradient(i)[2],
    "magnitude": gradient_magnitude,
    "laplacian": laplacian,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_batch_is_its_items(call: Callable[[MedImageBatch | MedImage], MedImageBatch | MedImage]) -> None:
    items = [drawn(GRIDS["oblique"], 0), drawn(GRIDS["flipped"], 1), drawn(GRIDS["aligned"], 2)]
    for found, item in zip(call(MedImageBatch.stack(items)), items, strict=True):
        alone = call(item)
        assert found.grid == alone.grid == item.grid
        assert torch.allclose(found.data, alone.data, rtol=0, atol=1e-12)


def test_a_batch_of_sheared_and_straight_grids_has_the_gradients_of_each() -> None:
    items = [drawn(GRIDS["oblique"], 0), drawn(GRIDS["sheared"], 1)]
    for found, item in zip(gradient_magnitude(MedImageBatch.stack(items)), items, strict=True):
        assert torch.allclose(found.data, gradient_magnitude(item).data, rtol=1e-12)


def test_a_batch_of_several_spacings_has_no_one_millimetre() -> None:
    wide = Grid((20, 18, 16), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), ALIGNED)
    batch = MedImageBatch.stack([drawn(), drawn(wide)])
    with pytest.raises(ImageError, match="one by one, or resample"):
        gaussian(batch, 2.0)
    assert isinstance(median(batch), MedImageBatch)  # knows voxels only


def test_metadata_say_what_is_still_true() -> None:
    image = drawn()
    for same in (gaussian(image, 1.0), box(image, 2), median(image, 1)):
        assert same.metadata["units"] == "HU"
        assert same.name == "ct.nii"
    for other in (filter(image, torch.ones(1, 1, 2)), derivative(image, 0), gaussian(image, 1.0, order=1)):
        assert "units" not in other.metadata
        assert other.metadata["stored_dtype"] == "float64"


def test_the_kernel_has_the_axes_of_the_image() -> None:
    with pytest.raises(ImageError, match=r"ct\.nii: has 3 space axes, the filter 2"):
        filter(drawn(), torch.ones(3, 3))


def test_pictures_in_2d_are_turned_as_well() -> None:
    grid = Grid((12, 10), (0.5, 2.0), (1.0, 2.0), ((0.6, -0.8), (0.8, 0.6)))
    x, y = np.meshgrid(np.arange(12), np.arange(10))
    points = grid.to_world(np.stack([x, y], -1).reshape(-1, 2))
    image = MedImage.on(grid, torch.from_numpy((points @ [3.0, -1.0]).reshape(1, 10, 12)))
    found: list[Tensor] = [one.data[0, 3:-3, 3:-3] for one in gradient(image)]
    assert float((found[0] - 3).abs().max()) < 1e-12
    assert float((found[1] + 1).abs().max()) < 1e-12
