"""Acquisition facts of a DICOM header for a JSON sidecar: BIDS names and units where BIDS has them, no identifiers.

Sources: the BIDS specification (https://bids-specification.readthedocs.io), and for names beyond it the sidecars of
dcm2niix (https://doi.org/10.1016/j.jneumeth.2016.03.001).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from medreg.io.dicom.header import Key, item, number, text, words
from medreg.io.dicom.scrubbing import scrubbed

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_TEXTS: tuple[tuple[str, tuple[Key, ...]], ...] = (
    ("Modality", ("Modality",)),
    ("ManufacturersModelName", ("ManufacturerModelName",)),
    ("SoftwareVersions", ("SoftwareVersions",)),
    ("BodyPart", ("BodyPartExamined",)),
    ("PatientPosition", ("PatientPosition",)),
    ("SeriesDescription", ("SeriesDescription",)),
    ("ProtocolName", ("ProtocolName",)),
    ("MRAcquisitionType", ("MRAcquisitionType",)),
    ("ScanningSequence", ("ScanningSequence",)),
    ("SequenceVariant", ("SequenceVariant",)),
    ("ScanOptions", ("ScanOptions",)),
    ("SequenceName", ("SequenceName", "PulseSequenceName")),
    ("ReceiveCoilName", ("ReceiveCoilName",)),
    ("ParallelAcquisitionTechnique", ("ParallelAcquisitionTechnique",)),
    ("ConvolutionKernel", ("ConvolutionKernel",)),
)
_NUMBERS: tuple[tuple[str, tuple[Key, ...], float], ...] = (  # name, where from, what it is divided by
    ("SeriesNumber", ("SeriesNumber",), 1),
    ("SliceThickness", ("SliceThickness",), 1),
    ("SpacingBetweenSlices", ("SpacingBetweenSlices",), 1),
    ("MagneticFieldStrength", ("MagneticFieldStrength",), 1),
    ("ImagingFrequency", ("ImagingFrequency", "TransmitterFrequency"), 1),
    ("EchoTime", ("EchoTime", "EffectiveEchoTime"), 1000),
    ("RepetitionTime", ("RepetitionTime",), 1000),
    ("InversionTime", ("InversionTime", "InversionTimes"), 1000),
    ("FlipAngle", ("FlipAngle",), 1),
    ("SAR", ("SAR",), 1),
    ("PercentPhaseFOV", ("PercentPhaseFieldOfView",), 1),
    ("PercentSampling", ("PercentSampling",), 1),
    ("EchoTrainLength", ("EchoTrainLength",), 1),
    ("PhaseEncodingSteps", ("NumberOfPhaseEncodingSteps", "MRAcquisitionPhaseEncodingStepsInPlane"), 1),
    ("PixelBandwidth", ("PixelBandwidth",), 1),
    ("ParallelReductionFactorInPlane", ("ParallelReductionFactorInPlane",), 1),
    ("ParallelReductionFactorOutOfPlane", ("ParallelReductionFactorOutOfPlane",), 1),
    ("AcquisitionDuration", ("AcquisitionDuration",), 1),
    ("KVP", ("KVP",), 1),
    ("ExposureTime", ("ExposureTimeInms", "ExposureTime"), 1000),
    ("XRayTubeCurrent", ("XRayTubeCurrentInmA", "XRayTubeCurrent"), 1),
    ("XRayExposure", ("ExposureInmAs", "Exposure"), 1),
    ("ReconstructionDiameter", ("ReconstructionDiameter",), 1),
)
_GROUPS = (  # functional groups of the enhanced objects that hold what classic ones have at the top
    "PixelMeasuresSequence",
    "MREchoSequence",
    "MRTimingAndRelatedParametersSequence",
    "MRModifierSequence",
    "MRImagingModifierSequence",
    "MRFOVGeometrySequence",
    "MRReceiveCoilSequence",
    "CTExposureSequence",
    "CTXRayDetailsSequence",
    "CTReconstructionSequence",
    "CTAcquisitionDetailsSequence",
    "PETFrameCorrectionFactorsSequence",
    "PETReconstructionSequence",
)
_MAKERS = {"siemens": "Siemens", "ge ": "GE", "philips": "Philips", "toshiba": "Toshiba", "canon": "Canon"}
_PET_UNITS = {"BQML": "Bq/mL", "CNTS": "counts", "CPS": "counts/s", "GML": "g/mL"}
_ENHANCED_PET = "1.2.840.10008.5.1.4.1.1.130"
_ELEMENTS = {
    "carbon": "C",
    "copper": "Cu",
    "fluorine": "F",
    "gallium": "Ga",
    "iodine": "I",
    "nitrogen": "N",
    "oxygen": "O",
    "rubidium": "Rb",
    "zirconium": "Zr",
}


def facts_of(
    template: Dataset,
    *,
    size: Sequence[int] | None = None,
    slice_times_ms: Sequence[float] | None = None,
    phase_positive: bool | None = None,
    volumes: Sequence[Dataset] = (),
) -> dict[str, Any]:
    """What a header says about the acquisition, as plain JSON; whatever is missing, empty or senseless is left out.

    Times are seconds, lengths millimetres, angles degrees. i and j are the columns and rows of a DICOM slice, which is
    the order in which medreg writes it. No clock time and no date is in it: those of PET are differences.

    Args:
        template: the header of the first slice.
        size: columns and rows of one slice (of a mosaic: of one tile), for the echo spacing.
        slice_times_ms: when each slice was acquired, in the order of slices in the image (Siemens: MosaicRefAcqTimes).
        phase_positive: whether phase encoding runs with growing index (Siemens: PhaseEncodingDirectionPositive); None
            where that is not known.
        volumes: the header of the first slice of each volume of a PET series.

    Example:
        >>> from pydicom.dataset import Dataset
        >>> header = Dataset()
        >>> header.EchoTime, header.InPlanePhaseEncodingDirection, header.PatientName = 2.5, "ROW", "Doe^Jane"
        >>> facts = facts_of(header)
        >>> facts["EchoTime"], facts["PhaseEncodingAxis"], "PatientName" in facts
        (0.0025, 'i', False)
    """
    from medreg.version import __version__

    places = [template, *_functional_groups(template)]
    facts: dict[str, Any] = {name: said for name, keys in _TEXTS if (said := _text(places, keys, template))}
    if maker := scrubbed(text(template, "Manufacturer"), template):
        facts["Manufacturer"] = next((m for key, m in _MAKERS.items() if maker.lower().startswith(key)), maker)
    if kinds := words(template, "ImageType"):
        facts |= {"ImageType": list(kinds)} if scrubbed(" ".join(kinds), template) else {}
    for name, keys, divisor in _NUMBERS:
        value = _first(places, keys)
        if value is not None and value > 0:  # 0 is how files say "not set"
            facts[name] = _plain(value / divisor)
    if facts.get("MagneticFieldStrength", 0) > 100:  # old scanners wrote gauss
        facts["MagneticFieldStrength"] = _plain(facts["MagneticFieldStrength"] / 1e4)
    if (tilt := _first(places, ("GantryDetectorTilt",))) is not None:
        facts["GantryDetectorTilt"] = _plain(tilt)
    facts |= _phase_encoding(places, size, positive=phase_positive) | _slice_timing(slice_times_ms)
    if facts.get("Modality") == "PT":
        facts |= _pet(template, places, list(volumes) or [template])
    return {**facts, "ConversionSoftware": "medreg", "ConversionSoftwareVersion": __version__}


def _functional_groups(template: Dataset) -> Iterator[Dataset]:
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        first = item(template, groups)
        if first is not None:
            yield from (found for name in _GROUPS if (found := item(first, name)) is not None)


def _first(places: Sequence[Dataset], keys: Sequence[Key]) -> float | None:
    found = (number(place, key) for key in keys for place in places)
    return next((value for value in found if value is not None), None)


def _text(places: Sequence[Dataset], keys: Sequence[Key], template: Dataset) -> str:
    found = (text(place, key) for key in keys for place in places)
    return scrubbed(next((said for said in found if said), ""), template)


def _plain(value: float) -> float:
    """An integer where it is one: 3 reads better than 3.0."""
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _phase_encoding(places: Sequence[Dataset], size: Sequence[int] | None, *, positive: bool | None) -> dict[str, Any]:
    found = (text(place, "InPlanePhaseEncodingDirection").upper() for place in places)
    direction = next((said for said in found if said), "")
    axis = {"ROW": "i", "COL": "j", "COLUMN": "j"}.get(direction)
    if axis is None:
        return {}
    facts: dict[str, Any] = {"InPlanePhaseEncodingDirectionDICOM": direction[:3]}
    if positive is None:
        facts["PhaseEncodingAxis"] = axis
    else:
        facts["PhaseEncodingDirection"] = axis if positive else axis + "-"
    lines = 0 if size is None else size["ij".index(axis)]
    siemens = text(places[0], (0x0019, 0x0010)).startswith("SIEMENS MR HEADER")
    hz = number(places[0], (0x0019, 0x1028)) if siemens else None  # BandwidthPerPixelPhaseEncode
    if hz is not None and hz > 0 and lines > 1:
        facts["EffectiveEchoSpacing"] = 1 / (hz * lines)
        facts["TotalReadoutTime"] = (lines - 1) / (hz * lines)
    return facts


def _slice_timing(times_ms: Sequence[float] | None) -> dict[str, Any]:
    if not times_ms or not all(map(math.isfinite, times_ms)):
        return {}
    return {"SliceTiming": [_plain(round((t - min(times_ms)) / 1000, 9)) for t in times_ms]}


def _pet(template: Dataset, places: Sequence[Dataset], volumes: Sequence[Dataset]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if units := _text(places, ("Units",), template):
        facts["Units"] = _PET_UNITS.get(units, units)
    named = (
        ("AttenuationCorrection", "AttenuationCorrectionMethod"),
        ("RandomsCorrectionMethod", "RandomsCorrectionMethod"),
        ("ScatterCorrectionMethod", "ScatterCorrectionMethod"),
        ("ReconMethodName", "ReconstructionMethod"),
        ("ReconFilterType", "ConvolutionKernel"),
    )
    facts |= {name: said for name, key in named if (said := _text(places, (key,), template))}
    decay = text(template, "DecayCorrection").upper()
    if decay in ("NONE", "START", "ADMIN"):
        facts["ImageDecayCorrected"] = decay != "NONE"
    facts |= _tracer(template)
    for name, key, factor in (
        ("FrameDuration", "ActualFrameDuration", 1e-3),
        ("DecayCorrectionFactor", "DecayFactor", 1.0),
        ("ScatterFraction", "ScatterFractionFactor", 100.0),  # BIDS wants per cent
    ):
        values = [number(volume, key) for volume in volumes]
        if all(value is not None and value >= 0 for value in values):
            facts[name] = [_plain(round(value * factor, 12)) for value in values if value is not None]
    return facts | _pet_times(template, volumes)


def _tracer(template: Dataset) -> dict[str, Any]:
    info = item(template, "RadiopharmaceuticalInformationSequence")
    if info is None:
        return {}
    facts: dict[str, Any] = {}
    code, nuclide = item(info, "RadiopharmaceuticalCodeSequence"), item(info, "RadionuclideCodeSequence")
    name = text(info, "Radiopharmaceutical") or (text(code, "CodeMeaning") if code is not None else "")
    if name := scrubbed(name, template):
        facts["TracerName"] = name
    meaning = scrubbed(text(nuclide, "CodeMeaning"), template) if nuclide is not None else ""
    if meaning:
        facts["TracerRadionuclide"] = _radionuclide(meaning)
    dose = number(info, "RadionuclideTotalDose")
    if dose is not None and dose > 0:  # becquerels, but megabecquerels in the enhanced object
        facts["InjectedRadioactivity"] = _plain(dose if text(template, "SOPClassUID") == _ENHANCED_PET else dose / 1e6)
        facts["InjectedRadioactivityUnits"] = "MBq"
    for fact, key in (
        ("InjectedVolume", "RadiopharmaceuticalVolume"),
        ("RadionuclideHalfLife", "RadionuclideHalfLife"),
    ):
        value = number(info, key)
        if value is not None and value > 0:
            facts[fact] = _plain(value)
    return facts


def _radionuclide(meaning: str) -> str:
    """BIDS's form, "F18", of what DICOM calls "^18^Fluorine" and others "Fluorine-18" or "F-18"."""
    mass, element = re.search(r"\d+m?", meaning), re.search(r"[A-Za-z]{2,}|[A-Z]", meaning)
    if mass is None or element is None:
        return meaning
    return _ELEMENTS.get(element.group().lower(), element.group().capitalize()) + mass.group()


