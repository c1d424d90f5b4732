"""Enhanced multi-frame CT and MR: one object of many frames, with shared and per-frame functional groups."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from dicom_attributes import (
    About,
    Attributes,
    Matrix,
    PerSlice,
    item,
    of_slice,
    orientation,
    pixel_spacing,
    position,
    put,
    slice_distance,
    uid,
)
from dicom_groups import CT_GROUPS, MR_GROUPS, MR_OBJECT
from dicom_pixels import Stored
from dicom_slices import Voxels
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage, EnhancedMRImageStorage


@dataclass(frozen=True, eq=False)
class Part:
    """One volume of a multi-frame object.

    Attributes:
        array: (z, y, x) stored integers; all parts have the same rows and columns.
        affine: index (x, y, z) -> world LPS mm.
        frame_type: FrameType's last value, "M", "P", "FIELD_MAP" ... (MR), or "NONE".
        slope: RescaleSlope of each frame: a number, a sequence or a function of the slice.
        intercept: RescaleIntercept likewise.
        unit: RescaleType: "US" where not given, "HU", "Hz" ...
        time: TemporalPositionIndex, from 1; 0 for none.
        stack: StackID.
        groups: further functional groups by keyword, each a table of attributes: {"MREchoSequence": {...}}.
    """

    array: Voxels
    affine: Matrix
    frame_type: str = "M"
    slope: PerSlice = 1
    intercept: PerSlice = 0
    unit: str = "US"
    time: int = 0
    stack: str = "1"
    groups: dict[str, Attributes] = field(default_factory=dict)


def enhanced(
    folder: Path,
    array: Voxels,
    affine: Matrix,
    *,
    modality: str = "MR",
    slope: PerSlice = 1,
    intercept: PerSlice = 0,
    order: Sequence[int] | None = None,
    per_frame: Collection[str] = (),
    stored: Stored | None = None,
    name: str = "enhanced.dcm",
    **about: Any,
) -> list[Path]:
    """One object of (z, y, x), or (t, z, y, x) with TemporalPositionIndex; returns its one path. See `multi_frame`."""
    volumes = array if array.ndim == 4 else array[None]
    unit = "HU" if modality == "CT" else "US"
    parts = [
        Part(volume, affine, slope=slope, intercept=intercept, unit=unit, time=t + 1 if array.ndim == 4 else 0)
        for t, volume in enumerate(volumes)
    ]
    return multi_frame(
        folder, parts, modality=modality, order=order, per_frame=per_frame, stored=stored, name=name, **about
    )


def multi_frame(
    folder: Path,
    parts: Sequence[Part],
    *,
    modality: str = "MR",
    order: Sequence[int] | None = None,
    per_frame: Collection[str] = (),
    stored: Stored | None = None,
    name: str = "enhanced.dcm",
    **about: Any,
) -> list[Path]:
    """One object of all parts' frames: stacks, times, or kinds such as magnitude and field map.

    A functional group that is the same in all frames is shared, as the standard wants, unless `per_frame` names it.

    Args:
        folder: where to write.
        parts: the volumes.
        modality: "MR" or "CT".
        order: the file's frame n is the frame order[n] of the parts one after the other; in that order by default.
        per_frame: keywords of groups that each frame gets, though they be the same: "PixelMeasuresSequence" ...
        stored: bits stored ...
        name: of the file.
        **about: of `About`.
    """
    claims = About(**about)
    frames = [(part, k) for part in parts for k in range(len(part.array))]
    order = range(len(frames)) if order is None else order
    stacks, kinds = (sorted({getattr(part, of) for part in parts}) for of in ("stack", "frame_type"))
    dimensions = _dimensions(parts, modality)
    groups = []
    for part, k in (frames[n] for n in order):
        counts = {
            "StackID": stacks.index(part.stack) + 1,
            "InStackPositionNumber": k + 1,
            "TemporalPositionIndex": part.time,
            "FrameType": kinds.index(part.frame_type) + 1,
        }
        groups.append(_groups(part, k, modality, [counts[keyword] for keyword in dimensions]))
    pixels = np.stack([frames[n][0].array[frames[n][1]] for n in order])
    shared = {
        keyword: table
        for keyword, table in groups[0].items()
        if keyword not in {"FrameContentSequence", "PlanePositionSequence", *per_frame}
        and all(_same(group.get(keyword), table) for group in groups)
    }
    made = claims.dataset(EnhancedMRImageStorage if modality == "MR" else EnhancedCTImageStorage, modality, "enhanced")
    put(made, _object(modality, kinds))
    _put_dimensions(made, dimensions, claims)
    made.SharedFunctionalGroupsSequence = [_items(shared)]
    made.PerFrameFunctionalGroupsSequence = [
        _items({keyword: table for keyword, table in group.items() if keyword not in shared}) for group in groups
    ]
    (stored or Stored()).fill(made, pixels, frames=True)
    return [claims.save(made, folder / name)]


def _groups(part: Part, k: int, modality: str, counts: list[int]) -> dict[str, Attributes]:
    """The functional groups of a part's frame, by keyword."""
    content: dict[str, Any] = {
        "StackID": part.stack,
        "InStackPositionNumber": k + 1,
        "DimensionIndexValues": counts,
        "FrameAcquisitionDateTime": f"202311191013{10 + part.time:02d}",
        "FrameReferenceDateTime": f"202311191013{10 + part.time:02d}",
        "FrameAcquisitionDuration": 1000.0,
    }
    if part.time:
        content["TemporalPositionIndex"] = part.time
    frame_type = {
        "FrameType": ["ORIGINAL", "PRIMARY", "T1" if modality == "MR" else "VOLUME", part.frame_type],
        "PixelPresentation": "MONOCHROME",
        "VolumetricProperties": "VOLUME",
        "VolumeBasedCalculationTechnique": "NONE",
    }
    if modality == "MR":
        component = {"M": "MAGNITUDE", "P": "PHASE", "R": "REAL", "I": "IMAGINARY"}.get(part.frame_type, "REAL")
        frame_type |= {"ComplexImageComponent": component, "AcquisitionContrast": "T1"}
    return {
        "FrameContentSequence": content,
        "PlanePositionSequence": {"ImagePositionPatient": position(part.affine, k)},
        "PlaneOrientationSequence": {"ImageOrientationPatient": orientation(part.affine)},
        "PixelMeasuresSequence": {
            "PixelSpacing": pixel_spacing(part.affine),
            "SliceThickness": slice_distance(part.affine),
            "SpacingBetweenSlices": slice_distance(part.affine),
        },
        "PixelValueTransformationSequence": {
            "RescaleIntercept": of_slice(part.intercept, k),
            "RescaleSlope": of_slice(part.slope, k),
            "RescaleType": part.unit,
        },
        "FrameVOILUTSequence": {"WindowCenter": 300, "WindowWidth": 600},
        _frame_type_group(modality): frame_type,
        **(MR_GROUPS if modality == "MR" else CT_GROUPS),
        **part.groups,
    }


