"""Where voxels lie: positions decide, not names, numbers, thicknesses or the order of files."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from pathlib import Path

import dicom_series
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from medreg.errors import GeometryError, MedregWarning, UsageError
from medreg.io.dicom import Choice, Uneven, list_series, read_dicom

CT_AXES = np.diag([0.75, 1.25, 2.5, 1.0])
RESAMPLE = Choice(uneven=Uneven.RESAMPLE)


def at_heights(*heights):
    """`extra` that puts slices at these z, mm."""
    return {"ImagePositionPatient": lambda k: [-10.0, 20.0, float(heights[k])]}


@pytest.mark.filterwarnings("ignore:.*gantry tilt")  # two of the affines are; told in its own test
@pytest.mark.parametrize("modality", ["MR", "CT", "PT"])
def test_each_value_is_found_at_its_world_point(tmp_path, volume, affine, modality, assert_same):
    numbers, names = dicom_series.shuffled(7, 1), [f"f{n}" for n in dicom_series.shuffled(7, 2)]
    dicom_series.classic(tmp_path, volume, affine, modality=modality, numbers=numbers, names=names)
    assert_same(read_dicom(tmp_path), volume, affine)


def test_itk_agrees_about_every_voxel_of_an_oblique_series(tmp_path, volume, oblique):
    dicom_series.classic(tmp_path, volume, oblique)
    theirs = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path)))
    ours = read_dicom(tmp_path)
    np.testing.assert_array_equal(ours.array[0], sitk.GetArrayFromImage(theirs))
    for index in [(0, 0, 0), (4, 0, 0), (0, 5, 0), (0, 0, 6), (4, 5, 6)]:
        mine, itk = ours.grid.to_world([index])[0], theirs.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(mine, itk, atol=1e-4)  # mm: ITK keeps float64 directions that it makes orthonormal


def test_slices_ascend_along_rows_cross_columns(tmp_path, volume, affine):
    dicom_series.classic(tmp_path, volume, affine)
    with pytest.warns(MedregWarning, match="tilt") if _tilted(affine) else nullcontext():
        grid = read_dicom(tmp_path).grid
    across, down, step = np.array(grid.direction).T
    assert np.cross(across, down) @ step > 0


@pytest.mark.parametrize("kind", ["tilted", "oblique and tilted"])
def test_a_gantry_tilt_is_kept_as_a_shear_and_told_in_degrees(tmp_path, volume, assert_same, kind):
    turn = np.eye(3) if kind == "tilted" else Rotation.from_euler("xyz", [12, -31, 64], degrees=True).as_matrix()
    sheared = CT_AXES.copy()
    sheared[:3, :3] = turn @ np.array([[1, 0, 0], [0, 1, np.tan(np.radians(17))], [0, 0, 1]]) @ CT_AXES[:3, :3]
    dicom_series.classic(tmp_path, volume, sheared, modality="CT")
    with pytest.warns(MedregWarning, match=r"0\.764 mm over 2\.500 mm \(gantry tilt, 17\.0 degrees\)"):
        image = read_dicom(tmp_path)
    assert image.grid.is_sheared
    assert_same(image, volume, sheared)


@settings(deadline=None, max_examples=25)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 6)] * 3),
    origin=st.tuples(*[st.floats(-900, 900)] * 3),
    flip=st.sampled_from([1, -1]),
    order=st.permutations(range(7)),
)
def test_any_oblique_series_in_any_order_of_files_is_read_at_its_place(
    assert_same, angles, spacing, origin, flip, order
):
    values = np.arange(7 * 6 * 5, dtype=np.uint16).reshape(7, 6, 5)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(
        [*spacing[:2], flip * spacing[2]]
    )
    affine[:3, 3] = origin
    with tempfile.TemporaryDirectory() as folder:
        dicom_series.classic(Path(folder), values, affine, names=[f"{n}" for n in order], numbers=order)
        assert_same(read_dicom(Path(folder)), values, affine)


def test_the_thickness_is_not_the_distance(tmp_path, volume, oblique, assert_same):
    dicom_series.classic(tmp_path, volume, oblique, extra={"SliceThickness": 5.0, "SpacingBetweenSlices": 9.0})
    assert_same(read_dicom(tmp_path), volume, oblique)


def test_positions_alone_are_enough(tmp_path, volume, oblique, assert_same):
    gone = ["SliceThickness", "SpacingBetweenSlices", "SliceLocation", "InstanceNumber", "FrameOfReferenceUID"]
    dicom_series.classic(tmp_path, volume, oblique, extra=dict.fromkeys(gone))
    assert_same(read_dicom(tmp_path), volume, oblique)


def test_the_slice_location_is_not_believed(tmp_path, volume, oblique, assert_same):
    extra = {"SliceLocation": lambda k: -k, "InstanceNumber": lambda k: 9 - k}
    dicom_series.classic(tmp_path, volume, oblique, extra=extra)
    assert_same(read_dicom(tmp_path), volume, oblique)


def test_noise_in_the_orientation_is_one_image(tmp_path, volume, oblique, assert_same):
    noise = np.random.default_rng(3).uniform(-3e-6, 3e-6, (7, 6))
    six = np.concatenate([oblique[:3, 0] / 0.75, oblique[:3, 1] / 1.25])
    dicom_series.classic(tmp_path, volume, oblique, extra={"ImageOrientationPatient": lambda k: list(six + noise[k])})
    assert_same(read_dicom(tmp_path), volume, oblique)  # 3e-6 of 7.5 mm is 2e-5 mm


def test_slices_turned_a_little_are_told_with_their_reach(tmp_path, volume):
    dicom_series.classic(
        tmp_path,
        volume,
        CT_AXES,
        extra={"ImageOrientationPatient": lambda k: [1, 5e-4 * (k == 3), 0, -5e-4 * (k == 3), 1, 0]},
    )
    with pytest.warns(MedregWarning, match=r"turned against each other by up to 0\.029 degrees, 0\.00 mm"):
        assert read_dicom(tmp_path).grid.size == (5, 6, 7)


@pytest.mark.parametrize("step", [0.625, 1.25, 1.37, 2.5])
def test_positions_rounded_to_a_tenth_of_a_millimetre_are_even(tmp_path, step):
    """CT from archives that keep one decimal: 0.6, 1.3, 1.9, 2.5 ... is 0.625 mm apart."""
    values = np.arange(21 * 30, dtype=np.uint16).reshape(21, 6, 5)
    rounded = [round(12.137 + step * k, 1) for k in range(21)]
    dicom_series.classic(tmp_path, values, CT_AXES, extra=at_heights(*rounded))
    if np.abs(np.diff(rounded) - step).max() < 1e-9:
        image = read_dicom(tmp_path)
    else:
        with pytest.warns(MedregWarning, match="off an even grid"):
            image = read_dicom(tmp_path)
    np.testing.assert_array_equal(image.array[0], values)
    assert image.grid.spacing[2] == pytest.approx(step, abs=0.1 / 20)  # mm: two ends, each 0.05 off, over 20 steps


def test_pixels_that_are_not_square_keep_x_and_y_apart(tmp_path, volume):
    dicom_series.classic(tmp_path, volume, CT_AXES)
    image = read_dicom(tmp_path)
    assert image.grid.size == (5, 6, 7)
    assert image.grid.spacing == pytest.approx((0.75, 1.25, 2.5), abs=1e-9)  # mm


# What is no even stack ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [1, 3, 5])
def test_a_missing_slice_is_refused_with_the_place_of_the_gap(tmp_path, volume, oblique, lost):
    dicom_series.classic(tmp_path, volume, oblique)[lost].unlink()
    text = rf"2\.50 mm apart in the middle of all, but 5\.00 mm after slice {lost} of 6: 1 slice is missing; find the"
    with pytest.raises(GeometryError, match=text):
        read_dicom(tmp_path)


def test_two_gaps_are_both_told(tmp_path, volume):
    paths = dicom_series.classic(tmp_path, volume, CT_AXES)
    for k in (1, 4, 5):
        paths[k].unlink()
    with pytest.raises(GeometryError, match=r"3 slices are missing"):
        read_dicom(tmp_path)


def test_a_missing_slice_of_three_is_found_even_where_steps_are_fine(tmp_path, volume):
    dicom_series.classic(tmp_path, volume[:3], CT_AXES, extra=at_heights(0, 0.5, 1.5))
    with pytest.raises(GeometryError, match="1 slice is missing"):
        read_dicom(tmp_path)


def test_uneven_steps_are_refused_without_the_word_missing(tmp_path, volume):
    dicom_series.classic(tmp_path, volume, CT_AXES, extra=at_heights(0, 2.5, 5, 8.3, 11.6, 14.9, 18.2))
    with pytest.raises(GeometryError, match=r"3\.30 mm apart .* but 2\.50 mm after slice 1") as refused:
        read_dicom(tmp_path)
    assert "missing;" not in str(refused.value)
    assert "--uneven resample" in str(refused.value)


def test_uneven_slices_are_resampled_when_asked_and_a_linear_ramp_stays_one(tmp_path):
    heights = np.array([0, 2.5, 5, 10, 12.5, 17.5, 20])
    values = np.broadcast_to((heights * 100)[:, None, None], (7, 6, 5)).astype(np.int16)
    dicom_series.classic(tmp_path, values, CT_AXES, modality="CT", extra=at_heights(*heights))
    with pytest.warns(MedregWarning, match=r"2 slices are missing; interpolated onto 9 even slices of 2\.500 mm"):
        image = read_dicom(tmp_path, RESAMPLE)
    assert image.array.dtype == np.int16 and image.grid.size == (5, 6, 9)
    z = image.grid.to_world([(2, 3, k) for k in range(9)])[:, 2]
    np.testing.assert_allclose(image.array[0, :, 3, 2], z * 100, atol=0.5)  # HU: rounded to whole ones
    np.testing.assert_allclose(z, 2.5 * np.arange(9), atol=1e-9)


def test_resampling_is_between_neighbours_of_truly_uneven_slices(tmp_path, volume):
    heights = np.array([0, 2, 5, 9, 11, 14, 16.5])
    dicom_series.classic(tmp_path, volume, CT_AXES, extra=at_heights(*heights))
    with pytest.warns(MedregWarning, match="interpolated"):
        image = read_dicom(tmp_path, RESAMPLE)
    z = image.grid.to_world([(0, 0, k) for k in range(image.grid.size[2])])[:, 2]
    truth = [[np.interp(z, heights, volume[:, y, x]) for x in range(5)] for y in range(6)]
    np.testing.assert_allclose(image.array[0], np.moveaxis(truth, 2, 0), atol=0.501)  # whole numbers


def test_resampling_leaves_an_even_series_alone(tmp_path, volume, oblique, assert_same):
    dicom_series.classic(tmp_path, volume, oblique)
    assert_same(read_dicom(tmp_path, RESAMPLE), volume, oblique)


def test_slices_off_a_straight_line_are_refused_even_when_resampling(tmp_path, volume):
    dicom_series.classic(
        tmp_path, volume, CT_AXES, extra={"ImagePositionPatient": lambda k: [3.0 * (k == 3), 0, 2.5 * k]}
    )
    with pytest.raises(GeometryError, match=r"up to 3\.00 mm off a straight line"):
        read_dicom(tmp_path)
    with pytest.raises(GeometryError, match=r"shifted sideways .* 3\.00 mm"):
        read_dicom(tmp_path, RESAMPLE)


def test_a_position_that_occurs_twice_is_refused_with_the_names_of_the_files(tmp_path, volume):
    dicom_series.classic(tmp_path, volume, CT_AXES)
    dicom_series.classic(tmp_path, volume[2:3] + 1, CT_AXES, part="copy", names=["copy.dcm"], extra=at_z(5.0, CT_AXES))
    with pytest.raises(GeometryError, match=r"1 of 7 slice positions .*: 2 at position 3 .*IM0003.dcm and copy.dcm"):
        read_dicom(tmp_path)


def at_z(z, affine):
    return {"ImagePositionPatient": [*affine[:2, 3], z]}


def test_copies_of_the_same_objects_count_once(tmp_path, volume, oblique, assert_same):
    for folder in ("first", "backup/of/first"):
        dicom_series.classic(tmp_path / folder, volume, oblique)
    assert_same(read_dicom(tmp_path), volume, oblique)


def test_one_uid_for_all_slices_loses_none(tmp_path, volume, oblique, assert_same):
    """Bad anonymisers give every object the same SOPInstanceUID; the outer slices are air, so alike in their pixels."""
    volume[[0, 1, 5, 6]] = 0
    dicom_series.classic(tmp_path, volume, oblique, extra={"SOPInstanceUID": "1.2.3"})
    assert_same(read_dicom(tmp_path), volume, oblique)


def test_one_uid_with_other_pixels_in_one_place_is_refused(tmp_path, volume):
    for part, values in (("a", volume), ("b", volume + 1)):
        dicom_series.classic(tmp_path / part, values, CT_AXES, extra={"SOPInstanceUID": lambda k: f"1.2.{k + 1}"})
    text = r"all 7 slice positions hold more than one slice: 2 at position 1 .*\(a/IM0001\.dcm and b/IM0001\.dcm\)"
    with pytest.raises(GeometryError, match=text):
        read_dicom(tmp_path)


def test_two_orientations_in_one_series_are_refused_with_counts_and_angle(tmp_path, volume, oblique):
    dicom_series.classic(tmp_path / "a", volume, CT_AXES, part="a")
    dicom_series.classic(tmp_path / "b", volume[:5], oblique, part="b")
    tilt = np.degrees(np.arccos(abs(np.cross(oblique[:3, 0], oblique[:3, 1])[2] / (0.75 * 1.25))))
    with pytest.raises(UsageError, match=rf"7 and 5 slices in orientations that differ by {tilt:.1f} degrees"):
        read_dicom(tmp_path)


def test_a_localiser_beside_the_series_is_left_out_and_told(tmp_path, volume, oblique, assert_same):
    dicom_series.classic(tmp_path / "t1", volume, oblique)
    dicom_series.localiser(tmp_path / "scouts", volume[:3])
    with pytest.warns(MedregWarning, match="3 localiser images were left out"):
        image = read_dicom(tmp_path)
    assert_same(image, volume, oblique)


def test_one_scout_across_the_slices_of_its_own_series_is_left_out_and_told(tmp_path, volume, oblique, assert_same):
    dicom_series.classic(tmp_path, volume, oblique, modality="CT")
    across = np.eye(4)
    across[:3, :3] = np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]])
    dicom_series.classic(tmp_path, volume[:1] * 0 + 9, across, modality="CT", part="scout", names=["scout.dcm"])
    with pytest.warns(MedregWarning, match="1 localiser image was left out"):
        image = read_dicom(tmp_path)
    assert_same(image, volume, oblique)


def test_localisers_alone_must_be_chosen_from(tmp_path, volume):
    dicom_series.localiser(tmp_path, volume[:3])
    with pytest.raises(UsageError, match=r"3 images .*90\.0 degrees"):
        read_dicom(tmp_path)


def test_two_series_shuffled_into_one_folder_stay_two(tmp_path, volume, oblique, assert_same):
    mixed = [f"{n:02d}" for n in dicom_series.shuffled(14, 5)]
    dicom_series.classic(tmp_path, volume, oblique, series="a", description="plain", names=mixed[:7])
    dicom_series.classic(tmp_path, volume + 5, oblique, series="b", description="contrast", names=mixed[7:])
    assert len(list_series(tmp_path).rows) == 2
    assert_same(read_dicom(tmp_path, Choice("contrast")), volume + 5, oblique)


def test_one_slice_is_as_thick_as_its_header_says(tmp_path, volume, oblique):
    path = dicom_series.classic(
        tmp_path, volume[:1], oblique, extra={"SpacingBetweenSlices": None, "SliceThickness": 4}
    )[0]
    assert read_dicom(path).grid.spacing[2] == pytest.approx(4)  # mm


def test_one_slice_that_does_not_say_how_thick_it_is_is_1_mm_and_told(tmp_path, volume, oblique):
    extra = {"SpacingBetweenSlices": None, "SliceThickness": None}
    dicom_series.classic(tmp_path, volume[:1], oblique, extra=extra)
    with pytest.warns(MedregWarning, match="how thick"):
        assert read_dicom(tmp_path).grid.spacing[2] == 1


def test_two_slices_cannot_tell_whether_one_is_missing_and_say_so(tmp_path, volume, oblique):
    dicom_series.classic(tmp_path, volume[:2], oblique)
    with pytest.warns(MedregWarning, match=r"has 2 slices, 2\.50 mm apart"):
        assert read_dicom(tmp_path).grid.size == (5, 6, 2)


def test_one_file_of_a_series_points_to_its_folder(tmp_path, volume, oblique):
    path = dicom_series.classic(tmp_path, volume, oblique)[3]
    with pytest.warns(MedregWarning, match="is one slice; name its folder"):
        image = read_dicom(path)
    np.testing.assert_array_equal(image.array[0, 0], volume[3])
    np.testing.assert_allclose(image.grid.origin, oblique[:3] @ (0, 0, 3, 1), atol=1e-4)  # mm


def test_missing_pixel_spacing_is_told(tmp_path, volume):
    dicom_series.classic(tmp_path, volume, CT_AXES, extra={"PixelSpacing": None})
    with pytest.warns(MedregWarning, match="how large a pixel is; took 1 mm"):
        assert read_dicom(tmp_path).grid.spacing == pytest.approx((1, 1, 2.5))


@pytest.mark.parametrize("six", [[1, 0, 0, 0.1, 1, 0], [2, 0, 0, 0, 1, 0], [1, 0, 0, 1, 0, 0]])
def test_directions_that_are_none_are_refused(tmp_path, volume, six):
    path = dicom_series.classic(tmp_path, volume[:1], CT_AXES, extra={"ImageOrientationPatient": six})[0]
    with pytest.raises(GeometryError, match="no unit vectors at right angles"):
        read_dicom(path)


def test_a_folder_of_nothing_but_damaged_files_says_what_is_wrong_with_the_first(tmp_path, volume):
    dicom_series.classic(tmp_path, volume, CT_AXES, extra={"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]})
    with pytest.raises(Exception, match=r"none of its 7 DICOM files can be read; .*IM0001.dcm.*no unit vectors"):
        read_dicom(tmp_path)


def _tilted(affine):
    step = affine[:3, 2] / np.linalg.norm(affine[:3, 2])
    return max(abs(step @ affine[:3, k]) for k in (0, 1)) > 1e-6
