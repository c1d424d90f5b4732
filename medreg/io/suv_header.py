"""What SUV needs from the header of a PET: the body, the dose, the times, the units.

No name, number or date of a patient is in any message: where times disagree, only their difference is told.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from medreg.errors import ImageError, MedregWarning
from medreg.image import Leading, MedImage
from medreg.io.dicom.header import item, number, raw, text, words
from medreg.io.suv import (
    BodySurfaceArea,
    BodyWeight,
    LeanBodyMass,
    Per,
    body_surface_area_cm2,
    lean_body_mass_kg,
    mean_time_s,
    suv_factor,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MOST_HALF_LIVES = 10.0
"""Between injection and scan. After more there is nothing left to see: one of the two times is wrong."""
LEAST_DOSE_BQ = 1e4
"""Less is a dose in other units: what is given to a mouse is a hundred times as much."""
LONG_HALF_LIFE_S = 12 * 3600.0
"""Of nuclides that are also imaged days after the injection, so that a time without a date does not tell."""

_ENHANCED = "1.2.840.10008.5.1.4.1.1.130"
_GE, _PHILIPS = "GEMS_PETD_01", "Philips PET Private Group"
_TRACER = "RadiopharmaceuticalInformationSequence"


def factor_of(template: Dataset, image: MedImage, per: Per) -> float:
    """SUV for one unit of the image's values, which `metadata["units"]` names.

    Args:
        template: the header of the first slice.
        image: which values, and of how many frames.
        per: what the uptake is related to.

    Raises:
        ImageError: see `medreg.io.suv.suv`.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pydicom")  # of odd values: what is needed is checked here
        return _factor_of(_Header(template, image), per)


def _factor_of(header: _Header, per: Per) -> float:
    template, image = header.dataset, header.image
    if text(template, "Modality").upper() not in ("PT", ""):
        raise ImageError(f"{image.name}: SUV is for PET, and Modality is {text(template, 'Modality')}")
    if text(template, "SOPClassUID") == _ENHANCED:
        raise ImageError(f"{image.name}: is an enhanced PET object; SUV is read from classic PET series only")
    units = str(image.metadata.get("units", "")).upper()
    if units in ("GML", "CM2ML"):
        return _between(header, units, str(image.metadata.get("suv_type", "")), per)
    if units not in ("BQML", "CNTS"):
        raise ImageError(
            f"{image.name}: Units {units or '(none)'} cannot be converted to SUV; BQML, GML, CM2ML, and CNTS of "
            "Philips can"
            + ("" if units else "; Units (0054,1001) is missing, or the values were changed after reading")
        )
    done = header.words("CorrectedImage")
    if "ATTN" not in done:
        raise ImageError(
            f"{image.name}: CorrectedImage (0028,0051) does not list ATTN: without attenuation correction the values "
            "are no activity; take the corrected series"
        )
    return _of_activity(header, per) if units == "BQML" else _of_counts(header, per)


def _of_activity(header: _Header, per: Per) -> float:
    """For values in Bq/ml."""
    dose, half_life = header.of_tracer("RadionuclideTotalDose"), header.of_tracer("RadionuclideHalfLife")
    if dose < LEAST_DOSE_BQ:
        raise ImageError(
            f"{header.name}: RadionuclideTotalDose (0018,1074) is {dose:g}, too little for becquerels; it may be in "
            "MBq: correct the header"
        )
    return suv_factor(_body(header, per), dose, half_life, _elapsed_s(header, half_life))


def _of_counts(header: _Header, per: Per) -> float:
    """For Philips' counts, by the factor of its own to SUV or, where that is missing or 0, to Bq/ml."""
    to_suv, to_activity = (header.private_number(_PHILIPS, 0x7053, element) for element in (0x00, 0x09))
    if to_suv:
        return to_suv if isinstance(per, BodyWeight) else to_suv * _body(header, per) / _body(header, BodyWeight())
    if to_activity:
        return to_activity * _of_activity(header, per)
    raise ImageError(
        f"{header.name}: Units CNTS need the Philips SUV scale factor (7053,1000) or activity concentration scale "
        "factor (7053,1009), and neither is there; export the series again with private attributes"
    )


def _between(header: _Header, units: str, stored_kind: str, per: Per) -> float:
    """From one kind of SUV to another. A file that names none means body weight."""
    said = stored_kind or header.text("SUVType").upper() or ("BSA" if units == "CM2ML" else "BW")
    known: tuple[Per, ...] = (BodyWeight(), LeanBodyMass(), BodySurfaceArea())
    stored = next((one for one in known if one.kind == said and one.units == units), None)
    if stored is None:
        raise ImageError(
            f"{header.name}: holds SUV of type {said} in {units}, which medreg does not convert; BW and LBMJANMA in "
            "GML and BSA in CM2ML it does"
        )
    return 1.0 if stored == per else _body(header, per) / _body(header, stored)


