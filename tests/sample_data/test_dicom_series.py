"""The maker of DICOM series writes what it says: ITK's GDCM, nibabel's nicom and pydicom read it back."""

import hashlib
import warnings
import zipfile
from pathlib import Path

import dicom_series
import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.fileset import FileSet
from pydicom.pixels import apply_color_lut, apply_rescale, convert_color_space
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from scipy.spatial.transform import Rotation

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # nicom says that it is experimental
    from nibabel.nicom import csareader, dicomwrappers

DATA = Path(__file__).parents[2] / "sample_data"
SIZE = (5, 6, 7)  # x, y, z
SPACING = np.diag([0.75, 1.25, 2.5])
TURN = Rotation.from_euler("xyz", [12, -31, 64], degrees=True).as_matrix()
TILT_DEGREES = 17
SHEAR = np.array([[1, 0, 0], [0, 1, np.tan(np.radians(TILT_DEGREES))], [0, 0, 1]])
LINEAR = {"straight": SPACING, "left-handed": np.diag([1, 1, -1]) @ SPACING, "oblique": TURN @ SPACING}
TOLERANCE_MM = 1e-6  # positions have 16 characters, cosines too: 1e-14 of some 100 mm; ITK keeps doubles

rng = np.random.default_rng(7)
ONE = rng.integers(0, 4000, SIZE[::-1]).astype(np.uint16)
SERIES = rng.integers(0, 4000, (3, *SIZE[::-1])).astype(np.uint16)
COLOURS = rng.integers(0, 256, (*SIZE[::-1], 3)).astype(np.uint8)


def placed(linear):
    """The affine of a linear part, away from the origin."""
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = (-71.5, 33.25, 12.125)
    return affine


OBLIQUE, SHEARED = placed(LINEAR["oblique"]), placed(TURN @ SHEAR @ SPACING)


def read_by_itk(folder):
    """A folder's one series as GDCM sorts it."""
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(names)
    return reader.Execute()


def indices(size=SIZE):
    """All indices (N, 3), x fastest."""
    return np.stack(np.meshgrid(*map(np.arange, size[::-1]), indexing="ij"), -1).reshape(-1, 3)[:, ::-1]


def through(affine, index):
    """World points (N, 3)."""
    return index @ np.asarray(affine)[:3, :3].T + np.asarray(affine)[:3, 3]


def assert_same_at_world_points(values, affine, read, read_affine, rtol=1e-6):
    """Both images (z, y, x) hold the same voxel centres, and the same value at each."""
    points = through(affine, indices(values.shape[::-1]))
    found = through(np.linalg.inv(read_affine), points)
    nearest = np.rint(found).astype(int)
    spacing = np.linalg.norm(np.asarray(affine)[:3, :3], axis=0).max()
    assert np.abs(found - nearest).max() * spacing < TOLERANCE_MM
    assert read.shape == values.shape and (nearest >= 0).all()
    np.testing.assert_allclose(read[tuple(nearest.T[::-1])], values.reshape(-1), rtol=rtol)


def itk_affine(image):
    """Index -> world LPS of an ITK image."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return affine


def nicom_affine(wrapper):
    """nibabel counts rows first: index (x, y, z) -> world LPS."""
    return wrapper.affine[:, [1, 0, 2, 3]]


def nicom_volume(data):
    """nibabel's (row, column, slice) as (z, y, x)."""
    return data.transpose(2, 0, 1)


# Classic slices ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(LINEAR))
@pytest.mark.parametrize("modality", ["MR", "CT", "PT"])
def test_itk_finds_each_value_of_classic_slices_at_its_world_point(tmp_path, kind, modality):
    affine = placed(LINEAR[kind])
    dicom_series.classic(tmp_path, ONE, affine, modality=modality, numbers=dicom_series.shuffled(SIZE[2]))
    image = read_by_itk(tmp_path)
    assert_same_at_world_points(ONE, affine, sitk.GetArrayFromImage(image), itk_affine(image))


