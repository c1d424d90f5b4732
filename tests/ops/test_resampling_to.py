"""Resampling to spacings, sizes and other grids; SimpleITK and scipy as oracles."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.ndimage import gaussian_filter

from medreg.errors import GeometryError, ImageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops import Antialias, Background, resample_onto, resample_to_spacing, resize
from medreg.sample import CubicBSpline, Edge, Fill, Linear, Nearest, resample


@pytest.mark.parametrize("factor", [(0.61, 0.7, 0.9), (1.7, 2.3, 1.1), (0.5, 2.9, 0.5), (1.0, 0.77, 1.0)])
def test_a_spacing_is_simpleitks_resampling_onto_the_same_grid(image, dimension, kernel, factor, itk):
    interpolation, interpolator, tolerance = kernel
    spacing = tuple(s * f for s, f in zip(image.spacing, factor, strict=False))
    ours = resample_to_spacing(image, spacing, interpolation=interpolation, outside=Fill(-7.0))
    assert ours.spacing == spacing
    assert ours.size == tuple(round(e / s) for e, s in zip(image.grid.extent, spacing, strict=True))
    np.testing.assert_allclose(ours.grid.centre, image.grid.centre, atol=1e-9)
    theirs = itk["resample"](image, ours.grid, sitk.Transform(dimension, sitk.sitkIdentity), interpolator, -7.0)
    got = ours.data[0].numpy()
    if isinstance(interpolation, Nearest):
        tie = near_ties(image.grid, ours.grid)
        np.testing.assert_array_equal(got[~tie], theirs[~tie])
        assert tie.mean() < 0.9
    else:
        itk["alike"](ours, theirs, image, tolerance)


def near_ties(image: Grid, onto: Grid) -> np.ndarray:
    """Voxels of `onto` that lie half way between two of `image`: which one is taken hangs on rounding, ITK's too."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in onto.size), indexing="ij"), -1)
    place = image.to_index(onto.to_world(index.reshape(-1, onto.dimension)))
    ties = (np.abs(place - np.floor(place) - 0.5) < 1e-9).any(1)
    return ties.reshape(onto.size).T


def test_halves_are_rounded_up_as_itk_does_where_numbers_are_exact(dimension):
    # spacing 2 from 1 lies on halves throughout, and these numbers have no rounding
    grid = Grid.regular((8, 6, 4)[:dimension], (1.0,) * dimension)
    image = MedImage.on(grid, torch.rand(1, *grid.shape))
    ours = resample_to_spacing(image, 2.0, interpolation=Nearest())
    assert torch.equal(ours.data, image.data[(slice(None), *[slice(1, None, 2)] * dimension)])
    itk = sitk.GetImageFromArray(image.data[0].numpy())
    still, lines = sitk.Transform(dimension, sitk.sitkIdentity), np.eye(dimension).ravel().tolist()
    lattice = (ours.origin, ours.spacing, lines)
    theirs = sitk.Resample(itk, ours.size, still, sitk.sitkNearestNeighbor, *lattice, -1.0)
    np.testing.assert_array_equal(ours.data[0].numpy(), sitk.GetArrayFromImage(theirs))


def test_a_size_keeps_the_extent_exactly(image, dimension):
    size = (13, 31, 7)[:dimension]
    ours = resize(image, size)
    assert ours.size == size
    np.testing.assert_allclose(ours.grid.extent, image.grid.extent, rtol=1e-15)
    faces = np.array([[-0.5] * dimension, [n - 0.5 for n in size]])
    theirs = np.array([[-0.5] * dimension, [n - 0.5 for n in image.size]])
    np.testing.assert_allclose(ours.grid.to_world(faces), image.grid.to_world(theirs), atol=1e-9)


@pytest.mark.parametrize("interpolation", [Linear(), CubicBSpline()], ids=str)
def test_an_axis_at_a_time_and_point_by_point_say_the_same(image, dimension, interpolation):
    ours = resample_to_spacing(image, 0.83, interpolation=interpolation)
    matrix = torch.eye(dimension + 1, dtype=torch.float64, requires_grad=True)  # tracked: every point for itself
    points = resample(image, ours.grid, matrix, interpolation, Edge())
    torch.testing.assert_close(ours.data, points.data.detach(), atol=2e-3, rtol=0)  # of 1500: float32


def test_antialiasing_is_a_gaussian_of_what_the_new_voxel_lacks(image, dimension, itk):
    spacing = tuple(s * f for s, f in zip(image.spacing, (2.0, 3.0, 0.5), strict=False))
    ours = resample_to_spacing(image, spacing, Antialias())
    sigmas = [np.sqrt(max(0.0, t**2 - s**2) / (8 * np.log(2))) / s for s, t in zip(image.spacing, spacing, strict=True)]
    smoothed = gaussian_filter(image.data[0].double().numpy(), sigmas[::-1], mode="nearest", truncate=4.0)
    theirs = resample_to_spacing(image.with_data(torch.from_numpy(smoothed)[None]), spacing)
    assert (ours.data - theirs.data).abs().max() < 1e-5 * 1500
    assert (ours.data - resample_to_spacing(image, spacing).data).abs().max() > 10


def test_antialiasing_removes_a_stripe_that_the_new_spacing_cannot_show():
    stripes = torch.tensor([0.0, 1.0]).repeat(32)[:63].expand(1, 8, 63)
    image = MedImage.on(Grid.regular((63, 8), (1.0, 1.0)), stripes.contiguous())
    plain, filtered = (resample_to_spacing(image, (3.0, 1.0), a).data for a in (None, Antialias(0.8)))
    assert plain.std() > 0.4
    assert filtered[..., 2:-2].std() < 0.01


def test_other_grids_are_met_as_by_resample(image, dimension, itk):
    onto = itk["grid"]("oblique", dimension, (9, 12, 8)[:dimension])
    matrix = np.eye(dimension + 1)
    matrix[:-1, -1] = 0.7
    ours = resample_onto(image, onto, matrix, CubicBSpline(), Background())
    other = MedImage.on(onto, torch.zeros(1, *onto.shape))
    assert torch.equal(ours.data, resample_onto(image, other, matrix, CubicBSpline(), Background()).data)
    border = np.ones(image.data.shape[1:], bool)
    border[(slice(1, -1),) * dimension] = False
    values = np.sort(image.data[0].numpy()[border])
    theirs = resample(image, onto, matrix, CubicBSpline(), Fill(float(values[(len(values) - 1) // 2])))
    assert torch.equal(ours.data, theirs.data)


def test_spacings_sizes_and_filters_that_cannot_be_are_told(image, dimension):
    with pytest.raises(GeometryError, match="spacings above 0"):
        resample_to_spacing(image, 0.0)
    with pytest.raises(GeometryError, match="sizes of 1 or more"):
        resize(image, (0,) * dimension)
    with pytest.raises(ImageError, match="mixes labels"):
        resample_to_spacing(image, 9.0, Antialias(), Nearest())
    with pytest.raises(ImageError, match="strength above 0"):
        Antialias(0.0)
