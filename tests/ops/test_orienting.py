"""Orientations: all 48 codes from all kinds of grid against SimpleITK's DICOMOrient; flips and permutations."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medreg.errors import GeometryError
from medreg.geometry.grid import Grid
from medreg.geometry.orientation import orientation_code
from medreg.image import MedImage
from medreg.ops import flip, permute, reorient

CODES = ["".join(code) for pairs in permutations(("RL", "AP", "IS")) for code in product(*pairs)]
CODES_2D = ["".join(code) for pairs in permutations(("RL", "AP")) for code in product(*pairs)]


def test_there_are_48_codes_and_8_in_2d():
    assert (len(set(CODES)), len(set(CODES_2D))) == (48, 8)


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_simpleitks_dicom_orient(code, kind, itk):
    image = itk["smooth"](itk["grid"](kind, 3, (3, 4, 5)))
    ours = reorient(image, code)
    theirs = sitk.DICOMOrient(itk["convert"](image), code)
    np.testing.assert_array_equal(ours.data[0].numpy(), sitk.GetArrayFromImage(theirs))
    itk["placed"](ours, theirs)
    assert orientation_code(np.array(ours.direction)) == code
    assert (ours.metadata, ours.leading) == (image.metadata, image.leading)


@pytest.mark.parametrize("start", CODES)
def test_from_every_code_to_every_other_and_back_changes_nothing(start):
    image = reorient(
        MedImage.on(Grid.regular((2, 3, 4), (1.0, 2.0, 3.0), (5.0, 6.0, 7.0)), torch.rand(1, 4, 3, 2)), start
    )
    for code in CODES:
        there = reorient(image, code)
        back = reorient(there, start.lower())
        assert torch.equal(back.data, image.data)
        assert back.grid == image.grid  # whole spacings: not even rounding


@pytest.mark.parametrize("code", CODES_2D)
def test_pictures_have_two_letters(code, kind, itk):
    image = itk["smooth"](itk["grid"](kind, 2))
    ours = reorient(image, code)
    assert orientation_code(np.array(ours.direction)) == code
    same_world(image, ours)


def same_world(image, other):
    """The same values at the same world points."""
    index = np.array(list(np.ndindex(other.size)))
    place = np.rint(image.grid.to_index(other.grid.to_world(index))).astype(int)
    np.testing.assert_allclose(image.grid.to_world(place), other.grid.to_world(index), atol=1e-9)
    ours, theirs = (i.data[0].numpy().T[tuple(at.T)] for i, at in ((image, place), (other, index)))
    np.testing.assert_array_equal(ours, theirs)


def test_flips_and_permutations_leave_world_points_where_they_are(image, dimension):
    for axes in ([0], [1], list(range(dimension)), []):
        same_world(image, flip(image, axes))
        twice = flip(flip(image, axes), axes)
        assert torch.equal(twice.data, image.data)
        np.testing.assert_allclose(twice.affine, image.affine, atol=1e-12)
    for order in permutations(range(dimension)):
        same_world(image, permute(image, order))


def test_permutations_are_simpleitks(image, dimension, itk):
    for order in permutations(range(dimension)):
        ours = permute(image, order)
        theirs = sitk.PermuteAxes(itk["convert"](image), order)
        np.testing.assert_array_equal(ours.data[0].numpy(), sitk.GetArrayFromImage(theirs))
        itk["placed"](ours, theirs)


def test_flips_are_simpleitks_voxels(image, dimension, itk):
    ours = flip(image, [1])
    theirs = sitk.Flip(itk["convert"](image), [k == 1 for k in range(dimension)])
    np.testing.assert_array_equal(ours.data[0].numpy(), sitk.GetArrayFromImage(theirs))


@pytest.mark.parametrize("code", ["LP", "LPSA", "LRS", "LLS", "XPS", ""])
def test_codes_that_are_none_are_told(code):
    image = MedImage.on(Grid.regular((2, 2, 2), (1.0, 1.0, 1.0)), torch.zeros(1, 2, 2, 2))
    with pytest.raises(GeometryError, match="one each of R or L, A or P, I or S"):
        reorient(image, code)


def test_axes_that_are_not_there_are_told(image, dimension):
    with pytest.raises(GeometryError, match="names each of"):
        permute(image, (0,) * dimension)
    with pytest.raises(GeometryError, match="asked to flip"):
        flip(image, [dimension])