def test_paths_come_in_the_order_of_the_slices_whatever_the_names_and_numbers(tmp_path):
    numbers = dicom_series.shuffled(SIZE[2], 1)
    names = [f"{n}" for n in dicom_series.shuffled(SIZE[2], 2)]
    paths = dicom_series.classic(tmp_path, ONE, OBLIQUE, numbers=numbers, names=names)
    assert [path.name for path in paths] == names and sorted(names) != names
    for k, path in enumerate(paths):
        read = dcmread(path)
        assert read.InstanceNumber == numbers[k]
        np.testing.assert_array_equal(read.pixel_array, ONE[k])


def test_a_gantry_tilt_is_in_the_positions_and_nowhere_in_the_orientation(tmp_path):
    paths = dicom_series.classic(tmp_path, ONE, SHEARED, modality="CT", extra={"GantryDetectorTilt": TILT_DEGREES})
    read = [dcmread(path) for path in paths]
    places = np.array([each.ImagePositionPatient for each in read], float)
    np.testing.assert_allclose(places, through(SHEARED, np.array([(0, 0, k) for k in range(SIZE[2])])), atol=1e-9)
    across, down = np.reshape(np.array(read[0].ImageOrientationPatient, float), (2, 3))
    np.testing.assert_allclose([across, down], TURN[:, :2].T, atol=1e-12)
    step = places[1] - places[0]
    off_normal = np.degrees(np.arccos(step @ np.cross(across, down) / np.linalg.norm(step)))
    assert off_normal == pytest.approx(TILT_DEGREES, abs=1e-6)  # degrees
    assert float(read[0].SliceThickness) == pytest.approx(2.5)  # mm along the normal, not along the step
    assert read[0].GantryDetectorTilt == TILT_DEGREES


def test_pixel_spacing_names_the_rows_step_first(tmp_path):
    read = dcmread(dicom_series.classic(tmp_path, ONE, OBLIQUE)[0])
    assert list(map(float, read.PixelSpacing)) == [1.25, 0.75]  # mm, y then x
    assert (read.Rows, read.Columns) == (6, 5)


def test_each_slice_may_have_its_own_slope_and_intercept(tmp_path):
    slopes = [0.5 + 0.25 * k for k in range(SIZE[2])]
    signed = ONE.astype(np.int16) - 2000
    paths = dicom_series.classic(tmp_path, signed, OBLIQUE, modality="PT", slope=slopes, intercept=lambda k: -3.0 * k)
    for k, path in enumerate(paths):
        values = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
        np.testing.assert_allclose(values, signed[k] * slopes[k] - 3.0 * k, rtol=1e-6)


def test_mr_says_nothing_of_a_slope_of_one(tmp_path):
    paths = dicom_series.classic(tmp_path / "one", ONE, OBLIQUE)
    scaled = dicom_series.classic(tmp_path / "two", ONE, OBLIQUE, slope=lambda k: 1 if k else 2)
    assert not any("RescaleSlope" in dcmread(path) for path in paths)
    assert [dcmread(path).RescaleSlope for path in scaled] == [2, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
def test_integers_of_each_kind_are_read_by_gdcm(tmp_path, dtype):
    full = np.iinfo(dtype)
    values = np.linspace(full.min, full.max, ONE.size).astype(dtype).reshape(ONE.shape)
    dicom_series.classic(tmp_path, values, OBLIQUE)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_by_itk(tmp_path)), values)


def test_bits_above_the_stored_ones_are_set_and_ignored(tmp_path):
    signed = ONE.astype(np.int16) - 2000
    for name, values in (("unsigned", ONE), ("signed", signed)):
        stored = dicom_series.Stored(bits=12, above=0b1010)
        paths = dicom_series.classic(tmp_path / name, values, OBLIQUE, stored=stored)
        raw = np.frombuffer(dcmread(paths[0]).PixelData, "<u2")
        assert (raw >> 12 == 0b1010).all()
        np.testing.assert_array_equal(sitk.GetArrayFromImage(read_by_itk(tmp_path / name)), values)


def test_extra_attributes_replace_and_remove_and_may_differ_by_slice(tmp_path):
    extra = {"KVP": 100, "FrameOfReferenceUID": None, "TableHeight": lambda k: 10.0 * k}
    read = [dcmread(p) for p in dicom_series.classic(tmp_path, ONE, OBLIQUE, modality="CT", extra=extra)]
    assert [each.TableHeight for each in read] == [10.0 * k for k in range(SIZE[2])]
    assert all(each.KVP == 100 and "FrameOfReferenceUID" not in each for each in read)


