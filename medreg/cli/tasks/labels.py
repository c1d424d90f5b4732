"""Label maps on the command line: recognised, moved without mixing, and looked over for what was lost."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np

from medreg.errors import MedregWarning, UsageError
from medreg.geometry.grid import Grid
from medreg.image import Leading
from medreg.io.content import PIXEL_KINDS, Kind
from medreg.io.stored import StoredImage
from medreg.types import VoxelArray

INTENT_LABEL = 1002
"""NIfTI's intent code of a label map."""
MOST = 4096
"""Of more different values than this it takes regions, too, where the header does not say that they are labels."""
IN_REGIONS = 0.5
"""The share of neighbours along x that are equal, where one is not the commonest value: 0.5 for regions of 2 voxels."""
LISTED = 8
"""Lost labels that are named."""
_NAMES = re.compile(
    r"(?i)(?:^|[^a-z])(?:[a-z]*seg|labels?|masks?|parc|parcellation|segmentation|atlas|aparc|rois?)(?:$|[^a-z])"
)
_UNNAMED = frozenset(kind.value for kind in PIXEL_KINDS | {Kind.DICOM})
"""Formats of images that are seldom label maps and often look like one: of these the name has to say it."""
_PROBED = 65_536
"""Voxels that are looked at first: most images are told apart by these."""


