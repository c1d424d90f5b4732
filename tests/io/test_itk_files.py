"""NRRD, MetaImage and pictures: what becomes of components, frames, units and resolution tags."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from medreg.errors import MedregWarning, ReadError
from medreg.geometry import Grid
from medreg.image import Leading
from medreg.io import read_stored

NRRD = """NRRD0004
type: short
dimension: 4
space: {space}
sizes: 2 4 5 6
space directions: none (1,0,0) (0,2,0) (0,0,3)
kinds: {kind} domain domain domain
endian: little
encoding: raw
space units: {units}
space origin: (5,6,7)

"""


def write_nrrd(path, space="left-posterior-superior", kind="vector", units='"mm" "mm" "mm"'):
    """A 4x5x6 NRRD of two components, written by hand."""
    header = NRRD.format(space=space, kind=kind, units=units).encode()
    path.write_bytes(header + np.arange(240, dtype="<i2").tobytes())
    return path


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp"])
def test_a_colour_picture_has_channels_and_a_grid_in_pixels(name, tmp_path):
    colours = np.zeros((5, 4, 3), np.uint8) + np.array([10, 100, 200], np.uint8)
    image = sitk.GetImageFromArray(colours, isVector=True)
    image.SetSpacing((0.3, 0.3))
    sitk.WriteImage(image, str(tmp_path / name))
    stored = read_stored(tmp_path / name)
    assert (stored.array.shape, stored.array.dtype, stored.leading) == ((3, 5, 4), np.uint8, Leading.CHANNELS)
    assert stored.grid == Grid.regular((4, 5), (1.0, 1.0))
    assert stored.metadata["unit"] == "px"
    np.testing.assert_allclose(stored.array.mean((1, 2)), [10, 100, 200], atol=4)  # JPEG rounds
    assert stored.array.flags.c_contiguous


def test_a_resolution_tag_is_kept_but_not_taken_for_millimetres(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((5, 4), np.uint8))
    image.SetSpacing((0.25, 0.25))
    sitk.WriteImage(image, str(tmp_path / "a.tif"))
    stored = read_stored(tmp_path / "a.tif")
    assert stored.grid.spacing == (1.0, 1.0)
    assert stored.metadata["header"]["resolution_mm"] == pytest.approx((0.25, 0.25))


def test_16_bits_of_a_png_are_kept(tmp_path):
    array = np.arange(20, dtype=np.uint16).reshape(5, 4) * 3000
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "a.png"))
    np.testing.assert_array_equal(read_stored(tmp_path / "a.png").array[0], array)


def test_a_2d_metaimage_is_in_millimetres(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((5, 4), np.uint8))
    image.SetSpacing((0.25, 0.5))
    image.SetOrigin((7, 8))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    stored = read_stored(tmp_path / "a.mha")
    assert (stored.metadata["unit"], stored.grid.spacing, stored.grid.origin) == ("mm", (0.25, 0.5), (7, 8))


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_a_fourth_axis_is_frames(name, tmp_path):
    array = np.arange(240, dtype=np.int16).reshape(2, 6, 5, 4)
    image = sitk.GetImageFromArray(array, isVector=False)
    image.SetSpacing((1, 2, 3, 1.5))
    sitk.WriteImage(image, str(tmp_path / name))
    stored = read_stored(tmp_path / name)
    assert (stored.leading, stored.frames, stored.grid.spacing) == (Leading.FRAMES, 2, (1, 2, 3))
    np.testing.assert_array_equal(stored.array, array)
    assert stored.metadata["header"]["frame_step"] == 1.5


@pytest.mark.parametrize(("kind", "leading"), [("vector", Leading.CHANNELS), ("list", Leading.FRAMES)])
def test_components_of_an_nrrd_are_channels_and_a_list_is_a_series(kind, leading, tmp_path):
    stored = read_stored(write_nrrd(tmp_path / "a.nrrd", kind=kind))
    assert (stored.array.shape, stored.leading) == ((2, 6, 5, 4), leading)
    np.testing.assert_array_equal(stored.array[1].ravel(), np.arange(1, 240, 2))


def test_an_nrrd_in_ras_is_carried_to_lps(tmp_path):
    grid = read_stored(write_nrrd(tmp_path / "a.nrrd", space="right-anterior-superior")).grid
    assert grid.origin == (-5, -6, 7)
    np.testing.assert_array_equal(grid.affine[:3, :3], np.diag([-1, -2, 3]))


def test_an_nrrd_in_microns_is_converted_and_says_so(tmp_path):
    with pytest.warns(MedregWarning, match="lengths are in um; converted to mm"):
        grid = read_stored(write_nrrd(tmp_path / "a.nrrd", units='"um" "um" "um"')).grid
    assert grid.spacing == pytest.approx((1e-3, 2e-3, 3e-3))
    assert grid.origin == pytest.approx((5e-3, 6e-3, 7e-3))


def test_an_nrrd_in_furlongs_is_refused(tmp_path):
    with pytest.raises(ReadError, match="furlong.* are not understood"):
        read_stored(write_nrrd(tmp_path / "a.nrrd", units='"furlong" "furlong" "furlong"'))
