"""Classic DICOM: one slice a file; and their 4D, where a mark tells the volumes apart, one way or another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from dicom_attributes import (
    About,
    Attributes,
    Matrix,
    PerSlice,
    normal,
    of_slice,
    orientation,
    pixel_spacing,
    position,
    put,
    slice_distance,
)
from dicom_pixels import Stored
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
)

Voxels = NDArray[np.integer[Any]]

SOP_CLASS = {
    "CT": CTImageStorage,
    "MR": MRImageStorage,
    "PT": PositronEmissionTomographyImageStorage,
    "OT": SecondaryCaptureImageStorage,
}
KIND: dict[str, Attributes] = {
    "CT": {
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "KVP": 120,
        "AcquisitionNumber": 1,
        "RescaleType": "HU",
        "BodyPartExamined": "HEAD",
        "WindowCenter": 40,
        "WindowWidth": 400,
    },
    "MR": {
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
        "ScanningSequence": "GR",
        "SequenceVariant": "SP",
        "ScanOptions": "",
        "MRAcquisitionType": "3D",
        "RepetitionTime": 2000,
        "EchoTime": 3.5,
        "EchoTrainLength": 1,
        "FlipAngle": 9,
        "MagneticFieldStrength": 3,
        "ProtocolName": "made protocol",
        "BodyPartExamined": "HEAD",
        "AcquisitionNumber": 1,
        "WindowCenter": 300,
        "WindowWidth": 600,
    },
    "PT": {"ImageType": ["ORIGINAL", "PRIMARY"], "BodyPartExamined": "HEAD"},
    "OT": {
        "ImageType": ["DERIVED", "SECONDARY"],
        "ConversionType": "WSD",
        "BodyPartExamined": "HEAD",
        "PatientOrientation": "",
    },
}


def plane(affine: Matrix, slice_index: float) -> Attributes:
    """Where a slice lies; the affine's third column decides on the position alone, so positions keep a shear."""
    place = position(affine, slice_index)
    return {
        "ImagePositionPatient": place,
        "ImageOrientationPatient": orientation(affine),
        "PixelSpacing": pixel_spacing(affine),
        "SliceThickness": slice_distance(affine),
        "SliceLocation": float(normal(affine) @ place),
    }


def slice_dataset(
    pixels: Voxels, affine: Matrix, slice_index: float, modality: str, stored: Stored, about: About, instance: object
) -> Dataset:
    """The dataset of one slice."""
    made = about.dataset(SOP_CLASS[modality], modality, instance)
    put(made, {"PatientPosition": "HFS", **KIND[modality], **plane(affine, slice_index)})
    if modality == "MR":
        put(made, {"SpacingBetweenSlices": slice_distance(affine)})
    if pixels.ndim == 3:  # colour has no window
        put(made, {"WindowCenter": None, "WindowWidth": None})
    stored.fill(made, pixels)
    return made


def classic(
    folder: Path,
    array: Voxels,
    affine: Matrix,
    *,
    modality: str = "MR",
    slope: PerSlice = 1,
    intercept: PerSlice = 0,
    stored: Stored | None = None,
    numbers: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    **about: Any,
) -> list[Path]:
    """One file a slice of (z, y, x) or colour (z, y, x, 3); the affine may be oblique, left-handed or sheared.

    Args:
        folder: where to write; made if missing.
        array: stored integers of 8, 16 or 32 bits, signed or not.
        affine: index (x, y, z) -> world LPS mm. A gantry tilt is a shear of its third column: positions carry it.
        modality: "MR", "CT", "PT" (rather `pet`), or "OT" (secondary capture with geometry).
        slope: RescaleSlope: a number, one for each slice, or a function of the slice; MR leaves out 1 and 0.
        intercept: RescaleIntercept, likewise.
        stored: bits stored, photometric interpretation ...
        numbers: InstanceNumber of each slice; 1, 2, ... by default.
        names: file name of each slice; by `numbers` by default, so both can be in disorder.
        **about: of `About`: series, part, study, space, patient, number, description, extra, syntax, bare.
    """
    return classic_4d(
        folder,
        array[None],
        affine,
        mark=lambda volume, k: {},
        modality=modality,
        slope=slope,
        intercept=intercept,
        stored=stored,
        numbers=numbers,
        names=names,
        **about,
    )