def _object(modality: str, frame_types: list[str]) -> Attributes:
    """Attributes of the whole object."""
    mixed = {} if frame_types == ["M"] else {"ComplexImageComponent": "MIXED"}
    common = {
        "ImageType": [
            "ORIGINAL",
            "PRIMARY",
            "T1" if modality == "MR" else "VOLUME",
            frame_types[0] if len(frame_types) == 1 else "MIXED",
        ],
        "AcquisitionDateTime": "20231119101314",
        "AcquisitionNumber": 1,
        "AcquisitionDuration": 10.0,
        "PixelPresentation": "MONOCHROME",
        "VolumetricProperties": "VOLUME",
        "VolumeBasedCalculationTechnique": "NONE",
        "ContentQualification": "RESEARCH",
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "PresentationLUTShape": "IDENTITY",
        "PatientPosition": "HFS",
        "AcquisitionContextSequence": [],
    }
    return common if modality == "CT" else {**MR_OBJECT, **common, **mixed}


def _dimensions(parts: Sequence[Part], modality: str) -> dict[str, str]:
    """Keywords of the dimensions that DimensionIndexValues counts in, and of the groups that hold them."""
    found = {"StackID": "FrameContentSequence", "InStackPositionNumber": "FrameContentSequence"}
    if any(part.time for part in parts):
        found["TemporalPositionIndex"] = "FrameContentSequence"
    if len({part.frame_type for part in parts}) > 1:
        found["FrameType"] = _frame_type_group(modality)
    return found


def _frame_type_group(modality: str) -> str:
    return "MRImageFrameTypeSequence" if modality == "MR" else "CTImageFrameTypeSequence"


def _put_dimensions(made: Dataset, dimensions: dict[str, str], claims: About) -> None:
    """Describe the dimensions."""
    organisation = uid("dimensions", claims.series)
    made.DimensionOrganizationSequence = [item({"DimensionOrganizationUID": organisation})]
    made.DimensionIndexSequence = [
        item(
            {
                "DimensionOrganizationUID": organisation,
                "DimensionIndexPointer": tag_for_keyword(keyword),
                "FunctionalGroupPointer": tag_for_keyword(group),
            }
        )
        for keyword, group in dimensions.items()
    ]


def _items(groups: dict[str, Attributes]) -> Dataset:
    """A dataset of functional groups: sequences of one item."""
    made = Dataset()
    for keyword, table in groups.items():
        setattr(made, keyword, [item(table)])
    return made


def _same(one: Attributes | None, other: Attributes) -> bool:
    """Whether two groups hold the same, numbers in arrays included."""
    return one is not None and repr(dict(one)) == repr(dict(other))
