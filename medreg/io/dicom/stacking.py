"""From frames to a volume, or volumes in time: by where they lie, never by their names or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from medreg.errors import GeometryError
from medreg.geometry.grid import SHEAR_TOLERANCE, Grid
from medreg.io.dicom.choice import Uneven
from medreg.io.dicom.frame import Frame
from medreg.io.dicom.gaps import check_even, even_grid, is_even
from medreg.io.dicom.header import text
from medreg.types import FloatArray

_SAME_PLACE = 0.01
"""mm, and part of the median step, below which two slices lie at one place."""
_NOISE = 0.01
"""Part of the largest gap below which gaps are those between volumes at one place, not between slices."""
_TURN_WORTH_TELLING = 1e-4
"""Radians between the orientations of slices that are taken for one."""
_SECTIONS = ("CT", "MR", "PT")
"""Modalities whose images lie somewhere; one that does not say where has lost it."""
_LABELS = (
    "temporal position",
    "temporal index",
    "trigger time",
    "acquisition number",
    "b-value",
    "acquisition time",
    "content time",
    "inversion time",
    "instance number",
)
_RANKS = ("acquisition time", "content time", "instance number", "frame")


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames in their places.

    Attributes:
        volumes: in time, each its slices in the order of the grid.
        grid: where they lie.
        heights: of each slice, its index on the grid, where slices must be interpolated onto an even one; else None.
        notes: what a person should know.
        flat: whether the frames do not say where they lie: pictures.
        millimetres: whether the grid is in millimetres, not in pixels.
    """

    volumes: tuple[tuple[Frame, ...], ...]
    grid: Grid
    heights: FloatArray | None = None
    notes: tuple[str, ...] = field(default=())
    flat: bool = False
    millimetres: bool = True

    @property
    def frames(self) -> list[Frame]:
        """All, volume by volume."""
        return [frame for volume in self.volumes for frame in volume]


def stack(frames: Sequence[Frame], name: str, uneven: Uneven = Uneven.REFUSE) -> Stack:
    """Put the frames of one image in order.

    Args:
        frames: of one size, orientation and kind.
        name: for messages.
        uneven: what to do where slices are missing or their distances differ.

    Raises:
        GeometryError: places that occur twice, slices that are missing, uneven, or shifted against each other.
    """
    if frames[0].plane is None:
        return _pictures(frames, name)
    notes: list[str] = []
    normal = frames[0].plane.normal
    _note_turns(frames, name, notes)
    places = _places(frames, normal)
    volumes = _in_time(places, name, notes)
    positions = _positions(volumes[0])
    _check_volumes(volumes, positions, name)
    spacing = frames[0].spacing
    if spacing is None:
        spacing = (1.0, 1.0)
        notes.append(f"{name}: does not say how large a pixel is; took 1 mm")
    in_plane = frames[0].plane.axes.T * np.array(spacing)
    if len(positions) == 1:
        return _single(volumes, positions[0], in_plane, normal, name, notes)
    heights = None
    if is_even(positions):
        check_even(positions, name, notes)
        step = (positions[-1] - positions[0]) / (len(positions) - 1)
        count = len(positions)
    elif uneven is Uneven.RESAMPLE:
        step, heights, count = even_grid(positions, name, notes)
    else:
        check_even(positions, name, notes)  # raises
        raise AssertionError
    _note_tilt(step, normal, name, notes)
    affine = np.eye(4)
    affine[:3, :2], affine[:3, 2], affine[:3, 3] = in_plane, step, positions[0]
    grid = Grid.from_affine((*frames[0].size, count), affine)
    return Stack(volumes, grid, heights, tuple(notes))


def _pictures(frames: Sequence[Frame], name: str) -> Stack:
    """Frames that do not say where they lie: one picture, or several in the order of their numbers."""
    ordered = sorted(frames, key=lambda f: (f.order.get("instance number", 0.0), str(f.file.path), f.number))
    spacing = frames[0].spacing
    grid = Grid.regular(frames[0].size, spacing or (1.0, 1.0))
    modality, count = text(frames[0].file.header, "Modality"), len(frames)
    notes = (f"{name}: these {modality} slices do not say where they lie; read as {count} pictures, no volume",)
    return Stack(
        tuple((frame,) for frame in ordered),
        grid,
        notes=notes if modality in _SECTIONS else (),
        flat=True,
        millimetres=spacing is not None,
    )


def _single(
    volumes: tuple[tuple[Frame, ...], ...],
    position: FloatArray,
    in_plane: FloatArray,
    normal: FloatArray,
    name: str,
    notes: list[str],
) -> Stack:
    """One place: a slice as thick as the header says."""
    depth = volumes[0][0].depth
    if depth is None:
        depth = 1.0
        notes.append(f"{name}: is a single slice that does not say how thick it is; took 1 mm")
    if len(volumes) > 1:
        where = ", ".join(f"{v:.1f}" for v in position)
        notes.append(f"{name}: all {len(volumes)} slices lie at one place ({where}): one slice in time, not a volume")
    affine = np.eye(4)
    affine[:3, :2], affine[:3, 2], affine[:3, 3] = in_plane, normal * depth, position
    return Stack(volumes, Grid.from_affine((*volumes[0][0].size, 1), affine), None, tuple(notes))