# 4D ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "telling"),
    [
        (dicom_series.by_temporal_position(3), "TemporalPositionIdentifier"),
        (dicom_series.by_acquisition_time(SIZE[2]), "AcquisitionTime"),
        (dicom_series.by_b_value([0, 500, 1000], np.eye(3).tolist()), "DiffusionBValue"),
        (dicom_series.by_echo([4.92, 7.38, 9.84]), "EchoTime"),
    ],
    ids=["temporal position", "time", "b-value", "echo"],
)
def test_one_attribute_tells_the_volumes_of_4d_and_positions_come_again(tmp_path, mark, telling):
    paths = dicom_series.classic_4d(tmp_path, SERIES, OBLIQUE, mark=mark)
    assert len(set(paths)) == 21 and len(list(tmp_path.iterdir())) == 21
    read = [dcmread(path) for path in paths]
    assert len({each.SeriesInstanceUID for each in read}) == 1
    assert len({each.SOPInstanceUID for each in read}) == 21
    told = [float(each[telling].value) for each in read]
    assert told == sorted(told) and [told.count(value) for value in sorted(set(told))] == [7, 7, 7]
    for index, each in enumerate(read):
        np.testing.assert_array_equal(each.pixel_array, SERIES[divmod(index, 7)])
        place = through(OBLIQUE, np.array([(0, 0, index % 7)]))[0]
        np.testing.assert_allclose(np.array(each.ImagePositionPatient, float), place, atol=1e-9)


def test_instance_numbers_count_volume_by_volume_or_slice_by_slice(tmp_path):
    for by_slice, wanted in ((False, list(range(1, 22))), (True, [3 * k + t + 1 for t in range(3) for k in range(7)])):
        mark = dicom_series.by_instance_number(3, 7, slice_by_slice=by_slice)
        paths = dicom_series.classic_4d(tmp_path / str(by_slice), SERIES, OBLIQUE, mark=mark)
        assert [dcmread(path).InstanceNumber for path in paths] == wanted
        assert len({dcmread(path).AcquisitionTime for path in paths}) == 1


# Enhanced ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["straight", "oblique"])
def test_nibabel_puts_enhanced_frames_where_they_belong_in_any_order(tmp_path, kind):
    affine = placed(LINEAR[kind])
    order = np.random.default_rng(3).permutation(SIZE[2])
    (path,) = dicom_series.enhanced(tmp_path, ONE, affine, order=order, slope=2, intercept=-5)
    wrapper = dicomwrappers.wrapper_from_data(dcmread(path))
    assert wrapper.is_multiframe
    # nibabel sorts along column x row, so the last slice comes first. Its affine is no oracle where the frames are in
    # no order: it takes the slice spacing between the wrong ones.
    np.testing.assert_allclose(nicom_volume(wrapper.get_data())[::-1], ONE * 2.0 - 5)
    np.testing.assert_allclose(wrapper.image_position, affine[:3] @ (0, 0, SIZE[2] - 1, 1), atol=TOLERANCE_MM)


def test_nibabel_finds_each_value_of_an_enhanced_volume_at_its_world_point(tmp_path):
    (path,) = dicom_series.enhanced(tmp_path, ONE, OBLIQUE)
    wrapper = dicomwrappers.wrapper_from_data(dcmread(path))
    assert_same_at_world_points(ONE, OBLIQUE, nicom_volume(wrapper.get_data()), nicom_affine(wrapper))


def test_nibabel_sorts_an_enhanced_series_by_time(tmp_path):
    order = np.random.default_rng(4).permutation(21)
    (path,) = dicom_series.enhanced(tmp_path, SERIES, OBLIQUE, order=order)
    data = dicomwrappers.wrapper_from_data(dcmread(path)).get_data()
    np.testing.assert_array_equal(data.transpose(3, 2, 0, 1)[:, ::-1], SERIES)  # as above


