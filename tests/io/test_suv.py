"""SUV of made PET series against the closed form, computed here from the numbers that the series is told to hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dicom_series
import numpy as np
import pytest
import torch
from dicom_attributes import item
from pydicom import config, dcmread

from medreg.errors import ImageError, MedregWarning
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.io import read_image
from medreg.io.suv import (
    BodySurfaceArea,
    BodyWeight,
    LeanBodyMass,
    body_surface_area_cm2,
    lean_body_mass_kg,
    mean_time_s,
    suv,
    suv_factor,
)

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
STORED = np.arange(1, 61, dtype=np.int16).reshape(3, 4, 5)
SLOPES = 0.5 + 0.125 * np.arange(3)[:, None, None]  # as `pet` writes them: each slice its own
HALF_LIFE, DOSE, WEIGHT = 6586.2, 370e6, 70.0
WAIT = 3846.0  # of the maker: injected 09:08:07, series 10:12:13
Series = Callable[..., MedImage]


def factor(wait: float = WAIT, body: float = 1000 * WEIGHT) -> float:
    """The closed form, by powers of two instead of the exponential."""
    return body / DOSE * 2 ** (wait / HALF_LIFE)


@pytest.fixture
def series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Series:
    """A PET series read back, with attributes of the slices, and of the tracer, replaced; None leaves one out."""

    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)  # to make damaged headers
    monkeypatch.setattr(config.settings, "writing_validation_mode", config.IGNORE)

    def made(tracer: dict[str, Any] | None = None, private: dict[int, Any] | None = None, **extra: Any) -> MedImage:
        units = extra.pop("Units", "BQML")
        description = {
            "RadiopharmaceuticalStartTime": "090807",
            "RadionuclideTotalDose": DOSE,
            "RadionuclideHalfLife": HALF_LIFE,
            **(tracer or {}),
        }
        told = item({key: value for key, value in description.items() if value is not None})
        extra = {"RadiopharmaceuticalInformationSequence": [told], **extra}
        paths = dicom_series.pet(tmp_path / "pet", STORED, AFFINE, units=units, extra=extra)
        for path in paths if private else []:
            dataset = dcmread(path)
            for group, (creator, element, vr, value) in private.items():
                dataset.private_block(group, creator, create=True).add_new(element, vr, value)
            dataset.save_as(path)
        return read_image(tmp_path / "pet")

    return made


def shown(image: MedImage) -> np.ndarray:
    return image.data[0].double().numpy()


def test_the_factor_is_the_published_one():
    wanted = 75500.0 / (370e6 * math.exp(-math.log(2) * 3600 / 6586.2))
    assert suv_factor(75500.0, 370e6, 6586.2, 3600.0) == pytest.approx(wanted, rel=1e-14)
    by_halving = 75500.0 / 370e6 * 2 ** (3600 / 6586.2)
    assert suv_factor(75500.0, 370e6, 6586.2, 3600.0) == pytest.approx(by_halving, rel=1e-14)


@pytest.mark.parametrize("bad", [(0, 1, 1, 1), (1, -1, 1, 1), (1, 1, 0, 1), (1, math.nan, 1, 1), (1, 1, 1, math.inf)])
def test_the_factor_wants_numbers_that_can_be(bad):
    with pytest.raises(ImageError, match="SUV needs"):
        suv_factor(*map(float, bad))


def test_activity_at_the_start_of_the_scan_is_related_to_the_dose_left_then(series):
    image = series()
    found = suv(image)
    # the values pass through float32 twice: 1e-6; the factor itself is exact to 1e-12
    np.testing.assert_allclose(shown(found), STORED * SLOPES * factor(), rtol=1e-6)
    wide = suv(image.with_data(image.data.double()))
    np.testing.assert_allclose(shown(wide), shown(image) * factor(), rtol=1e-12)
    assert (found.metadata["units"], found.metadata["suv_type"]) == ("GML", "BW")
    assert found.grid == image.grid


def test_suv_is_a_factor_for_gradients_too(series):
    image = series()
    data = image.data.double().requires_grad_()
    suv(image.with_data(data)).data.sum().backward()
    np.testing.assert_allclose(data.grad.numpy(), factor(), rtol=1e-12)


def test_activity_at_the_injection_is_related_to_the_whole_dose(series):
    image = series(DecayCorrection="ADMIN")
    np.testing.assert_allclose(shown(suv(image)), shown(image) * factor(0.0), rtol=1e-6)


def test_activity_that_is_not_corrected_stands_for_the_middle_of_its_frame(series):
    uncorrected = {"DecayCorrection": "NONE", "CorrectedImage": ["ATTN", "SCAT"]}
    image = series(**uncorrected, AcquisitionDate="20231118", AcquisitionTime="101313")
    # 180 s from 10:13:13 on; the activity at t is the mean over the frame where 2^(-t/T) is the integral's mean
    u = np.linspace(0, 180, 200001)
    mean = np.trapezoid(2 ** (-u / HALF_LIFE), u) / 180
    wait = 3906 - HALF_LIFE * math.log2(mean)
    np.testing.assert_allclose(shown(suv(image)), shown(image) * factor(wait), rtol=1e-6)
    assert mean_time_s(180, HALF_LIFE) == pytest.approx(-HALF_LIFE * math.log2(mean), abs=1e-6)  # trapezes: 1e-8 s
    with pytest.raises(ImageError, match="STATIC"):
        suv(series(**uncorrected, SeriesType=["WHOLE BODY", "IMAGE"]))


@pytest.mark.parametrize("duration", [1e-6, 1.0, 1e5])
def test_the_mean_time_of_a_frame_lies_in_its_first_half(duration):
    assert 0 < mean_time_s(duration, HALF_LIFE) <= duration / 2


def test_an_injection_before_midnight_is_of_the_day_before(series):
    image = series({"RadiopharmaceuticalStartTime": "233000.5"}, SeriesTime="001000")
    np.testing.assert_allclose(shown(suv(image)), shown(image) * factor(2399.5), rtol=1e-6)


def test_a_date_with_the_injection_goes_before_the_bare_time(series):
    image = series({"RadiopharmaceuticalStartDateTime": "20231118084213.250000"})
    np.testing.assert_allclose(shown(suv(image)), shown(image) * factor(5399.75), rtol=1e-6)


def test_the_offset_of_a_time_zone_counts(series):
    told = {"RadiopharmaceuticalStartDateTime": "20231118074213+0000"}
    image = series(told, TimezoneOffsetFromUTC="+0100")
    np.testing.assert_allclose(shown(suv(image)), shown(image) * factor(5400), rtol=1e-6)


LATER = {"SeriesDate": "20231120", "SeriesTime": "080000", "AcquisitionDate": "20231118", "AcquisitionTime": "101713"}
"""A series made two days after its scan; this bed began 5 minutes after the scan did, at 10:12:13."""


def test_a_series_made_later_is_dated_by_its_frame_reference_time(series):
    image = series(**LATER, FrameReferenceTime=1000 * (300 + mean_time_s(180, HALF_LIFE)))
    np.testing.assert_allclose(shown(suv(image)), shown(image) * factor(), rtol=1e-6)


def test_a_series_made_later_is_dated_by_the_private_time_of_ge(series):
    private = {0x0009: ("GEMS_PETD_01", 0x0D, "DT", "20231118101213.00")}
    image = series(private=private, **LATER, SeriesType=["WHOLE BODY", "IMAGE"])
    np.testing.assert_allclose(shown(suv(image)), shown(image) * factor(), rtol=1e-6)


def test_a_series_made_later_is_refused_where_nothing_tells_its_scan(series):
    with pytest.raises(ImageError, match=r"FrameReferenceTime \(0054,1300\)"):
        suv(series(**LATER, SeriesType=["WHOLE BODY", "IMAGE"]))
    image = series(**LATER)  # one bed: its acquisition is the scan
    np.testing.assert_allclose(shown(suv(image)), shown(image) * factor(WAIT + 300), rtol=1e-6)


def test_counts_of_philips_become_suv_by_its_own_factor(series):
    image = series(Units="CNTS", private={0x7053: ("Philips PET Private Group", 0x00, "DS", "0.000551")})
    np.testing.assert_allclose(shown(suv(image)), shown(image) * 0.000551, rtol=1e-6)


def test_counts_of_philips_become_activity_first_where_only_that_factor_is_there(series):
    image = series(Units="CNTS", private={0x7053: ("Philips PET Private Group", 0x09, "DS", "1.7")})
    np.testing.assert_allclose(shown(suv(image)), shown(image) * 1.7 * factor(), rtol=1e-6)


def test_counts_without_a_factor_are_refused(series):
    with pytest.raises(ImageError, match="7053,1000"):
        suv(series(Units="CNTS"))
    with pytest.raises(ImageError, match="7053,1000"):  # the same element of another maker
        suv(series(Units="CNTS", private={0x7053: ("Somebody else", 0x00, "DS", "2")}))


def test_suv_stays_suv(series):
    image = series(Units="GML")
    np.testing.assert_array_equal(shown(suv(image)), shown(image))
    once = suv(series())
    np.testing.assert_array_equal(shown(suv(once)), shown(once))


def test_lean_body_mass_and_surface_relate_to_other_bodies(series):
    image = series()  # 70 kg, 1.7 m, a woman
    lean = 9270 * 70 / (8780 + 244 * 70 / 1.7**2)
    surface = 0.007184 * 70**0.425 * 170**0.725 * 1e4
    assert lean_body_mass_kg(70, 1.7, "F") == pytest.approx(lean, rel=1e-14)
    assert body_surface_area_cm2(70, 1.7) == pytest.approx(surface, rel=1e-14)
    np.testing.assert_allclose(shown(suv(image, LeanBodyMass())), shown(image) * factor(body=1000 * lean), rtol=1e-6)
    by_surface = suv(image, BodySurfaceArea())
    np.testing.assert_allclose(shown(by_surface), shown(image) * factor(body=surface), rtol=1e-6)
    assert by_surface.metadata["units"] == "CM2ML"
    np.testing.assert_allclose(shown(suv(by_surface, BodyWeight())), shown(suv(image)), rtol=1e-6)
    men = suv(series(PatientSex="M"), LeanBodyMass())
    np.testing.assert_allclose(
        shown(men), shown(image) * factor(body=9270e3 * 70 / (6680 + 216 * 70 / 1.7**2)), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("keyword", "tag"),
    [
        ("PatientWeight", "0010,1030"),
        ("DecayCorrection", "0054,1102"),
        ("CorrectedImage", "0028,0051"),
        ("AcquisitionTime", "0008,0032"),
        ("RadiopharmaceuticalInformationSequence", "0054,0016"),
    ],
)
def test_a_missing_attribute_is_named(series, keyword, tag):
    left_out = {"SeriesTime": None} if keyword == "AcquisitionTime" else {}
    with pytest.raises(ImageError, match=rf"{keyword} \({tag}\)"):
        suv(series(**left_out, **{keyword: None}))


@pytest.mark.parametrize(
    ("keyword", "tag"),
    [
        ("RadionuclideTotalDose", "0018,1074"),
        ("RadionuclideHalfLife", "0018,1075"),
        ("RadiopharmaceuticalStartTime", "0018,1072"),
    ],
)
def test_a_missing_attribute_of_the_tracer_is_named(series, keyword, tag):
    with pytest.raises(ImageError, match=rf"{keyword} \({tag}\)"):
        suv(series({keyword: None}))


def test_size_and_sex_are_asked_for_only_where_they_count(series):
    image = series(PatientSize=None)
    suv(image)
    with pytest.raises(ImageError, match=r"PatientSize \(0010,1020\)"):
        suv(image, BodySurfaceArea())
    with pytest.raises(ImageError, match=r"PatientSex \(0010,0040\)"):
        suv(series(PatientSex=None), LeanBodyMass())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"Units": "PROPCPS"}, "PROPCPS cannot be converted"),
        ({"PatientWeight": 0}, "PatientWeight .* is 0"),
        ({"CorrectedImage": ["DECY", "SCAT"]}, "ATTN"),
        ({"CorrectedImage": ["ATTN"]}, "does not list DECY"),
        ({"DecayCorrection": "NONE"}, "lists DECY"),
        ({"DecayCorrection": "LATER"}, "is LATER, not START"),
        ({"tracer": {"RadionuclideTotalDose": 370}}, "MBq"),
        ({"tracer": {"RadiopharmaceuticalStartDateTime": "20191118090807"}}, "half-life"),
        ({"tracer": {"RadiopharmaceuticalStartDateTime": "20231118110807"}}, "-3354 s after the injection"),
        ({"tracer": {"RadiopharmaceuticalStartTime": "9 o'clock"}}, "is no time of day"),
    ],
)
def test_what_cannot_be_is_refused_and_tells_nothing_of_the_patient(series, wrong, said):
    with pytest.raises(ImageError, match=said) as failure:
        suv(series(**wrong))
    told = str(failure.value).replace("AcquisitionDate", "")
    assert not [secret for secret in dicom_series.identifiers() if secret in told]
    assert "2019" not in told
    assert "2023" not in told


def test_a_bare_time_of_a_long_lived_nuclide_warns(series):
    image = series({"RadionuclideHalfLife": 282280.0})  # Zr-89
    with pytest.warns(MedregWarning, match="less than 24 h"):
        suv(image)


def test_other_images_have_no_suv(tmp_path):
    with pytest.raises(ImageError, match="not read from DICOM"):
        suv(MedImage.on(Grid.regular((2, 2, 2), (1, 1, 1)), torch.ones(1, 2, 2, 2)))
    dicom_series.classic(tmp_path / "ct", STORED, AFFINE, modality="CT")
    with pytest.raises(ImageError, match="Modality is CT"):
        suv(read_image(tmp_path / "ct"))


def test_the_header_of_the_result_says_suv_and_the_image_keeps_its_own(series):
    image = series()
    found = suv(image)
    assert (found.metadata["dicom"].template.Units, found.metadata["dicom"].template.SUVType) == ("GML", "BW")
    assert image.metadata["dicom"].template.Units == "BQML"
    assert "SUVType" not in image.metadata["dicom"].template
    assert found.metadata["stored_dtype"] == "float32"
    assert "slope" not in found.metadata