def _positions(volume: Sequence[Frame]) -> FloatArray:
    """(slice, 3) LPS mm."""
    return np.array([frame.placed.position for frame in volume])


def _note_turns(frames: Sequence[Frame], name: str, notes: list[str]) -> None:
    turned = max(float(np.abs(frame.placed.axes - frames[0].placed.axes).max()) for frame in frames)
    if turned > _TURN_WORTH_TELLING:
        reach = turned * max(n * s for n, s in zip(frames[0].size, frames[0].spacing or (1.0, 1.0), strict=True))
        notes.append(
            f"{name}: its slices are turned against each other by up to "
            f"{np.degrees(turned):.3f} degrees, {reach:.2f} mm at their edges; took the first one's orientation"
        )


def _places(frames: Sequence[Frame], normal: FloatArray) -> list[list[Frame]]:
    """Frames by where they lie along the normal, those at one place together."""
    heights = _positions(frames) @ normal
    order = np.argsort(heights, kind="stable")
    gaps = np.diff(heights[order])
    real = gaps[gaps > max(1e-4, _NOISE * float(gaps.max(initial=0.0)))]
    limit = _SAME_PLACE * min(1.0, float(np.median(real))) if real.size else _SAME_PLACE
    places: list[list[Frame]] = [[frames[order[0]]]]
    for gap, at in zip(gaps, order[1:], strict=True):
        if gap > limit:
            places.append([])
        places[-1].append(frames[at])
    return places


def _in_time(places: Sequence[Sequence[Frame]], name: str, notes: list[str]) -> tuple[tuple[Frame, ...], ...]:
    """Volumes in time, each with one frame of every place.

    Raises:
        GeometryError: places that occur more often than others, without saying which belong together.
    """
    counts = [len(place) for place in places]
    if max(counts) == 1:
        return (tuple(place[0] for place in places),)
    even = min(counts) == max(counts)
    for label in _LABELS:
        volumes = _by_label(places, label)
        whole = [volume for volume in volumes if len(volume) == len(places)]
        if whole and (len(whole) == len(volumes) == counts[0] if even else len(volumes) - 1 == len(whole) > 1):
            if not even:
                short = next(volume for volume in volumes if len(volume) < len(places))
                notes.append(
                    f"{name}: one of its {len(volumes)} volumes has {len(short)} of {len(places)} slices; it was left "
                    "out"
                )
            return tuple(tuple(volume) for volume in whole)
    if even:
        for rank in _RANKS:
            if all(len({frame.order.get(rank) for frame in place} - {None}) == len(place) for place in places):
                ranked = [sorted(place, key=lambda f: f.order[rank]) for place in places]
                return tuple(tuple(place[k] for place in ranked) for k in range(counts[0]))
    raise _twice(places, counts, name)


def _by_label(places: Sequence[Sequence[Frame]], label: str) -> list[list[Frame]]:
    """Volumes by the values of a label, in their order; none where a place has one value twice or a frame has none."""
    found: dict[float, list[Frame]] = {}
    for number, place in enumerate(places):
        for frame in place:
            value = frame.order.get(label)
            if value is None:
                return []
            volume = found.setdefault(value, [])
            volume.append(frame)
            if len(volume) > number + 1:
                return []
    return [found[value] for value in sorted(found)]


def _twice(places: Sequence[Sequence[Frame]], counts: Sequence[int], name: str) -> GeometryError:
    usual = int(np.bincount(counts).argmax())
    odd = [(k, count) for k, count in enumerate(counts) if count != usual] or list(enumerate(counts))
    k, count = odd[0]
    paths = sorted({frame.file.path for frame in places[k]})[:2]
    alike = len({path.name for path in paths}) < len(paths)
    files = " and ".join(f"{path.parent.name}/{path.name}" if alike else path.name for path in paths)
    where = ", ".join(f"{v:.2f}" for v in places[k][0].placed.position)
    what = f"{len(odd)} of {len(places)} slice positions hold another number of slices than the rest"
    at = f"{count} at position {k + 1} ({where})"
    if min(counts) == max(counts):
        what = f"all {len(places)} slice positions hold more than one slice"
    else:
        at += f", where {usual} is usual"
    return GeometryError(
        f"{name}: {what}: {at}, and nothing tells which belong together ({files}); remove the copies, or name the "
        "files of one volume"
    )


def _check_volumes(volumes: Sequence[Sequence[Frame]], positions: FloatArray, name: str) -> None:
    """All volumes of a series must lie in one place."""
    for number, volume in enumerate(volumes[1:], 1):
        apart = float(np.linalg.norm(_positions(volume) - positions, axis=1).max())
        if apart > 0.1:
            raise GeometryError(
                f"{name}: volume {number} lies {apart:.2f} mm away from volume 0; they are no series of one place"
            )


def _note_tilt(step: FloatArray, normal: FloatArray, name: str, notes: list[str]) -> None:
    along = float(step @ normal)
    sideways = float(np.linalg.norm(step - along * normal))
    if sideways > SHEAR_TOLERANCE * abs(along):
        notes.append(
            f"{name}: each slice is shifted sideways against the one before by {sideways:.3f} mm over {along:.3f} mm "
            f"(gantry tilt, {np.degrees(np.arctan2(sideways, along)):.1f} degrees); the sheared grid is kept"
        )