def _pet_times(template: Dataset, volumes: Sequence[Dataset]) -> dict[str, Any]:
    """Starts of the frames from the first one, and of the injection from the start of the scan (so it is negative)."""
    facts: dict[str, Any] = {}
    acquired = [_clock(text(volume, "AcquisitionTime")) for volume in volumes]
    starts = [_later(acquired[0], time) for time in acquired]
    times = [time for time in starts if time is not None]
    if len(volumes) == 1:
        facts["FrameTimesStart"] = [0]
    elif len(times) == len(volumes) and times == sorted(set(times)):
        facts["FrameTimesStart"] = [_plain(round(time, 6)) for time in times]
    scan, series = acquired[0], _clock(text(template, "SeriesTime"))
    if len(volumes) == 1 and scan is not None and series is not None:
        scan = min(scan, series)  # a bed of several starts later than the scan, a derived series is dated later
    info = item(template, "RadiopharmaceuticalInformationSequence")
    injected = _clock(text(info, "RadiopharmaceuticalStartTime")) if info is not None else None
    if injected is None and info is not None:
        injected = _clock(text(info, "RadiopharmaceuticalStartDateTime")[8:])
    waited = _later(injected, scan)
    if waited is not None:
        facts |= {"ScanStart": 0, "InjectionStart": _plain(-round(waited, 6))}
    return facts


def _clock(said: str) -> float | None:
    """Seconds after midnight of a DICOM time, HHMMSS.FFFFFF with minutes and seconds optional."""
    match = re.match(r"(\d\d)(\d\d)?(\d\d(?:\.\d+)?)?", said.replace(":", ""))
    return sum(float(n or 0) * s for n, s in zip(match.groups(), (3600, 60, 1), strict=True)) if match else None


def _later(first: float | None, then: float | None) -> float | None:
    """Seconds between two times of day, the second after the first, perhaps past midnight."""
    return None if first is None or then is None else (then - first) % 86400
