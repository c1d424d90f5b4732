"""Warps through maps of any kind: values against scipy, frames that lose nothing, gradients, batches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

import medreg
from medreg.batch import MedImageBatch
from medreg.errors import ImageError, TransformError, UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops import Background, Keep, each
from medreg.sample import (
    CubicBSpline,
    Edge,
    Fill,
    Interpolation,
    Label,
    Linear,
    Mirror,
    Nearest,
    Outside,
    Periodic,
    Reflect,
    WindowedSinc,
    cubic_convolution,
)
from medreg.transform.composite import Composite, Map
from medreg.transform.homography import Homography
from medreg.transform.kind import Kind
from medreg.transform.linear import LinearTransform, matrix_of
from medreg.transform.local_homographies import LocalHomographies, controls_over
from medreg.transform.neural import Neural
from medreg.vision.warping import parameter_jacobian, warp
from medreg.vision.warping_frames import Covering, Frame

OBLIQUE = Rotation.from_euler("xyz", [20, -15, 30], degrees=True).as_matrix()
GRIDS = {
    "identity": Grid.regular((9, 8, 7), (1.0, 1.0, 1.0)),
    "flipped": Grid((9, 8, 7), (1.0, 1.5, 2.0), (-3.0, 40.0, 5.0), ((-1.0, 0, 0), (0, -1.0, 0), (0, 0, 1.0))),
    "oblique": Grid((9, 8, 7), (0.8, 1.5, 4.0), (-100.0, 5.0, 3.0), tuple(map(tuple, OBLIQUE.tolist()))),
    "plane": Grid((14, 11), (0.5, 2.0), (7.0, -9.0), ((0.6, -0.8), (0.8, 0.6))),
}
KERNELS: list[Interpolation] = [Nearest(), Linear(), CubicBSpline(), WindowedSinc(3), cubic_convolution()]
OUTSIDE: list[Outside] = [Fill(0.0), Edge(), Periodic(), Reflect(), Mirror()]


def picture(grid: Grid, channels: int = 1) -> MedImage:
    return MedImage.on(grid, torch.from_numpy(np.random.default_rng(0).normal(size=(channels, *grid.shape))))


def wave(points: Tensor) -> Tensor:
    """Bends by up to a millimetre."""
    return points + torch.sin(points.roll(1, 1) / 5)


def motion(grid: Grid) -> LinearTransform:
    """A turn and a shift about the middle of the grid."""
    d = grid.dimension
    parameters = torch.linspace(0.5, 2.0, 3 if d == 2 else 6, dtype=torch.float64)
    return LinearTransform.of(matrix_of(parameters, Kind.RIGID, grid.centre, 10.0).numpy())


def indices(grid: Grid, through: Callable[[Tensor], Tensor]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """(D, N) array indices z, y, x at which the image is seen."""
    axes = np.meshgrid(*(np.arange(n, dtype=float) for n in grid.shape), indexing="ij")
    points = grid.to_world(np.stack(axes[::-1], -1).reshape(-1, grid.dimension))
    return grid.to_index(through(torch.from_numpy(points)).numpy())[:, ::-1].T


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize(("kernel", "order"), [(Nearest(), 0), (Linear(), 1), (CubicBSpline(), 3)])
@pytest.mark.parametrize(
    ("outside", "mode"), [(Edge(), "nearest"), (Periodic(), "grid-wrap"), (Reflect(), "reflect"), (Mirror(), "mirror")]
)
def test_a_function_of_world_points_shows_what_scipy_shows(
    outside: Outside, mode: str, kernel: Interpolation, order: int, grid: Grid
) -> None:
    def far(points: Tensor) -> Tensor:
        return wave(points) + torch.tensor(grid.extent).double() * 0.8

    image = picture(grid)
    expected = ndimage.map_coordinates(image.data[0].numpy(), indices(grid, far), order=order, mode=mode)
    found = warp(image, far, interpolation=kernel, outside=outside).data[0].numpy().ravel()
    if (mode, order) == ("nearest", 3):  # scipy's spline sees the edge repeated, ours and ITK's the mirror image
        assert not np.allclose(found, expected)
        return
    assert np.abs(found - expected).max() < (1e-5 if (mode, order) == ("reflect", 3) else 1e-11)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize(("kernel", "order"), [(Nearest(), 0), (Linear(), 1), (CubicBSpline(), 3)])
def test_a_fill_is_scipys_constant_but_within_half_a_voxel_of_the_outermost_centres(
    kernel: Interpolation, order: int, grid: Grid
) -> None:
    image, places = picture(grid), indices(grid, wave)
    expected = ndimage.map_coordinates(image.data[0].numpy(), places, order=order, mode="constant", cval=7.0)
    found = warp(image, wave, interpolation=kernel, outside=Fill(7.0)).data[0].numpy().ravel()
    ends = np.array(grid.shape)[:, None] - 1
    band = ((places < 0) | (places > ends)).any(0) & ((places >= -0.5) & (places < ends + 0.5)).all(0)
    assert np.abs(found - expected)[~band].max() < 1e-11
    assert band.any()
    assert (found[band] != 7.0).all()  # a voxel reaches to its faces, as in ITK


@pytest.mark.parametrize("outside", OUTSIDE, ids=repr)
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("name", ["plane", "oblique"])
def test_the_gradient_to_the_image_is_the_adjoint_of_the_warp(
    name: str, kernel: Interpolation, outside: Outside
) -> None:
    grid = GRIDS[name]
    d = grid.dimension
    tilted = motion(grid).matrix.copy()
    tilted[d, :d] = 0.01 / np.array(grid.extent)
    tilted[d, d] = 1 - tilted[d, :d] @ grid.centre
    other = Grid.regular((7, 6, 5)[:d], (2.0,) * d, tuple(c - 5 for c in grid.centre))
    maps: list[tuple[Map, Frame]] = [
        *((through, Keep()) for through in (wave, motion(grid), tilted, Composite(wave, motion(grid)))),
        (motion(grid), Covering()),
        (wave, other),
        (tilted, other),
    ]
    for through, frame in maps:
        image = picture(grid)
        x = image.data.clone().requires_grad_()
        wx = warp(image.with_data(x), through, frame, kernel, outside).data
        y = torch.from_numpy(np.random.default_rng(2).normal(size=tuple(wx.shape)))
        wy = torch.autograd.grad(wx, x, y)[0]
        left, right = float((wx * y).sum().detach()), float((x * wy).sum().detach())
        assert abs(left - right) <= 1e-12 * float((wx * y).abs().sum().detach())


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_any_way_to_say_a_map_gives_the_same_picture(grid: Grid) -> None:
    d, linear = grid.dimension, motion(grid)
    image = picture(grid, 2)
    module = nn.Linear(d, d).double()
    with torch.no_grad():
        module.weight.copy_(torch.tensor(linear.matrix[:d, :d]))
        module.bias.copy_(torch.tensor(linear.matrix[:d, d]))
    controls = controls_over(grid, (2,) * d)
    same = torch.tensor(linear.matrix).expand(*controls.shape, d + 1, d + 1)
    ways: list[Map] = [
        linear.matrix,
        torch.tensor(linear.matrix),
        linear.map_points,
        Homography(linear.matrix),
        module,
        LocalHomographies(controls, same),
        Composite(linear),
        Composite(linear, lambda points: points),
    ]
    expected = medreg.resample(image, grid, linear).data
    for through in ways:
        assert (warp(image, through).data - expected).abs().max() < 1e-9


def test_a_module_in_float32_warps_to_its_own_precision() -> None:
    grid = GRIDS["plane"]
    with torch.no_grad():
        assert (warp(picture(grid), Neural(grid)).data - picture(grid).data).abs().max() < 1e-12
        found = warp(picture(grid), nn.Linear(2, 2)).data
    assert found.dtype == torch.float64


def test_a_background_and_labels_are_served() -> None:
    grid = GRIDS["plane"]
    image = MedImage.on(grid, torch.full((1, *grid.shape), -1000, dtype=torch.int16))
    away = LinearTransform.of(np.array([[1.0, 0, 1e3], [0, 1, 0], [0, 0, 1]]))
    assert warp(image, away, outside=Background()).data.unique().tolist() == [-1000]
    labels = MedImage.on(grid, torch.randint(0, 9, (1, *grid.shape), generator=torch.Generator().manual_seed(0)))
    warped = warp(labels, wave, interpolation=Label(), outside=Mirror())
    assert warped.data.dtype == torch.int64
    assert set(warped.data.unique().tolist()) <= set(labels.data.unique().tolist())


def test_metadata_and_channels_stay() -> None:
    image = MedImage.on(GRIDS["oblique"], torch.rand(3, 7, 8, 9), metadata={"path": "x.nii"})
    warped = warp(image, wave, frame=Covering())
    assert (warped.metadata, warped.leading, warped.channels) == (image.metadata, image.leading, 3)


def test_a_batch_is_the_loop_over_its_items_and_a_tensor_has_spacing_one() -> None:
    grid = GRIDS["oblique"]
    batch = MedImageBatch.stack([picture(grid), picture(grid).with_data(picture(grid).data ** 2)])
    maps = [motion(grid), wave]
    together = warp(batch, each(maps))
    for item, image, through in zip(together, batch, maps, strict=True):
        assert torch.equal(item.data, warp(image, through).data)
    data = torch.stack([image.data for image in batch])
    unit = Grid.regular(grid.size, (1.0,) * 3)
    assert torch.equal(warp(data, wave)[1], warp(MedImage.on(unit, data[1]), wave).data)
    assert torch.equal(warp(data[1], wave), warp(data, wave)[1])
    flat = torch.rand(2, 5, 6)
    assert torch.equal(warp(flat, wave), warp(MedImage.on(Grid.regular((6, 5), (1.0, 1.0)), flat), wave).data)


# gradients


@pytest.mark.parametrize("outside", OUTSIDE, ids=repr)
@pytest.mark.parametrize("kernel", KERNELS[1:], ids=repr)
def test_gradients_to_image_and_parameters_are_right(kernel: Interpolation, outside: Outside) -> None:
    grid = Grid((5, 4), (0.8, 1.5), (-10.0, 5.0), ((0.6, -0.8), (0.8, 0.6)))

    def seen(data: Tensor, pose: Tensor, height: Tensor) -> Tensor:
        turned = matrix_of(pose, Kind.HOMOGRAPHY, grid.centre, 3.0)
        through = Composite(turned, lambda points: points + height * torch.sin(points.flip(1)))
        return warp(MedImage.on(grid, data), through, interpolation=kernel, outside=outside).data

    pose = torch.linspace(-0.3, 0.4, 8, dtype=torch.float64)
    inputs = (picture(grid).data, pose, torch.tensor(0.31, dtype=torch.float64))
    assert torch.autograd.gradcheck(seen, tuple(t.requires_grad_() for t in inputs))


@pytest.mark.parametrize("outside", OUTSIDE, ids=repr)
@pytest.mark.parametrize("kernel", KERNELS[1:], ids=repr)
def test_gradients_in_space_are_right_too(kernel: Interpolation, outside: Outside) -> None:
    grid = Grid((4, 3, 3), (0.8, 1.5, 4.0), (-100.0, 5.0, 3.0), tuple(map(tuple, OBLIQUE.tolist())))

    def seen(data: Tensor, pose: Tensor, height: Tensor) -> Tensor:
        turned = matrix_of(pose, Kind.HOMOGRAPHY, grid.centre, 3.0)
        through = Composite(lambda points: points + height * torch.sin(points.roll(1, 1)), turned)
        return warp(MedImage.on(grid, data), through, interpolation=kernel, outside=outside).data

    pose = torch.linspace(-0.3, 0.4, 15, dtype=torch.float64)
    inputs = (picture(grid, 2).data, pose, torch.tensor(0.31, dtype=torch.float64))
    assert torch.autograd.gradcheck(seen, tuple(t.requires_grad_() for t in inputs), fast_mode=True)


def test_gradients_to_a_matrix_a_fill_and_local_homographies_are_right() -> None:
    grid = GRIDS["plane"]
    image, controls = picture(grid, 2), controls_over(grid, (2, 2))

    def by_matrix(matrix: Tensor, fill: Tensor) -> Tensor:
        return warp(image, matrix, outside=Fill(fill)).data

    fill = torch.tensor([0.5, -2.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        by_matrix, (torch.tensor(motion(grid).matrix).requires_grad_(), fill.requires_grad_())
    )

    def by_bends(bends: Tensor) -> Tensor:
        return warp(image, LocalHomographies.from_parameters(bends, controls, 5.0), outside=Edge()).data

    bends = 0.2 * torch.randn(2, 2, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(by_bends, (bends.requires_grad_(),))


def test_gradients_to_a_networks_weights_are_right() -> None:
    grid = Grid.regular((6, 5), (1.0, 2.0))
    network = Neural(grid, width=3, depth=1, features=2).double()
    with torch.no_grad():
        network.layers[-1].weight.add_(0.05)  # at zero the inner layers have no slope
    names = [name for name, _ in network.named_parameters()]

    def by_weights(*weights: Tensor) -> Tensor:
        given = dict(zip(names, weights, strict=True))
        through = lambda points: torch.func.functional_call(network, given, (points,))  # noqa: E731
        return warp(picture(grid), through, outside=Periodic()).data

    assert torch.autograd.gradcheck(by_weights, tuple(p.detach().requires_grad_() for p in network.parameters()))


@pytest.mark.parametrize("name", ["plane", "oblique"])
def test_the_jacobian_by_parameters_equals_finite_differences(name: str) -> None:
    grid = GRIDS[name]
    count = 8 if grid.dimension == 2 else 15

    def seen(pose: Tensor) -> Tensor:
        through = matrix_of(pose, Kind.HOMOGRAPHY, grid.centre, 5.0)
        return warp(picture(grid), through, interpolation=CubicBSpline(), outside=Mirror()).data

    pose = torch.linspace(-0.2, 0.3, count, dtype=torch.float64)
    found = parameter_jacobian(seen, pose)
    assert found.shape == (1, *grid.shape, count)
    step = 1e-5
    differences = [(seen(pose + step * e) - seen(pose - step * e)) / (2 * step) for e in torch.eye(count).double()]
    expected = torch.stack(differences, -1)
    assert (found - expected).abs().max() < 1e-6 * expected.abs().max()


def test_the_jacobian_of_a_nonlinear_map_and_of_nothing() -> None:
    grid = GRIDS["plane"]
    image, controls = picture(grid), controls_over(grid, (2, 2))

    def seen(bends: Tensor) -> Tensor:
        through = LocalHomographies.from_parameters(bends, controls, 5.0)
        return warp(image, through, interpolation=CubicBSpline(), outside=Mirror()).data

    bends = torch.full((2, 2, 8), 0.1, dtype=torch.float64)
    found = parameter_jacobian(seen, bends)
    expected = torch.autograd.functional.jacobian(seen, bends)
    assert (found - expected).abs().max() < 1e-12
    still = parameter_jacobian(lambda bends: image.data, bends)
    assert still.shape == (*image.data.shape, 2, 2, 8)
    assert not still.any()
    with pytest.raises(UsageError, match="returns a tensor"):
        parameter_jacobian(lambda bends: image, bends)  # type: ignore[arg-type,return-value]
    with pytest.raises(UsageError, match="takes a floating-point tensor"):
        parameter_jacobian(seen, [0.0])  # type: ignore[arg-type]


def test_what_does_not_fit_is_told() -> None:
    image = picture(GRIDS["plane"])
    with pytest.raises(TransformError, match="a 2D image is warped by a floating-point 3x3 matrix, got"):
        warp(image, np.eye(4))
    with pytest.raises(UsageError, match="through: takes a matrix, a transform, a torch module or a function"):
        warp(image, "swirl")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="frame: got the class Covering; pass Covering"):
        warp(image, wave, frame=Covering)  # type: ignore[arg-type]
    with pytest.raises(TransformError, match="a coordinate map returns a floating-point tensor"):
        warp(image, lambda points: points[:, :1])
    for broken in (np.full((3, 3), np.nan), torch.full((3, 3), torch.inf)):
        with pytest.raises(TransformError, match="through: takes a matrix of finite numbers, got"):
            warp(image, broken)
    with pytest.raises(UsageError, match="through: takes a matrix, .* got type"):
        warp(image, Neural)  # type: ignore[arg-type]
    with pytest.raises(TransformError, match=r"of one shape, got \(4, 4\) after \(3, 3\)"):
        warp(image, Composite(np.eye(4), np.eye(3)))
    with pytest.raises(TransformError, match="made for a 3D grid"):
        warp(image, Neural(GRIDS["oblique"]))
    with pytest.raises(TransformError, match="has 2 axes, the grid to resample onto has 3"):
        warp(image, wave, frame=GRIDS["oblique"])
    with pytest.raises(ImageError, match=r"a tensor is \(C, y, x\)"):
        warp(torch.zeros(4, 4), wave)
