"""Whether an image's values can be registered at all."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from medreg.errors import ImageError, MedregWarning
from medreg.io.stored import StoredImage


def check_registrable(stored: StoredImage) -> StoredImage:
    """The image, fit to be registered: finite, with some contrast.

    Voxels that are NaN or infinite count as background: they become 0, with a warning that says how many (programs mark
    "outside" so). An image of nothing else is refused.

    Raises:
        ImageError: no finite voxel, or the same value everywhere.
    """
    array = stored.array
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            return check_registrable(_without_holes(stored))
    else:
        low, high = int(array.min()), int(array.max())
    if low == high:
        raise ImageError(
            f"{stored.name}: is constant, every voxel is {low:g}; there is nothing to register; is it the right file?"
        )
    return stored


def _without_holes(stored: StoredImage) -> StoredImage:
    finite = np.isfinite(stored.array)
    holes = int(finite.size - np.count_nonzero(finite))
    if holes == finite.size:
        what = "NaN" if np.isnan(stored.array).all() else "NaN or infinite"
        raise ImageError(
            f"{stored.name}: every voxel is {what}; the program that wrote it failed, or it is the wrong file"
        )
    text = f"{stored.name}: {holes} of {finite.size} voxels are NaN or infinite; they count as background, 0"
    warnings.warn(text, MedregWarning, stacklevel=3)
    metadata = {**stored.metadata, "notes": (*stored.metadata.get("notes", ()), text)}
    return replace(stored, array=np.where(finite, stored.array, stored.array.dtype.type(0)), metadata=metadata)
