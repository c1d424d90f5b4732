"""Gradients of the spatial operations to everything that they take, by gradcheck in float64."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops import (
    Antialias,
    Resampled,
    affine,
    placement,
    resample_onto,
    resample_to_spacing,
    rotate,
    rotation,
    scale,
    scaling,
    shearing,
    translate,
    translation,
    warp_in_world,
)
from medreg.sample import CubicBSpline, Edge, Fill, Linear, WindowedSinc, warp

KERNELS = [Linear(), CubicBSpline(), WindowedSinc(2)]


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


@pytest.fixture
def voxels(dimension):
    torch.manual_seed(4)
    return torch.randn(1, *(3, 3, 4)[-dimension:], dtype=torch.float64, requires_grad=True)


def on(voxels: torch.Tensor) -> MedImage:
    d = voxels.ndim - 1
    return MedImage.on(Grid.regular(voxels.shape[:0:-1], (1.0, 1.2, 0.9)[:d], (0.3, -0.2, 0.5)[:d]), voxels)


@pytest.mark.parametrize("interpolation", KERNELS, ids=str)
def test_rotation_to_voxels_angles_centre_and_fill(voxels, dimension, interpolation):
    angles = numbers(11.0, -7.0, 17.0) if dimension == 3 else numbers(17.0)
    centre = numbers(*(1.93, 1.71, 1.29)[:dimension])

    def moved(voxels, angles, centre, fill):
        return rotate(on(voxels), angles, centre, interpolation=interpolation, outside=Fill(fill)).data

    assert gradcheck(moved, (voxels, angles, centre, numbers(0.7)[0]))


@pytest.mark.parametrize("interpolation", KERNELS, ids=str)
def test_scale_shear_and_translation(voxels, dimension, interpolation):
    factors, shift = numbers(*(1.13, 0.91, 1.07)[:dimension]), numbers(*(0.21, -0.17, 0.13)[:dimension])
    shears = numbers(0.11, -0.07, 0.05) if dimension == 3 else numbers(0.11)

    def moved(voxels, factors, shears, shift):
        steps = [scaling(factors, dimension), shearing(shears, dimension), translation(shift)]
        return affine(on(voxels), steps, interpolation=interpolation).data

    assert gradcheck(moved, (voxels, factors, shears, shift))
    assert gradcheck(lambda v, f: scale(on(v), f, interpolation=interpolation).data, (voxels, factors))
    assert gradcheck(lambda v, s: translate(on(v), s, by=Resampled(interpolation)).data, (voxels, shift))


@pytest.mark.parametrize("interpolation", KERNELS, ids=str)
def test_spacing_origin_and_direction_of_both_grids(voxels, dimension, interpolation):
    d = dimension
    spacing, origin = numbers(*(1.03, 1.21, 0.93)[:d]), numbers(*(0.31, -0.23, 0.51)[:d])
    onto_spacing, onto_origin = numbers(*(0.87, 1.09, 1.13)[:d]), numbers(*(0.53, 0.11, 0.67)[:d])
    angles = (9.0, 5.0, -13.0) if d == 3 else (9.0,)
    direction = rotation(angles)[:d, :d].requires_grad_()

    def moved(voxels, spacing, origin, direction, onto_spacing, onto_origin):
        place = placement(spacing, origin, direction)
        onto = placement(onto_spacing, onto_origin)
        still = torch.eye(d + 1, dtype=torch.float64)
        return warp_in_world(voxels, still, place, onto, (4, 3, 4)[-d:], interpolation, Edge())

    assert gradcheck(moved, (voxels, spacing, origin, direction, onto_spacing, onto_origin))


def test_the_cubic_spline_has_second_derivatives(voxels, dimension):
    angles = numbers(11.0, -7.0, 17.0) if dimension == 3 else numbers(17.0)
    shift = numbers(*(0.21, -0.17, 0.13)[:dimension])

    def moved(voxels, angles, shift):
        return affine(on(voxels), [rotation(angles), translation(shift)], interpolation=CubicBSpline()).data

    assert gradgradcheck(moved, (voxels, angles, shift), fast_mode=dimension == 3)


def test_the_second_derivative_of_linear_is_that_of_its_pieces():
    line = torch.tensor([[[0.0, 1.0, 4.0]]], dtype=torch.float64, requires_grad=True)
    shift = numbers(0.25)

    def moved(line, shift):
        matrix = torch.eye(3, dtype=torch.float64).index_put((torch.tensor([0]), torch.tensor([2])), shift)
        return warp(line, matrix, (1, 2), Linear(), Edge())

    assert gradgradcheck(moved, (line, shift))


def test_resampling_to_a_spacing_passes_gradients_to_voxels_and_fill(voxels, dimension):
    for spacing in (0.7, 2.1):
        for interpolation in KERNELS:
            for antialias in (None, Antialias()):

                def moved(voxels, fill, spacing=spacing, kernel=interpolation, antialias=antialias):
                    return resample_to_spacing(on(voxels), spacing, antialias, kernel, Fill(fill)).data

                assert gradcheck(moved, (voxels, numbers(0.7)[0]), fast_mode=True)
    assert gradgradcheck(
        lambda v: resample_to_spacing(on(v), 0.7, interpolation=CubicBSpline()).data ** 2, (voxels,), fast_mode=True
    )


def test_a_transform_onto_another_grid_gets_its_gradient(voxels, dimension):
    grid = Grid.regular((3, 4, 3)[:dimension], (1.1,) * dimension)
    matrix = (torch.eye(dimension + 1, dtype=torch.float64) + 0.037).requires_grad_()
    assert gradcheck(lambda v, m: resample_onto(on(v), grid, m, CubicBSpline()).data, (voxels, matrix))


@pytest.mark.parametrize("interpolation", KERNELS, ids=str)
def test_float32_numbers_get_the_gradient_of_float64_ones(voxels, dimension, interpolation):
    angles = (11.0, -7.0, 17.0) if dimension == 3 else (17.0,)
    gradients = []
    for dtype in (torch.float64, torch.float32):
        data = voxels.detach().to(dtype).requires_grad_()
        turn = torch.tensor(angles, dtype=dtype, requires_grad=True)
        (rotate(on(data), turn, interpolation=interpolation).data ** 2).sum().backward()
        assert (data.grad.dtype, turn.grad.dtype) == (dtype, dtype)
        gradients.append((data.grad.double(), turn.grad.double()))
    for double, single in zip(*gradients, strict=True):
        torch.testing.assert_close(single, double, rtol=1e-4, atol=1e-5)


def test_the_gradient_of_an_angle_is_the_slope_of_a_finite_step(dimension):
    torch.manual_seed(0)
    image = on(torch.randn(1, *(9, 8, 7)[-dimension:], dtype=torch.float64))
    angles = numbers(11.0, -7.0, 17.0) if dimension == 3 else numbers(17.0)

    def loss(angles):
        return (rotate(image, angles, interpolation=CubicBSpline(), outside=Edge()).data ** 2).mean()

    (slope,) = torch.autograd.grad(loss(angles), angles)
    for k in range(len(angles)):
        step = torch.zeros_like(angles)
        step[k] = 1e-4
        finite = (loss(angles.detach() + step) - loss(angles.detach() - step)) / 2e-4
        assert slope[k].item() == pytest.approx(finite.item(), rel=1e-4)
