"""Derived series: read back by pydicom, SimpleITK and DCMTK, validated by dciodvfy."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import dicom_templates as t
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from medreg.errors import GeometryError, WriteError
from medreg.geometry import Grid
from medreg.image import Leading
from medreg.io.dicom.derived import DerivedSeries, write_derived
from medreg.io.dicom.derived_scaling import Rescale, scaling_for
from medreg.io.dicom.origin import Origin
from medreg.io.encoding import encode
from medreg.io.stored import StoredImage

FLAT = Grid.regular((5, 6), (0.2, 0.3))
POSITION_MM = 1e-4
"""The bar: DS holds 16 characters, 1e-11 mm of a metre; the rest is for sums over a volume."""


def _volume(low: int, high: int, grid: Grid | None = None, dtype: type = np.int16) -> StoredImage:
    grid = grid or t.grid_named("oblique")
    values = np.random.default_rng(7).integers(low, high, (1, *grid.shape)).astype(dtype)
    values.flat[:2] = low, high
    return StoredImage(values, grid, metadata={"unit": "mm"})


def _write(
    moved: StoredImage, folder: Path, moving: Origin, fixed: Origin | None = None, **asked: Any
) -> DerivedSeries:
    return write_derived(moved, folder / "out", moving=moving, fixed=fixed, **asked)


def _read(series: DerivedSeries) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(series.folder.iterdir())]


def _values(slices: list[pydicom.Dataset]) -> np.ndarray:
    return np.stack(
        [s.pixel_array * float(s.get("RescaleSlope", 1)) + float(s.get("RescaleIntercept", 0)) for s in slices]
    )


def _corners(slices: list[pydicom.Dataset]) -> np.ndarray:
    """World points of each slice's corner voxels by the equation of PS3.3 C.7.6.2.1.1, as (slice, row, column, 3)."""
    points = []
    for s in slices:
        row, column = np.array(s.ImageOrientationPatient[:3], float), np.array(s.ImageOrientationPatient[3:], float)
        down, across = map(float, s.PixelSpacing)
        position = np.array(s.ImagePositionPatient, float)
        points.append(
            [[position + row * across * i + column * down * j for i in (0, s.Columns - 1)] for j in (0, s.Rows - 1)]
        )
    return np.array(points)


def _expected_corners(grid: Grid, order: list[int]) -> np.ndarray:
    nx, ny, _ = grid.size
    return np.array([[grid.to_world([[i, j, k] for i in (0, nx - 1)]) for j in (0, ny - 1)] for k in order])


@pytest.mark.parametrize("name", list(t.LINEAR))
@pytest.mark.parametrize("sop_class", [t.CT, t.MR, t.PET])
def test_every_voxel_keeps_its_place_and_its_value(name: str, sop_class: str, tmp_path: Path) -> None:
    moved = _volume(-900 if sop_class == t.CT else 0, 3000, t.grid_named(name))
    series = _write(moved, tmp_path, t.rich(sop_class))
    slices = _read(series)
    forward = np.linalg.det(np.array(moved.grid.direction)) > 0
    order = list(range(4)) if forward else [3, 2, 1, 0]
    np.testing.assert_allclose(_corners(slices), _expected_corners(moved.grid, order), rtol=0, atol=POSITION_MM)
    np.testing.assert_array_equal(_values(slices), moved.array[0][order])
    along = [float(s.SliceLocation) for s in slices]
    assert along == sorted(along) and [s.InstanceNumber for s in slices] == [1, 2, 3, 4]


def test_positions_hold_over_a_large_oblique_volume(tmp_path: Path) -> None:
    grid = t.grid_named("oblique", (512, 512, 3))
    moved = StoredImage(np.zeros((1, *grid.shape), np.int16), grid)
    slices = _read(_write(moved, tmp_path, t.rich(t.CT)))
    np.testing.assert_allclose(_corners(slices), _expected_corners(grid, [0, 1, 2]), rtol=0, atol=POSITION_MM)
    assert all(len(str(v)) <= 16 for s in slices for v in [*s.ImagePositionPatient, *s.ImageOrientationPatient])