def test_itk_reads_enhanced_ct_in_hounsfield_units(tmp_path):
    (path,) = dicom_series.enhanced(tmp_path, ONE, OBLIQUE, modality="CT", intercept=-1024)
    image = sitk.ReadImage(str(path))
    assert_same_at_world_points(ONE - 1024.0, OBLIQUE, sitk.GetArrayFromImage(image), itk_affine(image))


def test_what_all_frames_share_is_shared_unless_it_is_asked_of_each(tmp_path):
    shared = dcmread(dicom_series.enhanced(tmp_path / "a", ONE, OBLIQUE)[0])
    each = dcmread(
        dicom_series.enhanced(
            tmp_path / "b", ONE, OBLIQUE, slope=lambda k: k + 1.0, per_frame=["PlaneOrientationSequence"]
        )[0]
    )
    groups = shared.SharedFunctionalGroupsSequence[0]
    assert "PlaneOrientationSequence" in groups and "PixelValueTransformationSequence" in groups
    assert "PlanePositionSequence" not in groups
    frames = each.PerFrameFunctionalGroupsSequence
    assert [f.PixelValueTransformationSequence[0].RescaleSlope for f in frames] == [1, 2, 3, 4, 5, 6, 7]
    assert all("PlaneOrientationSequence" in frame for frame in frames)
    assert "PlaneOrientationSequence" not in each.SharedFunctionalGroupsSequence[0]


def test_two_kinds_of_frames_lie_in_one_object_each_with_its_scale(tmp_path):
    parts = [
        dicom_series.Part(SERIES[0], OBLIQUE, "M", 1.28),
        dicom_series.Part(SERIES[1], OBLIQUE, "FIELD_MAP", 0.25, -500, "Hz"),
    ]
    read = dcmread(dicom_series.multi_frame(tmp_path, parts, order=[n + 7 * m for n in range(7) for m in range(2)])[0])
    assert read.NumberOfFrames == 14
    for n, frame in enumerate(read.PerFrameFunctionalGroupsSequence):
        part = parts[n % 2]
        assert frame.MRImageFrameTypeSequence[0].FrameType[3] == part.frame_type
        assert frame.PixelValueTransformationSequence[0].RescaleSlope == part.slope
        np.testing.assert_array_equal(read.pixel_array[n], part.array[n // 2])
    indices_ = [tuple(f.FrameContentSequence[0].DimensionIndexValues) for f in read.PerFrameFunctionalGroupsSequence]
    assert len(set(indices_)) == 14


def test_two_stacks_count_their_slices_apart(tmp_path):
    turned = placed(LINEAR["straight"])
    parts = [dicom_series.Part(ONE, OBLIQUE, stack="1"), dicom_series.Part(ONE[:3], turned, stack="2")]
    read = dcmread(dicom_series.multi_frame(tmp_path, parts)[0])
    content = [frame.FrameContentSequence[0] for frame in read.PerFrameFunctionalGroupsSequence]
    assert [(c.StackID, c.InStackPositionNumber) for c in content][5:9] == [("1", 6), ("1", 7), ("2", 1), ("2", 2)]
    assert "PlaneOrientationSequence" not in read.SharedFunctionalGroupsSequence[0]


# Mosaics -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", list(LINEAR))
def test_nibabel_finds_each_value_of_a_mosaic_at_its_world_point_in_both_orders(tmp_path, kind, reverse):
    affine = placed(LINEAR[kind])
    paths = dicom_series.mosaic(tmp_path, SERIES, affine, reverse=reverse)
    for t, path in enumerate(paths):
        wrapper = dicomwrappers.wrapper_from_data(dcmread(path))
        assert wrapper.is_mosaic and wrapper.n_mosaic == SIZE[2]
        assert_same_at_world_points(SERIES[t], affine, nicom_volume(wrapper.get_data()), nicom_affine(wrapper))
        assert float(wrapper.slice_normal @ affine[:3, 2]) * (-1 if reverse else 1) > 0


def test_a_mosaics_tiles_run_along_rows_and_the_last_ones_are_black(tmp_path):
    read = dcmread(dicom_series.mosaic(tmp_path, ONE, OBLIQUE)[0])
    assert (read.Rows, read.Columns) == (18, 15)  # 7 slices on 3 x 3 tiles
    np.testing.assert_array_equal(read.pixel_array[6:12, 5:10], ONE[4])
    assert (read.pixel_array[12:, 5:] == 0).all()
    assert "MOSAIC" in read.ImageType


@pytest.mark.parametrize("reverse", [False, True])
def test_the_csa_headers_say_what_a_scanner_says(tmp_path, reverse):
    read = dcmread(dicom_series.mosaic(tmp_path, ONE, OBLIQUE, reverse=reverse)[0])
    image = csareader.get_csa_header(read, "image")
    assert image["type"] == 2 and image["n_tags"] == len(image["tags"])
    assert csareader.get_n_mosaic(image) == 7 and csareader.get_acq_mat_txt(image) == "5*6"
    sign = -1 if reverse else 1
    np.testing.assert_allclose(csareader.get_slice_normal(image), sign * TURN[:, 2], atol=1e-8)  # 8 decimals
    assert image["tags"]["ProtocolSliceNumber"]["items"] == [6 if reverse else 0]
    assert len(image["tags"]["MosaicRefAcqTimes"]["items"]) == 7
    series = csareader.get_csa_header(read, "series")
    protocol = series["tags"]["MrPhoenixProtocol"]["items"][0]
    text = protocol.partition("### ASCCONV BEGIN ###\n")[2].partition("\n### ASCCONV END ###")[0]
    pairs = dict(line.split("\t = \t") for line in text.splitlines())
    assert pairs["sSliceArray.lSize"] == "7"
    centre = [float(pairs.get(f"sSliceArray.asSlice[2].sPosition.{axis}", 0)) for axis in ("dSag", "dCor", "dTra")]
    np.testing.assert_allclose(centre, OBLIQUE[:3] @ (2.5, 3, 2, 1), atol=1e-6)


def test_a_mosaic_cannot_be_sheared(tmp_path):
    with pytest.raises(ValueError, match="stacked along their normal"):
        dicom_series.mosaic(tmp_path, ONE, SHEARED)


# Colour and pictures -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("planar", [0, 1])
def test_itk_reads_rgb_interleaved_or_plane_by_plane(tmp_path, planar):
    stored = dicom_series.Stored(photometric="RGB", planar=planar)
    paths = dicom_series.classic(tmp_path, COLOURS, OBLIQUE, modality="OT", stored=stored)
    assert dcmread(paths[0]).PlanarConfiguration == planar
    for path, colours in zip(paths, COLOURS, strict=True):
        np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0], colours)


