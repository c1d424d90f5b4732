"""Which images there are in a set of DICOM files: one a series, or several where its frames cannot be one image."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from medreg.errors import MedregError, ReadError
from medreg.io.dicom.files import Found
from medreg.io.dicom.frame import Frame
from medreg.io.dicom.frames import frames_of
from medreg.io.dicom.header import text, whole
from medreg.io.dicom.opened import DicomFile, open_header, same_pixels
from medreg.io.dicom.scrubbing import scrubbed
from medreg.io.dicom.stacking import Stack, stack
from medreg.io.gzipping import cores

_TURNED = 1e-3
"""Largest difference of direction cosines within one image."""
_SCOUT_SLICES = 3
_SCOUT_SHARE = 0.2
"""Frames of another orientation, at most so many and no more than this share of the largest image: a localiser."""


@dataclass(frozen=True, eq=False)
class Series:
    """One image among the files.

    Attributes:
        number: from 1, as it is listed and chosen by.
        frames: its planes, in no order.
        part: of how many images its series was split into it is which: (1, 2); (1, 1) where it is whole.
        name: for messages: what was named on the command line.
    """

    number: int
    frames: tuple[Frame, ...]
    part: tuple[int, int]
    name: str

    @property
    def first(self) -> DicomFile:
        """The file of its first frame."""
        return self.frames[0].file

    @property
    def uid(self) -> str:
        """Of the series; an identifier, not to be shown."""
        return text(self.first.header, "SeriesInstanceUID")

    @property
    def modality(self) -> str:
        """CT, MR, PT and their like."""
        return text(self.first.header, "Modality")[:16]

    @cached_property
    def description(self) -> str:
        """What the scanner's operator called it, without what may name the patient, and what tells its parts apart."""
        header = self.first.header
        said = scrubbed(text(header, "SeriesDescription") or text(header, "ProtocolName"), header)
        if self.part[1] == 1:
            return said
        frame, (echo, contrast) = self.frames[0], self.frames[0].contrast
        told = [f"part {self.part[0]} of {self.part[1]}", *(word.lower() for word in frame.kind if word[:1].isalpha())]
        told += [f"echo time {echo:g} ms"] if echo else []
        label = contrast.split("\\")[-1].lower()
        told += [label] if len(label) > 1 else []
        return f"{said} [{', '.join(dict.fromkeys(told))}]".strip()

    @property
    def is_localiser(self) -> bool:
        """Whether its header says so, or it is a few slices across the others of its series."""
        return any("LOCALIZER" in frame.kind for frame in self.frames) or self.is_scout

    is_scout: bool = False

    def stacked(self) -> Stack:
        """Its frames in order; uneven ones are refused. See `stack`."""
        return stack(self.frames, self.name)


@dataclass(frozen=True, eq=False)
class Sorted:
    """Files sorted into images.

    Attributes:
        series: the images.
        objects: DICOM files without pixels.
        unreadable: messages about files that are damaged.
    """

    series: tuple[Series, ...]
    objects: int
    unreadable: tuple[str, ...]


def sort_files(found: Found, name: str) -> Sorted:
    """Open the headers of all files, side by side, and sort their frames into images.

    Args:
        found: the files.
        name: what was named on the command line.

    Raises:
        MedregError: of the one file that was named, when that cannot be read.
    """
    with ThreadPoolExecutor(cores()) as pool:
        opened = list(pool.map(_open, found.files))
    unreadable = [str(each) for each in opened if isinstance(each, MedregError)]
    if len(found.files) == 1 and unreadable:
        raise next(each for each in opened if isinstance(each, MedregError))
    files = [each for each in opened if isinstance(each, tuple)]
    groups: dict[str, list[Frame]] = {}
    seen: dict[object, DicomFile] = {}
    for file, frames in files:
        uid = text(file.header, "SOPInstanceUID")
        if uid and same_pixels(file, seen.setdefault(_instance_key(uid, frames), file)):
            continue  # the same object twice, as in backups of backups
        groups.setdefault(_series_key(file), []).extend(frames)
    ordered = sorted(groups.values(), key=_series_order)
    series: list[Series] = []
    for frames in ordered:
        parts = _images_of(frames)
        largest = max(len(part) for part in parts)
        for k, part in enumerate(parts, 1):
            number = len(series) + 1
            few = (
                len(parts) > 1 and part[0].plane is not None and len(part) <= min(_SCOUT_SLICES, _SCOUT_SHARE * largest)
            )
            series.append(Series(number, tuple(part), (k, len(parts)), name, few))
    return Sorted(tuple(series), sum(each is None for each in opened), tuple(unreadable))


def _open(path: Path) -> tuple[DicomFile, list[Frame]] | None | MedregError:
    try:
        file = open_header(path)
        return None if file is None else (file, frames_of(file))
    except MedregError as error:
        return error
    except OSError as error:
        return ReadError(f"{path}: cannot be read, {error.strerror or error}")


def _instance_key(uid: str, frames: Sequence[Frame]) -> object:
    """What tells objects apart: bad anonymisers give one UID to all, but they lie elsewhere or come at another time."""
    first = frames[0]
    place = None if first.plane is None else tuple(first.plane.position.tolist())
    return uid, len(frames), place, tuple(first.order.items())


def _series_key(file: DicomFile) -> str:
    uid = text(file.header, "SeriesInstanceUID")
    return uid or f"{text(file.header, 'StudyInstanceUID')} {text(file.header, 'SeriesNumber')} {file.path.parent}"


def _series_order(frames: Sequence[Frame]) -> tuple[str, int, str]:
    header = frames[0].file.header
    number = whole(header, "SeriesNumber")
    return text(header, "StudyDate"), number if number is not None else 1 << 31, str(frames[0].file.path)


def _images_of(frames: Sequence[Frame]) -> list[list[Frame]]:
    """The frames of a series by image: of one size, direction, spacing and kind; at one place also of one contrast."""
    parts: list[list[Frame]] = []
    for frame in frames:
        for part in parts:
            if _alike(frame, part[0]):
                part.append(frame)
                break
        else:
            parts.append([frame])
    return [image for part in parts for image in _by_contrast(part)]


def _alike(a: Frame, b: Frame) -> bool:
    if (a.size, a.kind, a.space, a.file.pixels.samples) != (b.size, b.kind, b.space, b.file.pixels.samples):
        return False
    if (a.plane is None) != (b.plane is None) or (a.spacing is None) != (b.spacing is None):
        return False
    if a.spacing and b.spacing and any(abs(s - t) > 1e-3 * t for s, t in zip(a.spacing, b.spacing, strict=True)):
        return False
    return a.plane is None or b.plane is None or float(np.abs(a.plane.axes - b.plane.axes).max()) < _TURNED


def _by_contrast(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Echoes apart, where their frames lie at the same places."""
    found: dict[tuple[float, str], list[Frame]] = {}
    for frame in frames:
        found.setdefault(frame.contrast, []).append(frame)
    groups = list(found.values())
    if len(groups) == 1 or frames[0].plane is None:
        return [list(frames)]
    places = [{tuple(np.round(f.plane.position, 2).tolist()) for f in group if f.plane} for group in groups]
    shared = any(places[0] & other for other in places[1:])
    return groups if shared else [list(frames)]