def _body(header: _Header, per: Per) -> float:
    """Grams, or square centimetres."""
    weight = header.positive("PatientWeight")
    if isinstance(per, BodyWeight):
        return 1000 * weight
    height = header.positive("PatientSize")
    if height >= 3:
        raise ImageError(f"{header.name}: PatientSize (0010,1020) is {height:g}, which is no height in metres")
    if isinstance(per, BodySurfaceArea):
        return body_surface_area_cm2(weight, height)
    sex = header.text("PatientSex").upper()
    if not sex:
        raise header.missing("PatientSex")
    return 1000 * lean_body_mass_kg(weight, height, sex)


def _elapsed_s(header: _Header, half_life_s: float) -> float:
    """From the injection to the time that the values stand for."""
    decay = header.text("DecayCorrection").upper()
    if decay not in ("START", "ADMIN", "NONE"):
        raise header.missing("DecayCorrection", f"is {decay}, not START, ADMIN or NONE" if decay else "is missing")
    corrected = "DECY" in header.words("CorrectedImage")
    if corrected != (decay != "NONE"):
        raise ImageError(
            f"{header.name}: DecayCorrection (0054,1102) is {decay}, but CorrectedImage (0028,0051) "
            f"{'lists' if corrected else 'does not list'} DECY; one of them is wrong"
        )
    if decay == "ADMIN":
        return 0.0
    if decay == "START":
        scan = _scan_start(header, half_life_s)
    else:
        header.check_single("DecayCorrection (0054,1102) is NONE")
        scan = header.moment("Acquisition") + _middle(header, half_life_s)
    elapsed = (scan - _injection(header, scan, half_life_s)).total_seconds()
    if not 0 <= elapsed <= MOST_HALF_LIVES * half_life_s:
        raise ImageError(
            f"{header.name}: the header says that the scan is {elapsed:g} s after the injection, which cannot be "
            f"with a half-life of {half_life_s:g} s; RadiopharmaceuticalStartDateTime (0018,1078) or the times of the "
            "series are wrong, as after a de-identification that shifts only some of them"
        )
    return elapsed


def _scan_start(header: _Header, half_life_s: float) -> datetime:
    """When the scan began, to which the whole series is corrected."""
    if header.text("SeriesTime"):
        series = header.moment("Series")
        if not header.text("AcquisitionTime") or series <= header.moment("Acquisition"):
            return series
    private = header.private_text(_GE, 0x0009, 0x0D)
    if private:
        return header.parsed(private, "GE's scan time (0009,100D)")
    acquisition = header.moment("Acquisition")
    reference = number(header.dataset, "FrameReferenceTime")
    if reference is not None and reference > 0:
        return acquisition - timedelta(milliseconds=reference) + _middle(header, half_life_s)
    header.check_single(
        "SeriesTime is missing or after AcquisitionTime, and FrameReferenceTime (0054,1300) does not tell"
    )
    return acquisition


def _middle(header: _Header, half_life_s: float) -> timedelta:
    """From a frame's start to when its activity is that of its mean."""
    return timedelta(seconds=mean_time_s(header.positive("ActualFrameDuration") / 1000, half_life_s))


def _injection(header: _Header, scan: datetime, half_life_s: float) -> datetime:
    tracer = header.tracer()
    said = text(tracer, "RadiopharmaceuticalStartDateTime")
    if said:
        return header.parsed(said, "RadiopharmaceuticalStartDateTime (0018,1078)")
    clock = text(tracer, "RadiopharmaceuticalStartTime")
    if not clock:
        raise header.missing(
            "RadiopharmaceuticalStartDateTime", "is missing, and RadiopharmaceuticalStartTime (0018,1072), too"
        )
    seconds = _seconds(clock)
    if seconds is None:
        raise header.missing("RadiopharmaceuticalStartTime", "is no time of day")
    if half_life_s > LONG_HALF_LIFE_S:
        warnings.warn(
            f"{header.name}: RadiopharmaceuticalStartTime has no date, and the half-life is "
            f"{half_life_s / 3600:.0f} h: the injection is taken to be less than 24 h before the scan; if it "
            "was days before, SUV is wrong",
            MedregWarning,
            stacklevel=2,
        )
    injection = scan.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(seconds=seconds)
    return injection if injection <= scan else injection - timedelta(days=1)  # injected before midnight