def test_ybr_and_palettes_give_their_colours_by_pydicom(tmp_path):
    ybr = convert_color_space(COLOURS[0], "RGB", "YBR_FULL")
    (path,) = dicom_series.secondary_capture(tmp_path, ybr, stored=dicom_series.Stored(photometric="YBR_FULL"))
    np.testing.assert_allclose(dcmread(path).pixel_array.astype(int), COLOURS[0].astype(int), atol=2)  # rounded twice
    palette = rng.integers(0, 65536, (256, 3)).astype(np.uint16)
    stored = dicom_series.Stored(photometric="PALETTE COLOR", palette=palette)
    (path,) = dicom_series.secondary_capture(tmp_path, COLOURS[0, ..., 0], stored=stored, name="palette.dcm")
    read = dcmread(path)
    np.testing.assert_array_equal(apply_color_lut(read.pixel_array, read), palette[COLOURS[0, ..., 0]])


def test_a_palette_is_of_the_files_byte_order(tmp_path):
    palette = rng.integers(0, 65536, (256, 3)).astype(np.uint16)
    stored = dicom_series.Stored(photometric="PALETTE COLOR", palette=palette)
    for syntax, order in ((ExplicitVRLittleEndian, "<u2"), (ExplicitVRBigEndian, ">u2")):
        (path,) = dicom_series.secondary_capture(tmp_path, COLOURS[0, ..., 0], stored=stored, syntax=syntax)
        # read raw: pydicom 3.0's apply_color_lut takes a palette to be little endian in any file
        green = np.frombuffer(dcmread(path).GreenPaletteColorLookupTableData, order)
        np.testing.assert_array_equal(green, palette[:, 1])


