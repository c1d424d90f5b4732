"""From stored numbers to values: bits, signs, slopes, brightness and colour, against closed forms and pydicom."""

from __future__ import annotations

import tempfile
from pathlib import Path

import dicom_series
import numpy as np
import pytest
from dicom_series import Stored
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_rescale

from medreg.errors import ImageError, MedregError, ReadError
from medreg.io.dicom import read_dicom

AXES = np.diag([0.75, 1.25, 2.5, 1.0])
COLOURS = np.random.default_rng(5).integers(0, 256, (7, 6, 5, 3)).astype(np.uint8)


def ramp(low, high, dtype):
    """(3, 6, 5) from the lowest to the highest, both in it."""
    return np.rint(np.linspace(low, high, 90)).astype(dtype).reshape(3, 6, 5)


# Bits -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [10, 12, 15, 16])
@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_only_the_bits_that_count_count(tmp_path, bits, above, dtype):
    half = 1 << (bits - 1)
    values = ramp(-half, half - 1, np.int16) if dtype is np.int16 else ramp(0, 2 * half - 1, np.uint16)
    overlay = 1 if above and bits < 16 else 0
    dicom_series.classic(tmp_path, values, AXES, stored=Stored(bits=bits, above=overlay))
    np.testing.assert_array_equal(read_dicom(tmp_path).array[0], values)


def test_values_may_lie_in_the_high_bits(tmp_path):
    """BitsStored 12, HighBit 15: sixteen times what it means."""
    values = ramp(0, 4095, np.uint16)
    extra = {"BitsStored": 12, "HighBit": 15}
    dicom_series.classic(tmp_path, values << 4 | 9, AXES, extra=extra)
    np.testing.assert_array_equal(read_dicom(tmp_path).array[0], values)


@pytest.mark.parametrize("high", [0, 7, 99, None])
def test_a_high_bit_that_cannot_be_right_is_not_believed(tmp_path, high):
    values = ramp(0, 4095, np.uint16)
    dicom_series.classic(tmp_path, values, AXES, stored=Stored(bits=12), extra={"HighBit": high})
    np.testing.assert_array_equal(read_dicom(tmp_path).array[0], values)


@pytest.mark.parametrize("allocated, stored", [(16, 0), (12, 12), (16, 17), (128, 16)])
def test_bits_that_no_image_has_are_refused_or_taken_as_all(tmp_path, allocated, stored):
    extra = {"BitsAllocated": allocated, "BitsStored": stored}
    (path,) = dicom_series.classic(tmp_path, ramp(0, 4095, np.uint16)[:1], AXES, extra=extra)
    if stored == 0:  # says nothing
        np.testing.assert_array_equal(read_dicom(path).array[0, 0], ramp(0, 4095, np.uint16)[0])
        return
    with pytest.raises(ReadError, match=rf"{stored} of {allocated} bits"):
        read_dicom(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32])
def test_every_width_and_sign_is_read(tmp_path, dtype):
    ends = np.iinfo(dtype)
    values = np.array([ends.min, ends.max, 0, 1, 5] * 6, dtype).reshape(1, 6, 5)
    (path,) = dicom_series.classic(tmp_path, values, AXES)
    image = read_dicom(path)
    assert image.array.dtype == dtype
    np.testing.assert_array_equal(image.array[0], values)


def test_an_odd_number_of_bytes_is_padded_and_the_padding_no_pixel(tmp_path):
    values = np.arange(15, dtype=np.uint8).reshape(1, 3, 5)
    (path,) = dicom_series.classic(tmp_path, values, AXES)
    assert dcmread(path)["PixelData"].VM and len(dcmread(path).PixelData) == 16
    np.testing.assert_array_equal(read_dicom(path).array[0], values)


def test_padding_and_unused_attributes_change_nothing(tmp_path, volume):
    signed = volume.astype(np.int16) - 2000
    extra = {"PixelPaddingValue": -2000, "SmallestImagePixelValue": 7, "LargestImagePixelValue": 8, "WindowWidth": 1}
    dicom_series.classic(tmp_path, signed, AXES, modality="CT", extra=extra)
    np.testing.assert_array_equal(read_dicom(tmp_path).array[0], signed)


def test_an_icon_with_pixels_of_its_own_is_not_the_image(tmp_path, volume):
    icon = Dataset()
    icon.Rows = icon.Columns = 4
    icon.SamplesPerPixel, icon.PhotometricInterpretation, icon.PixelRepresentation = 1, "MONOCHROME2", 0
    icon.BitsAllocated, icon.BitsStored, icon.HighBit = 8, 8, 7
    icon.add_new("PixelData", "OB", bytes(range(16)))
    dicom_series.classic(tmp_path, volume, AXES, extra={"IconImageSequence": [icon]})
    np.testing.assert_array_equal(read_dicom(tmp_path).array[0], volume)


