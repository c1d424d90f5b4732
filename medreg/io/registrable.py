"""Whether an image's values can be registered at all, and those of a mask be told apart."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from medreg.errors import ImageError, MedregWarning
from medreg.io.content import Kind
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


def check_mask(stored: StoredImage) -> StoredImage:
    """The mask, fit to say which voxels count; a warning where its format blurs that.

    Raises:
        ImageError: transparent pixels, of which nobody knows whether they count.
    """
    clear = stored.metadata.get("transparent", 0)
    if clear:
        raise ImageError(
            f"{stored.name}: {clear} pixels of this mask are transparent; save it in black and white "
            "without transparency"
        )
    if stored.metadata.get("format") == Kind.JPEG.value:
        warnings.warn(
            f"{stored.name}: is a JPEG, which blurs a mask's edges: all that is not exactly black counts as marked; "
            "use PNG for masks",
            MedregWarning,
            stacklevel=2,
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
