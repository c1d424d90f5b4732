"""Resampling onto a grid through a transform; SimpleITK is the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medreg.errors import ImageError, TransformError
from medreg.geometry.grid import Grid
from medreg.image import Leading, MedImage
from medreg.sample import CubicBSpline, Edge, Fill, Linear, Nearest, WindowedSinc, resample
from medreg.sample import resampling as module

EXACT = 1e-5
"""Largest difference over the image's range; float32 values and weights leave 1e-6."""


def relative(ours: MedImage, theirs: np.ndarray, of: MedImage) -> float:
    return float(np.abs(ours.data[0].double().numpy() - theirs).max() / (of.data.max() - of.data.min()).item())


@pytest.mark.parametrize(
    ("interpolation", "interpolator"),
    [(Linear(), sitk.sitkLinear), (CubicBSpline(), sitk.sitkBSpline3)],
    ids=["linear", "cubic"],
)
def test_resampling_through_an_affine_map_is_simpleitks(
    moving, fixed_grid, affine, by_itk, interpolation, interpolator
):
    theirs = by_itk(moving, fixed_grid, affine, interpolator, -1000.0)
    ours = resample(moving, fixed_grid, affine, interpolation, Fill(-1000.0))
    assert 0.1 < (theirs == -1000.0).mean() < 0.9
    assert relative(ours, theirs, moving) <= EXACT


def test_nearest_gives_simpleitks_labels_exactly(moving, fixed_grid, affine, by_itk):
    labels = MedImage.on(moving.grid, moving.data.to(torch.int16))
    theirs = by_itk(labels, fixed_grid, affine, sitk.sitkNearestNeighbor, -7)
    ours = resample(labels, fixed_grid, affine, Nearest(), Fill(-7))
    assert ours.data.dtype == torch.int16
    np.testing.assert_array_equal(ours.data[0].numpy(), theirs)


def test_windowed_sinc_is_simpleitks_with_its_weights_scaled_to_sum_one(fixed_grid, affine, by_itk, moving):
    # ITK's weights do not sum to 1 (0.3 % off at radius 5), but the same sum resamples an image of ones
    ones = moving.with_data(torch.ones_like(moving.data))
    theirs = by_itk(moving, fixed_grid, affine, sitk.sitkLanczosWindowedSinc, 0.0)
    weight = by_itk(ones, fixed_grid, affine, sitk.sitkLanczosWindowedSinc, 1.0)
    ours = resample(moving, fixed_grid, affine, WindowedSinc(5))
    assert relative(ours, theirs / weight, moving) <= EXACT


def test_the_same_grid_without_a_transform_gives_the_image_back(moving):
    for interpolation in (Nearest(), Linear(), CubicBSpline(), WindowedSinc()):
        same = resample(moving, moving.grid, None, interpolation)
        tolerance = 1e-6 * moving.data.abs().max().item()  # float32
        torch.testing.assert_close(same.data, moving.data, atol=tolerance, rtol=0)
    assert same.metadata == moving.metadata


def test_numpy_tensor_and_point_map_say_the_same_transform(moving, fixed_grid, affine):
    class Affine:
        def map_points(self, points):
            matrix = torch.tensor(affine)
            return points @ matrix[:-1, :-1].T + matrix[:-1, -1]

    by_matrix = resample(moving, fixed_grid, affine).data
    torch.testing.assert_close(resample(moving, fixed_grid, torch.tensor(affine)).data, by_matrix, rtol=0, atol=0)
    torch.testing.assert_close(resample(moving, fixed_grid, Affine()).data, by_matrix, rtol=1e-5, atol=0)


def test_a_projective_matrix_divides_by_its_last_row(moving, fixed_grid, affine):
    bent = affine.copy()
    bent[-1, :2] = 0.002, -0.003

    class Bent:
        def map_points(self, points):
            mapped = points @ torch.tensor(bent[:, :-1]).T + torch.tensor(bent[:, -1])
            return mapped[:, :-1] / mapped[:, -1:]

    ours = resample(moving, fixed_grid, bent).data
    torch.testing.assert_close(ours, resample(moving, fixed_grid, Bent()).data, rtol=1e-5, atol=0)
    assert (ours - resample(moving, fixed_grid, affine).data).abs().max() > 10


@pytest.mark.parametrize("at_once", [1, 100, 1000])
def test_the_length_of_the_chunks_changes_no_bit(moving, fixed_grid, affine, monkeypatch, at_once):
    whole = resample(moving, fixed_grid, affine, CubicBSpline()).data
    monkeypatch.setattr(module, "points_at_once", lambda *_: at_once)
    assert torch.equal(resample(moving, fixed_grid, affine, CubicBSpline()).data, whole)


