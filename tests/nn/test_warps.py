"""Resample, Rotate, Affine and Homography do what SimpleITK does, pass gradients on, and say what they want."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from torch import Tensor, nn

import medreg
from medreg.errors import ImageError, TransformError
from medreg.geometry.grid import Grid
from medreg.nn import Affine, Homography, Resample, Rotate, Smooth, Warp
from medreg.sample import CubicBSpline, Edge, Nearest
from medreg.transform.kind import Kind
from medreg.transform.linear import matrix_of

spec = importlib.util.spec_from_file_location("nn_grids", Path(__file__).with_name("conftest.py"))
assert spec is not None and spec.loader is not None
grids = importlib.util.module_from_spec(spec)
spec.loader.exec_module(grids)
smooth_noise: Callable[..., Tensor] = grids.smooth_noise

FLAT = Grid((9, 7), (1.0, 1.5), (2.0, -4.0), ((0.8, -0.6), (0.6, 0.8)))

MADE: list[tuple[str, Callable[[Grid], Warp], int]] = [
    ("rotate", lambda grid: Rotate(grid), 3),
    ("affine", lambda grid: Affine(grid), 12),
    ("homography", lambda grid: Homography(grid), 15),
]


def to_itk(volume: Tensor, grid: Grid) -> sitk.Image:
    image = sitk.GetImageFromArray(volume.numpy())
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(np.array(grid.direction).flatten().tolist())
    return image


def itk_resampled(volume: Tensor, grid: Grid, onto: Grid, transform: sitk.Transform) -> Tensor:
    like = to_itk(torch.zeros(onto.shape, dtype=torch.float64), onto)
    moved = sitk.Resample(to_itk(volume, grid), like, transform, sitk.sitkLinear, 0.0, sitk.sitkFloat64)
    return torch.from_numpy(sitk.GetArrayFromImage(moved))


def inside(moved: Tensor, other: Tensor) -> Tensor:
    """Where neither is the fill value: within 1e-9 of the buffer's border the two may decide differently."""
    return (moved != 0) & (other != 0)


def test_rotate_is_the_inverse_of_itks_euler_transform_about_the_same_centre(grid: Grid) -> None:
    angles, centre = (20.0, -35.0, 50.0), tuple(c + 0.7 for c in grid.centre)
    volume = smooth_noise(*grid.shape)
    euler = sitk.Euler3DTransform()
    euler.SetCenter(centre)
    euler.SetComputeZYX(True)  # Rz Ry Rx
    euler.SetRotation(*np.radians(angles).tolist())
    moved = Rotate(grid, angles, centre)(volume[None, None])[0, 0]
    other = itk_resampled(volume, grid, grid, euler.GetInverse())
    both = inside(moved, other)
    assert both.float().mean() > 0.4
    # the angles are kept in float32: 2e-7 rad of 50 degrees, on slopes of up to 1 a voxel at 8 voxels
    assert (moved - other)[both].abs().max() < 1e-5


def test_resample_brings_images_onto_another_grid_as_itk_does(grid: Grid) -> None:
    onto = Grid((6, 5, 8), (1.5, 1.1, 0.7), tuple(c - 2 for c in grid.centre), ((0, 1, 0), (0, 0, 1), (1, 0, 0)))
    volume = smooth_noise(*grid.shape)
    moved = Resample(grid, onto)(volume[None, None])[0, 0]
    other = itk_resampled(volume, grid, onto, sitk.Transform(3, sitk.sitkIdentity))
    assert moved.shape == onto.shape
    both = inside(moved, other)
    assert both.any()
    assert (moved - other)[both].abs().max() < 1e-9  # float64 both


def test_affine_and_homography_are_medregs_transforms_of_the_same_parameters(grid: Grid) -> None:
    volume = smooth_noise(*grid.shape)
    for kind, make, count in ((Kind.AFFINE, Affine, 12), (Kind.HOMOGRAPHY, Homography, 15)):
        module = make(grid)
        parameters = 0.5 * (smooth_noise(count, seed=1) - 0.5)
        matrix = matrix_of(parameters, kind, tuple(module.centre.tolist()), module.radius)
        image = medreg.MedImage.on(grid, volume[None])
        expected = medreg.resample(image, grid, matrix).data
        torch.testing.assert_close(module(volume[None, None], parameters)[0], expected, rtol=0, atol=1e-10)


def test_flat_images_turn_from_x_towards_y() -> None:
    volume = smooth_noise(*FLAT.shape)
    euler = sitk.Euler2DTransform()
    euler.SetCenter(FLAT.centre)
    euler.SetAngle(np.radians(25.0))
    moved = Rotate(FLAT, torch.tensor([25.0], dtype=torch.float64))(volume[None, None])[0, 0]
    other = itk_resampled(volume, FLAT, FLAT, euler.GetInverse())
    both = inside(moved, other)
    assert both.float().mean() > 0.4
    assert (moved - other)[both].abs().max() < 1e-9


@pytest.mark.parametrize(("name", "make", "count"), MADE)
def test_no_motion_changes_nothing(name: str, make: Callable[[Grid], Warp], count: int, grid: Grid) -> None:
    images = smooth_noise(2, 3, *grid.shape)
    # coordinates are right to 1e-14 of some tens of millimetres
    torch.testing.assert_close(make(grid)(images, torch.zeros(count)), images, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "make", "count"), MADE)
