"""Volumes in time: told apart by whatever mark the scanner left, in their order."""

from __future__ import annotations

import dicom_series
import numpy as np
import pytest

from medreg.errors import GeometryError, MedregWarning, UsageError
from medreg.image import Leading
from medreg.io.dicom import Choice, list_series, read_dicom

TIMES, SLICES = 4, 3
FLAT_TIMES = dict.fromkeys(["AcquisitionTime", "ContentTime", "AcquisitionNumber"])


def only(keyword, values):
    """A mark of that attribute alone: InstanceNumber says nothing, no time differs."""
    return lambda t, k: {**FLAT_TIMES, "InstanceNumber": 1, keyword: values[t]}


MARKS = {
    "temporal position": dicom_series.by_temporal_position(TIMES),
    "temporal position alone": only("TemporalPositionIdentifier", [1, 2, 3, 4]),
    "temporal index": only("TemporalPositionIndex", [1, 2, 3, 4]),
    "trigger time": only("TriggerTime", [0, 33.3, 66.6, 100]),
    "acquisition number": only("AcquisitionNumber", [9, 10, 11, 12]),
    "acquisition time": dicom_series.by_acquisition_time(SLICES),
    "acquisition time over a minute": dicom_series.by_acquisition_time(SLICES, seconds=45),
    "content time": only("ContentTime", ["095959.5", "100000", "100000.5", "100001"]),
    "date and time over midnight": only(
        "AcquisitionDateTime", ["20231119235958", "20231119235959.5", "20231120000001", "20231120000002.25"]
    ),
    "date and time east of Greenwich": only(
        "AcquisitionDateTime", [f"2023111910{13 + t // 2}{40 * (t % 2):02d}+0100" for t in range(TIMES)]
    ),
    "date and time west of Greenwich": only(
        "AcquisitionDateTime", [f"2023111910{13 + t // 2}{40 * (t % 2):02d}-0500" for t in range(TIMES)]
    ),
    "inversion time": only("InversionTime", [50, 400, 1100, 2500]),
    "b-value": dicom_series.by_b_value([0, 500, 1000, 2000]),
    "instance number, volume by volume": dicom_series.by_instance_number(TIMES, SLICES),
    "instance number, slice by slice": dicom_series.by_instance_number(TIMES, SLICES, slice_by_slice=True),
}


@pytest.mark.parametrize("name", list(MARKS))
def test_volumes_are_told_apart_and_in_order_by(tmp_path, series, oblique, assert_same, name):
    names = [f"{n:03d}" for n in dicom_series.shuffled(TIMES * SLICES, 3)]
    extra = FLAT_TIMES if "instance number" in name or "b-value" in name else {}
    dicom_series.classic_4d(tmp_path, series, oblique, mark=MARKS[name], names=names, extra=extra)
    image = read_dicom(tmp_path)
    assert image.leading is Leading.FRAMES
    assert_same(image, series, oblique)