def test_a_secondary_capture_has_no_place_and_a_spacing_only_if_asked(tmp_path):
    (bare,) = dicom_series.secondary_capture(tmp_path, ONE[0])
    (spaced,) = dicom_series.secondary_capture(tmp_path, ONE[0], spacing_mm=(0.5, 0.75), name="spaced.dcm")
    (chest,) = dicom_series.secondary_capture(
        tmp_path,
        ONE[0],
        spacing_mm=(0.5, 0.75),
        modality="CR",
        name="chest.dcm",
        stored=dicom_series.Stored(photometric="MONOCHROME1"),
    )
    for path in (bare, spaced, chest):
        read = dcmread(path)
        assert "ImagePositionPatient" not in read and "FrameOfReferenceUID" not in read
        np.testing.assert_array_equal(read.pixel_array, ONE[0])
    assert "PixelSpacing" not in dcmread(bare)
    assert dcmread(spaced).PixelSpacing == [0.75, 0.5]  # mm, y then x
    assert dcmread(chest).ImagerPixelSpacing == [0.75, 0.5] and "PixelSpacing" not in dcmread(chest)
    assert dcmread(chest).PhotometricInterpretation == "MONOCHROME1"


@pytest.mark.parametrize("modality", ["US", "OT"])
@pytest.mark.parametrize("frames", [COLOURS, COLOURS[..., 0]], ids=["colour", "grey"])
def test_a_cine_has_frames_and_no_place(tmp_path, modality, frames):
    read = dcmread(dicom_series.cine(tmp_path, frames, modality=modality)[0])
    assert read.NumberOfFrames == 7 and "ImagePositionPatient" not in read
    np.testing.assert_array_equal(read.pixel_array, frames)


# Other volumes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["straight", "oblique"])
def test_itk_puts_a_dose_grid_where_its_offsets_say(tmp_path, kind):
    affine = placed(LINEAR[kind])
    (path,) = dicom_series.rt_dose(tmp_path, ONE, affine, scaling=0.01)
    image = sitk.ReadImage(str(path))
    assert_same_at_world_points(ONE, affine, sitk.GetArrayFromImage(image), itk_affine(image))  # it does not scale
    assert dcmread(path).DoseGridScaling == 0.01 and dcmread(path).DoseUnits == "GY"


def test_dose_offsets_run_against_the_normal_of_a_left_handed_grid_and_may_be_absolute(tmp_path):
    left = placed(LINEAR["left-handed"])
    relative = dcmread(dicom_series.rt_dose(tmp_path / "a", ONE.astype(np.uint32), left)[0])
    absolute = dcmread(dicom_series.rt_dose(tmp_path / "b", ONE, left, absolute=True)[0])
    assert relative.GridFrameOffsetVector == [-2.5 * k for k in range(7)]  # mm
    assert absolute.GridFrameOffsetVector == [12.125 - 2.5 * k for k in range(7)]
    assert relative.BitsAllocated == 32


def test_pet_has_units_and_what_suv_needs(tmp_path):
    read = [dcmread(path) for path in dicom_series.pet(tmp_path, ONE, OBLIQUE)]
    assert {each.Units for each in read} == {"BQML"} and len({each.RescaleSlope for each in read}) == 7
    assert read[0].RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose > 0 and read[0].PatientWeight == 70
    image = read_by_itk(tmp_path)
    values = np.stack([apply_rescale(each.pixel_array, each) for each in read])
    assert image.GetSize() == SIZE
    np.testing.assert_allclose(values[3], ONE[3] * (0.5 + 0.125 * 3))


def test_the_planes_of_a_localiser_meet_at_right_angles_in_its_centre(tmp_path):
    centre = np.array([4.0, -7.0, 11.0])
    normals = []
    for path in dicom_series.localiser(tmp_path, ONE[:3], centre_mm=centre):
        read = dcmread(path)
        across, down = np.reshape(np.array(read.ImageOrientationPatient, float), (2, 3))
        place = np.array(read.ImagePositionPatient, float)
        middle = place + 2.0 * (across * 2.0 + down * 2.5)  # spacing 2 mm; 5 columns, 6 rows
        np.testing.assert_allclose(middle, centre, atol=1e-9)
        normals.append(np.cross(across, down))
        assert "LOCALIZER" in read.ImageType
    np.testing.assert_allclose(np.abs(normals), np.eye(3)[[2, 0, 1]], atol=1e-12)


