"""What the clerk does with files: the functions that run beside, in another process. Free of torch."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medreg.errors import UsageError, WriteError
from medreg.geometry.grid import Grid
from medreg.io.ahead import Ahead, Wanted, read_files
from medreg.io.content import suffix_of
from medreg.io.dicom.choice import Choice
from medreg.io.image import Written, write_image
from medreg.io.registrable import check_mask, check_registrable
from medreg.io.spacing import common_unit, in_place_of, with_spacing
from medreg.io.stored import StoredImage
from medreg.io.volumes import Mean, select_volume

_WRITTEN_AS = {
    ".mgz": ".mgz",
    ".mgh": ".mgz",
    ".mgh.gz": ".mgz",
    ".nrrd": ".nrrd",
    ".nhdr": ".nrrd",
    ".mha": ".mha",
    ".mhd": ".mha",
    ".png": ".png",
    ".jpg": ".png",
    ".jpeg": ".png",
    ".bmp": ".png",
    ".tif": ".tif",
    ".tiff": ".tif",
}
"""The suffix of the moved image by the fixed image's: one file, compressed without loss; .nii.gz for all others."""


def read_inputs(
    files: Mapping[str, Path],
    choices: Mapping[str, Choice],
    volume: int | Literal["mean"] | None,
    spacings: Mapping[str, float | Sequence[float]],
) -> dict[str, Ahead]:
    """Read the images and masks of a run by their roles; the images are checked to be registrable, in one unit.

    Args:
        files: by role: "fixed", "moving", and what lies beside them, such as "fixed_mask" or "moving_labels".
        choices: which DICOM image, by "fixed" and "moving".
        volume: which volume of a series; single images beside it are as they are.
        spacings: mm by "fixed" and "moving", of pictures whose files do not say.

    Raises:
        MedregError: see `read_stored`, `select_volume`, `check_registrable`, `with_spacing`, `common_unit`.
    """
    asked = [Wanted(path, choices.get(role), f"--{role}-series") for role, path in files.items()]
    read = dict(zip(files, read_files(asked), strict=True))
    wanted = Mean() if volume == "mean" else volume
    if wanted is not None and all(ahead.image.frames == 1 for ahead in read.values()) and wanted != 0:
        raise UsageError(f"--volume {volume}: none of the images is a 4D series; leave --volume out")
    inputs = {}
    for role, ahead in read.items():
        image = with_spacing(select_volume(ahead.image, wanted if ahead.image.frames > 1 else None), spacings.get(role))
        inputs[role] = replace(ahead, image=check_registrable(image) if role in ("fixed", "moving") else image)
    common_unit(inputs["fixed"].image, inputs["moving"].image, ("--fixed-spacing", "--moving-spacing"))
    for role in inputs.keys() - {"fixed", "moving"}:
        mask = check_mask(inputs[role].image)
        inputs[role] = replace(inputs[role], image=in_place_of(mask, inputs[role.split("_")[0]].image))
    return inputs


def write_moved(moved: StoredImage, folder: Path, like: Path, grid: Grid, metadata: Mapping[str, Any]) -> Written:
    """Write `moved.*` into a folder, in the fixed image's format.

    Where that cannot hold it a picture becomes .tif, and what that cannot hold either, .nii.gz.

    Args:
        moved: on the fixed grid, with the moving image's metadata.
        folder: where to.
        like: the fixed image's file, for its suffix.
        grid: the fixed image's grid.
        metadata: the fixed image's.
    """
    suffixes = [_WRITTEN_AS.get(suffix_of(like), ".nii.gz"), ".nii.gz"]
    if suffixes[0] == ".png" and moved.metadata.get("world") == "picture":
        suffixes.insert(1, ".tif")
    for suffix in suffixes[:-1]:
        with contextlib.suppress(WriteError):
            return write_onto(moved, folder / f"moved{suffix}", grid, metadata)
    return write_onto(moved, folder / f"moved{suffixes[-1]}", grid, metadata)


def write_onto(moved: StoredImage, path: Path, grid: Grid, metadata: Mapping[str, Any]) -> Written:
    """Write an image that lies on another one's grid; `metadata` is that one's, for the codes of its space."""
    like = StoredImage(np.zeros((1, *grid.shape), np.uint8), grid, metadata=metadata)  # its voxels are not needed
    return write_image(moved, path, like=like)
