"""From the frames of an image to its DICOM identity: the headers and instances that a derived series refers to."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

from medreg.io.dicom.frame import Frame
from medreg.io.dicom.header import items, text
from medreg.io.dicom.origin import Instance, Origin, Volume
from medreg.io.dicom.stacking import Stack

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_NOT_OF_THE_IMAGE = (0x5000, 0x6000)
"""Groups of curves and overlays."""
_PER_FRAME = "PerFrameFunctionalGroupsSequence"


def origin_from(arranged: Stack) -> Origin:
    """The identity of an image; of several volumes also each one's own."""
    volumes = tuple(Volume(_template(frames[0]), _instances(frames)) for frames in arranged.volumes)
    template = volumes[0].template
    whole = _instances(arranged.frames)
    return Origin(template, whole, text(template, "FrameOfReferenceUID"), volumes if len(volumes) > 1 else ())


def _instances(frames: Sequence[Frame]) -> tuple[Instance, ...]:
    headers = [frame.file.header for frame in frames]
    found = (Instance(text(header, "SOPClassUID"), text(header, "SOPInstanceUID")) for header in headers)
    return tuple(dict.fromkeys(found))


def _template(frame: Frame) -> Dataset:
    """The header of a frame's file; of many frames' groups only its own."""
    header = frame.file.header
    for tag in [tag for tag in header.keys() if tag.group & 0xFF00 in _NOT_OF_THE_IMAGE]:  # noqa: SIM118 - no elements
        del header[tag]
    groups = items(header, _PER_FRAME)
    if len(groups) > 1:
        header = copy.copy(header)
        setattr(header, _PER_FRAME, [groups[frame.number]])
    return header
