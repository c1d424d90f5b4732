"""What pictures (PNG, JPEG, TIFF, BMP) cannot hold, said before it is lost."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from medreg.errors import MedregWarning, WriteError
from medreg.geometry.grid import Grid
from medreg.image import Leading
from medreg.io.content import Kind
from medreg.io.lengths import FINEST_PRINT_MM
from medreg.io.stored import StoredImage

_CHANNELS = (1, 3)
"""ITK would write other numbers of channels as something else, without a word, 2 and 4 as transparency."""


def check_picture(stored: StoredImage, kind: Kind, path: Path, place: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Refuse what the format cannot hold: a third axis (TIFF can), frames, turned or sheared axes; warn of spacing.

    Args:
        stored: what is to be written.
        kind: the format.
        path: where to, for messages.
        place: metadata of the image that says where the grid lies; a spacing that the user gave for a file that keeps
            none is no news to the user.

    Raises:
        WriteError: with what to write instead.
    """
    grid = stored.grid
    if grid.dimension == 3 and kind is not Kind.TIFF:
        raise WriteError(
            f"{path}: {kind.value} holds 2D pictures, the image is {'x'.join(map(str, grid.size))}; try .nii.gz"
        )
    if stored.leading is Leading.FRAMES and stored.frames > 1:
        raise WriteError(f"{path}: {kind.value} cannot hold a series of {stored.frames} frames; try .nii.gz")
    if stored.array.shape[0] not in _CHANNELS:
        held = " or ".join(map(str, _CHANNELS))
        raise WriteError(f"{path}: {kind.value} cannot hold {stored.array.shape[0]} channels, only {held}; try .nii.gz")
    what = "sheared" if grid.is_sheared else "turned"
    if not np.allclose(grid.direction, np.eye(grid.dimension), atol=1e-6):
        raise WriteError(
            f"{path}: {kind.value} has no place for directions, and the image's axes are {what}; write .nii.gz, or "
            "resample it onto a straight grid first"
        )
    plain = Grid.regular(grid.size, (1.0,) * grid.dimension)
    measured = kind is Kind.TIFF and grid.dimension == 2 and max(grid.spacing) < FINEST_PRINT_MM
    kept = Grid.regular(grid.size, grid.spacing) if measured or place.get("spacing_from") == "asked" else plain
    if grid != kept:
        warnings.warn(
            f"{path}: {kind.value} keeps no spacing and origin: read back they are 1 px and 0; .nii.gz keeps them",
            MedregWarning,
            stacklevel=3,
        )
