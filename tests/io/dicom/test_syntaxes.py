"""Transfer syntaxes: what can be encoded here, and what lies in pydicom's package, against pydicom's own pixels."""

from __future__ import annotations

import warnings
from pathlib import Path

import dicom_series
import numpy as np
import pydicom.data
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_rescale
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from medreg.errors import MedregError, MedregWarning, ReadError
from medreg.io.dicom import read_dicom

PLAIN = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
LOSSLESS = [*PLAIN, RLELossless, JPEG2000Lossless]
FILES = Path(pydicom.data.__file__).parent / "test_files"
GREY = [
    *("CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_expb.dcm"),
    *("MR_small_implicit.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_padded.dcm"),
    *("693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "JPEG2000.dcm", "JPGExtended.dcm", "JPEGLSNearLossless_08.dcm"),
    *("JPEGLSNearLossless_16.dcm", "image_dfl.dcm", "rtdose.dcm", "rtdose_expb.dcm", "rtdose_rle.dcm"),
    *("examples_overlay.dcm", "rtdose_1frame.dcm"),
]
COLOUR = [
    *("ExplVR_BigEnd.dcm", "GDCMJ2K_TextGBR.dcm", "SC_jpeg_no_color_transform.dcm", "SC_rgb_dcmtk_+eb+cr.dcm"),
    *("SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_dcmtk_+eb+cy+n1.dcm", "SC_rgb_dcmtk_+eb+cy+s4.dcm", "SC_rgb_gdcm_KY.dcm"),
    *("SC_rgb_jls_lossy_line.dcm", "SC_rgb_jls_lossy_sample.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_jpeg_gdcm.dcm"),
    *("SC_rgb_rle.dcm", "SC_rgb_rle_16bit.dcm", "SC_rgb_rle_32bit.dcm", "SC_rgb_small_odd.dcm", "examples_jpeg2k.dcm"),
    *("SC_rgb_small_odd_big_endian.dcm", "SC_ybr_full_422_uncompressed.dcm", "examples_rgb_color.dcm"),
]


def bundled(name):
    """A file of pydicom's package, and its data set."""
    path = FILES / name
    if not path.is_file():
        pytest.skip(f"this pydicom does not bring {name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return path, dcmread(path)


def quietly(function, *arguments):
    """Without what is told of single slices and odd headers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda uid: uid.name)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_lossless_syntaxes_give_the_stored_numbers(tmp_path, oblique, assert_same, syntax, dtype):
    values = np.random.default_rng(4).integers(0, 200, (3, 34, 36)).astype(dtype)
    if dtype is np.int16:
        values = values * 20 - 2000
    dicom_series.classic(tmp_path, values.astype(dtype), oblique, modality="CT", slope=1, syntax=syntax)
    assert_same(read_dicom(tmp_path), values, oblique)


@pytest.mark.parametrize("syntax", [*PLAIN, RLELossless], ids=lambda uid: uid.name)
def test_lossless_syntaxes_give_the_colours(tmp_path, syntax):
    values = np.random.default_rng(4).integers(0, 256, (34, 36, 3)).astype(np.uint8)
    stored = dicom_series.Stored(photometric="RGB")
    (path,) = dicom_series.secondary_capture(tmp_path, values, stored=stored, syntax=syntax)
    np.testing.assert_array_equal(np.moveaxis(read_dicom(path).array, 0, -1), values)


@pytest.mark.parametrize("syntax", [*PLAIN, RLELossless, JPEG2000Lossless], ids=lambda uid: uid.name)
def test_frames_in_one_object_are_found_each_in_its_place(tmp_path, oblique, assert_same, syntax):
    values = np.random.default_rng(4).integers(0, 4000, (5, 34, 36)).astype(np.uint16)
    (path,) = dicom_series.enhanced(tmp_path, values, oblique, syntax=syntax, order=[3, 1, 4, 0, 2])
    assert_same(read_dicom(path), values, oblique)


@pytest.mark.parametrize("syntax", PLAIN, ids=lambda uid: uid.name)
@pytest.mark.parametrize("dtype", [np.uint32, np.int32])
def test_wide_numbers_keep_their_bytes_order(tmp_path, oblique, assert_same, syntax, dtype):
    values = np.random.default_rng(4).integers(0, 2**31 - 1, (3, 6, 5)).astype(dtype)
    dicom_series.classic(tmp_path, values, oblique, syntax=syntax)
    assert_same(read_dicom(tmp_path), values, oblique)


def test_one_series_may_be_stored_in_several_syntaxes(tmp_path, oblique, assert_same):
    values = np.random.default_rng(4).integers(0, 4000, (7, 34, 36)).astype(np.uint16)
    for k, syntax in enumerate(LOSSLESS):
        paths = dicom_series.classic(tmp_path / "all", values, oblique, syntax=syntax)
        (tmp_path / "one").mkdir(exist_ok=True)
        paths[k].rename(tmp_path / "one" / paths[k].name)
    paths[6].rename(tmp_path / "one" / paths[6].name)
    assert_same(read_dicom(tmp_path / "one"), values, oblique)


@pytest.mark.parametrize("name", GREY)
def test_grey_files_of_pydicom_hold_what_pydicom_reads(name):
    path, dataset = bundled(name)
    truth = quietly(lambda: apply_rescale(dataset.pixel_array, dataset) * float(dataset.get("DoseGridScaling", 1)))
    image = quietly(read_dicom, path)
    truth = truth[None] if truth.ndim == 2 else truth
    if image.grid.dimension == 3 and np.dot(_normal(dataset), _step(dataset)) < 0:
        truth = truth[::-1]
    np.testing.assert_allclose(image.array.reshape(truth.shape), truth, rtol=1e-6)  # float32 where they are no integers


@pytest.mark.parametrize("name", COLOUR)
def test_colour_files_of_pydicom_hold_what_pydicom_shows(name):
    path, dataset = bundled(name)
    truth = quietly(lambda: dataset.pixel_array)  # RGB, as pydicom converts what its decoders leave
    read = np.moveaxis(quietly(read_dicom, path).array, 0, -1)
    assert read.shape == truth.shape
    if dataset.PhotometricInterpretation.startswith("YBR_FULL"):
        from pydicom.pixels import pixel_array

        truth = quietly(pixel_array, path)
    plugins_differ = 2 if dataset.file_meta.TransferSyntaxUID.is_compressed and "jpeg" in name else 0  # grey levels
    np.testing.assert_allclose(read.astype(float), truth, atol=plugins_differ)


@pytest.mark.parametrize("name", ["examples_palette.dcm"])
def test_palette_files_of_pydicom_have_their_colours(name):
    from pydicom.pixels import apply_color_lut

    path, dataset = bundled(name)
    truth = apply_color_lut(dataset.pixel_array, dataset)
    truth = truth >> 8 if truth.dtype == np.uint16 else truth
    np.testing.assert_array_equal(np.moveaxis(quietly(read_dicom, path).array, 0, -1), truth)


def test_a_syntax_that_nobody_decodes_is_named(tmp_path, volume, oblique):
    (path,) = dicom_series.classic(tmp_path, volume[:1], oblique)
    made = dcmread(path)
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"  # MPEG-2
    made["PixelData"].VR = "OB"
    made.PixelData = b"\xfe\xff\x00\xe0" + bytes(4) + b"\xfe\xff\x00\xe0\x04\0\0\0abcd"
    made["PixelData"].is_undefined_length = True
    made.save_as(path)
    with pytest.raises(ReadError, match=r"compressed .*MPEG2"):
        read_dicom(path)


def test_a_stream_of_another_size_than_the_header_says_is_refused(tmp_path, oblique):
    values = np.random.default_rng(4).integers(0, 4000, (1, 34, 36)).astype(np.uint16)
    (path,) = dicom_series.classic(tmp_path, values, oblique, syntax=JPEG2000Lossless)
    made = dcmread(path)
    made.Rows = 3400
    made.save_as(path)
    with pytest.raises(ReadError, match=r"36 x 3400 pixels, its compressed frame 1 is 36 x 34"):
        read_dicom(path)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless], ids=lambda uid: uid.name)
def test_compressed_pixels_that_are_cut_short_are_a_clear_error(tmp_path, oblique, syntax):
    values = np.random.default_rng(4).integers(0, 4000, (2, 34, 36)).astype(np.uint16)
    paths = dicom_series.classic(tmp_path, values, oblique, syntax=syntax)
    for keep in (0.9, 0.7, 0.5):
        dicom_series.cut_short(paths[0], keep)
        with pytest.raises(MedregError, match=r"IM0001\.dcm"), warnings.catch_warnings():
            warnings.simplefilter("ignore", MedregWarning)
            read_dicom(paths[0])


def _normal(dataset):
    six = np.array(dataset.get("ImageOrientationPatient", [1, 0, 0, 0, 1, 0]), float)
    return np.cross(six[:3], six[3:])


def _step(dataset):
    offsets = dataset.get("GridFrameOffsetVector") or [0, 1]
    return _normal(dataset) * (float(offsets[-1]) - float(offsets[0]))
