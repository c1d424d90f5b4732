"""The frames of enhanced multi-frame files, each described by functional groups of its own and of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medreg.errors import ImageError
from medreg.io.dicom.frame import Frame, plane_of
from medreg.io.dicom.frame_attributes import (
    PHILIPS_FRAME,
    depth_of,
    kind_of,
    known,
    moment,
    pair,
    philips_scale,
    rounded,
    scaling,
)
from medreg.io.dicom.header import Key, item, number, numbers, text, words
from medreg.io.dicom.opened import DicomFile, promised_frames

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def enhanced_frames(file: DicomFile, size: tuple[int, int], groups: Sequence[Dataset]) -> list[Frame]:
    """The frames of a multi-frame file with functional groups."""
    shared = item(file.header, "SharedFunctionalGroupsSequence")
    count = promised_frames(file)
    if groups and len(groups) != count:
        raise ImageError(
            f"{file.path}: describes {len(groups)} frames where it holds {count}; it is damaged, export it again"
        )
    groups = groups or [shared] * count if shared is not None else groups
    return [_enhanced_frame(file, size, k, _Groups(group, shared)) for k, group in enumerate(groups)]


@dataclass(frozen=True, eq=False)
class _Groups:
    """The functional groups of one frame: its own first, then those that all share."""

    own: Dataset
    shared: Dataset | None

    def get(self, sequence: Key) -> Dataset | None:
        found = item(self.own, sequence)
        return found if found is not None or self.shared is None else item(self.shared, sequence)

    def number(self, sequence: Key, key: Key) -> float | None:
        group = self.get(sequence)
        return None if group is None else number(group, key)

    def numbers(self, sequence: Key, key: Key) -> tuple[float, ...] | None:
        group = self.get(sequence)
        return None if group is None else numbers(group, key)

    def text(self, sequence: Key, key: Key) -> str:
        group = self.get(sequence)
        return "" if group is None else text(group, key)


def _enhanced_frame(file: DicomFile, size: tuple[int, int], k: int, groups: _Groups) -> Frame:
    plane = plane_of(
        groups.numbers("PlanePositionSequence", "ImagePositionPatient"),
        groups.numbers("PlaneOrientationSequence", "ImageOrientationPatient"),
        f"{file.path}, frame {k}",
    )
    measures = groups.get("PixelMeasuresSequence")
    slope, intercept = scaling(
        groups.get("PixelValueTransformationSequence") or file.header, philips_scale(groups.get(PHILIPS_FRAME))
    )
    content = groups.get("FrameContentSequence")
    frame_type = next(
        (
            found
            for name in ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence")
            if (found := groups.text(name, "FrameType"))
        ),
        "\\".join(words(file.header, "ImageType")),
    )
    segment = groups.text("SegmentIdentificationSequence", "ReferencedSegmentNumber")
    stack = "" if content is None else text(content, "StackID")
    return Frame(
        file,
        k,
        size,
        plane,
        None if measures is None else pair(numbers(measures, "PixelSpacing")),
        slope,
        intercept,
        kind=(*kind_of(tuple(frame_type.upper().split("\\"))), f"segment {segment}" if segment else "", stack),
        contrast=(rounded(groups.number("MREchoSequence", "EffectiveEchoTime")), frame_type.upper()),
        order=_enhanced_order(file.header, k, content, groups),
        depth=None if measures is None else depth_of(measures),
        space=text(file.header, "FrameOfReferenceUID"),
    )


def _enhanced_order(header: Dataset, k: int, content: Dataset | None, groups: _Groups) -> Mapping[str, float]:
    return known(
        {
            "temporal index": None if content is None else number(content, "TemporalPositionIndex"),
            "trigger time": groups.number("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
            "b-value": groups.number("MRDiffusionSequence", "DiffusionBValue"),
            "acquisition number": None if content is None else number(content, "FrameAcquisitionNumber"),
            "acquisition time": moment(header, "Acquisition"),
            "inversion time": groups.number("MRModifierSequence", "InversionTimes"),
            "instance number": number(header, "InstanceNumber"),
            "frame": float(k),
        }
    )
