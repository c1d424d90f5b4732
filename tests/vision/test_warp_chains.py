"""Warps among other steps: maps composed, colours and networks beside them, gradients to what lies between."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.sample import CubicBSpline, Interpolation, Linear, Reflect, cubic_convolution
from medreg.transform.composite import Composite
from medreg.transform.kind import Kind
from medreg.transform.linear import LinearTransform, matrix_of
from medreg.transform.neural import Neural
from medreg.vision.colour import Colour, Convert, convert
from medreg.vision.warping import parameter_jacobian, warp

OBLIQUE = tuple(map(tuple, Rotation.from_euler("xyz", [20, -15, 30], degrees=True).as_matrix().tolist()))
GRIDS = {
    "plane": Grid((24, 21), (0.5, 2.0), (7.0, -9.0), ((0.6, -0.8), (0.8, 0.6))),
    "oblique": Grid((16, 15, 14), (0.8, 1.5, 4.0), (-100.0, 5.0, 3.0), OBLIQUE),
}


def motion(grid: Grid) -> LinearTransform:
    """A turn and a shift about the middle of a plane."""
    parameters = torch.linspace(0.5, 2.0, 3, dtype=torch.float64)
    return LinearTransform.of(matrix_of(parameters, Kind.RIGID, grid.centre, 10.0).numpy())


def nudge(grid: Grid, seed: int) -> LinearTransform:
    """A shift, a turn and a shear that move points by about a voxel."""
    count = 6 if grid.dimension == 2 else 12
    parameters = torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 0.5
    matrix = matrix_of(parameters * min(grid.spacing), Kind.AFFINE, grid.centre, max(grid.extent))
    return LinearTransform.of(matrix.numpy())


def test_two_maps_resample_once_where_nested_warps_blur_twice() -> None:
    grid = Grid.regular((64, 64), (1.0, 1.0))
    y, x = torch.meshgrid(*[torch.arange(64.0, dtype=torch.float64)] * 2, indexing="ij")

    def scene(points: Tensor) -> Tensor:
        return torch.sin(points[:, 0] / 1.5) * torch.cos(points[:, 1] / 2)

    image = MedImage.on(grid, scene(torch.stack([x, y], -1).view(-1, 2)).view(1, 64, 64))
    second, first = motion(grid), LinearTransform.of(np.array([[1.0, 0, 0.5], [0, 1.0, 0.5], [0, 0, 1]]))
    composed = warp(image, Composite(second, first)).data
    # the result at x is the image at second(first(x)): the image seen through `second`, and that through `first`
    nested = warp(warp(image, second), first).data
    truth = scene(second.map_points(first.map_points(torch.stack([x, y], -1).view(-1, 2)))).view(1, 64, 64)
    inner = (..., slice(16, 48), slice(16, 48))
    assert (composed - truth)[inner].abs().mean() < 0.6 * (nested - truth)[inner].abs().mean()
    smooth = {"interpolation": CubicBSpline()}
    once = warp(image, Composite(second, first), **smooth).data  # type: ignore[arg-type]
    twice = warp(warp(image, second, **smooth), first, **smooth).data  # type: ignore[arg-type]
    assert (once - twice)[inner].abs().max() < 0.01  # of -1 to 1


def test_nesting_is_exact_where_voxels_meet_voxels() -> None:
    grid = Grid.regular((8, 8), (1.0, 1.0), (0.0, 0.0))
    quarter = LinearTransform.of(np.array([[0.0, -1, 7], [1, 0, 0], [0, 0, 1]]))
    shift = LinearTransform.of(np.array([[1.0, 0, 2], [0, 1, -1], [0, 0, 1]]))
    image = MedImage.on(grid, torch.from_numpy(np.random.default_rng(0).normal(size=(1, 8, 8))))
    composed = warp(image, Composite(quarter, shift)).data
    assert torch.equal(composed, warp(warp(image, quarter), shift).data)
    assert not torch.equal(composed, warp(warp(image, shift), quarter).data)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize(("kernel", "degree"), [(Linear(), 1), (cubic_convolution(), 2)], ids=["linear", "cubic"])
def test_two_maps_equal_nesting_between_voxels_of_what_a_kernel_interpolates_without_error(
    kernel: Interpolation, degree: int, grid: Grid
) -> None:
    d = grid.dimension
    slopes = torch.linspace(-1, 1, d, dtype=torch.float64) / torch.tensor(grid.extent).double()

    def scene(points: Tensor) -> Tensor:  # of this degree, also after each affine map
        return (2 + (points - torch.tensor(grid.centre).double()) @ slopes) ** degree

    axes = np.meshgrid(*(np.arange(n, dtype=float) for n in grid.shape), indexing="ij")
    points = torch.from_numpy(grid.to_world(np.stack(axes[::-1], -1).reshape(-1, d)))
    image = MedImage.on(grid, scene(points).view(1, *grid.shape))
    second, first = nudge(grid, 0), nudge(grid, 1)
    once = warp(image, Composite(second, first), interpolation=kernel).data
    twice = warp(warp(image, second, interpolation=kernel), first, interpolation=kernel).data
    exact = scene(second.map_points(first.map_points(points))).view_as(once)
    inner = (..., *[slice(4, -4)] * d)  # two kernels wide: nothing from outside
    assert (once - exact)[inner].abs().max() < 1e-12 * float(exact.abs().max())
    assert (once - twice)[inner].abs().max() < 1e-12 * float(exact.abs().max())
    other = warp(warp(image, first, interpolation=kernel), second, interpolation=kernel).data
    assert (once - other)[inner].abs().max() > 1e-5  # the order counts


class Bend(nn.Module):
    """Pictures (N, C, y, x) through one learnt displacement field."""

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.through = Neural(grid, width=8, features=4)

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([warp(image, self.through, outside=Reflect()) for image in images])


def test_a_change_of_colours_a_warp_and_a_network_train_together() -> None:
    torch.manual_seed(0)
    pictures = torch.rand(4, 3, 8, 9)
    pictures[:, :, 0], pictures[:, :, 1], pictures[:, :, 2] = 0.0, 1.0, 0.5  # black, white, grey
    pictures.requires_grad_()
    bend = Bend(Grid.regular((9, 8), (1.0, 1.0)))
    model = nn.Sequential(Convert(Colour.LAB), nn.BatchNorm2d(3), bend, nn.Conv2d(3, 1, 3, padding=1))
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    wanted = pictures.detach().mean(1, keepdim=True).roll(1, 3)
    losses = []
    for _ in range(15):
        optimiser.zero_grad()
        loss = (model(pictures) - wanted).square().mean()
        loss.backward()
        losses.append(float(loss.detach()))
        optimiser.step()
    assert losses[-1] < 0.8 * losses[0]
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in (*model.parameters(), pictures))
    first = bend.through.layers[0].weight.grad
    assert first is not None
    assert float(first.norm()) > 0  # gradients go through all of it


def test_gradients_to_what_lies_between_two_steps_are_there_and_chain() -> None:
    grid = GRIDS["plane"]
    random = torch.Generator().manual_seed(0)
    normal = lambda *shape: torch.randn(shape, generator=random, dtype=torch.float64)  # noqa: E731
    picture = (0.5 + 0.1 * normal(3, *grid.shape)).requires_grad_()
    pose, weights = torch.zeros(3, dtype=torch.float64, requires_grad=True), normal(3, *grid.shape)

    def seen_by(picture: Tensor, pose: Tensor) -> Tensor:
        matrix = matrix_of(pose + 0.4, Kind.RIGID, grid.centre, 10.0)
        return warp(MedImage.on(grid, picture), matrix, interpolation=CubicBSpline(), outside=Reflect()).data

    def judged(seen: Tensor) -> Tensor:
        return (convert(seen, Colour.LUV) * weights).sum()

    seen = seen_by(picture, pose)
    hooked: list[Tensor] = []
    seen.retain_grad()
    seen.register_hook(hooked.append)
    judged(seen).backward()
    between = seen.grad
    assert between is not None
    assert torch.equal(hooked[0], between)
    # what comes after: differences along any direction
    way, step = normal(*seen.shape), 1e-6
    held = seen.detach()
    slope = float(judged(held + step * way) - judged(held - step * way)) / (2 * step)
    assert float((between * way).sum()) == pytest.approx(slope, rel=1e-7)
    # what comes before: the adjoint of the warp, and the Jacobian by the pose
    other = normal(*picture.shape)
    assert picture.grad is not None
    ahead = float((seen_by(other, pose.detach()) * between).sum())
    assert ahead == pytest.approx(float((other * picture.grad).sum()), rel=1e-11)
    by_pose = parameter_jacobian(lambda pose: seen_by(picture.detach(), pose), pose)
    assert pose.grad is not None
    parts = between[..., None] * by_pose
    # a turn's slope is put together from those of the matrix, which are larger by the centre's distance
    assert (parts.sum((0, 1, 2)) - pose.grad).abs().max() < 1e-11 * float(parts.abs().sum())