def test_files_of_one_series_may_differ_in_sign_where_the_values_fit(tmp_path, volume):
    paths = dicom_series.classic(tmp_path, volume, AXES)
    made = dcmread(paths[3])
    made.PixelRepresentation = 1
    made.save_as(paths[3])
    np.testing.assert_array_equal(read_dicom(tmp_path).array[0], volume)
    made.PixelData = (volume[3].astype(np.int16) - 3000).tobytes()
    made.save_as(paths[3])
    with pytest.raises(ImageError, match=r"IM0004.dcm: holds int16 numbers that the uint16 of the other"):
        read_dicom(tmp_path)


def test_floats_are_read_as_they_are(tmp_path):
    values = np.linspace(-1.5, 7e5, 30).reshape(6, 5)
    for keyword, dtype in (("FloatPixelData", np.float32), ("DoublePixelData", np.float64)):
        keyword = keyword.replace("DoublePixel", "DoubleFloatPixel")
        made = dcmread(dicom_series.classic(tmp_path, np.zeros((1, 6, 5), np.uint16), AXES)[0])
        del made.PixelData, made.BitsStored, made.HighBit, made.PixelRepresentation
        made.BitsAllocated = np.dtype(dtype).itemsize * 8
        setattr(made, keyword, values.astype(dtype).tobytes())
        made.save_as(tmp_path / "IM0001.dcm")
        image = read_dicom(tmp_path)
        assert image.array.dtype == dtype
        np.testing.assert_array_equal(image.array[0, 0], values.astype(dtype))


# Slopes and intercepts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stored, slope, intercept, dtype",
    [
        (ramp(0, 4095, np.uint16), 1, -1024, np.int16),  # the usual CT
        (ramp(0, 4095, np.uint16), 1, 0, np.int16),
        (ramp(0, 32767, np.uint16), 1, 0, np.int16),  # the largest that int16 holds
        (ramp(0, 32768, np.uint16), 1, 0, np.uint16),
        (ramp(0, 65535, np.uint16), 1, 0, np.uint16),
        (ramp(0, 65535, np.uint16), 1, -1, np.int32),
        (ramp(0, 65535, np.uint16), 1, -32768, np.int16),
        (ramp(0, 65535, np.uint16), 1, -32769, np.int32),
        (ramp(1024, 65535, np.uint16), 1, -1024, np.uint16),
        (ramp(20, 255, np.uint8), 1, -5, np.uint8),
        (ramp(0, 255, np.uint8), 1, -5, np.int16),
        (ramp(0, 255, np.uint8), 1, 1000, np.int16),
        (ramp(-128, -100, np.int8), 1, 200, np.int8),
        (ramp(-32768, 32767, np.int16), 1, 0, np.int16),
        (ramp(-32768, 32767, np.int16), 1, 1, np.int32),
        (ramp(-32768, 32767, np.int16), -1, 0, np.int32),
        (ramp(-32768, 32767, np.int16), 65536, 0, np.int32),
        (ramp(-32768, 32767, np.int16), 65537, 0, np.int64),
        (ramp(0, 4095, np.uint16), 2, -100000, np.int32),
        (ramp(0, 2**32 - 1, np.uint32), 1, 0, np.uint32),
        (ramp(0, 2**32 - 1, np.uint32), 1, -1, np.int64),
        (ramp(0, 2**31 - 1, np.int32), 1, 1, np.int64),
    ],
)
def test_whole_slopes_give_the_integer_type_that_holds_the_values(tmp_path, stored, slope, intercept, dtype):
    dicom_series.classic(tmp_path, stored, AXES, slope=slope, intercept=intercept)
    image = read_dicom(tmp_path)
    assert image.array.dtype == dtype
    assert image.metadata["stored_dtype"] == np.dtype(dtype).name and "slope" not in image.metadata
    np.testing.assert_array_equal(image.array[0], stored.astype(np.int64) * slope + intercept)


@pytest.mark.parametrize("slope, intercept", [(0.5, 0), (1, 0.25), (3.051757812e-4, -7.5), (1e-9, 1e-9), (-0.1, 3)])
def test_other_slopes_give_floats_and_keep_the_slope_for_writing(tmp_path, volume, slope, intercept):
    dicom_series.classic(tmp_path, volume, AXES, modality="CT", slope=slope, intercept=intercept)
    image = read_dicom(tmp_path)
    assert image.array.dtype == np.float32
    assert (image.metadata["slope"], image.metadata["inter"]) == (slope, intercept)
    assert image.metadata["stored_dtype"] == "uint16"
    np.testing.assert_array_equal(image.array[0], (volume * np.float64(slope) + intercept).astype(np.float32))


