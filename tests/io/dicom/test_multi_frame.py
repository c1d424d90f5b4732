"""Many frames in one file: enhanced objects, mosaics, doses, nuclear medicine and films."""

from __future__ import annotations

from contextlib import nullcontext

import dicom_series
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from medreg.errors import GeometryError, ImageError, MedregWarning, ReadError, UsageError
from medreg.image import Leading
from medreg.io.dicom import Choice, list_series, read_dicom


def changed(path, **attributes):
    """The file with other attributes; None deletes one."""
    made = dcmread(path)
    for keyword, value in attributes.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    made.save_as(path)
    return path


@pytest.mark.filterwarnings("ignore:.*gantry tilt")
@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_an_enhanced_object_is_sorted_by_its_frames_positions(tmp_path, volume, affine, modality, assert_same):
    order = [n - 1 for n in dicom_series.shuffled(7, 4)]
    (path,) = dicom_series.enhanced(tmp_path, volume, affine, modality=modality, order=order)
    assert_same(read_dicom(path), volume, affine)


def test_groups_may_be_shared_or_each_frames_own(tmp_path, volume, oblique, assert_same):
    own = ("PixelMeasuresSequence", "PlaneOrientationSequence", "PixelValueTransformationSequence")
    (path,) = dicom_series.enhanced(tmp_path, volume, oblique, per_frame=own, slope=2, intercept=-7)
    assert_same(read_dicom(path), volume.astype(int) * 2 - 7, oblique)


def test_each_frame_has_its_own_slope(tmp_path, volume, oblique, assert_same):
    slopes = 0.1 + 0.37 * np.arange(7)
    (path,) = dicom_series.enhanced(tmp_path, volume, oblique, slope=list(slopes), intercept=lambda k: -k)
    image = read_dicom(path)
    assert image.array.dtype == np.float32
    truth = volume * slopes[:, None, None] - np.arange(7)[:, None, None]
    assert_same(image, truth, oblique, rtol=1e-6)  # float32; slopes of 16 characters


def test_temporal_positions_become_volumes_whatever_the_frames_order(tmp_path, series, oblique, assert_same):
    order = [n - 1 for n in dicom_series.shuffled(12, 6)]
    (path,) = dicom_series.enhanced(tmp_path, series, oblique, order=order)
    image = read_dicom(path)
    assert image.leading is Leading.FRAMES
    assert_same(image, series, oblique)


def test_one_object_a_volume_is_a_series_in_time(tmp_path, series, oblique, assert_same):
    for t in range(4):
        extra = {"InstanceNumber": t + 1, "AcquisitionDateTime": f"202311191013{10 + t}", "AcquisitionNumber": t + 1}
        dicom_series.enhanced(tmp_path, series[t], oblique, name=f"{9 - t}.dcm", part=f"{t}", extra=extra)
    assert_same(read_dicom(tmp_path), series, oblique)


def test_an_object_of_one_frame_is_one_slice(tmp_path, volume, oblique):
    (path,) = dicom_series.enhanced(tmp_path, volume[:1], oblique)
    image = read_dicom(path)
    assert image.grid.size == (5, 6, 1) and image.grid.spacing[2] == pytest.approx(2.5)
    np.testing.assert_array_equal(image.array[0], volume[:1])


def test_two_kinds_of_frames_in_one_object_are_two_images(tmp_path, series, oblique, assert_same):
    parts = [
        dicom_series.Part(series[0], oblique, "M"),
        dicom_series.Part(series[1], oblique, "FIELD_MAP", slope=0.25, intercept=-500, unit="Hz"),
    ]
    (path,) = dicom_series.multi_frame(tmp_path, parts)
    with pytest.raises(UsageError, match="2 images"):
        read_dicom(path)
    assert_same(read_dicom(path, Choice("1")), series[0], oblique)
    assert_same(read_dicom(path, Choice("field_map")), series[1] * 0.25 - 500, oblique, rtol=1e-6)


def test_two_stacks_in_one_object_are_two_images(tmp_path, volume, oblique, assert_same):
    parts = [
        dicom_series.Part(volume, oblique, stack="1"),
        dicom_series.Part(volume[:4] + 1, np.diag([0.75, 1.25, 3, 1]), stack="2"),
    ]
    (path,) = dicom_series.multi_frame(tmp_path, parts)
    assert_same(read_dicom(path, Choice("2")), volume[:4] + 1, np.diag([0.75, 1.25, 3, 1]))


