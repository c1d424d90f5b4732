"""A spacing that a person says: taken where the file says none, refused where it says another."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from medreg.errors import ImageError, MedregWarning, UsageError
from medreg.geometry import Grid
from medreg.io import StoredImage, read_image, read_stored
from medreg.io.registrable import check_mask
from medreg.io.spacing import common_unit, in_place_of, spacing_choice, with_spacing


@pytest.fixture
def png(tmp_path):
    """A picture that says nothing of its pixels' size."""
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(20, dtype=np.uint8).reshape(5, 4)), str(tmp_path / "a.png"))
    return tmp_path / "a.png"


def stored(grid: Grid, **metadata: object) -> StoredImage:
    """An image of zeros."""
    return StoredImage(np.zeros((1, *grid.shape), np.uint8), grid, metadata={"path": "a.nii", **metadata})


@pytest.mark.parametrize(("asked", "spacing"), [(0.5, (0.5, 0.5)), ((0.5,), (0.5, 0.5)), ((0.5, 0.25), (0.5, 0.25))])
def test_a_picture_gets_the_spacing_in_millimetres(asked, spacing, png):
    image = with_spacing(read_stored(png), asked)
    assert (image.grid, image.metadata["unit"]) == (Grid.regular((4, 5), spacing), "mm")
    assert image.metadata["grid"] == image.grid
    assert read_image(png, spacing=asked).grid == image.grid


def test_no_spacing_asked_is_no_change(png):
    image = read_stored(png)
    assert with_spacing(image, None) is image


def test_a_spacing_for_other_axes_is_refused(png):
    with pytest.raises(UsageError, match=r"has 2 axes, the spacing 1,1,2 mm is for 3"):
        with_spacing(read_stored(png), (1, 1, 2))


@pytest.mark.parametrize("own", [0.9, 2.5e-4])
def test_a_file_that_says_its_spacing_keeps_it(own):
    image = stored(Grid.regular((4, 5), (own, own)), unit="mm")
    assert with_spacing(image, own * (1 + 5e-7)) is image
    with pytest.raises(UsageError, match=rf"its file says that its spacing is {own} x {own} mm, not"):
        with_spacing(image, own * (1 + 5e-6))


@pytest.mark.parametrize(
    ("text", "values"), [("0.5", (0.5,)), ("0.5, 1e-3", (0.5, 0.001)), ("1,2,3", (1, 2, 3)), (None, None)]
)
def test_the_flag_takes_one_number_or_one_an_axis(text, values):
    assert spacing_choice(text) == values


@pytest.mark.parametrize("text", ["", "a", "0", "-1", "inf", "nan", "1,", "1,2,3,4", "0.5mm"])
def test_the_flag_refuses_all_else(text):
    with pytest.raises(UsageError, match="--spacing takes millimetres above 0"):
        spacing_choice(text)


def test_pixels_and_millimetres_do_not_mix():
    pixels, mm = (stored(Grid.regular((4, 5), (1, 1)), unit=unit) for unit in ("px", "mm"))
    assert common_unit(pixels, pixels, ("-a", "-b")) == "px"
    assert common_unit(mm, mm, ("-a", "-b")) == "mm"
    with pytest.raises(UsageError, match="say it with -b MM"):
        common_unit(mm, pixels, ("-a", "-b"))
    with pytest.raises(UsageError, match="say it with -a MM"):
        common_unit(pixels, mm, ("-a", "-b"))


def test_a_mask_in_pixels_lies_where_its_image_does():
    image = stored(Grid.regular((4, 5), (0.5, 0.25)), unit="mm")
    mask = stored(Grid.regular((4, 5), (1, 1)), unit="px")
    assert in_place_of(mask, image).grid == image.grid


@pytest.mark.parametrize(
    ("mask", "image"),
    [
        (stored(Grid.regular((4, 6), (1, 1)), unit="px"), stored(Grid.regular((4, 5), (0.5, 0.5)))),
        (stored(Grid.regular((4, 5), (1, 1)), unit="mm"), stored(Grid.regular((4, 5), (0.5, 0.5)))),
        (stored(Grid.regular((4, 5), (1, 1)), unit="px"), stored(Grid.regular((4, 5), (0.5, 0.5), (3, 4)))),
    ],
)
def test_a_mask_of_other_pixels_or_in_a_turned_world_stays_where_it_is(mask, image):
    assert in_place_of(mask, image) is mask


def test_a_mask_with_transparency_is_refused_and_one_in_jpeg_is_told():
    grid = Grid.regular((4, 5), (1, 1))
    with pytest.raises(ImageError, match="3 pixels of this mask are transparent"):
        check_mask(stored(grid, transparent=3))
    with pytest.warns(MedregWarning, match="is a JPEG, which blurs a mask's edges"):
        check_mask(stored(grid, format="JPEG"))
    plain = stored(grid, format="PNG", transparent=0)
    assert check_mask(plain) is plain
