"""What each SOP class of a derived image takes from the moving image, and what it must hold even if that had none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from medreg.io.dicom.copied import copy_attributes, fill_empty, keywords, places
from medreg.io.dicom.derived_scaling import Rescale
from medreg.io.dicom.header import items, number, text, words

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_STORAGE = "1.2.840.10008.5.1.4.1.1."

EQUIPMENT = keywords(
    "Manufacturer ManufacturerModelName InstitutionName InstitutionAddress InstitutionalDepartmentName StationName "
    "DeviceSerialNumber SoftwareVersions"
)
_ANY = keywords(
    "ProtocolName BodyPartExamined Laterality AnatomicRegionSequence AcquisitionDate AcquisitionTime AcquisitionNumber "
    "LossyImageCompression LossyImageCompressionRatio LossyImageCompressionMethod BurnedInAnnotation "
    "RecognizableVisualFeatures PatientPosition"
)
_CONTRAST = keywords(
    "ContrastBolusAgent ContrastBolusAgentSequence ContrastBolusRoute ContrastBolusVolume ContrastBolusStartTime "
    "ContrastBolusStopTime ContrastBolusTotalDose ContrastFlowRate ContrastFlowDuration ContrastBolusIngredient "
    "ContrastBolusIngredientConcentration"
)
_CT = keywords(
    "KVP ScanOptions DataCollectionDiameter DistanceSourceToDetector DistanceSourceToPatient RotationDirection "
    "FilterType FocalSpots ConvolutionKernel RevolutionTime SingleCollimationWidth TotalCollimationWidth TableSpeed "
    "TableFeedPerRotation SpiralPitchFactor"
)
_MR = keywords(
    "ScanningSequence SequenceVariant ScanOptions MRAcquisitionType RepetitionTime EchoTime EchoTrainLength "
    "InversionTime TriggerTime SequenceName AngioFlag NumberOfAverages ImagingFrequency ImagedNucleus EchoNumbers "
    "MagneticFieldStrength PercentSampling PixelBandwidth ReceiveCoilName TransmitCoilName FlipAngle "
    "VariableFlipAngleFlag TemporalResolution"
)
_PET = keywords(
    "SeriesDate SeriesTime Units CountsSource SeriesType ReprojectionMethod NumberOfRRIntervals NumberOfTimeSlots "
    "CorrectedImage RandomsCorrectionMethod AttenuationCorrectionMethod ScatterCorrectionMethod DecayCorrection "
    "DecayFactor DoseCalibrationFactor SUVType ReconstructionMethod ConvolutionKernel CollimatorType "
    "FrameReferenceTime ActualFrameDuration TriggerTime FrameTime RadiopharmaceuticalInformationSequence "
    "PatientOrientationCodeSequence PatientGantryRelationshipCodeSequence EnergyWindowRangeSequence"
)
_PROJECTION = keywords(
    "ViewPosition KVP ExposureTime XRayTubeCurrent Exposure DistanceSourceToDetector DistanceSourceToPatient "
    "ImageLaterality PatientOrientation PixelIntensityRelationship PixelIntensityRelationshipSign "
    "PresentationIntentType DetectorType ViewCodeSequence"
)


@dataclass(frozen=True)
class Kind:
    """How images of one SOP class are written.

    Attributes:
        sop_class: of the derived images.
        modality: its one Modality; "" where the moving image's is kept.
        rescale: what slope and intercept may be.
        dtypes: what may be stored, the preferred first.
        copied: attributes taken from the moving image, beside those of every kind.
        filled: type 1 attributes and what they are where the moving image has none.
        empty: type 2 attributes.
        orders: values that type 1 attributes must have, by attribute; others give way to `filled`.
    """

    sop_class: str
    modality: str = ""
    rescale: Rescale = Rescale.ANY
    dtypes: tuple[str, ...] = ("uint16", "int16")
    copied: tuple[str, ...] = ()
    filled: Mapping[str, Any] = field(default_factory=dict)
    empty: tuple[str, ...] = ()
    orders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


CT = Kind(_STORAGE + "2", "CT", Rescale.HOUNSFIELD, copied=(*_CT, *_CONTRAST), empty=("KVP", "AcquisitionNumber"))
MR = Kind(
    _STORAGE + "4",
    "MR",
    copied=(*_MR, *_CONTRAST),
    filled={"ScanningSequence": "RM", "SequenceVariant": "NONE"},
    empty=("ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength"),
    orders={
        "ScanningSequence": ("SE", "IR", "GR", "EP", "RM"),
        "SequenceVariant": ("SK", "MTC", "SS", "TRSS", "SP", "MP", "OSP", "NONE"),
        "MRAcquisitionType": ("2D", "3D"),
        "AngioFlag": ("Y", "N"),
    },
)
PET = Kind(
    _STORAGE + "128",
    "PT",
    Rescale.SLOPE,
    ("int16", "uint16"),
    copied=_PET,
    filled={
        "Units": "NONE",
        "CountsSource": "EMISSION",
        "DecayCorrection": "NONE",
        "FrameReferenceTime": "0",
    },
    empty=keywords(
        "CorrectedImage CollimatorType ActualFrameDuration AcquisitionDate AcquisitionTime "
        "RadiopharmaceuticalInformationSequence PatientOrientationCodeSequence PatientGantryRelationshipCodeSequence"
    ),
    orders={"CountsSource": ("EMISSION", "TRANSMISSION"), "DecayCorrection": ("NONE", "START", "ADMIN")},
)
CR = Kind(
    _STORAGE + "1",
    "CR",
    dtypes=("uint16",),
    copied=(*_PROJECTION[:7], "PatientOrientation"),
    empty=("BodyPartExamined", "ViewPosition", "PatientOrientation"),
)
DX = Kind(
    _STORAGE + "1.1",
    "DX",
    Rescale.NONE,
    ("uint16",),
    copied=_PROJECTION,
    filled={
        "PresentationIntentType": "FOR PRESENTATION",
        "ImageLaterality": "U",
        "PixelIntensityRelationship": "LIN",
        "PixelIntensityRelationshipSign": 1,
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "PresentationLUTShape": "IDENTITY",
    },
    empty=("AnatomicRegionSequence", "AcquisitionContextSequence", "DetectorType"),
    orders={"ImageLaterality": ("R", "L", "U", "B"), "BurnedInAnnotation": ("YES", "NO")},
)
US = Kind(_STORAGE + "6.1", "US", Rescale.NONE, ("uint8",), empty=("PatientOrientation",))
SECONDARY = Kind(
    _STORAGE + "7",
    dtypes=("uint8", "uint16", "int16"),
    filled={"ConversionType": "WSD"},
    empty=("PatientOrientation",),
)
"""Secondary Capture: for whatever has no classic form of its own."""

_CLASSIC = {
    **{kind.sop_class: kind for kind in (CT, MR, PET, CR, DX, US, SECONDARY)},
    **{_STORAGE + part: CT for part in ("2.1", "2.2")},
    **{_STORAGE + part: MR for part in ("4.1", "4.4")},
    **{_STORAGE + part: PET for part in ("130", "128.1")},
}
"""Kinds by SOP class; enhanced and legacy converted ones become classic."""
_VOLUMES, _COLOURED = (CT, MR, PET), (US, SECONDARY)
_UNPAIRED = keywords(
    "ABDOMEN BRAIN CHEST CSPINE HEAD HEADNECK HEART LIVER LSPINE NECK PANCREAS PELVIS PROSTATE SKULL SPINE TSPINE "
    "UTERUS WHOLEBODY"
)


def kind_for(template: Dataset, *, sop_class: str, volume: bool, coloured: bool, spacing_known: bool) -> Kind:
    """The kind to write, Secondary Capture where the moving image's own cannot hold the derived one.

    Args:
        template: the moving image's attributes.
        sop_class: of the moving image.
        volume: whether the derived image lies in space.
        coloured: whether it is RGB.
        spacing_known: whether its pixels have a size in millimetres.
    """
    kind = _CLASSIC.get(sop_class, SECONDARY)
    if (coloured and kind not in _COLOURED) or volume != (kind in _VOLUMES):
        return SECONDARY
    if kind is DX and not (spacing_known and text(template, "PatientOrientation")):
        return SECONDARY
    return kind


def add_acquisition(target: Dataset, template: Dataset, kind: Kind) -> None:
    """The equipment and acquisition attributes of `kind`: the moving image's, or what the IOD wants at least."""
    sources = places(template)
    copy_attributes(sources, [*EQUIPMENT, *_ANY, *kind.copied], target)
    _drop_disordered(target, kind)
    if kind is MR:
        _describe_enhanced_sequence(target, sources)
    for keyword, value in kind.filled.items():
        if keyword not in target:
            setattr(target, keyword, value)
    fill_empty(target, ["Manufacturer", *kind.empty])
    if any(keyword in target for keyword in _CONTRAST):
        fill_empty(target, ["ContrastBolusAgent"])
    target.Modality = kind.modality or _modality(template)
    if kind is PET:
        target.pop("PatientPosition", None)  # its place is taken by PatientOrientationCodeSequence
    elif kind in _VOLUMES:
        fill_empty(target, ["PatientPosition"])
    if kind is not DX and not set(words(target, "BodyPartExamined")) & set(_UNPAIRED):
        fill_empty(target, ["Laterality"])  # type 2C: wanted of body parts that come in pairs
    if kind is MR:
        _fill_conditional_times(target)
    if kind is PET:
        _complete_pet(target)


