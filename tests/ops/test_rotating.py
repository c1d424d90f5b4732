"""Rotation: SimpleITK's Euler transforms, whole quarters of a turn, the way back, expanded grids."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medreg.errors import TransformError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops import Axes, Expand, Order, rotate, rotation
from medreg.sample import CubicBSpline, Fill, Linear, Nearest

ANGLES = {2: (23.0,), 3: (13.0, -8.0, 31.0)}


def euler(dimension, angles, centre, *, zyx=False) -> sitk.Transform:
    radians = np.radians(angles).tolist()
    if dimension == 2:
        return sitk.Euler2DTransform(centre, radians[0], (0.0, 0.0))
    transform = sitk.Euler3DTransform(centre, *radians, (0.0, 0.0, 0.0))
    transform.SetComputeZYX(zyx)
    return transform


def test_a_rotation_is_the_inverse_of_simpleitks_euler_transform(image, dimension, kernel, itk):
    interpolation, interpolator, tolerance = kernel
    centre = tuple(c + s for c, s in zip(image.grid.centre, (1.3, -2.1, 0.7), strict=False))
    transform = euler(dimension, ANGLES[dimension], centre).GetInverse()
    theirs = itk["resample"](image, image.grid, transform, interpolator, -1000.0)
    ours = rotate(image, ANGLES[dimension], centre, order=Order.YXZ, interpolation=interpolation, outside=Fill(-1000.0))
    assert 0.02 < (theirs == -1000.0).mean() < 0.6
    itk["alike"](ours, theirs, image, tolerance)
    assert (ours.grid, ours.metadata) == (image.grid, image.metadata)


def test_the_default_order_is_simpleitks_zyx_and_the_default_centre_the_middle(image, dimension, itk):
    transform = euler(dimension, ANGLES[dimension], image.grid.centre, zyx=True).GetInverse()
    theirs = itk["resample"](image, image.grid, transform, sitk.sitkLinear, 0.0)
    itk["alike"](rotate(image, ANGLES[dimension]), theirs, image, 1e-5)


def test_a_turn_about_one_axis_is_simpleitks_whichever_axis_it_is(kind, kernel, itk):
    interpolation, interpolator, tolerance = kernel
    image = itk["smooth"](itk["grid"](kind, 3))
    for axis in range(3):
        angles = [28.0 if k == axis else 0.0 for k in range(3)]
        for axes in Axes:
            base = np.eye(3) if axes is Axes.WORLD else np.array(image.direction)
            linear = base @ rotation(angles)[:3, :3].numpy() @ base.T
            transform = sitk.AffineTransform(linear.T.ravel().tolist(), (0.0,) * 3, image.grid.centre)
            theirs = itk["resample"](image, image.grid, transform, interpolator, -9.0)
            ours = rotate(image, angles, axes=axes, interpolation=interpolation, outside=Fill(-9.0))
            itk["alike"](ours, theirs, image, tolerance)


@pytest.mark.parametrize("order", Order)
def test_the_order_of_the_turns_is_as_named(order):
    turns = {"X": rotation((20.0, 0, 0)), "Y": rotation((0, 30.0, 0)), "Z": rotation((0, 0, 40.0))}
    first, second, third = (turns[letter] for letter in order.name)
    torch.testing.assert_close(rotation((20.0, 30.0, 40.0), None, order), third @ second @ first)


def test_a_positive_angle_turns_the_next_axis_to_the_one_after():
    for axis in range(3):
        angles = [90.0 if k == axis else 0.0 for k in range(3)]
        following = torch.eye(3, dtype=torch.float64)[(axis + 1) % 3]
        after = torch.eye(3, dtype=torch.float64)[(axis + 2) % 3]
        assert torch.equal(rotation(angles)[:3, :3] @ following, after)


def test_quarters_of_a_turn_are_exact_and_their_gradient_is_that_of_their_neighbours():
    for quarters in range(-5, 6):
        assert torch.equal(rotation(90.0 * quarters), rotation(90.0 * quarters).round())
    angle = torch.tensor([90.0, 44.999999, 45.0, 400.0], dtype=torch.float64, requires_grad=True)
    matrices = torch.stack([rotation(a)[:2, 0] for a in angle])
    radians = angle.detach() * torch.pi / 180
    torch.testing.assert_close(matrices, torch.stack([radians.cos(), radians.sin()], 1), atol=1e-15, rtol=0)
    (slope,) = torch.autograd.grad(matrices[:, 0].sum(), angle)
    torch.testing.assert_close(slope, -radians.sin() * torch.pi / 180)


@pytest.mark.parametrize("interpolation", [Nearest(), Linear(), CubicBSpline()], ids=str)
def test_four_quarters_of_a_turn_give_every_bit_back(kind, dimension, interpolation, itk):
    direction = np.array(itk["grid"](kind, dimension).direction)
    grid = Grid.from_affine(
        (8,) * dimension,
        np.block([[direction * 1.7, np.full((dimension, 1), 3.3)], [np.eye(1, dimension + 1, dimension)]]),
    )
    image = MedImage.on(grid, torch.rand(2, *grid.shape))
    for axis in range(dimension if dimension == 3 else 1):
        angles = [90.0 if k == axis else 0.0 for k in range(3)] if dimension == 3 else 90.0
        once = rotate(image, angles, axes=Axes.IMAGE, interpolation=interpolation)
        assert sorted(once.data.flatten().tolist()) == sorted(image.data.flatten().tolist())
        assert not torch.equal(once.data, image.data)
        turned = once
        for _ in range(3):
            turned = rotate(turned, angles, axes=Axes.IMAGE, interpolation=interpolation)
        assert torch.equal(turned.data, image.data)


def test_a_quarter_turn_moves_voxels_as_numpy_does():
    grid = Grid.regular((5, 5, 3), (1.0, 1.0, 2.0))
    image = MedImage.on(grid, torch.arange(75.0).view(1, 3, 5, 5).requires_grad_())
    turned = rotate(image, (0, 0, 90.0))  # x towards y: from the tensor's last axis to the one before
    assert torch.equal(turned.data, torch.rot90(image.data, 1, (3, 2)))
    turned.data[0, 0, 0, 0].backward()
    assert image.data.grad.sum().item() == 1.0


def test_a_turn_and_its_way_back_give_a_smooth_image_inside(dimension):
    # a Gaussian of 16 voxels: the spline's error is of fourth order in 1 / 16, 5e-7 of its height
    size = (81, 81, 81)[:dimension]
    grid = Grid.regular(size, (1.0,) * dimension)
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) - 40 for n in reversed(size)), indexing="ij")
    bump = torch.exp(-sum(x**2 for x in axes) / (2 * 16.0**2))[None]
    image = MedImage.on(grid, bump)
    angles = ANGLES[dimension]
    there = rotate(image, angles, interpolation=CubicBSpline())
    inverse = [-a for a in angles]
    back = rotate(there, inverse, order=Order.ZYX, interpolation=CubicBSpline())
    inside = sum(x**2 for x in axes) < 26**2
    assert (back.data - image.data).abs()[0][inside].max() < 1e-6
    assert (there.data - image.data).abs()[0][inside].max() < 1e-6  # the bump is round
    off_centre = rotate(image, angles, [20.0] * dimension, interpolation=CubicBSpline())
    assert (off_centre.data - image.data).abs().max() > 0.1


def test_an_expanded_grid_keeps_every_corner_and_all_of_the_content(image, dimension, itk):
    for axes in Axes:
        ours = rotate(image, ANGLES[dimension], frame=Expand(), axes=axes, outside=Fill(-5.0))
        assert (ours.spacing, ours.direction) == (image.spacing, image.direction)
        base = np.eye(dimension) if axes is Axes.WORLD else np.array(image.direction)
        linear = base @ rotation(ANGLES[dimension])[:-1, :-1].numpy() @ base.T
        corners = np.array(list(product(*((-0.5, n - 0.5) for n in image.size))))
        moved = (image.grid.to_world(corners) - image.grid.centre) @ linear.T + image.grid.centre
        index = ours.grid.to_index(moved)
        assert (index >= -0.5 - 1e-5).all()
        assert (index <= np.array(ours.size) - 0.5 + 1e-5).all()
        slack = np.array(ours.size) - (index.max(0) - index.min(0))
        assert (slack < 1).all()  # not a voxel more than needed
        back = sitk.AffineTransform(linear.T.ravel().tolist(), (0.0,) * dimension, image.grid.centre)
        theirs = itk["resample"](image, ours.grid, back, sitk.sitkLinear, -5.0)
        itk["alike"](ours, theirs, image, 1e-5)


def test_expanding_a_quarter_turn_exchanges_sizes_without_interpolation():
    grid = Grid.regular((5, 4, 3), (1.0, 1.0, 2.0))
    image = MedImage.on(grid, torch.rand(1, 3, 4, 5))
    turned = rotate(image, (0, 0, -90.0), frame=Expand())
    assert turned.size == (4, 5, 3)
    assert torch.equal(turned.data, torch.rot90(image.data, -1, (3, 2)))
    assert rotate(image, (0, 0, 0), frame=Expand()).grid == image.grid


def test_a_wrong_number_of_angles_or_coordinates_is_told(image, dimension):
    with pytest.raises(TransformError, match="angles: "):
        rotate(image, (1.0, 2.0))
    with pytest.raises(TransformError, match="coordinates"):
        rotate(image, ANGLES[dimension], (0.0,) * (5 - dimension))