def test_two_parallel_stacks_with_a_gap_between_are_two_images_and_no_slices_are_missing(
    tmp_path, volume, oblique, assert_same
):
    """As spines are scanned: one stack a disc, here on one line."""
    above = oblique.copy()
    above[:3, 3] += 40 * oblique[:3, 2]
    parts = [dicom_series.Part(volume, oblique, stack="1"), dicom_series.Part(volume + 1, above, stack="2")]
    (path,) = dicom_series.multi_frame(tmp_path, parts)
    assert_same(read_dicom(path, Choice("2")), volume + 1, above)


def test_a_missing_frame_is_refused_as_a_missing_slice_is(tmp_path, volume, oblique):
    made = dcmread(dicom_series.enhanced(tmp_path, volume, oblique)[0])
    del made.PerFrameFunctionalGroupsSequence[3]
    made.NumberOfFrames = 6
    made.PixelData = made.PixelData[: 6 * 60]
    made.save_as(tmp_path / "enhanced.dcm")
    with pytest.raises(GeometryError, match="1 slice is missing"):
        read_dicom(tmp_path / "enhanced.dcm")


def test_more_groups_than_frames_are_refused(tmp_path, volume, oblique):
    (path,) = dicom_series.enhanced(tmp_path, volume, oblique)
    with pytest.raises(ImageError, match="describes 7 frames where it holds 6"):
        read_dicom(changed(path, NumberOfFrames=6))


# Mosaics --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("count", [7, 9, 1, 2])
def test_a_mosaic_is_cut_into_slices_in_either_order(tmp_path, oblique, assert_same, reverse, count):
    values = np.random.default_rng(count).integers(0, 4000, (3, count, 6, 5)).astype(np.uint16)
    dicom_series.mosaic(tmp_path, values, oblique, reverse=reverse)
    with pytest.warns(MedregWarning) if count < 3 else nullcontext():  # one slice in time; two slices
        image = read_dicom(tmp_path)
    assert_same(image, values, oblique)


def test_one_mosaic_is_one_volume(tmp_path, volume, oblique, assert_same):
    (path,) = dicom_series.mosaic(tmp_path, volume, oblique, reverse=True)
    image = read_dicom(path)
    assert image.leading is Leading.CHANNELS
    assert_same(image, volume, oblique)


def test_slice_times_follow_the_slices_of_the_grid(tmp_path, volume, oblique):
    """The maker gives tile k 100 k ms; reversed, the first tile is the last slice."""
    for reverse, times in ((False, range(0, 700, 100)), (True, range(600, -1, -100))):
        (path,) = dicom_series.mosaic(tmp_path / str(reverse), volume, oblique, reverse=reverse)
        assert read_dicom(path).metadata["slice_times_ms"] == tuple(times)


def test_mosaics_of_two_sizes_are_two_images(tmp_path, volume, oblique, assert_same):
    dicom_series.mosaic(tmp_path / "a", volume, oblique, part="a")
    dicom_series.mosaic(tmp_path / "b", volume[:, :4], oblique, part="b")
    assert sorted(row.size for row in list_series(tmp_path).rows) == [(5, 4, 7), (5, 6, 7)]
    with pytest.raises(UsageError, match="2 images"):
        read_dicom(tmp_path)


def test_a_mosaic_without_its_private_header_is_refused_and_not_read_as_one_slice(tmp_path, volume, oblique):
    (path,) = dicom_series.mosaic(tmp_path, volume, oblique)
    made = dcmread(path)
    made.remove_private_tags()
    made.save_as(path)
    with pytest.raises(ImageError, match=r"mosaic of 15 x 18 pixels .*\(CSA\)"):
        read_dicom(path)


# Doses and nuclear medicine -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("kind", [np.uint16, np.uint32])
def test_a_dose_is_read_in_gray_at_its_offsets(tmp_path, volume, absolute, kind, assert_same):
    affine = np.diag([2.0, 2.5, 3.0, 1.0])
    affine[:3, 3] = -20, 30, 40
    (path,) = dicom_series.rt_dose(tmp_path, volume.astype(kind), affine, scaling=1.5e-4, absolute=absolute)
    image = read_dicom(path)
    assert image.metadata["units"] == "GY"
    assert_same(image, volume * 1.5e-4, affine, rtol=1e-6 if kind is np.uint16 else 1e-12)  # float32, float64


def test_a_dose_whose_frames_run_backwards_is_turned_round(tmp_path, volume, assert_same):
    affine = np.diag([2.0, 2.5, -3.0, 1.0])
    (path,) = dicom_series.rt_dose(tmp_path, volume, affine, scaling=1)
    assert_same(read_dicom(path), volume, affine)


def test_a_dose_of_uneven_offsets_is_refused(tmp_path, volume):
    (path,) = dicom_series.rt_dose(tmp_path, volume, np.diag([2.0, 2.0, 3.0, 1.0]))
    with pytest.raises(GeometryError, match=r"4\.50 mm after slice 6"):
        read_dicom(changed(path, GridFrameOffsetVector=[0, 3, 6, 9, 12, 15, 19.5]))