def test_directions_of_one_b_value_are_told_apart_by_their_times(tmp_path, series, oblique, assert_same):
    by_b = dicom_series.by_b_value([0, 1000, 1000, 1000], [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    by_time = dicom_series.by_acquisition_time(SLICES)
    dicom_series.classic_4d(tmp_path, series, oblique, mark=lambda t, k: {**by_b(t, k), **by_time(t, k)})
    assert_same(read_dicom(tmp_path), series, oblique)


def test_slices_that_each_have_a_time_of_their_own_are_ranked_within_their_place(
    tmp_path, series, oblique, assert_same
):
    """Interleaved acquisition: the odd slices of a volume come before the even ones."""
    order = [0, 2, 1]

    def mark(t, k):
        return {"AcquisitionTime": f"1013{10 + 3 * t + order[k]:02d}.5", "InstanceNumber": 1, "AcquisitionNumber": None}

    dicom_series.classic_4d(tmp_path, series, oblique, mark=mark)
    assert_same(read_dicom(tmp_path), series, oblique)


def test_a_gated_pet_is_told_apart_by_its_instance_numbers(tmp_path, series, oblique, assert_same):
    dicom_series.classic_4d(
        tmp_path,
        series,
        oblique,
        mark=dicom_series.by_instance_number(TIMES, SLICES, slice_by_slice=True),
        modality="PT",
        extra={**FLAT_TIMES, "SeriesType": ["GATED", "IMAGE"], "NumberOfTimeSlots": TIMES, "Units": "BQML"},
    )
    assert_same(read_dicom(tmp_path), series, oblique)


def test_the_time_between_volumes_is_kept(tmp_path, series, oblique):
    dicom_series.classic_4d(tmp_path, series, oblique, mark=MARKS["temporal position"])
    assert read_dicom(tmp_path).metadata["header"] == {"frame_seconds": 2.0}  # RepetitionTime 2000 ms


def test_positions_with_noise_between_volumes_are_one_place(tmp_path, series):
    """Scanners that compute each volume's positions afresh leave a micrometre between them."""
    noise = np.random.default_rng(2).uniform(-1e-3, 1e-3, (TIMES, SLICES))
    affine = np.diag([0.75, 1.25, 2.5, 1.0])

    def mark(t, k):
        return {"TemporalPositionIdentifier": t + 1, "ImagePositionPatient": [0, 0, 2.5 * k + noise[t, k]]}

    dicom_series.classic_4d(tmp_path, series, affine, mark=mark)
    image = read_dicom(tmp_path)
    np.testing.assert_array_equal(image.array, series)
    np.testing.assert_allclose(image.grid.affine, affine, atol=2e-3)  # mm: the noise of the first volume


def test_steps_of_a_few_micrometres_are_still_slices(tmp_path, volume, assert_same):
    affine = np.diag([0.004, 0.005, 0.006, 1.0])  # mm: a specimen in a micro-CT
    dicom_series.classic(tmp_path, volume, affine, modality="CT")
    assert_same(read_dicom(tmp_path), volume, affine)


def test_an_incomplete_last_volume_is_left_out_with_its_count(tmp_path, series, oblique, assert_same):
    dicom_series.classic_4d(tmp_path, series, oblique, mark=MARKS["temporal position"])[-1].unlink()
    with pytest.warns(MedregWarning, match="one of its 4 volumes has 2 of 3 slices; it was left out"):
        image = read_dicom(tmp_path)
    assert_same(image, series[:3], oblique)


def test_an_incomplete_volume_that_nothing_tells_apart_is_refused(tmp_path, series, oblique):
    mark = dicom_series.by_instance_number(TIMES, SLICES)
    dicom_series.classic_4d(tmp_path, series, oblique, mark=mark, extra=FLAT_TIMES)[4].unlink()
    with pytest.raises(GeometryError, match=r"1 of 3 slice positions .*: 3 at position 2 .*, where 4 is usual"):
        read_dicom(tmp_path)


def test_volumes_without_any_mark_are_refused_and_not_guessed(tmp_path, series, oblique):
    dicom_series.classic_4d(tmp_path, series, oblique, mark=lambda t, k: {**FLAT_TIMES, "InstanceNumber": 1})
    with pytest.raises(GeometryError, match="nothing tells which belong together"):
        read_dicom(tmp_path)


def test_a_volume_that_lacks_a_slice_in_the_middle_of_all_is_refused(tmp_path, series, oblique):
    mark = MARKS["temporal position"]
    paths = dicom_series.classic_4d(tmp_path, np.repeat(series, 2, axis=1), oblique, mark=mark)
    for t in range(TIMES):
        paths[t * 6 + 2].unlink()
    with pytest.raises(GeometryError, match="1 slice is missing"):
        read_dicom(tmp_path)


def test_volumes_in_other_places_are_two_stacks_in_one_and_refused(tmp_path, series):
    affine = np.diag([1.0, 1.0, 2.5, 1.0])

    def mark(t, k):
        return {"TemporalPositionIdentifier": t + 1, "ImagePositionPatient": [5.0 * t, 0, 2.5 * k]}

    dicom_series.classic_4d(tmp_path, series, affine, mark=mark)
    with pytest.raises(GeometryError, match=r"volume 1 lies 5\.00 mm away from volume 0"):
        read_dicom(tmp_path)


def test_all_in_one_place_is_one_slice_in_time_and_told(tmp_path, series, oblique):
    dicom_series.classic_4d(tmp_path, series[:, :1], oblique, mark=dicom_series.by_temporal_position(TIMES))
    with pytest.warns(MedregWarning, match=r"all 4 slices lie at one place \(-71\.5, 33\.2, 12\.1\)"):
        image = read_dicom(tmp_path)
    assert image.leading is Leading.FRAMES and image.grid.size == (5, 6, 1)
    np.testing.assert_array_equal(image.array[:, 0], series[:, 0])


def test_echoes_are_images_of_their_own_to_choose_from(tmp_path, series, oblique, assert_same):
    dicom_series.classic_4d(tmp_path, series[:2], oblique, mark=dicom_series.by_echo([4.92, 7.38]))
    with pytest.raises(UsageError, match=r"echo time 4\.92 ms.*\n.*echo time 7\.38 ms"):
        read_dicom(tmp_path)
    assert_same(read_dicom(tmp_path, Choice("7.38")), series[1], oblique)


def test_magnitude_and_phase_are_images_of_their_own(tmp_path, series, oblique, assert_same):
    kinds = [["ORIGINAL", "PRIMARY", kind, "ND"] for kind in "MP"]
    dicom_series.classic_4d(tmp_path, series[:2], oblique, mark=lambda t, k: {"ImageType": kinds[t]})
    assert_same(read_dicom(tmp_path, Choice("phase")), series[1], oblique)
    assert [row.size for row in list_series(tmp_path).rows] == [(5, 6, 3)] * 2


def test_a_few_wandering_echo_times_do_not_split_a_volume(tmp_path, volume, oblique, assert_same):
    dicom_series.classic(tmp_path, volume, oblique, extra={"EchoTime": lambda k: 3.5 + 0.01 * (k % 2)})
    assert_same(read_dicom(tmp_path), volume, oblique)


def test_the_listing_counts_volumes(tmp_path, series, oblique):
    dicom_series.classic_4d(tmp_path, series, oblique, mark=MARKS["temporal position"])
    (row,) = list_series(tmp_path).rows
    assert (row.frames, row.size, row.files) == (4, (5, 6, 3), 12)
    assert "5 x 6 x 3, 4 volumes" in row.line
