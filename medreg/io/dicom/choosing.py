"""The list of the images that there are, and the one that is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medreg.errors import MedregError, ReadError, UsageError
from medreg.io.dicom.header import whole
from medreg.io.dicom.series import Series, Sorted


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
    if (
        asked is not None and asked.isdecimal() and not fit
    ):  # the scanner's own number, where it is no number of the list
        fit = [each for each in images.series if whole(each.first.header, "SeriesNumber") == int(asked)]
    if len(fit) == 1:
        return fit[0], notes
    rows = [row_of(each) for each in (fit or images.series)]
    shown = "the UID given" if asked is not None and asked.count(".") > 4 else repr(asked)
    said = "holds" if asked is None else f"{option} {shown} fits {'none' if not fit else 'more than one'} of the"
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