# Files and folders ---------------------------------------------------------------------------------------------------

LARGER = np.tile(ONE, (1, 6, 7))[:2]  # JPEG 2000 wants 32 pixels a side
ENCODED_BY = {JPEG2000Lossless: "openjpeg", JPEGLSLossless: "gdcm", JPEGLosslessSV1: "gdcm"}


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEG2000Lossless,
        JPEGLSLossless,
        JPEGLosslessSV1,
    ],
    ids=lambda syntax: syntax.keyword,
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_every_transfer_syntax_gives_the_stored_integers_back_to_gdcm(tmp_path, syntax, dtype):
    if syntax in ENCODED_BY:
        pytest.importorskip(ENCODED_BY[syntax])
    values = {np.uint8: LARGER % 256, np.uint16: LARGER, np.int16: LARGER.astype(int) - 2000}[dtype].astype(dtype)
    paths = dicom_series.classic(tmp_path, values, OBLIQUE, syntax=syntax)
    assert {dcmread(path).file_meta.TransferSyntaxUID for path in paths} == {syntax}
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_by_itk(tmp_path)), values)
    if syntax not in (JPEGLSLossless, JPEGLosslessSV1):  # else a plug-in may be missing
        np.testing.assert_array_equal(dcmread(paths[0]).pixel_array, values[0])


def test_a_bare_file_has_neither_preamble_nor_meta_information(tmp_path):
    paths = dicom_series.classic(tmp_path, ONE, OBLIQUE, bare=True)
    assert b"DICM" not in paths[0].read_bytes()[:200]
    read = dcmread(paths[0], force=True)
    assert read.SOPClassUID.name == "MR Image Storage" and not read.file_meta


def test_a_dicomdir_lists_what_was_filed(tmp_path):
    ours = dicom_series.classic(tmp_path / "a", ONE, OBLIQUE, series="a")
    theirs = dicom_series.classic(tmp_path / "b", ONE, OBLIQUE, series="b", study="b", patient=dicom_series.JOHN)
    listing = dicom_series.dicomdir(tmp_path / "disc", [*ours, *theirs])
    filed = FileSet(listing)
    assert {str(each.SOPInstanceUID) for each in filed} == {dcmread(p).SOPInstanceUID for p in (*ours, *theirs)}
    assert filed.find_values("PatientID") == ["ID-12345", "ID-67890"]
    filed._stage["t"].cleanup()  # pydicom leaves it to the collector, which warns


def test_junk_holds_no_pixels(tmp_path):
    paths = dicom_series.junk(tmp_path)
    kinds = set()
    for path in paths:
        if path.read_bytes()[128:132] == b"DICM" and path.stat().st_size > 132:
            read = dcmread(path)
            assert "PixelData" not in read
            kinds.add(read.Modality)
    assert kinds == {"SR", "PR", "RTSTRUCT", "DOC", "MR"} and len(paths) == 11


def test_a_file_cut_short_has_lost_pixels(tmp_path):
    (path, *_) = dicom_series.classic(tmp_path, ONE, OBLIQUE)
    whole = path.stat().st_size
    assert dicom_series.cut_short(path, 0.99).stat().st_size == int(whole * 0.99)
    assert len(dcmread(path).PixelData) < ONE[0].nbytes


