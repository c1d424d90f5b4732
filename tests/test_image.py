"""MedImage: a tensor that knows its place, and says so when they disagree."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from medreg.errors import GeometryError, ImageError
from medreg.geometry import Grid
from medreg.image import Leading, MedImage

GRID = Grid.regular((4, 5, 6), (1.0, 2.0, 3.0), (7.0, 8.0, 9.0))


@pytest.fixture
def series() -> MedImage:
    """Three frames: 0, 1, 5 everywhere."""
    data = torch.tensor([0, 1, 5], dtype=torch.int16)[:, None, None, None].expand(3, 6, 5, 4)
    return MedImage.on(GRID, data, Leading.FRAMES, {"path": "bold.nii.gz"})


def test_size_runs_x_y_z_where_the_tensor_runs_z_y_x():
    image = MedImage.on(GRID, torch.zeros(2, 6, 5, 4))
    assert (image.size, image.dimension, image.channels) == ((4, 5, 6), 3, 2)
    assert image.grid == GRID
    np.testing.assert_array_equal(image.affine, GRID.affine)


def test_a_2d_image_has_two_axes():
    image = MedImage.on(Grid.regular((4, 5), (1, 1)), torch.zeros(3, 5, 4))
    assert (image.size, image.dimension, image.channels) == ((4, 5), 2, 3)


@pytest.mark.parametrize("shape", [(6, 5, 4), (1, 1, 6, 5, 4)])
def test_a_tensor_with_the_wrong_number_of_axes_is_refused(shape):
    with pytest.raises(ImageError, match=r"3 axes need a tensor \(channel, z, y, x\), got shape"):
        MedImage(torch.zeros(shape), GRID.spacing, GRID.origin, GRID.direction)


def test_a_tensor_that_does_not_fill_its_grid_is_refused():
    with pytest.raises(ImageError, match="does not fill a grid"):
        MedImage.on(GRID, torch.zeros(1, 4, 5, 6))


def test_a_bad_geometry_is_refused():
    with pytest.raises(GeometryError, match="spacing must be positive"):
        MedImage(torch.zeros(1, 2, 2), (1.0, 0.0), (0.0, 0.0), ((1.0, 0.0), (0.0, 1.0)))


def test_it_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MedImage.on(GRID, torch.zeros(1, 6, 5, 4)).spacing = (1.0, 1.0, 1.0)  # type: ignore[misc]


def test_other_voxels_keep_place_kind_and_metadata(series):
    brighter = series.with_data(series.data + 1)
    assert (brighter.grid, brighter.leading, brighter.name) == (GRID, Leading.FRAMES, "bold.nii.gz")
    with pytest.raises(ImageError):
        series.with_data(torch.zeros(3, 5, 5, 4))


def test_changed_metadata_leaves_the_first_image_alone(series):
    other = series.with_metadata(path="other.nii", note=1)
    assert (other.name, series.name) == ("other.nii", "bold.nii.gz")
    assert "note" not in series.metadata


def test_an_image_without_a_path_is_called_image():
    assert MedImage.on(GRID, torch.zeros(1, 6, 5, 4)).name == "image"


def test_a_frame_is_an_image_of_one_channel(series):
    frame = series.frame(2)
    assert (frame.leading, frame.channels, frame.data.unique().tolist()) == (Leading.CHANNELS, 1, [5])


@pytest.mark.parametrize("number", [-1, 3])
def test_a_frame_that_is_not_there_is_refused(number, series):
    with pytest.raises(ImageError, match=f"bold.nii.gz: has volumes 0 to 2, asked for {number}"):
        series.frame(number)


def test_the_mean_of_integer_frames_is_a_float(series):
    mean = series.mean_frame()
    assert (mean.leading, mean.channels, mean.data.dtype) == (Leading.CHANNELS, 1, torch.float32)
    assert mean.data.unique().tolist() == [2]
