"""Where an image counts: a mask, without what is excluded."""

from __future__ import annotations

import numpy as np
import torch

from medreg.errors import ImageError
from medreg.image import MedImage

NEAR = 0.05
"""Voxels by which a mask's corners may lie off its image's."""


def combined(image: MedImage, mask: MedImage | None, exclude: MedImage | None) -> MedImage | None:
    """One mask out of where the image counts and where it does not; None where all of it counts.

    Args:
        image: what the masks are of.
        mask: nonzero where it counts.
        exclude: nonzero where it does not, whatever the mask says.

    Raises:
        ImageError: `exclude`, or a mask beside it, lies on another grid, or nothing is left.
    """
    if exclude is None:
        return mask
    for one in (exclude, mask):
        if one is not None:
            check_place(one, image)
    counts = (exclude.data == 0).all(0, keepdim=True)
    if mask is not None:
        counts &= (mask.data != 0).any(0, keepdim=True)
    if not bool(counts.any()):
        inside = "" if mask is None else f" inside {mask.name}"
        raise ImageError(f"{exclude.name} excludes all of {image.name}{inside}: no voxel is left to count")
    return image.with_data(counts.to(torch.uint8)).with_metadata(path=exclude.name if mask is None else mask.name)


def check_place(mask: MedImage, image: MedImage, what: str = "mask") -> None:
    """A mask, or a label map, must lie on its image's grid.

    Raises:
        ImageError: says how to bring it there.
    """
    there, here = (image.grid.to_index(grid.corners) for grid in (mask.grid, image.grid))
    if mask.size != image.size or np.abs(there - here).max() > NEAR:
        raise ImageError(
            f"{what} {mask.name} does not lie on the grid of {image.name} (size {mask.size} against {image.size}); "
            f"resample it first: medreg apply {mask.name} --like {image.name} --interpolation nearest --out mask.nii.gz"
        )
