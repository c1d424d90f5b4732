"""Images whose values cannot be registered are refused; holes are filled and told."""

from __future__ import annotations

import numpy as np
import pytest

from medreg.errors import ImageError, MedregWarning
from medreg.geometry import Grid
from medreg.io import StoredImage, check_registrable


def image(array: np.ndarray) -> StoredImage:
    """An image of the given (y, x) voxels."""
    return StoredImage(array[None], Grid.regular(array.shape[::-1], (1, 1)), metadata={"path": "a.nii"})


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_a_constant_image_is_refused(dtype):
    with pytest.raises(ImageError, match=r"a\.nii: is constant, every voxel is 7"):
        check_registrable(image(np.full((3, 4), 7, dtype)))


def test_an_image_of_nan_is_refused():
    with pytest.raises(ImageError, match=r"a\.nii: every voxel is NaN"):
        check_registrable(image(np.full((3, 4), np.nan, np.float32)))


def test_an_image_without_a_finite_voxel_is_refused():
    array = np.full((3, 4), np.nan, np.float32)
    array[0, 0] = np.inf
    with pytest.raises(ImageError, match="every voxel is NaN or infinite"):
        check_registrable(image(array))


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_some_holes_become_background_with_a_warning(hole):
    array = np.ones((3, 4), np.float32)
    array[0, :2] = hole
    with pytest.warns(MedregWarning, match="2 of 12 voxels are NaN or infinite; they count as background, 0"):
        checked = check_registrable(image(array))
    assert checked.array.dtype == np.float32
    assert checked.array.sum() == 10
    assert "NaN" in checked.metadata["notes"][0]


def test_an_image_that_is_constant_apart_from_holes_is_refused():
    array = np.zeros((3, 4), np.float32)
    array[0, 0] = np.nan
    with pytest.warns(MedregWarning), pytest.raises(ImageError, match="constant"):
        check_registrable(image(array))


def test_a_good_image_comes_back_as_it_is():
    good = image(np.arange(12, dtype=np.int16).reshape(3, 4))
    assert check_registrable(good) is good
