"""DICOM images that are no plain volume of slices: PET, dose, localisers, pictures without a place, and cine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from dicom_attributes import About, Matrix, PerSlice, normal, position, put
from dicom_pixels import Stored
from dicom_slices import Voxels, classic, plane, slice_dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    RTDoseStorage,
    SecondaryCaptureImageStorage,
    UltrasoundMultiFrameImageStorage,
)


def pet(
    folder: Path,
    array: Voxels,
    affine: Matrix,
    *,
    slope: PerSlice = lambda k: 0.5 + 0.125 * k,
    units: str = "BQML",
    extra: dict[str, Any] | None = None,
    **about: Any,
) -> list[Path]:
    """PET slices of (z, y, x) with units and what SUV needs (weight, dose, its time, decay); a slope for each slice.

    Args:
        folder: where to write.
        array: stored integers.
        affine: index (x, y, z) -> world LPS mm.
        slope: RescaleSlope; each slice its own, as PET has it.
        units: Units: "BQML", "CNTS", "GML" ...
        extra: see `About`.
        **about: of `About`, and of `classic`.
    """
    tracer = Dataset()
    put(
        tracer,
        {
            "Radiopharmaceutical": "Fluorodeoxyglucose",
            "RadiopharmaceuticalStartTime": "090807",
            "RadionuclideTotalDose": 370000000,
            "RadionuclideHalfLife": 6586.2,
            "RadionuclidePositronFraction": 0.97,
            "RadionuclideCodeSequence": [],
        },
    )
    return classic(
        folder,
        array,
        affine,
        modality="PT",
        slope=slope,
        extra={
            "Units": units,
            "CountsSource": "EMISSION",
            "SeriesType": ["STATIC", "IMAGE"],
            "CorrectedImage": ["DECY", "ATTN", "SCAT"],
            "DecayCorrection": "START",
            "CollimatorType": "NONE",
            "NumberOfSlices": len(array),
            "ImageIndex": lambda k: k + 1,
            "FrameReferenceTime": 0,
            "DecayFactor": 1,
            "PatientPosition": None,
            "PatientOrientationCodeSequence": [],
            "PatientGantryRelationshipCodeSequence": [],
            "ActualFrameDuration": 180000,
            "PatientWeight": 70,
            "PatientSize": 1.7,
            "RadiopharmaceuticalInformationSequence": [tracer],
            **(extra or {}),
        },
        **about,
    )


def rt_dose(
    folder: Path, array: Voxels, affine: Matrix, *, scaling: float = 1e-4, absolute: bool = False, **about: Any
) -> list[Path]:
    """A dose grid of (z, y, x) in one file: frames at offsets along the normal, values times DoseGridScaling in gray.

    Args:
        folder: where to write.
        array: stored integers, 16 or 32 bits.
        affine: index (x, y, z) -> world LPS mm; slices along or against the normal.
        scaling: gray for each stored unit.
        absolute: offsets are the frames' places along the normal (the standard's second way), not from the first frame.
        **about: of `About`.
    """
    claims = About(**about)
    affine = np.asarray(affine, dtype=np.float64)
    made = claims.dataset(RTDoseStorage, "RTDOSE", "dose")
    along = normal(affine)
    offsets = [float(along @ (position(affine, k) - (0 if absolute else position(affine)))) for k in range(len(array))]
    put(made, {**plane(affine, 0), "SliceLocation": None})
    put(
        made,
        {
            "DoseUnits": "GY",
            "DoseType": "PHYSICAL",
            "DoseSummationType": "PLAN",
            "DoseGridScaling": scaling,
            "FrameIncrementPointer": tag_for_keyword("GridFrameOffsetVector"),
            "GridFrameOffsetVector": offsets,
        },
    )
    Stored().fill(made, array, frames=True)
    return [claims.save(made, folder / "dose.dcm")]


def localiser(
    folder: Path, array: Voxels, *, centre_mm: Sequence[float] = (0, 0, 0), spacing_mm: float = 2.0, **about: Any
) -> list[Path]:
    """Three planes (3, y, x), transverse, sagittal, coronal, that meet in `centre_mm` (LPS): one series of scouts."""
    claims = About(**{"series": "localiser", "description": "localiser", "number": 99, **about})
    paths = []
    for k, (across, down) in enumerate(((0, 1), (1, -2), (0, -2))):
        affine = np.eye(4)
        affine[:3, :3] = 0
        affine[abs(across), 0] = spacing_mm
        affine[abs(down), 1] = np.copysign(spacing_mm, down)
        affine[:3, 2] = normal(affine) * spacing_mm
        affine[:3, 3] = centre_mm
        affine[:3, 3] -= affine[:3, :2] @ ((np.array(array.shape[:0:-1]) - 1) / 2)
        made = slice_dataset(array[k], affine, 0, "MR", Stored(), claims, k)
        put(made, {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "InstanceNumber": k + 1})
        paths.append(claims.save(made, folder / f"scout{k + 1}.dcm", k))
    return paths


def secondary_capture(
    folder: Path,
    picture: Voxels,
    *,
    spacing_mm: tuple[float, float] | None = None,
    modality: str = "OT",
    stored: Stored | None = None,
    name: str = "capture.dcm",
    **about: Any,
) -> list[Path]:
    """One picture (y, x) or (y, x, 3) without a place in space; "CR" makes it a radiograph.

    Args:
        folder: where to write.
        picture: stored integers.
        spacing_mm: (x, y) for PixelSpacing (CR: ImagerPixelSpacing); none by default.
        modality: "OT" or "CR".
        stored: bits stored, photometric interpretation, palette ...
        name: of the file.
        **about: of `About`.
    """
    claims = About(**{"space": "", **about})
    kind = ComputedRadiographyImageStorage if modality == "CR" else SecondaryCaptureImageStorage
    made = claims.dataset(kind, modality, name)
    put(made, {"ImageType": ["DERIVED", "SECONDARY"], "PatientOrientation": "", "BodyPartExamined": "CHEST"})
    if modality == "CR":
        put(made, {"ImageType": ["ORIGINAL", "PRIMARY"], "ViewPosition": "PA"})
    else:
        put(made, {"ConversionType": "WSD"})
    if spacing_mm:
        keyword = "ImagerPixelSpacing" if modality == "CR" else "PixelSpacing"
        put(made, {keyword: spacing_mm[::-1]})
    (stored or Stored()).fill(made, picture)
    return [claims.save(made, folder / name)]


def cine(
    folder: Path,
    array: Voxels,
    *,
    modality: str = "US",
    milliseconds: float = 40.0,
    stored: Stored | None = None,
    name: str = "cine.dcm",
    **about: Any,
) -> list[Path]:
    """Frames (t, y, x) or (t, y, x, 3) without a place: ultrasound, or multi-frame secondary capture ("OT")."""
    claims = About(**{"space": "", **about})
    colour = array.ndim == 4
    kind = UltrasoundMultiFrameImageStorage
    if modality == "OT":
        kind = (
            MultiFrameTrueColorSecondaryCaptureImageStorage
            if colour
            else MultiFrameGrayscaleByteSecondaryCaptureImageStorage
        )
    made = claims.dataset(kind, modality, name)
    put(
        made,
        {
            "ImageType": ["ORIGINAL", "PRIMARY"] if modality == "US" else ["DERIVED", "SECONDARY"],
            "ConversionType": "WSD" if modality == "OT" else None,
            "BodyPartExamined": "HEART",
            "PatientOrientation": "",
            "FrameTime": milliseconds,
            "FrameIncrementPointer": tag_for_keyword("FrameTime"),
        },
    )
    (stored or Stored(photometric="RGB" if colour else "MONOCHROME2")).fill(made, array, frames=True)
    return [claims.save(made, folder / name)]
