"""Choosing one volume of a series."""

from __future__ import annotations

import numpy as np
import pytest

from medreg.errors import ImageError, UsageError
from medreg.geometry import Grid
from medreg.image import Leading
from medreg.io import Mean, StoredImage, read_image, select_volume, volume_choice


@pytest.fixture
def series() -> StoredImage:
    """Three frames of 2x3x4 voxels: 0, 1, 5 everywhere."""
    array = np.array([0, 1, 5], np.int16)[:, None, None, None] * np.ones((1, 4, 3, 2), np.int16)
    return StoredImage(array, Grid.regular((2, 3, 4), (1, 1, 1)), Leading.FRAMES, {"path": "bold.nii.gz"})


def test_a_4d_file_where_3d_is_wanted_names_the_choices(series):
    with pytest.raises(
        ImageError, match=r"bold\.nii\.gz: is a 4D series of 3 volumes .*--volume N \(0 to 2\) or --volume mean"
    ):
        select_volume(series, None)


def test_a_number_chooses_a_volume(series):
    chosen = select_volume(series, 2)
    assert (chosen.leading, chosen.array.shape, chosen.array.dtype) == (Leading.CHANNELS, (1, 4, 3, 2), np.int16)
    assert set(chosen.array.ravel()) == {5}


def test_the_mean_is_a_float(series):
    chosen = select_volume(series, Mean())
    assert (chosen.leading, chosen.array.dtype) == (Leading.CHANNELS, np.float32)
    np.testing.assert_array_equal(chosen.array, 2.0)


@pytest.mark.parametrize("number", [3, -1])
def test_a_volume_that_is_not_there_is_refused(number, series):
    with pytest.raises(ImageError, match=f"has volumes 0 to 2, asked for {number}"):
        select_volume(series, number)


def test_a_single_image_has_volume_0_only(series):
    single = select_volume(series, 0)
    assert select_volume(single, None) is single
    assert select_volume(single, 0) is single
    assert select_volume(single, Mean()) is single
    with pytest.raises(ImageError, match="has one volume, number 0; asked for 1"):
        select_volume(single, 1)


@pytest.mark.parametrize(("text", "choice"), [("0", 0), ("12", 12), ("mean", Mean()), ("MEAN", Mean())])
def test_the_flag_takes_a_number_or_mean(text, choice):
    assert volume_choice(text) == choice


@pytest.mark.parametrize("text", ["first", "-1", "1.5", ""])
def test_the_flag_refuses_the_rest(text):
    with pytest.raises(UsageError, match="--volume"):
        volume_choice(text)


def test_reading_keeps_all_frames_or_takes_the_one_asked_for(save_nifti):
    path = save_nifti(np.arange(48, dtype=np.float32).reshape(2, 3, 4, 2))
    assert (read_image(path).leading, read_image(path).channels) == (Leading.FRAMES, 2)
    assert read_image(path, volume=1).data.ravel()[0] == 1
    assert read_image(path, volume=Mean()).data.ravel()[0] == 0.5
