"""Damaged files: an image or one of medreg's errors, and nothing else; never a traceback, never a wait."""

from __future__ import annotations

import warnings
from pathlib import Path

import dicom_series
import numpy as np
import pydicom.data
import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from medreg.errors import MedregError, MedregWarning, ReadError
from medreg.io.dicom import list_series, read_dicom

BUNDLED = Path(pydicom.data.__file__).parent
AXES = np.diag([0.75, 1.25, 2.5, 1.0])
ABSURD = [b"", b" ", b"-1", b"0", b"1e308", b"nan", b"inf", b"99999999", b"\xff\xfe\x00\x01", b"1\\2\\3\\4\\5\\6\\7"]


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """One sound file of each kind."""
    here = tmp_path_factory.mktemp("originals")
    rng = np.random.default_rng(1)
    values = rng.integers(0, 4000, (4, 34, 36)).astype(np.uint16)
    paths = [
        dicom_series.classic(here / "classic", values[:1], AXES, modality="CT", intercept=-1024)[0],
        dicom_series.classic(here / "bare", values[:1], AXES, bare=True)[0],
        dicom_series.classic(here / "rle", values[:1], AXES, syntax=RLELossless)[0],
        dicom_series.classic(here / "j2k", values[:1], AXES, syntax=JPEG2000Lossless)[0],
        *dicom_series.enhanced(here, values[:, :6, :5], AXES, slope=0.5),
        *dicom_series.mosaic(here, values[:, :6, :5], AXES),
        *dicom_series.rt_dose(here, values[:, :6, :5], AXES),
        *dicom_series.cine(here, (values >> 4).astype(np.uint8)),
        *dicom_series.secondary_capture(
            here, rng.integers(0, 256, (6, 5, 3)).astype(np.uint8), stored=dicom_series.Stored(photometric="RGB")
        ),
    ]
    return [path.read_bytes() for path in paths]


