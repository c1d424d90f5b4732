"""Which images there are in a set of DICOM files: one a series, or several where its frames cannot be one image."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from medreg.errors import MedregError, ReadError, UsageError
from medreg.io.dicom.facts import scrubbed
from medreg.io.dicom.files import Found
from medreg.io.dicom.frames import Frame, frames_of
from medreg.io.dicom.header import text, whole
from medreg.io.dicom.opened import DicomFile, open_header, same_pixels
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
        name: for messages: what was named on the command line, with the number where there are several.
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


@dataclass(frozen=True)
class Row:
    """What is told of one image in a listing.

    Attributes:
        number: to choose it by.
        modality: CT, MR and their like.
        description: by the scanner's operator; without the patient's name.
        series_number: the scanner's own.
        files: how many it is made of.
        size: voxels along x, y, z; x, y of a picture.
        spacing: mm; empty where the files do not say.
        frames: volumes in time, or pictures.
        notes: what is odd about it; why it cannot be read.
    """

    number: int
    modality: str
    description: str
    series_number: int | None
    files: int
    size: tuple[int, ...]
    spacing: tuple[float, ...]
    frames: int
    notes: tuple[str, ...]

    @property
    def line(self) -> str:
        """One line for an error's list."""
        size = " x ".join(map(str, self.size))
        frames = f", {self.frames} volumes" if self.frames > 1 else ""
        return f"{self.number}: {self.modality} {self.description or '(no description)'}, {size}{frames}"


@dataclass(frozen=True)
class Listing:
    """All images in a place.

    Attributes:
        rows: one an image.
        other_files: files that are no DICOM images: reports, plans, anything else.
        unreadable: messages about DICOM files that are damaged.
    """

    rows: tuple[Row, ...]
    other_files: int
    unreadable: tuple[str, ...] = ()


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


def check_any(images: Sorted, name: str) -> None:
    """Make sure that there is an image.

    Raises:
        ReadError: there are reports, plans and damaged files at most.
    """
    if not images.series:
        if images.unreadable and not images.objects:
            count = len(images.unreadable)
            raise ReadError(
                f"{name}: none of its {count} DICOM files can be read; of the first, {images.unreadable[0]}"
            )
        damaged = f"; {images.unreadable[0]}" if images.unreadable else ""
        what = "is a DICOM object" if images.objects == 1 else f"holds {images.objects} DICOM objects"
        raise ReadError(
            f"{name}: {what} without pixels, such as a report, a plan or a registration, and no image{damaged}"
        )


def choose(images: Sorted, asked: str | None, name: str, option: str) -> tuple[Series, tuple[str, ...]]:
    """The image that is meant, and notes about what was left out.

    Args:
        images: all there are.
        asked: a number, a series' UID or a piece of the description; None takes the only one there is.
        name: for messages.
        option: the flag by which to ask, for messages.

    Raises:
        ReadError: there is no image at all.
        UsageError: none or several fit; the message lists them.
    """
    check_any(images, name)
    fit = [each for each in images.series if asked is not None and each.description.lower() == asked.lower()]
    fit = fit or [each for each in images.series if _fits(each, asked)]
    notes: tuple[str, ...] = ()
    if asked is None and len(fit) > 1:
        kept = [each for each in fit if not each.is_localiser]
        if len(kept) == 1:
            left = sum(len(each.frames) for each in fit if each.is_localiser)
            notes = (f"{name}: {left} localiser image{'s were' if left > 1 else ' was'} left out",)
            fit = kept
    if len(fit) == 1:
        return fit[0], notes
    rows = [row_of(each) for each in (fit or images.series)]
    said = "holds" if asked is None else f"{option} {asked!r} fits {'none' if not fit else 'more than one'} of the"
    raise UsageError(
        f"{name}: {said} {len(rows)} images{_why(fit)}; choose one with {option} NUMBER, or by a piece of the "
        "description that only it has:\n" + "\n".join(f"  {row.line}" for row in rows)
    )


def row_of(series: Series) -> Row:
    """The row of one image in a listing; what cannot be stacked says why in its notes."""
    header = series.first.header
    size: tuple[int, ...] = series.frames[0].size
    spacing: tuple[float, ...] = series.frames[0].spacing or ()
    frames, notes = 1, list[str]()
    try:
        found = series.stacked()
        size, frames = found.grid.size, len(found.volumes)
        spacing = found.grid.spacing if found.millimetres else ()
        notes += [note.removeprefix(f"{series.name}: ") for note in found.notes]
        if found.flat:
            notes.append("does not say where it lies")
    except MedregError as error:
        notes.append("refused: " + str(error).removeprefix(f"{series.name}: "))
        size = (*size, len(series.frames))
    if series.is_localiser:
        notes.append("localiser")
    number = whole(header, "SeriesNumber")
    files = len({id(frame.file) for frame in series.frames})
    return Row(series.number, series.modality, series.description, number, files, size, spacing, frames, tuple(notes))


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


def _fits(series: Series, asked: str | None) -> bool:
    if asked is None:
        return True
    if asked.isdecimal() and len(asked) < 7:
        return series.number == int(asked)
    return asked == series.uid or asked.lower() in series.description.lower()


def _why(fit: Sequence[Series]) -> str:
    """What parts of one series differ by, where that is all there is to choose from."""
    if len({series.uid for series in fit}) != 1 or len(fit) < 2:
        return ""
    planes = [series.frames[0].plane for series in fit]
    if planes[0] is None or planes[1] is None:
        return ""
    angle = np.degrees(np.arccos(np.clip(abs(planes[0].normal @ planes[1].normal), 0.0, 1.0)))
    if angle < 0.1:
        return ""
    counts = " and ".join(str(len(series.frames)) for series in fit)
    return f" in one series: {counts} slices in orientations that differ by {angle:.1f} degrees"
