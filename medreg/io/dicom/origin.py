"""Origin: what a derived series and a registration object must know of the DICOM files that an image was read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medreg.io.dicom.header import text

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


DERIVED_BY = "Resampled by medreg"
"""Stands in the derivation description of every image that medreg derives, and in no scanner's."""


@dataclass(frozen=True)
class Instance:
    """One DICOM object by its UIDs.

    Attributes:
        sop_class: such as 1.2.840.10008.5.1.4.1.1.2 for a CT image.
        sop_instance: of this object alone.
    """

    sop_class: str
    sop_instance: str


@dataclass(frozen=True, eq=False)
class Volume:
    """One volume of a series in time: the header of its first slice, and its files."""

    template: Dataset
    instances: tuple[Instance, ...]


@dataclass(frozen=True, eq=False)
class Origin:
    """The DICOM identity of an image, kept as `metadata["dicom"]`.

    It holds the patient's name and all other identifiers. They go into a series derived from this image and nowhere
    else: no record, no message and no file name takes anything from here.

    Attributes:
        template: all attributes of the first slice's file but its pixels, overlays and curves.
        instances: the files that the image was made of, in the order of slices, volume by volume; each once.
        frame_of_reference: UID of the space that the positions are in, "" where the files name none.
        volumes: of a series in time each one's own; empty for a single volume.
    """

    template: Dataset
    instances: tuple[Instance, ...]
    frame_of_reference: str
    volumes: tuple[Volume, ...] = ()

    def of_volume(self, number: int) -> Origin:
        """The identity of one volume of a series, counted from 0."""
        if not self.volumes:
            return self
        volume = self.volumes[number]
        return Origin(volume.template, volume.instances, self.frame_of_reference)


def origin_of(metadata: Mapping[str, Any]) -> Origin | None:
    """The origin of an image read from DICOM; None for any other."""
    origin = metadata.get("dicom")
    return origin if isinstance(origin, Origin) else None


def same_patient(first: Origin, second: Origin) -> bool:
    """Whether two headers may be of one patient: their identity numbers, or else their names, do not contradict."""
    for keyword in ("PatientID", "PatientName"):
        both = [text(origin.template, keyword).casefold().strip(" ^") for origin in (first, second)]
        if all(both):
            return both[0] == both[1]
    return True