def assert_an_image_or_a_clear_error(path):
    """The claim of this file; and the error names the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = read_dicom(path)
        except MedregError as error:
            assert str(path) in str(error) and len(str(error)) > len(str(path)) + 20
            return
    assert image.array.size > 0


@pytest.mark.parametrize("seed", range(9))
def test_flipped_bytes(tmp_path, originals, seed):
    rng = np.random.default_rng(seed)
    content = originals[seed % len(originals)]
    for _ in range(16):
        damaged = bytearray(content)
        header = len(content) if rng.random() < 0.3 else min(len(content), 1800)
        for at in rng.integers(0, header, rng.integers(1, 12)):
            damaged[at] = rng.integers(0, 256)
        path = tmp_path / "flipped.dcm"
        path.write_bytes(damaged)
        assert_an_image_or_a_clear_error(path)


@pytest.mark.parametrize("kind", range(9))
def test_files_that_are_cut_short_anywhere(tmp_path, originals, kind):
    content = originals[kind]
    path = tmp_path / "cut.dcm"
    for keep in np.random.default_rng(kind).integers(0, len(content), 12):
        path.write_bytes(content[:keep])
        assert_an_image_or_a_clear_error(path)
    path.write_bytes(content[: len(content) - 40])
    if kind not in (2, 3):  # compressed ones may end in what is not needed
        with pytest.raises(ReadError):
            read_dicom(path)


@pytest.mark.parametrize("kind", range(9))
def test_bytes_that_went_missing_or_came_twice(tmp_path, originals, kind):
    rng = np.random.default_rng(100 + kind)
    content = originals[kind]
    path = tmp_path / "shifted.dcm"
    for _ in range(8):
        at, much = int(rng.integers(130, len(content))), int(rng.integers(1, 40))
        path.write_bytes(content[:at] + content[at + much :])
        assert_an_image_or_a_clear_error(path)
        path.write_bytes(content[:at] + content[max(0, at - much) :])
        assert_an_image_or_a_clear_error(path)


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope"])
def test_absurd_numbers(tmp_path, originals, keyword):
    path = tmp_path / "absurd.dcm"
    for text in ABSURD:
        path.write_bytes(with_value(originals[0], keyword, text))
        assert_an_image_or_a_clear_error(path)


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel"])
def test_absurd_sizes(tmp_path, originals, keyword):
    path = tmp_path / "absurd.dcm"
    for content in originals[:4]:
        for number in (0, 1, 7, 64, 65535):
            made = _read(path, content)
            setattr(made, keyword, number)
            made.save_as(path, enforce_file_format=False)
            assert_an_image_or_a_clear_error(path)


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsAllocated", "PixelRepresentation", "NumberOfFrames"])
def test_attributes_that_are_gone(tmp_path, originals, keyword):
    path = tmp_path / "gone.dcm"
    for content in originals:
        made = _read(path, content)
        if keyword in made:
            delattr(made, keyword)
        made.save_as(path, enforce_file_format=False)
        assert_an_image_or_a_clear_error(path)


@pytest.mark.parametrize("frames", ["-3", "0", "2", "1000000", "2147483647"])
def test_absurd_numbers_of_frames_ask_for_no_memory(tmp_path, originals, frames):
    path = tmp_path / "frames.dcm"
    for content in originals:
        made = _read(path, content)
        made.NumberOfFrames = frames
        made.save_as(path, enforce_file_format=False)
        assert_an_image_or_a_clear_error(path)


def test_a_damaged_dicomdir_is_a_clear_error(tmp_path, originals, volume):
    paths = dicom_series.classic(tmp_path / "from", volume, AXES)
    directory = dicom_series.dicomdir(tmp_path / "cd", paths)
    content = directory.read_bytes()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        damaged = bytearray(content[: int(rng.integers(132, len(content)))] if seed % 2 else content)
        for at in rng.integers(132, len(damaged), 10):
            damaged[at] = rng.integers(0, 256)
        directory.write_bytes(damaged)
        assert_an_image_or_a_clear_error(directory)


def test_a_folder_of_damaged_files_can_be_listed(tmp_path, originals):
    rng = np.random.default_rng(11)
    for k, content in enumerate(originals * 2):
        damaged = bytearray(content)
        for at in rng.integers(132, min(1500, len(content)), 6):
            damaged[at] = rng.integers(0, 256)
        (tmp_path / f"{k}.dcm").write_bytes(damaged)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a listing tells in its rows
        listing = list_series(tmp_path)
    assert len(listing.rows) + len(listing.unreadable) + listing.other_files > 0


def test_a_header_that_nobody_can_parse_does_not_hide_the_series_beside_it(tmp_path, volume, oblique, assert_same):
    dicom_series.classic(tmp_path, volume, oblique)
    one = {"names": ["zz.dcm"], "series": "other", "syntax": DeflatedExplicitVRLittleEndian}
    (damaged,) = dicom_series.classic(tmp_path, volume[:1], oblique, **one)
    content = damaged.read_bytes()
    damaged.write_bytes(content[:400] + bytes(40) + content[440:])
    with pytest.raises(ReadError, match=r"zz\.dcm: cannot be read as DICOM, its header is damaged"):
        read_dicom(damaged)
    with pytest.warns(MedregWarning, match="1 of its 8 files cannot be read; medreg info"):
        assert_same(read_dicom(tmp_path), volume, oblique)


def test_every_file_of_pydicom_is_an_image_or_a_clear_error():
    files = [path for path in sorted(BUNDLED.rglob("*")) if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert len(files) > 100
    for path in files:
        assert_an_image_or_a_clear_error(path)


def with_value(content, keyword, text):
    """The file with another text in an attribute of explicit VR with a short length."""
    tag = pydicom.tag.Tag(keyword)
    mark = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
    at = content.index(mark)
    size = int.from_bytes(content[at + 6 : at + 8], "little")
    padded = text + b" " * (len(text) % 2)
    return content[: at + 6] + len(padded).to_bytes(2, "little") + padded + content[at + 8 + size :]


def _read(path, content):
    path.write_bytes(content)
    return dcmread(path, force=True)
