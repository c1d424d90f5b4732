"""From stored numbers to values: value = stored * slope + intercept, in the smallest type that holds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from medreg.io.dicom.frame import Frame
from medreg.io.dicom.stored_values import stored_values
from medreg.io.gzipping import cores
from medreg.types import VoxelArray

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Values:
    """Values of frames.

    Attributes:
        array: (frame, y, x), or (frame, 3, y, x) in colour.
        stored_dtype: of the numbers in the files, where one slope and intercept that are not whole give the values;
            else that of the array.
        slope: see `stored_dtype`; 1 where the array is as good as the files.
        intercept: see `slope`.
    """

    array: VoxelArray
    stored_dtype: np.dtype[np.generic]
    slope: float = 1.0
    intercept: float = 0.0


def values_of(frames: Sequence[Frame]) -> Values:
    """Read the frames and apply their scaling.

    Whole slopes and intercepts give integers, int16 where they fit; others give float32 (float64 where the stored
    numbers have more than 24 bits).

    Raises:
        ReadError: see `stored_values`.
    """
    stored = stored_values(frames)
    scales = {(frame.slope, frame.intercept) for frame in frames}
    if stored.dtype.kind == "f" or stored.ndim == 4:
        return Values(stored, stored.dtype)
    whole = all(slope == int(slope) and inter == int(inter) for slope, inter in scales)
    if whole:
        array = _whole(stored, frames)
        if array is not None:
            return Values(array, array.dtype)
    wide = np.dtype(np.float64 if stored.dtype.itemsize > 3 else np.float32)
    array = np.empty(stored.shape, wide)

    def scale(k: int) -> None:  # in float64: a slope of float32 would cost the last digits
        array[k] = stored[k] * np.float64(frames[k].slope) + frames[k].intercept

    _for_each(scale, len(frames))
    if len(scales) > 1:
        return Values(array, wide)
    slope, intercept = next(iter(scales))
    return Values(array, stored.dtype, slope, intercept)


def _whole(stored: VoxelArray, frames: Sequence[Frame]) -> VoxelArray | None:
    """The values as integers, int16 or the file's own type where they fit; None where int64 would not hold them."""
    if stored.dtype.itemsize > 4:
        return None
    scales = [(int(frame.slope), int(frame.intercept)) for frame in frames]
    ends = _for_each(lambda k: (int(stored[k].min()), int(stored[k].max())), len(frames))
    values = [end * slope + inter for both, (slope, inter) in zip(ends, scales, strict=True) for end in both]
    dtype = _holding(min(values), max(values), stored.dtype)
    if dtype is None:
        return None
    limits = np.iinfo(dtype)
    if dtype == stored.dtype and all(slope == 1 and limits.min <= inter <= limits.max for slope, inter in scales):

        def shift(k: int) -> None:
            if scales[k][1]:
                stored[k] += scales[k][1]

        _for_each(shift, len(frames))
        return stored
    array = np.empty(stored.shape, dtype)

    def scale(k: int) -> None:
        array[k] = stored[k].astype(np.int64) * scales[k][0] + scales[k][1]

    _for_each(scale, len(frames))
    return array


def _holding(low: int, high: int, own: np.dtype[Any]) -> np.dtype[Any] | None:
    """The integer type for values from `low` to `high`: the file's own, or the next wider one that holds them."""
    for dtype in (own, np.dtype(np.int16), np.dtype(np.int32), np.dtype(np.int64)):
        if dtype == np.uint16 and high < 1 << 15:  # int16 holds them: other programs and torch know that one better
            continue
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return dtype
    return None


def _for_each(task: Callable[[int], Result], count: int) -> list[Result]:
    """Do something with each frame, on all cores."""
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(task, range(count)))