def test_every_frame_of_a_series_is_resampled(moving, fixed_grid, affine):
    series = MedImage.on(moving.grid, torch.cat([moving.data, 2 * moving.data, -moving.data]), Leading.FRAMES)
    ours = resample(series, fixed_grid, affine)
    one = resample(moving, fixed_grid, affine).data
    assert ours.leading is Leading.FRAMES
    torch.testing.assert_close(ours.data, torch.cat([one, 2 * one, -one]))


def test_large_labels_pass_through_nearest_without_rounding():
    grid = Grid.regular((3, 2), (1.0, 1.0))
    labels = MedImage.on(grid, torch.tensor([[[2**24 + 1, 2**31 - 1, 5], [7, -(2**31), 2**24 + 3]]], dtype=torch.int32))
    assert torch.equal(resample(labels, grid, None, Nearest()).data, labels.data)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [(torch.int16, torch.float32), (torch.uint8, torch.float32), (torch.int32, torch.float64), (torch.float64,) * 2],
)
def test_integers_are_interpolated_in_a_float_type_that_holds_them(given, wanted):
    grid = Grid.regular((3, 2), (1.0, 1.0))
    image = MedImage.on(grid, torch.arange(6).view(1, 2, 3).to(given))
    shift = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    ours = resample(image, grid, shift, outside=Edge()).data
    assert ours.dtype == wanted
    assert ours[0].tolist() == [[0.5, 1.5, 2.0], [3.5, 4.5, 5.0]]


@pytest.mark.parametrize("interpolation", [Linear(), CubicBSpline(), WindowedSinc(2)], ids=str)
def test_resampling_is_differentiable_to_image_transform_and_fill(dimension, interpolation):
    torch.manual_seed(3)
    size = (4, 5, 3)[:dimension]
    grid = Grid.regular(size, (1.0, 1.2, 0.9)[:dimension])
    image = torch.randn(2, *grid.shape, dtype=torch.float64, requires_grad=True)
    matrix = torch.eye(dimension + 1, dtype=torch.float64)
    matrix[:-1] += 0.07 * torch.randn(dimension, dimension + 1, dtype=torch.float64) + 0.031
    fill = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)

    def moved(data, through, value):
        return resample(MedImage.on(grid, data), grid, through, interpolation, Fill(value)).data

    assert torch.autograd.gradcheck(moved, (image, matrix.requires_grad_(), fill))


def test_the_parameters_of_a_point_map_get_their_gradient():
    grid = Grid.regular((5, 4), (1.0, 1.0))
    ramp = MedImage.on(grid, 3 * torch.arange(5.0).expand(1, 4, 5))
    shift = torch.tensor([0.25, 0.0], dtype=torch.float64, requires_grad=True)

    class Shift:
        def map_points(self, points):
            return points + shift

    resample(ramp, grid, Shift()).data[:, 1:-1, 1:-1].mean().backward()
    torch.testing.assert_close(shift.grad, torch.tensor([3.0, 0.0], dtype=torch.float64))


def test_a_point_map_over_many_points_gets_its_gradient_from_every_thread():
    class Shift:
        def map_points(self, points):
            return points + shift

    grid, shift = Grid.regular((300, 300), (1.0, 1.0)), torch.zeros(2, dtype=torch.float64, requires_grad=True)
    ramp = MedImage.on(grid, torch.arange(300.0).expand(1, 300, 300).contiguous())
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        resample(ramp, grid, Shift(), outside=Edge()).data.mean().backward()
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(shift.grad, torch.tensor([1.0, 0.0], dtype=torch.float64), atol=0.01, rtol=0)


def test_dimensions_that_disagree_are_told(moving, fixed_grid, dimension):
    other = Grid.regular((4,) * (5 - dimension), (1.0,) * (5 - dimension))
    with pytest.raises(TransformError, match=f"has {dimension} axes, the grid to resample onto has {5 - dimension}"):
        resample(moving, other)
    with pytest.raises(TransformError, match="needs a .x. matrix"):
        resample(moving, fixed_grid, np.eye(5 - dimension + 1))


def test_a_fill_value_that_the_labels_cannot_hold_is_refused():
    grid = Grid.regular((3, 2), (1.0, 1.0))
    labels = MedImage.on(grid, torch.zeros(1, 2, 3, dtype=torch.uint8))
    with pytest.raises(ImageError, match="cannot hold the fill value -1000"):
        resample(labels, grid, None, Nearest(), Fill(-1000.0))