@dataclass(frozen=True, eq=False)
class _Header:
    """The header of an image, asked for what must be there; what is missing is an error with its name."""

    dataset: Dataset
    image: MedImage

    @property
    def name(self) -> str:
        """For messages."""
        return self.image.name

    def text(self, keyword: str) -> str:
        """As text, "" where it is missing."""
        return text(self.dataset, keyword)

    def words(self, keyword: str) -> tuple[str, ...]:
        """Several words, at least one."""
        found = words(self.dataset, keyword)
        if not found:
            raise self.missing(keyword)
        return found

    def positive(self, keyword: str) -> float:
        """A number above 0."""
        return self._above_zero(self.dataset, keyword)

    def of_tracer(self, keyword: str) -> float:
        """A number above 0, of the item that describes the injection."""
        return self._above_zero(self.tracer(), keyword)

    def tracer(self) -> Dataset:
        """The item that describes the injection."""
        found = item(self.dataset, _TRACER)
        if found is None:
            raise self.missing(_TRACER)
        return found

    def check_single(self, why: str) -> None:
        """All slices must have been acquired when the first one was.

        Raises:
            ImageError: several beds or frames, or a header that does not say.
        """
        kind, image = words(self.dataset, "SeriesType")[:1], self.image
        if kind != ("STATIC",) or (image.leading is Leading.FRAMES and image.channels > 1):
            raise ImageError(
                f"{self.name}: {why}, so each bed and frame has a time of its own, and SeriesType (0054,1000) does not "
                "say that there is one only (STATIC); take a series that is corrected to the start of the scan"
            )

    def moment(self, event: str) -> datetime:
        """SeriesDate and SeriesTime, or AcquisitionDate and AcquisitionTime."""
        day, clock = self.text(f"{event}Date"), self.text(f"{event}Time")
        for said, part in ((day, "Date"), (clock, "Time")):
            if not said:
                raise self.missing(f"{event}{part}")
        return self.parsed(day.replace(".", "") + clock.replace(":", ""), f"{event}Date or {event}Time")

    def parsed(self, said: str, what: str) -> datetime:
        """A DICOM date and time, YYYYMMDDHHMMSS.FFFFFF&ZZXX, in the time zone of the header."""
        match = re.fullmatch(r"(\d{4})(\d\d)(\d\d)(\d\d[\d.]*)([+-]\d{4})?", said.strip())
        seconds = None if match is None else _seconds(match[4])
        try:
            if match is None or seconds is None:
                raise ValueError
            moment = datetime(int(match[1]), int(match[2]), int(match[3])) + timedelta(seconds=seconds)
        except ValueError:
            raise ImageError(f"{self.name}: {what} is no date with a time of day; correct the header") from None
        own, here = _offset_s(match[5] or ""), _offset_s(self.text("TimezoneOffsetFromUTC"))
        return moment if own is None or here is None else moment + timedelta(seconds=here - own)

    def private_number(self, creator: str, group: int, element: int) -> float | None:
        """A number that a maker keeps in a block of its own; None where it is missing or 0."""
        try:
            value = float(self.private_text(creator, group, element))
        except ValueError:
            return None
        return value if math.isfinite(value) and value > 0 else None

    def private_text(self, creator: str, group: int, element: int) -> str:
        """A text that a maker keeps in a block of its own, "" where it is missing."""
        for block in range(0x10, 0x100):
            if text(self.dataset, (group, block)).casefold() == creator.casefold():
                key = (group, block << 8 | element)
                unknown = raw(self.dataset, key)  # as files without VRs leave it
                return unknown.decode("ascii", "ignore").strip(" \0") if unknown else text(self.dataset, key)
        return ""

    def missing(self, keyword: str, what: str = "is missing") -> ImageError:
        """The error for an attribute, with its name and tag."""
        from pydicom.datadict import tag_for_keyword

        tag = tag_for_keyword(keyword) or 0
        where = f" in {_TRACER}" if keyword.startswith("Radio") and keyword != _TRACER else ""
        return ImageError(
            f"{self.name}: {keyword} ({tag >> 16:04X},{tag & 0xFFFF:04X}){where} {what}; SUV cannot be computed "
            "without it"
        )

    def _above_zero(self, dataset: Dataset, keyword: str) -> float:
        value = number(dataset, keyword)
        if value is None or value <= 0:
            raise self.missing(keyword, "is missing" if value is None else f"is {value:g}")
        return value


def _seconds(clock: str) -> float | None:
    """Seconds after midnight of a DICOM time, HHMMSS.FFFFFF with minutes and seconds optional."""
    match = re.fullmatch(r"(\d\d)(?:(\d\d)(?:(\d\d(?:\.\d{1,6})?))?)?", clock.replace(":", "").strip())
    if match is None:
        return None
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds if hours < 24 and minutes < 60 and seconds < 61 else None


def _offset_s(zone: str) -> float | None:
    """Seconds east of Greenwich of "+0130"."""
    match = re.fullmatch(r"([+-])(\d\d)(\d\d)", zone.strip())
    return None if match is None else float(match[1] + "1") * (int(match[2]) * 3600 + int(match[3]) * 60)