Mark = Callable[[int, int], Attributes]
"""(volume, slice) -> the attributes that tell which volume a slice is of."""


def classic_4d(
    folder: Path,
    array: Voxels,
    affine: Matrix,
    *,
    mark: Mark,
    modality: str = "MR",
    slope: PerSlice = 1,
    intercept: PerSlice = 0,
    stored: Stored | None = None,
    numbers: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    **about: Any,
) -> list[Path]:
    """One file a slice of (t, z, y, x): one series; the paths come volume by volume.

    Everything that is per slice (slope, numbers, names, `extra`) is indexed by t * slices + z. See `classic`.

    Args:
        folder: where to write.
        array: (t, z, y, x) or (t, z, y, x, 3).
        affine: of every volume.
        mark: how the volumes are told apart: `by_temporal_position`, `by_b_value([0, 1000])` ...; it replaces others.
        modality: see `classic`, as are those below.
        slope: RescaleSlope.
        intercept: RescaleIntercept.
        stored: bits stored ...
        numbers: InstanceNumbers.
        names: file names.
        **about: of `About`.
    """
    claims, stored = About(**about), stored or Stored()
    volumes, slices = array.shape[:2]
    always = modality in ("CT", "PT") or any(
        (of_slice(slope, i), of_slice(intercept, i)) != (1, 0) for i in range(volumes * slices)
    )
    # Never by the InstanceNumber that a mark sets: it may come again, and one file would overwrite another.
    counted = numbers if numbers is not None and len(set(numbers)) == len(numbers) else range(1, volumes * slices + 1)
    file_names = [f"IM{number:04d}.dcm" for number in counted]
    paths = []
    for index in range(volumes * slices):
        t, k = divmod(index, slices)
        made = slice_dataset(array[t, k], affine, k, modality, stored, claims, index)
        if always and array.ndim == 4:
            put(made, {"RescaleSlope": of_slice(slope, index), "RescaleIntercept": of_slice(intercept, index)})
        put(made, {"InstanceNumber": numbers[index] if numbers is not None else index + 1, **mark(t, k)})
        paths.append(claims.save(made, folder / (names or file_names)[index], index))
    return paths


def by_temporal_position(times: int) -> Mark:
    """TemporalPositionIdentifier and NumberOfTemporalPositions, as GE's and Philips' 4D have."""
    return lambda t, k: {"TemporalPositionIdentifier": t + 1, "NumberOfTemporalPositions": times}


def by_acquisition_time(slices: int, seconds: float = 2.5) -> Mark:
    """Only AcquisitionTime tells: InstanceNumber counts the slices, from 1 again in each volume."""

    def mark(t: int, k: int) -> Attributes:
        whole, rest = divmod(t * seconds, 60)
        time = f"10{13 + int(whole):02d}{rest:09.6f}"
        return {"AcquisitionTime": time, "ContentTime": time, "InstanceNumber": k + 1}

    return mark


def by_instance_number(volumes: int, slices: int, *, slice_by_slice: bool = False) -> Mark:
    """Only InstanceNumber tells: it counts volume by volume, or all times of a slice before the next slice."""
    return lambda t, k: {"InstanceNumber": (k * volumes + t if slice_by_slice else t * slices + k) + 1}


def by_b_value(b_values: Sequence[float], directions: Sequence[Sequence[float]] | None = None) -> Mark:
    """DiffusionBValue, s/mm2, and the gradient's direction where one is given and the b-value is not 0."""

    def mark(t: int, k: int) -> Attributes:
        b = float(b_values[t])
        found: dict[str, Any] = {
            "ImageType": ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"],
            "DiffusionBValue": b,
            "DiffusionDirectionality": "DIRECTIONAL" if b and directions else "NONE" if not b else "ISOTROPIC",
        }
        if b and directions:
            found["DiffusionGradientOrientation"] = [float(c) for c in directions[t]]
        return found

    return mark


def by_echo(times_ms: Sequence[float]) -> Mark:
    """EchoTime and EchoNumbers: multi-echo, such as for a field map."""
    return lambda t, k: {"EchoTime": times_ms[t], "EchoNumbers": t + 1}


def shuffled(count: int, seed: int = 0) -> list[int]:
    """1 to `count` in an order that says nothing: for InstanceNumbers and file names."""
    return [int(n) + 1 for n in np.random.default_rng(seed).permutation(count)]