def digest(folder):
    """Of all files' names and bytes."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


def test_the_same_call_writes_the_same_bytes(tmp_path):
    for run in ("a", "b"):
        folder = tmp_path / run
        paths = dicom_series.classic(folder / "mr", ONE, OBLIQUE)
        dicom_series.enhanced(folder / "enhanced", SERIES, OBLIQUE)
        dicom_series.mosaic(folder / "mosaic", SERIES, OBLIQUE)
        dicom_series.rt_dose(folder / "dose", ONE, OBLIQUE)
        dicom_series.classic(folder / "rle", ONE, OBLIQUE, syntax=RLELossless)
        dicom_series.dicomdir(folder / "disc", paths)
        dicom_series.junk(folder / "junk")
        dicom_series.zipped(folder / "mr.zip", paths, folder)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_a_zip_keeps_no_time(tmp_path):
    paths = dicom_series.classic(tmp_path / "mr", ONE, OBLIQUE)
    with zipfile.ZipFile(dicom_series.zipped(tmp_path / "mr.zip", paths, tmp_path)) as packed:
        assert [entry.filename for entry in packed.infolist()] == [f"mr/{path.name}" for path in paths]
        assert {entry.date_time for entry in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert packed.read(f"mr/{paths[3].name}") == paths[3].read_bytes()


def test_two_calls_may_write_into_one_series(tmp_path):
    scout, volume = (
        [dcmread(path) for path in dicom_series.classic(tmp_path / part, ONE, OBLIQUE, part=part)] for part in ("", "b")
    )
    assert len({each.SOPInstanceUID for each in (*scout, *volume)}) == 14
    assert len({each.SeriesInstanceUID for each in (*scout, *volume)}) == 1


def test_seeds_tell_series_studies_and_spaces_apart(tmp_path):
    calls = [{}, {"series": "other"}, {"study": "other"}, {"space": "other"}]
    read = [dcmread(dicom_series.classic(tmp_path / str(n), ONE, OBLIQUE, **call)[0]) for n, call in enumerate(calls)]
    for keyword, differing in (("SeriesInstanceUID", 1), ("StudyInstanceUID", 2), ("FrameOfReferenceUID", 3)):
        values = [each[keyword].value for each in read]
        assert [n for n, value in enumerate(values) if value != values[0]] == [differing]
        assert all(value.is_valid and value.startswith("2.25.") for value in values)


def test_every_identifier_to_search_for_is_in_the_files(tmp_path):
    for patient in (dicom_series.JANE, dicom_series.JOHN):
        (path, *_) = dicom_series.classic(tmp_path, ONE, OBLIQUE, patient=patient)
        content = path.read_bytes()
        missing = [text for text in dicom_series.identifiers(patient) if text.encode() not in content]
        assert not missing


# The sample ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "same"), [("head_t1_dicom", "head_t1"), ("head_t2_dicom", "head_t2_moved")])
def test_the_sample_in_dicom_is_the_same_head_in_the_same_place_as_in_nifti(tmp_path, name, same):
    with zipfile.ZipFile(DATA / f"{name}.zip") as packed:
        packed.extractall(tmp_path)
    image = sitk.Cast(read_by_itk(tmp_path / name), sitk.sitkFloat32)
    head = sitk.Cast(sitk.ReadImage(str(DATA / f"{same}.nii.gz")), sitk.sitkFloat32)
    there = sitk.GetArrayFromImage(image).ravel()
    here = sitk.GetArrayFromImage(sitk.Resample(head, image)).ravel()
    moved = sitk.TranslationTransform(3, (1.0, 1.0, 1.0))  # mm
    astray = sitk.GetArrayFromImage(sitk.Resample(head, image, moved)).ravel()
    fit, misfit = np.corrcoef(here, there)[0, 1], np.corrcoef(astray, there)[0, 1]
    assert fit > 0.97 and fit - misfit > 0.005


def test_the_sample_is_small_and_of_one_invented_patient_at_two_visits(tmp_path):
    assert sum((DATA / f"head_{c}_dicom.zip").stat().st_size for c in ("t1", "t2")) < 1.5e6  # bytes
    read = []
    for name in ("head_t1_dicom", "head_t2_dicom"):
        with zipfile.ZipFile(DATA / f"{name}.zip") as packed:
            read.append(dcmread(packed.open(packed.namelist()[0])))
            assert {entry.compress_type for entry in packed.infolist()} == {zipfile.ZIP_DEFLATED}
    assert {str(each.PatientName) for each in read} == {"DOE^JANE"}
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "StudyDate"):
        assert read[0][keyword].value != read[1][keyword].value