@pytest.mark.parametrize("name", ["straight", "anisotropic", "oblique", "oblique and flipped"])
@pytest.mark.parametrize("sop_class", [t.CT, t.MR, t.PET])
def test_simpleitk_reads_the_series_with_its_places_and_values(name: str, sop_class: str, tmp_path: Path) -> None:
    moved = _volume(0, 3000, t.grid_named(name))
    moved = moved.with_array(moved.array.astype(np.float32) / 7)
    series = _write(moved, tmp_path, t.rich(sop_class))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(series.folder)))
    image = reader.Execute()
    index = [(0, 0, 0), (4, 5, 3), (2, 0, 3), (0, 5, 1)]
    points = np.array([image.TransformIndexToPhysicalPoint(i) for i in index])
    at = moved.grid.to_index(points)
    np.testing.assert_allclose(at, at.round(), atol=POSITION_MM / min(moved.grid.spacing))
    found = [image[i] for i in index]
    wanted = [moved.array[0, z, y, x] for x, y, z in at.round().astype(int)]
    np.testing.assert_allclose(found, wanted, atol=series.slope)


CASES = {
    "CT": (t.poor(t.CT), _volume(-900, 3000)),
    "CT beyond 16 bits": (t.poor(t.CT), _volume(-900, 100_000, dtype=np.int32)),
    "rich CT": (t.rich(t.CT, ContrastBolusRoute="IV"), _volume(-900, 3000)),
    "MR": (t.poor(t.MR), _volume(0, 3000)),
    "MR without inversion": (t.rich(t.MR, ScanningSequence="GR", InversionTime="900"), _volume(0, 9)),
    "rich MR": (t.rich(t.MR, ScanningSequence=["GR", "IR"], ScanOptions="CG"), _volume(-5, 3000)),
    "MR with a scale": (t.poor(t.MR), _volume(0, 1).with_array(np.linspace(-1, 1, 120).reshape(1, 4, 6, 5))),
    "PET": (t.poor(t.PET), _volume(0, 3000)),
    "rich PET": (t.rich(t.PET, Units="BQML", DecayCorrection="START", PatientPosition="HFS"), _volume(0, 3000)),
    "enhanced MR": (t.enhanced(), _volume(0, 3000)),
    "enhanced CT": (t.enhanced(t.ENHANCED_CT), _volume(0, 3000)),
    "enhanced PET": (t.enhanced(t.ENHANCED_PET), _volume(0, 3000)),
    "coloured MR": (t.poor(t.MR), StoredImage(np.ones((3, 4, 6, 5), np.uint8), t.grid_named("oblique"))),
    "SC": (t.poor(t.SC), StoredImage(np.ones((1, 6, 5), np.uint8), FLAT)),
    "coloured SC": (t.poor(t.SC), StoredImage(np.ones((3, 6, 5), np.uint8), FLAT)),
    "SC with a scale": (t.poor(t.SC), StoredImage(np.linspace(-1, 1, 30).reshape(1, 6, 5), FLAT)),
    "CR": (t.poor(t.CR), StoredImage(np.full((1, 6, 5), 999, np.int16), FLAT)),
    "DX": (t.poor(t.DX, PatientOrientation=["L", "F"]), StoredImage(np.full((1, 6, 5), 999, np.int16), FLAT)),
    "poor DX": (t.poor(t.DX), StoredImage(np.full((1, 6, 5), 999, np.int16), FLAT)),
    "coloured US": (t.poor(t.US), StoredImage(np.ones((3, 6, 5), np.uint8), FLAT)),
    "XA": (t.poor(t.XA, Modality="XA"), StoredImage(np.ones((1, 6, 5), np.int16), FLAT)),
    "unknown sex": (t.poor(t.CT, PatientSex="U", PatientIdentityRemoved="YES"), _volume(0, 9)),
}


@pytest.mark.parametrize("name", list(CASES))
def test_the_validator_finds_no_error(name: str, tmp_path: Path) -> None:
    moving, moved = CASES[name]
    series = _write(moved, tmp_path, moving)
    assert t.validator_errors(series.folder / "IM0001.dcm") == []


