"""One volume out of a 4D series: the one asked for, or the mean of all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from medreg.errors import ImageError, UsageError
from medreg.image import Leading
from medreg.io.dicom.origin import origin_of
from medreg.io.stored import StoredImage


@dataclass(frozen=True)
class Mean:
    """Asks for the mean of all volumes, where a number would ask for one."""


def volume_choice(text: str) -> int | Mean:
    """What `--volume` was given: a number from 0, or "mean".

    Raises:
        UsageError: for anything else.

    Example:
        >>> volume_choice("3"), volume_choice("mean")
        (3, Mean())
    """
    if text.strip().lower() == "mean":
        return Mean()
    try:
        number = int(text)
    except ValueError:
        raise UsageError(f"--volume takes a number from 0 or 'mean', got {text!r}") from None
    if number < 0:
        raise UsageError(f"--volume counts from 0, got {number}")
    return number


def select_volume(stored: StoredImage, volume: int | Mean | None) -> StoredImage:
    """The volume of a series that is to be registered; a single image as it is.

    The mean is float32, or float64 where the voxels need it.

    Raises:
        ImageError: a series without a choice, or a number that it does not have.
    """
    if stored.frames == 1:
        if isinstance(volume, int) and volume != 0:
            raise ImageError(f"{stored.name}: has one volume, number 0; asked for {volume}")
        return replace(stored, leading=Leading.CHANNELS) if stored.leading is Leading.FRAMES else stored
    if volume is None:
        raise ImageError(
            f"{stored.name}: is a 4D series of {stored.frames} volumes where one 3D volume is wanted; choose one with "
            f"--volume N (0 to {stored.frames - 1}) or --volume mean"
        )
    if isinstance(volume, Mean):
        wide = np.result_type(stored.array.dtype, np.float32)
        total = np.zeros(stored.array.shape[1:], np.float64)
        for frame in stored.array:  # one at a time: a float64 copy of the series would not fit
            total += frame
        return stored.with_array((total / stored.frames).astype(wide)[None], Leading.CHANNELS)
    if not 0 <= volume < stored.frames:
        raise ImageError(f"{stored.name}: has volumes 0 to {stored.frames - 1}, asked for {volume}")
    chosen = stored.with_array(stored.array[volume : volume + 1], Leading.CHANNELS)
    origin = origin_of(stored.metadata)
    if origin is None:
        return chosen
    return replace(chosen, metadata={**chosen.metadata, "dicom": origin.of_volume(volume)})