def nuclear(tmp_path, values, affine, **attributes):
    """A tomography of nuclear medicine: one file whose SliceVector says which slice each frame is."""
    (path,) = dicom_series.rt_dose(tmp_path, values, affine, scaling=1)
    detector = Dataset()
    made = dcmread(path)
    detector.ImagePositionPatient, detector.ImageOrientationPatient = (
        made.ImagePositionPatient,
        made.ImageOrientationPatient,
    )
    made.Modality, made.SOPClassUID = "NM", "1.2.840.10008.5.1.4.1.1.20"
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.DetectorInformationSequence = [detector]
    made.FrameIncrementPointer = 0x00540080
    made.save_as(path)
    gone = dict.fromkeys(
        [
            *("GridFrameOffsetVector", "DoseGridScaling", "DoseUnits", "DoseType", "DoseSummationType"),
            *("ImagePositionPatient", "ImageOrientationPatient"),
        ]
    )
    return changed(path, **gone, **attributes)


def test_nuclear_medicine_lies_where_its_detector_says(tmp_path, volume, oblique, assert_same):
    path = nuclear(tmp_path, volume, oblique, SpacingBetweenSlices=2.5)
    assert_same(read_dicom(path), volume, oblique)


def test_slices_that_go_against_the_normal_have_a_negative_spacing(tmp_path, volume, assert_same):
    affine = np.diag([1.0, 1.0, -4.0, 1.0])
    path = nuclear(tmp_path, volume, affine, SpacingBetweenSlices=-4)
    assert_same(read_dicom(path), volume, affine)


def test_gates_of_the_heart_are_volumes_in_time(tmp_path, series, oblique, assert_same):
    path = nuclear(
        tmp_path,
        series.reshape(12, 6, 5),
        oblique,
        SpacingBetweenSlices=2.5,
        FrameIncrementPointer=[0x00540070, 0x00540080],
        TimeSlotVector=np.repeat([1, 2, 3, 4], 3).tolist(),
        SliceVector=[1, 2, 3] * 4,
    )
    assert_same(read_dicom(path), series, oblique)


def test_slices_of_nuclear_medicine_without_a_spacing_are_as_far_apart_as_they_are_thick(
    tmp_path, volume, oblique, assert_same
):
    path = nuclear(tmp_path, volume, oblique, SliceVector=list(range(1, 8)), SliceThickness=2.5)
    assert_same(read_dicom(path), volume, oblique)


# Films ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", ["US", "OT"])
def test_a_film_is_pictures_in_time(tmp_path, modality):
    values = np.random.default_rng(1).integers(0, 256, (5, 6, 8)).astype(np.uint8)
    (path,) = dicom_series.cine(tmp_path, values, modality=modality)
    image = read_dicom(path)
    assert image.leading is Leading.FRAMES and image.grid.size == (8, 6)
    assert image.metadata["world"] == "picture" and image.metadata["unit"] == "px"
    np.testing.assert_array_equal(image.array, values)


def test_a_film_in_colour_says_what_it_is(tmp_path):
    (path,) = dicom_series.cine(tmp_path, np.zeros((5, 6, 8, 3), np.uint8))
    with pytest.raises(ImageError, match="5 pictures or volumes in colour"):
        read_dicom(path)


def test_number_of_frames_1_is_a_picture(tmp_path):
    (path,) = dicom_series.secondary_capture(tmp_path, np.arange(48, dtype=np.uint8).reshape(6, 8))
    image = read_dicom(changed(path, NumberOfFrames=1))
    np.testing.assert_array_equal(image.array[0], np.arange(48).reshape(6, 8))


@pytest.mark.parametrize("frames", [2, 1000, 2**31 - 1])
def test_fewer_frames_than_promised_are_no_crash_and_no_wait(tmp_path, volume, frames):
    (path,) = dicom_series.cine(tmp_path, (volume[:1] >> 4).astype(np.uint8))
    changed(path, NumberOfFrames=frames)
    with pytest.raises(ReadError, match=rf"cut short, it promises {frames} frames and holds no more than 1"):
        read_dicom(path)


def test_a_dose_that_is_cut_short_is_refused_and_not_read_as_slices_in_one_place(tmp_path, volume):
    (path,) = dicom_series.rt_dose(tmp_path, volume, np.diag([2.0, 2.0, 3.0, 1.0]))
    with pytest.raises(ReadError, match="promises 7 frames and holds no more than 6"):
        read_dicom(dicom_series.cut_short(path, 0.97))
