"""Derived series: a moved image as DICOM slices that belong to the moving patient's study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medreg.errors import GeometryError, WriteError
from medreg.geometry.grid import SHEAR_TOLERANCE, Grid
from medreg.image import Leading
from medreg.io.dicom.copied import settle_character_set
from medreg.io.dicom.derived_header import Request, Series, decimals, normal_of, shared_attributes
from medreg.io.dicom.derived_modules import PET, SECONDARY, Kind, kind_for
from medreg.io.dicom.derived_scaling import Rescale, Scaling, scaling_for
from medreg.io.dicom.header import text
from medreg.io.dicom.origin import Instance, Origin
from medreg.io.dicom.part10 import encode_elements, pixel_element, write_part10
from medreg.io.dicom.quiet import quiet
from medreg.io.encoding import encode
from medreg.io.stored import StoredImage
from medreg.types import VoxelArray

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True)
class DerivedSeries:
    """A series that was written.

    Attributes:
        folder: where.
        files: how many.
        sop_class: of the images.
        series_uid: new; it identifies the series, so it goes into no record.
        frame_of_reference: of the positions, "" where they have none.
        instances: the images, for a registration object that refers to them.
        dtype: what is stored, "int16".
        slope: from stored numbers to values.
        intercept: the value of a stored 0.
        rounded: whether values had to be rounded to a step.
        clipped: voxels outside the stored range (infinite ones among them), stored as its nearest end.
        not_finite: NaN voxels, stored as 0.
    """

    folder: Path
    files: int
    sop_class: str
    series_uid: str
    frame_of_reference: str
    instances: tuple[Instance, ...]
    dtype: str
    slope: float
    intercept: float
    rounded: bool
    clipped: int
    not_finite: int

    @property
    def sentence(self) -> str:
        """For a summary: "120 files, rounded to uint16 in steps of 0.25, 3 voxels clipped"."""
        stored = f"{'rounded to' if self.rounded else 'stored as'} {self.dtype}"
        steps = f" in steps of {self.slope:.4g}" if self.slope != 1 else ""
        parts = [f"{self.files} file{'s' if self.files > 1 else ''}", stored + steps]
        for count, what in ((self.clipped, "clipped"), (self.not_finite, "not finite, stored as 0")):
            if count:
                parts.append(f"{count} voxel{'s' if count > 1 else ''} {what}")
        return ", ".join(parts)


def write_derived(
    moved: StoredImage,
    folder: Path,
    *,
    moving: Origin,
    fixed: Origin | None,
    description: str = "",
    window: tuple[float, float] | None = None,
    series_number: int | None = None,
) -> DerivedSeries:
    """Write the moved image as a new DICOM series, one file a slice: IM0001.dcm, IM0002.dcm, ...

    The images are of the moving image's SOP class, enhanced ones of its classic form, and Secondary Captures where it
    has none that holds them. They belong to the moving image's patient and study, and lie in the fixed image's frame of
    reference (in a new one where it has none). Slices are numbered along the normal, of a series volume by volume.

    Args:
        moved: real values on the fixed image's grid, one channel, RGB, or frames.
        folder: where to; made if it is not there. Files of the same names are replaced.
        moving: where the values came from.
        fixed: where the grid came from; None when it was no DICOM.
        description: of the series; the moving one's with ", moved" when empty.
        window: centre and width of the grey values to show; the moving image's when None.
        series_number: the moving one's plus 1000 when None.

    Raises:
        GeometryError: rows and columns of the grid are not at a right angle, which DICOM cannot hold.
        WriteError: neither grey nor RGB, or the disk refuses.
    """
    coloured = _is_coloured(moved, folder)
    check_plane(moved.grid, folder)
    with quiet():
        return _written(moved, folder, moving, fixed, Request(description, window, series_number), coloured=coloured)


def _written(
    moved: StoredImage, folder: Path, moving: Origin, fixed: Origin | None, request: Request, *, coloured: bool
) -> DerivedSeries:
    kind, scaling = _kind_and_scaling(moved, moving, coloured=coloured)
    encoded = encode(moved.array, scaling.encoding)
    series = Series(moved, kind, scaling, encoded.array, moving, fixed)
    shared = shared_attributes(series, request)
    encodings = settle_character_set(shared, moving.template)
    common = encode_elements(shared, encodings)
    instances: list[Instance] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for n, (own, stored) in enumerate(_slices(series), start=1):
            write_part10(
                folder / f"IM{n:04d}.dcm",
                kind.sop_class,
                str(own.SOPInstanceUID),
                common,
                encode_elements(own, encodings),
                pixel_element(stored, scaling.dtype.itemsize * 8),
            )
            instances.append(Instance(kind.sop_class, str(own.SOPInstanceUID)))
    except OSError as error:
        raise WriteError(f"{folder}: cannot be written, {error.strerror or error}") from error
    return DerivedSeries(
        folder=folder,
        files=len(instances),
        sop_class=kind.sop_class,
        series_uid=str(shared.SeriesInstanceUID),
        frame_of_reference=text(shared, "FrameOfReferenceUID"),
        instances=tuple(instances),
        dtype=scaling.dtype.name,
        slope=float(scaling.slope),
        intercept=float(scaling.intercept),
        rounded=encoded.rounded,
        clipped=encoded.clipped,
        not_finite=encoded.not_finite,
    )


def _is_coloured(moved: StoredImage, folder: Path) -> bool:
    channels = 1 if moved.leading is Leading.FRAMES else moved.array.shape[0]
    if channels not in (1, 3):
        raise WriteError(f"{folder}: DICOM images are grey or RGB, got {channels} channels; write a .nii.gz instead")
    return channels == 3


def check_plane(grid: Grid, folder: Path) -> None:
    """Make sure that DICOM can hold the slices of a grid.

    Args:
        grid: the fixed image's.
        folder: for the message.

    Raises:
        GeometryError: rows and columns are not at a right angle.
    """
    direction = np.array(grid.direction)
    cosine = abs(float(direction[:, 0] @ direction[:, 1]))
    if cosine > SHEAR_TOLERANCE:
        raise GeometryError(
            f"{folder}: rows and columns of the fixed image's grid are {np.degrees(np.arccos(cosine)):.2f} degrees "
            "apart, and DICOM holds right angles only; take a fixed image without shear in its planes, or write .nii.gz"
        )


def _kind_and_scaling(moved: StoredImage, moving: Origin, *, coloured: bool) -> tuple[Kind, Scaling]:
    sop_class = moving.instances[0].sop_class if moving.instances else text(moving.template, "SOPClassUID")
    kind = kind_for(
        moving.template,
        sop_class=sop_class,
        volume=moved.grid.dimension == 3,
        coloured=coloured,
        spacing_known=moved.metadata.get("unit", "mm") == "mm",
    )
    if coloured:
        return kind, Scaling(np.dtype(np.uint8))
    scaling = scaling_for(moved, moving.template, kind.rescale, kind.dtypes)
    if scaling is None:
        kind = SECONDARY
        scaling = scaling_for(moved, moving.template, Rescale.ANY, kind.dtypes)
    assert scaling is not None  # ANY holds every range
    return kind, scaling


def _slices(series: Series) -> Iterator[tuple[Dataset, bytes]]:
    """Each image's own attributes and its pixels, in the order of their numbers."""
    from pydicom.dataset import Dataset
    from pydicom.uid import generate_uid

    grid, frames = series.moved.grid, series.moved.frames
    order = _along_normal(grid) if grid.dimension == 3 else [0]
    for frame in range(frames):
        volume = np.moveaxis(series.stored, 0, -1) if series.coloured else series.stored[frame]
        for n, k in enumerate(order):
            own = Dataset()
            own.SOPInstanceUID = generate_uid(prefix=None)
            own.InstanceNumber = frame * len(order) + n + 1
            if grid.dimension == 3:
                position = grid.to_world([[0, 0, k]])[0]
                own.ImagePositionPatient = decimals(position)
                own.SliceLocation = decimals([float(position @ normal_of(grid))])[0]
            if series.kind is PET:
                own.ImageIndex = own.InstanceNumber
            if frames > 1:
                own.AcquisitionNumber = frame + 1
                own.TemporalPositionIdentifier = frame + 1
            yield own, _plane(volume, grid, k)


def _plane(volume: VoxelArray, grid: Grid, k: int) -> bytes:
    plane = volume[k] if grid.dimension == 3 else volume
    little: np.dtype[Any] = plane.dtype.newbyteorder("<")
    return bytes(np.ascontiguousarray(plane, dtype=little).tobytes())


def _along_normal(grid: Grid) -> Sequence[int]:
    forward = float(normal_of(grid) @ np.array(grid.direction)[:, 2]) > 0
    return range(grid.size[2]) if forward else range(grid.size[2] - 1, -1, -1)