def test_pydicom_scales_the_same(tmp_path, volume):
    paths = dicom_series.classic(tmp_path, volume, AXES, modality="CT", slope=0.3, intercept=-1000)
    image = read_dicom(tmp_path)
    for k, path in enumerate(paths):
        read = dcmread(path)
        np.testing.assert_allclose(image.array[0, k], apply_rescale(read.pixel_array, read), rtol=1e-6)  # float32


@settings(deadline=None, max_examples=30)
@given(
    slopes=st.lists(st.floats(1e-6, 1e6) | st.integers(-500, 500).filter(bool), min_size=3, max_size=3),
    intercepts=st.lists(st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6), min_size=3, max_size=3),
)
def test_each_slice_is_scaled_by_its_own_numbers(slopes, intercepts):
    stored = ramp(-2000, 2000, np.int16)
    with tempfile.TemporaryDirectory() as folder:
        paths = dicom_series.classic(Path(folder), stored, AXES, modality="PT", slope=slopes, intercept=intercepts)
        read = [dcmread(path) for path in paths]
        image = read_dicom(Path(folder))
    own = [(float(each.RescaleSlope), float(each.RescaleIntercept)) for each in read]  # 16 characters of each
    truth = np.array([s.astype(np.float64) * a + b for s, (a, b) in zip(stored, own, strict=True)])
    np.testing.assert_allclose(image.array[0], truth, rtol=1e-6, atol=1e-6 * np.abs(truth).max())  # float32


def test_a_slope_of_0_says_nothing(tmp_path, volume):
    dicom_series.classic(tmp_path, volume, AXES, modality="CT", slope=0, intercept=-10)
    np.testing.assert_array_equal(read_dicom(tmp_path).array[0], volume.astype(int) - 10)


@pytest.mark.parametrize("text", ["", "abc", "nan", "inf", "1e400"])
def test_a_slope_that_is_no_number_says_nothing(tmp_path, volume, text):
    path = dicom_series.classic(tmp_path, volume[:1], AXES, modality="CT", slope=7)[0]
    content = path.read_bytes()
    at = content.index(b"\x28\x00\x53\x10DS")
    size = int.from_bytes(content[at + 6 : at + 8], "little")
    padded = text.encode() + b" " * (len(text) % 2)
    path.write_bytes(content[: at + 6] + len(padded).to_bytes(2, "little") + padded + content[at + 8 + size :])
    np.testing.assert_array_equal(read_dicom(path).array[0], volume[:1])


def test_an_absurd_slope_is_an_image_or_a_clear_error(tmp_path, volume):
    for slope in ("1e300", "1e-300", "1e20", "-1e18"):
        dicom_series.classic(tmp_path, volume * 0, AXES, modality="CT", slope=1, extra={"RescaleSlope": slope})
        try:
            assert read_dicom(tmp_path).array.max() == 0
        except MedregError as error:
            assert str(tmp_path) in str(error)


def test_philips_scale_slope_leads_to_signals_that_compare_between_series(tmp_path, volume):
    """FP = (PV * RS + RI) / (RS * SS), doi:10.1593/tlo.13811."""
    slope, intercept, scale = 1.25, -3, 0.0123
    for path in dicom_series.classic(tmp_path, volume, AXES, slope=slope, intercept=intercept):
        made = dcmread(path)
        made.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", scale)
        made.save_as(path)
    truth = (volume * slope + intercept) / (slope * float(np.float32(scale)))
    np.testing.assert_allclose(read_dicom(tmp_path).array[0], truth, rtol=1e-6)  # float32


def test_the_same_private_tag_of_another_maker_means_nothing(tmp_path, volume):
    for path in dicom_series.classic(tmp_path, volume, AXES):
        made = dcmread(path)
        made.private_block(0x2005, "ACME 1", create=True).add_new(0x0E, "FL", 0.5)
        made.save_as(path)
    np.testing.assert_array_equal(read_dicom(tmp_path).array[0], volume)


def test_a_pet_keeps_its_units_and_each_slices_slope(tmp_path, volume, oblique, assert_same):
    dicom_series.pet(tmp_path, volume, oblique, units="BQML")
    image = read_dicom(tmp_path)
    assert (image.metadata["modality"], image.metadata["units"]) == ("PT", "BQML")
    assert image.metadata["stored_dtype"] == "float32" and "slope" not in image.metadata
    assert_same(image, volume * (0.5 + 0.125 * np.arange(7))[:, None, None], oblique, rtol=1e-6)


def test_a_ct_is_in_hounsfield_units(tmp_path, volume):
    dicom_series.classic(tmp_path, volume, AXES, modality="CT", intercept=-1024)
    assert read_dicom(tmp_path).metadata["units"] == "HU"