def why_labels(image: StoredImage) -> str | None:
    """Why an image is taken for a label map, in words; None where it is not.

    It holds whole numbers, two at least, in one channel (or in frames), and NIfTI's intent code says so, or its name
    does ("labels", "mask", "seg" and the like), or there are only two numbers, or they lie in regions of one value. Of
    very many numbers the name alone does not do: 16-bit pictures have as many.

    Args:
        image: as read.

    Example:
        >>> mask = np.zeros((1, 4, 4, 4), np.uint8)
        >>> mask[0, 1:3] = 1
        >>> why_labels(StoredImage(mask, Grid.regular((4, 4, 4), (1.0, 1.0, 1.0))))
        'whole numbers, 2 different ones'
    """
    array = image.array
    if image.leading is Leading.CHANNELS and array.shape[0] > 1:
        return None
    intended = int(image.metadata.get("header", {}).get("intent_code", 0)) == INTENT_LABEL
    flat = array.reshape(-1)
    probe = flat[:: max(1, flat.size // _PROBED)]
    many = not intended and len(np.unique(probe)) > MOST
    if not is_whole(probe) or (many and not _in_regions(array)) or not is_whole(flat):
        return None
    values = values_of(flat)
    count = len(values)
    if count < 2 or (count > MOST and not (intended or many or _in_regions(array))):
        return None
    numbers = f"whole numbers, {count} different ones"
    if intended:
        return f"{numbers}, and its header says so"
    if _NAMES.search(Path(image.name).name):
        return f"{numbers}, and its name says so"
    if image.metadata.get("format") in _UNNAMED:
        return None
    if count == 2:
        return numbers
    if count > MOST:
        return f"{numbers} in regions"
    from medreg.ops.label_likeness import looks_like_labels

    if array.dtype == np.uint64:  # torch has no such numbers
        image = image.with_array(np.searchsorted(values, array))
    return f"{numbers} in regions" if looks_like_labels(image.to_image().data) else None


def suiting(image: StoredImage, path: Path) -> tuple[str, list[str]]:
    """The interpolation where nobody has named one: "label" for what looks like a label map, else "linear".

    Args:
        image: as read.
        path: its file, for what is told.

    Returns:
        Its name; and what to tell where it is a label map.
    """
    why = why_labels(image)
    if why is None:
        return "linear", []
    return "label", [f"{path}: is taken for a label map ({why}), so --interpolation is label; name one to choose"]


def _in_regions(array: VoxelArray) -> bool:
    """Whether equal voxels lie beside each other along x, outside the commonest value; some rows speak for all."""
    rows = array.reshape(-1, array.shape[-1])
    rows = rows[:: max(1, rows.size // (4 * _PROBED))]
    values, counts = np.unique(rows, return_counts=True)
    here, there = rows[:, :-1], rows[:, 1:]
    common = values[counts.argmax()]
    counted = (here != common) | (there != common)
    return bool(counted.any()) and float((here == there)[counted].mean()) >= IN_REGIONS


def moved_labels(
    image: StoredImage, grid: Grid, through: object, interpolation: str, outside: float | str, device: str
) -> StoredImage:
    """A label map on another grid, by "label" or "nearest": its dtype and its numbers stay, of whatever size.

    Args:
        image: as read.
        grid: where to.
        through: matrix, points of the grid's world -> the image's, LPS mm; or None.
        interpolation: "label" or "nearest".
        outside: a number, or "edge".
        device: where to compute.

    Raises:
        UsageError: fractions or NaN, which are no labels.
        ImageError: a value outside that the dtype cannot hold.
    """
    from medreg.cli.tasks import engine
    from medreg.sample import Edge, Fill, Label, Nearest, resample

    if interpolation == "label" and not is_whole(image.array):
        what = "fractions" if np.isfinite(image.array).all() else "NaN or infinity"
        raise UsageError(
            f"{image.name}: holds {what}, and --interpolation label is for label maps; for grey values take linear, "
            "cubic or sinc, and where numbers must stay what they are, nearest"
        )
    kernel = Label() if interpolation == "label" else Nearest()
    fill = outside if not isinstance(outside, str) else 0.0
    table = None
    if image.array.dtype == np.uint64 and int(image.array.max()) > np.iinfo(np.int64).max:  # torch has no such numbers
        table = np.union1d(values_of(image.array.reshape(-1)), np.array([int(fill)], np.uint64))
        image, fill = (
            image.with_array(np.searchsorted(table, image.array)),
            float(np.searchsorted(table, np.uint64(fill))),
        )
    beyond = Edge() if isinstance(outside, str) else Fill(fill)
    moved = StoredImage.of(resample(engine.image_on(device, image), grid, through, kernel, beyond))  # type: ignore[arg-type]
    return moved if table is None else moved.with_array(table[moved.array])


def warn_of_lost(before: StoredImage, after: StoredImage) -> None:
    """Warn of labels of which no voxel is left."""
    lost = np.setdiff1d(values_of(before.array.reshape(-1)), values_of(after.array.reshape(-1)))
    lost = lost[lost != 0]
    if len(lost):
        named = ", ".join(f"{value:g}" if lost.dtype.kind == "f" else str(value) for value in lost[:LISTED])
        more = f" and {len(lost) - LISTED} more" if len(lost) > LISTED else ""
        warnings.warn(
            f"{before.name}: {len(lost)} label{'s' if len(lost) > 1 else ''} left without a voxel: {named}{more}; out "
            "of view, or smaller than a voxel of the result",
            MedregWarning,
            stacklevel=2,
        )


def is_whole(values: VoxelArray) -> bool:
    """Whether all voxels are whole numbers."""
    return values.dtype.kind in "iub" or bool(np.isfinite(values).all() and (values == np.rint(values)).all())


def values_of(flat: VoxelArray) -> VoxelArray:
    """The different values of voxels (N,), rising; by a table where they lie close together, which is faster."""
    low, high = (int(end) for end in (flat.min(), flat.max()))
    if not is_whole(flat[: 1 << 12]) or high - low >= 1 << 24 or not is_whole(flat):
        return np.unique(flat)
    wide = flat if flat.dtype.kind == "u" and flat.dtype.itemsize == 8 else flat.astype(np.int64)
    present = np.zeros(high - low + 1, dtype=bool)
    present[(wide - wide.dtype.type(low)).astype(np.int64, copy=False)] = True
    result: VoxelArray = (np.flatnonzero(present).astype(wide.dtype) + wide.dtype.type(low)).astype(flat.dtype)
    return result