@pytest.mark.parametrize(
    ("name", "sop_class", "modality"),
    [
        ("CT", t.CT, "CT"),
        ("enhanced MR", t.MR, "MR"),
        ("enhanced CT", t.CT, "CT"),
        ("enhanced PET", t.PET, "PT"),
        ("coloured MR", t.SC, "OT"),
        ("DX", t.DX, "DX"),
        ("poor DX", t.SC, "OT"),
        ("XA", t.SC, "XA"),
    ],
)
def test_the_sop_class_is_the_moving_images_in_its_classic_form(
    name: str, sop_class: str, modality: str, tmp_path: Path
) -> None:
    moving, moved = CASES[name]
    series = _write(moved, tmp_path, moving)
    first = _read(series)[0]
    assert (series.sop_class, first.SOPClassUID, first.Modality) == (sop_class, sop_class, modality)
    assert first.file_meta.MediaStorageSOPClassUID == sop_class
    assert first.file_meta.MediaStorageSOPInstanceUID == first.SOPInstanceUID


def test_dcmdump_reads_every_file(tmp_path: Path) -> None:
    program = shutil.which("dcmdump")
    if program is None:
        pytest.skip("dcmdump is not installed (Debian: dcmtk)")
    series = _write(_volume(0, 3000), tmp_path, t.rich(t.CT))
    for path in series.folder.iterdir():
        done = subprocess.run([program, "-q", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and not done.stderr and "Doe^Jane" in done.stdout


def test_the_series_is_the_moving_patients_in_the_fixed_frame_of_reference(tmp_path: Path) -> None:
    moving, fixed = t.rich(t.CT), t.poor(t.MR, PatientName="Other^One", PositionReferenceIndicator="NA")
    fixed = Origin(fixed.template, fixed.instances, "1.2.3.99")
    series = _write(_volume(0, 9), tmp_path, moving, fixed)
    for s in _read(series):
        assert (s.PatientName, s.StudyInstanceUID, s.Manufacturer) == ("Doe^Jane", t.STUDY, "ACME")
        assert s.FrameOfReferenceUID == series.frame_of_reference == "1.2.3.99"
        assert s.PositionReferenceIndicator == "NA"
        assert s.ImageType == ["DERIVED", "SECONDARY", "AXIAL"]
        assert s.SeriesNumber == 1005 and s.SeriesDescription == "axial, moved"
        assert [i.ReferencedSOPInstanceUID for i in s.SourceImageSequence] == [f"{t.SERIES}.1", f"{t.SERIES}.2"]
        assert s.DerivationCodeSequence[0].CodeValue == "113085"
        assert s.ContributingEquipmentSequence[0].Manufacturer == "medreg"
        assert (s.WindowCenter, s.WindowWidth) == ([40, 300], [80, 1500])
        assert (s.LossyImageCompression, s.LossyImageCompressionRatio) == ("01", 8)
        assert "Doe" not in s.DerivationDescription


def test_every_series_and_every_slice_has_uids_of_its_own(tmp_path: Path) -> None:
    one, other = (_write(_volume(0, 9), tmp_path / name, t.rich(t.CT)) for name in "ab")
    uids = [s.SOPInstanceUID for series in (one, other) for s in _read(series)]
    assert len(set(uids)) == len(uids) == 8
    assert len({one.series_uid, other.series_uid, t.SERIES}) == 3
    assert len({one.frame_of_reference, other.frame_of_reference, t.FRAME}) == 3  # no fixed DICOM: a new one each
    assert [i.sop_instance for i in one.instances] == uids[:4]


def test_what_is_no_longer_true_is_dropped(tmp_path: Path) -> None:
    for s in _read(_write(_volume(0, 9), tmp_path, t.rich(t.CT))):
        assert not any(e.tag.is_private or e.tag.group in (0x5000, 0x6000) for e in s)
        assert "GantryDetectorTilt" not in s and "PixelPaddingValue" not in s


def test_enhanced_attributes_become_classic_ones(tmp_path: Path) -> None:
    first = _read(_write(_volume(0, 9), tmp_path, t.enhanced()))[0]
    assert (first.EchoTime, first.RepetitionTime, first.FlipAngle) == (30.25, 2000, 9)
    assert (first.ScanningSequence, first.MRAcquisitionType) == ("GR", "3D")
    assert (first.WindowCenter, first.WindowWidth) == (500, 900)
    assert "PerFrameFunctionalGroupsSequence" not in first


def test_the_window_of_a_turned_image_is_dropped_and_an_asked_one_written(tmp_path: Path) -> None:
    moving = t.rich(t.MR, PhotometricInterpretation="MONOCHROME1")
    first = _read(_write(_volume(0, 9), tmp_path / "a", moving))[0]
    assert "WindowCenter" not in first and first.PhotometricInterpretation == "MONOCHROME2"
    first = _read(_write(_volume(0, 9), tmp_path / "b", moving, window=(5.5, 12)))[0]
    assert (first.WindowCenter, first.WindowWidth) == (5.5, 12)


def test_hounsfield_units_keep_the_sources_intercept_and_slope_1(tmp_path: Path) -> None:
    moving = t.rich(t.CT, RescaleSlope="1", RescaleIntercept="-1000")
    first = _read(_write(_volume(-1000, 3000), tmp_path / "a", moving))[0]
    assert (first.RescaleSlope, first.RescaleIntercept, first.RescaleType) == (1, -1000, "HU")
    first = _read(_write(_volume(-1024, 3000), tmp_path / "b", t.rich(t.CT)))[0]
    assert (first.RescaleSlope, first.RescaleIntercept) == (1, -1024)


def test_magnitudes_that_fit_16_bits_need_no_rescale(tmp_path: Path) -> None:
    series = _write(_volume(0, 65535, dtype=np.int32), tmp_path, t.rich(t.MR))
    first = _read(series)[0]
    assert "RescaleSlope" not in first and first.PixelRepresentation == 0 and not series.rounded


def test_the_moving_images_own_scale_is_kept(tmp_path: Path) -> None:
    stored = np.arange(120, dtype=np.int16).reshape(1, 4, 6, 5) - 60
    metadata = {"stored_dtype": "int16", "slope": 0.1257391, "inter": 3.5}
    moved = StoredImage((stored * 0.1257391 + 3.5).astype(np.float32), t.grid_named("oblique"), metadata=metadata)
    series = _write(moved, tmp_path, t.rich(t.MR))
    assert (series.slope, series.intercept, series.rounded) == (0.1257391, 3.5, False)
    np.testing.assert_allclose(_values(_read(series)), moved.array[0], atol=1e-5)  # float32


def test_pet_is_stored_with_intercept_0_and_the_time_that_its_dose_is_decayed_to(tmp_path: Path) -> None:
    moved = _volume(0, 30000)
    moved = moved.with_array(moved.array.astype(np.float32) * np.float32(1.37))
    series = _write(moved, tmp_path, t.rich(t.PET, Units="BQML", SeriesDate="20240102", SeriesTime="030000"))
    slices = _read(series)
    assert all((s.RescaleIntercept, s.Units, s.SeriesTime) == (0, "BQML", "030000") for s in slices)
    assert [s.ImageIndex for s in slices] == [1, 2, 3, 4] and slices[0].NumberOfSlices == 4
    np.testing.assert_allclose(_values(slices), moved.array[0], atol=series.slope / 2 * 1.001)  # half a step, rounded


def test_pet_of_unknown_series_time_takes_the_acquisitions_and_never_the_present(tmp_path: Path) -> None:
    first = _read(_write(_volume(0, 9), tmp_path, t.rich(t.PET)))[0]
    assert (first.SeriesDate, first.SeriesTime) == ("20240102", "030506")


def test_slices_of_a_tilted_grid_are_as_thick_as_their_distance_along_the_normal(tmp_path: Path) -> None:
    grid = t.grid_named("tilted")
    first = _read(_write(_volume(0, 9, grid), tmp_path, t.rich(t.MR)))[0]
    assert float(first.SliceThickness) == pytest.approx(2.9, abs=1e-9)  # mm: the tilt shears along the rows' plane
    assert float(first.SpacingBetweenSlices) == pytest.approx(2.9, abs=1e-9) and grid.spacing[2] > 3


def test_what_is_no_number_is_told(tmp_path: Path) -> None:
    values = np.linspace(-1, 1, 120, dtype=np.float32).reshape(1, 4, 6, 5)
    values.flat[:3] = np.nan, np.inf, -np.inf
    series = _write(_volume(0, 9).with_array(values), tmp_path, t.rich(t.MR))
    assert (series.not_finite, series.clipped) == (1, 2)
    assert "4 files, rounded to uint16 in steps of" in series.sentence
    assert "2 voxels clipped, 1 voxel not finite" in series.sentence
    np.testing.assert_allclose(_values(_read(series)).flat[3:], values.flat[3:], atol=series.slope)


def test_an_image_of_nothing_but_nan_is_written(tmp_path: Path) -> None:
    series = _write(_volume(0, 9).with_array(np.full((1, 4, 6, 5), np.nan)), tmp_path, t.rich(t.MR))
    assert series.not_finite == 120


_finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30)


@settings(max_examples=200, deadline=None)
@given(low=_finite, high=_finite, rescale=st.sampled_from([Rescale.ANY, Rescale.HOUNSFIELD, Rescale.SLOPE]))
def test_any_range_of_values_survives_within_a_step(low: float, high: float, rescale: Rescale) -> None:
    low, high = sorted((low, high))
    values = np.linspace(low, high, 24).reshape(1, 2, 3, 4)
    moved = StoredImage(values, Grid.regular((4, 3, 2), (1, 1, 1)))
    scaling = scaling_for(moved, t.poor(t.CT).template, rescale, ("uint16", "int16"))
    assert scaling is not None and len(scaling.slope) <= 16 and len(scaling.intercept) <= 16
    encoded = encode(values, scaling.encoding)
    back = encoded.array.astype(np.float64) * float(scaling.slope) + float(scaling.intercept)
    # one step; with float64's last digits where all values are nearly alike and far from 0
    assert np.abs(back - values).max() <= float(scaling.slope) + 1e-9 * max(abs(low), abs(high))
    assert encoded.clipped == 0


def test_colour_is_written_pixel_by_pixel(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 256, (3, 4, 6, 5), np.uint8)
    slices = _read(_write(StoredImage(values, t.grid_named("oblique")), tmp_path, t.rich(t.SC)))
    assert all((s.PhotometricInterpretation, s.PlanarConfiguration) == ("RGB", 0) for s in slices)
    np.testing.assert_array_equal([s.pixel_array for s in slices], np.moveaxis(values, 0, -1))


def test_odd_bytes_are_padded(tmp_path: Path) -> None:
    values = np.arange(15, dtype=np.uint8).reshape(1, 3, 5)
    series = _write(StoredImage(values, Grid.regular((5, 3), (1, 1))), tmp_path, t.rich(t.SC))
    assert len(_read(series)[0].PixelData) == 16
    np.testing.assert_array_equal(_read(series)[0].pixel_array, values[0])


def test_a_series_of_volumes_names_each_volume(tmp_path: Path) -> None:
    values = np.arange(240, dtype=np.int16).reshape(2, 4, 6, 5)
    moved = StoredImage(values, t.grid_named("oblique"), Leading.FRAMES)
    slices = _read(_write(moved, tmp_path, t.rich(t.MR)))
    assert [s.TemporalPositionIdentifier for s in slices] == [1] * 4 + [2] * 4
    assert [s.InstanceNumber for s in slices] == list(range(1, 9)) and slices[0].NumberOfTemporalPositions == 2
    np.testing.assert_array_equal(_values(slices).reshape(values.shape), values)
    assert t.validator_errors(tmp_path / "out" / "IM0005.dcm") == []


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS", "ignore:Unknown encoding")
@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192", "ISO_IR 144", ["", "ISO 2022 IR 87"], "nonsense"])
def test_names_survive_in_any_character_set(charset: str | list[str], tmp_path: Path) -> None:
    moving = t.rich(t.CT, SpecificCharacterSet=charset, PatientName="Müller^Jörg", StudyDescription="plain")
    for s in _read(_write(_volume(0, 9), tmp_path, moving)):
        assert s.PatientName == "Müller^Jörg" and s.StudyDescription == "plain"


def test_grids_sheared_in_their_planes_and_odd_channels_are_refused(tmp_path: Path) -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.2
    sheared = StoredImage(np.ones((1, 4, 6, 5), np.int16), Grid.from_affine((5, 6, 4), affine))
    with pytest.raises(GeometryError, match="right angles"):
        _write(sheared, tmp_path, t.rich(t.CT))
    with pytest.raises(WriteError, match="got 4 channels"):
        _write(StoredImage(np.ones((4, 6, 5), np.uint8), FLAT), tmp_path, t.rich(t.SC))
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(WriteError, match="cannot be written"):
        _write(_volume(0, 9), tmp_path, t.rich(t.CT))