# Brightness and colour ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits, dtype", [(8, np.uint8), (12, np.uint16), (16, np.uint16), (12, np.int16)])
def test_a_picture_whose_least_number_is_white_is_turned(tmp_path, bits, dtype):
    half = 1 << (bits - 1)
    low, high = (-half, half - 1) if dtype is np.int16 else (0, 2 * half - 1)
    picture = ramp(low, high, dtype)[0]
    stored = Stored(bits=bits, photometric="MONOCHROME1")
    (path,) = dicom_series.secondary_capture(tmp_path, picture, modality="CR", stored=stored)
    np.testing.assert_array_equal(read_dicom(path).array[0], low + high - picture.astype(int))


@pytest.mark.parametrize("modality", ["CT", "PT"])
def test_a_quantity_that_is_shown_dark_stays_what_it_is(tmp_path, volume, modality):
    stored = Stored(photometric="MONOCHROME1")
    dicom_series.classic(tmp_path, volume, AXES, modality=modality, stored=stored, slope=2, intercept=-5)
    np.testing.assert_array_equal(read_dicom(tmp_path).array[0], volume.astype(int) * 2 - 5)


def test_a_rescale_type_makes_it_a_quantity(tmp_path, volume):
    for said, turned in (("mm2/s", False), ("US", True), (None, True)):
        extra = {"RescaleType": said}
        stored = Stored(bits=12, photometric="MONOCHROME1")
        dicom_series.classic(tmp_path, volume, AXES, stored=stored, extra=extra)
        truth = 4095 - volume if turned else volume
        np.testing.assert_array_equal(read_dicom(tmp_path).array[0], truth)


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_becomes_three_channels(tmp_path, planar):
    stored = Stored(photometric="RGB", planar=planar)
    (path,) = dicom_series.secondary_capture(tmp_path, COLOURS[0], stored=stored)
    image = read_dicom(path)
    assert image.array.shape == (3, 6, 5) and image.array.dtype == np.uint8
    assert image.metadata["world"] == "picture"
    np.testing.assert_array_equal(np.moveaxis(image.array, 0, -1), COLOURS[0])


def test_colour_slices_are_a_volume_of_three_channels(tmp_path, oblique):
    names = [f"{n}" for n in dicom_series.shuffled(7, 9)]
    dicom_series.classic(tmp_path, COLOURS, oblique, modality="OT", stored=Stored(photometric="RGB"), names=names)
    image = read_dicom(tmp_path)
    assert image.array.shape == (3, 7, 6, 5)
    np.testing.assert_array_equal(np.moveaxis(image.array, 0, -1), COLOURS)


def test_luminance_and_chroma_become_red_green_and_blue(tmp_path):
    from pydicom.pixels import convert_color_space

    wide = convert_color_space(COLOURS[0], "RGB", "YBR_FULL")
    (path,) = dicom_series.secondary_capture(tmp_path, wide, stored=Stored(photometric="YBR_FULL"))
    read = np.moveaxis(read_dicom(path).array, 0, -1)
    np.testing.assert_allclose(read, COLOURS[0].astype(int), atol=2)  # grey levels: rounded twice


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_palette_becomes_its_colours(tmp_path, dtype):
    palette = np.random.default_rng(6).integers(0, 65536, (256, 3)).astype(np.uint16)
    picture = np.arange(30, dtype=dtype).reshape(6, 5) * 8
    stored = Stored(photometric="PALETTE COLOR", palette=palette)
    (path,) = dicom_series.secondary_capture(tmp_path, picture, stored=stored)
    read = np.moveaxis(read_dicom(path).array, 0, -1)
    np.testing.assert_array_equal(read, palette[picture] >> 8)
    np.testing.assert_array_equal(read, apply_color_lut(picture, dcmread(path)) >> 8)


def test_a_picture_has_the_pixel_size_of_its_detector_and_no_place(tmp_path):
    picture = np.arange(30, dtype=np.uint16).reshape(6, 5)
    (path,) = dicom_series.secondary_capture(tmp_path, picture, spacing_mm=(0.2, 0.3), modality="CR")
    image = read_dicom(path)
    assert image.grid.spacing == pytest.approx((0.2, 0.3)) and image.grid.origin == (0, 0)  # mm
    assert image.metadata["world"] == "picture" and image.metadata["unit"] == "mm"


def test_pictures_of_one_series_come_in_the_order_of_their_numbers(tmp_path):
    values = np.arange(4 * 30, dtype=np.uint16).reshape(4, 6, 5)
    for k, number in enumerate((3, 1, 4, 2)):
        extra = {"InstanceNumber": number}
        dicom_series.secondary_capture(tmp_path, values[k], name=f"{k}.dcm", extra=extra)
    np.testing.assert_array_equal(read_dicom(tmp_path).array, values[[1, 3, 0, 2]])