def test_a_batch_is_the_loop_over_its_items(name: str, make: Callable[[Grid], Warp], count: int, grid: Grid) -> None:
    module, images = make(grid), smooth_noise(3, 2, *grid.shape)
    parameters = smooth_noise(3, count, seed=2) * (10 if name == "rotate" else 0.5)
    looped = torch.cat([module(i[None], p) for i, p in zip(images, parameters, strict=True)])
    torch.testing.assert_close(module(images, parameters), looped, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "make", "count"), MADE)
def test_gradients_to_images_and_parameters_are_right(
    name: str, make: Callable[[Grid], Warp], count: int, grid: Grid
) -> None:
    module, images = make(grid), smooth_noise(2, 1, *grid.shape).requires_grad_()
    parameters = ((smooth_noise(2, count, seed=3) + 0.2) * (7 if name == "rotate" else 0.3)).requires_grad_()
    module.outside = Edge()  # beyond it, Fill has a step of which no derivative knows
    assert torch.autograd.gradcheck(module, (images, parameters), fast_mode=True)


def test_gradients_pass_through_cubic_splines_and_shared_parameters() -> None:
    rotate = Rotate(FLAT, interpolation=CubicBSpline(), outside=Edge())
    images = smooth_noise(2, 1, *FLAT.shape).requires_grad_()
    angle = torch.tensor([12.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rotate, (images, angle), fast_mode=True)


def test_four_quarter_turns_are_none() -> None:
    cube = Grid.regular((6, 6, 6), (1.0, 1.0, 1.0))
    images = smooth_noise(1, 1, 6, 6, 6)
    turn = Rotate(cube, (0.0, 0.0, 90.0), interpolation=Nearest())
    assert torch.equal(nn.Sequential(turn, turn, turn, turn)(images), images)
    assert torch.equal(turn(images), images.rot90(1, (4, 3)))  # x towards y


def test_parameters_are_learnt_kept_predicted_or_handed_over() -> None:
    learnt = Rotate(FLAT, nn.Parameter(torch.zeros(1)))
    assert [name for name, _ in learnt.named_parameters()] == ["values"]
    kept = Rotate(FLAT, 30.0)
    assert not list(kept.parameters())
    assert kept.state_dict()["values"].tolist() == [30.0]
    images = torch.rand(4, 2, *FLAT.shape)
    predicting = Rotate(FLAT, nn.Sequential(nn.Flatten(), nn.Linear(2 * 63, 1)))
    assert predicting(images).shape == images.shape
    assert predicting.predictor is not None
    assert torch.equal(predicting(images), Rotate(FLAT)(images, predicting.predictor(images)))
    for module, word in ((learnt, "learnt"), (kept, "kept"), (predicting, "predicted"), (Rotate(FLAT), "handed over")):
        assert word in repr(module)


def test_resample_learns_a_matrix_that_is_a_parameter() -> None:
    matrix = nn.Parameter(torch.eye(3, dtype=torch.float64))
    resample = Resample(FLAT, FLAT, matrix)
    resample(smooth_noise(1, 1, *FLAT.shape)).square().sum().backward()
    (values,) = resample.parameters()
    assert values.grad is not None and values.grad.abs().sum() > 0


def test_a_sequential_learns_the_angle_that_it_does_not_know() -> None:
    grid = Grid.regular((24, 24), (1.0, 1.0))
    image = Smooth(grid, 1.5)(torch.zeros(1, 1, 24, 24).index_fill(3, torch.tensor([8]), 1.0))
    target = Rotate(grid, 17.0, interpolation=CubicBSpline())(image)
    model = nn.Sequential(Rotate(grid, nn.Parameter(torch.zeros(1))), Smooth(grid, 0.0))
    optimiser = torch.optim.Adam(model.parameters(), 1.0)
    for _ in range(80):
        optimiser.zero_grad()
        (model(image) - target).square().sum().backward()
        optimiser.step()
    (angle,) = model.parameters()
    assert abs(angle.item() - 17.0) < 0.2  # degrees: linear against cubic


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(ImageError, match=r"made for images \(N, C, 7, 9\), got \(1, 1, 9, 7\)"):
        Rotate(FLAT, 3.0)(torch.zeros(1, 1, 9, 7))
    with pytest.raises(TransformError, match="made without parameters"):
        Rotate(FLAT)(torch.zeros(1, 1, 7, 9))
    with pytest.raises(TransformError, match="Rotate in 2D takes 1 floating-point parameters"):
        Rotate(FLAT, (1.0, 2.0, 3.0))
    with pytest.raises(TransformError, match="2 images need as many rows of parameters, got 3"):
        Rotate(FLAT)(torch.zeros(2, 1, 7, 9), torch.zeros(3, 1))
    with pytest.raises(TransformError, match="a centre in 2D has 2 coordinates"):
        Rotate(FLAT, 3.0, centre=(0.0, 0.0, 0.0))
    with pytest.raises(TransformError, match="takes a 3x3 matrix"):
        Resample(FLAT, FLAT, torch.eye(4))
    with pytest.raises(TransformError, match="cannot lie on a grid of 3"):
        Resample(FLAT, Grid.regular((3, 3, 3), (1.0, 1.0, 1.0)))