def _drop_disordered(target: Dataset, kind: Kind) -> None:
    orders = {"BurnedInAnnotation": ("YES", "NO"), "LossyImageCompression": ("00", "01"), "Laterality": ("R", "L")}
    for keyword, allowed in {**orders, **kind.orders}.items():
        if keyword in target and not set(words(target, keyword)) <= set(allowed):
            del target[keyword]
    if text(target, "LossyImageCompression") != "01":
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            target.pop(keyword, None)


def _modality(template: Dataset) -> str:
    said = words(template, "Modality")
    return said[0] if said and len(said[0]) <= 16 and said[0].isalnum() else "OT"


def _describe_enhanced_sequence(target: Dataset, sources: list[Dataset]) -> None:
    """Scanning sequence and variant of an enhanced object, which spells them in attributes of their own."""

    def says(keyword: str, *values: str) -> bool:
        return any(word in values for source in sources for word in words(source, keyword))

    if "ScanningSequence" not in target:
        kinds = {
            "SE": says("EchoPulseSequence", "SPIN", "BOTH"),
            "GR": says("EchoPulseSequence", "GRADIENT", "BOTH"),
            "IR": says("InversionRecovery", "YES"),
            "EP": says("EchoPlanarPulseSequence", "YES"),
        }
        target.ScanningSequence = [name for name, there in kinds.items() if there] or "RM"
    if "SequenceVariant" not in target:
        variants = {
            "SK": says("SegmentedKSpaceTraversal", "PARTIAL", "FULL"),
            "MTC": says("MagnetizationTransfer", "ON_RESONANCE", "OFF_RESONANCE"),
            "SS": says("SteadyStatePulseSequence", "FREE_PRECESSION", "TRANSVERSE", "TIME_REVERSED", "LONGITUDINAL"),
            "SP": says("Spoiling", "RF", "GRADIENT", "RF_AND_GRADIENT"),
        }
        target.SequenceVariant = [name for name, there in variants.items() if there] or "NONE"


def _fill_conditional_times(target: Dataset) -> None:
    """Times that classic MR images hold on one condition alone; enhanced ones give them on others."""
    if "IR" in words(target, "ScanningSequence"):
        fill_empty(target, ["InversionTime"])
    else:
        target.pop("InversionTime", None)
    if {"CG", "PPG"} & set(words(target, "ScanOptions")):
        fill_empty(target, ["TriggerTime"])


def _complete_pet(target: Dataset) -> None:
    for isotope in items(target, "RadiopharmaceuticalInformationSequence"):
        fill_empty(isotope, ["RadionuclideCodeSequence"])
    if text(target, "DecayCorrection") != "NONE" and number(target, "DecayFactor") is None:
        target.DecayFactor = "1"
    for keyword in ("SeriesDate", "SeriesTime"):
        if keyword not in target:  # the time that doses are decayed to: never the time of the derivation, if known
            source = keyword.replace("Series", "Acquisition")
            known = text(target, source) or text(target, keyword.replace("Series", "Study"))
            setattr(target, keyword, known or ("19000101" if keyword == "SeriesDate" else "000000"))
