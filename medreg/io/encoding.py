"""From computed values back to the numbers that a file stores: rounding and clipping, counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medreg.errors import UsageError, WriteError
from medreg.io.content import Kind
from medreg.io.nifti import scaling_dtype
from medreg.types import VoxelArray

_ALL = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
HELD = {
    Kind.NIFTI: _ALL,
    Kind.NRRD: _ALL,
    Kind.META: _ALL,
    Kind.MGH: ("uint8", "int16", "uint16", "int32", "float32"),
    Kind.TIFF: ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32"),
    Kind.PNG: ("uint8", "uint16"),
    Kind.JPEG: ("uint8",),
    Kind.BMP: ("uint8",),
}
"""The dtypes that each format can store, narrow first."""

_BLOCK = 1 << 17
"""Voxels encoded at a time."""
_DRIFT = 0.01
"""Steps by which (value - inter) / slope may miss the integer that the value was read from."""


@dataclass(frozen=True)
class Encoding:
    """How values are stored: value = stored * slope + inter."""

    dtype: np.dtype[Any]
    slope: float = 1.0
    inter: float = 0.0


@dataclass(frozen=True, eq=False)
class Encoded:
    """Stored numbers and what became of the values.

    Attributes:
        array: of the encoding's dtype.
        rounded: whether any value had to be rounded to fit the dtype.
        clipped: voxels outside the dtype's range, stored as its nearest end.
        not_finite: NaN voxels stored as 0 in an integer dtype (infinite ones count as clipped).
    """

    array: VoxelArray
    rounded: bool = False
    clipped: int = 0
    not_finite: int = 0


def encoding_for(
    kind: Kind, values: np.dtype[Any], asked: str | None, metadata: Mapping[str, Any], path: Path
) -> Encoding:
    """The asked dtype; else the one that the image was read with; else that of its values.

    One that the format does not hold gives way to the next wider one that it does (float64 to float32 where there is no
    wider), unless it was asked for. Slope and offset of a NIfTI file come back with its own integers only.

    Raises:
        UsageError: `asked` is no number type.
        WriteError: the format holds no dtype that is wide enough.
    """
    held = HELD[kind]
    if asked is not None:
        try:
            name = np.dtype(asked).name
        except TypeError as error:
            raise UsageError(f"dtype {asked!r} is not known; one of {', '.join(held)}") from error
        if name not in held:
            raise WriteError(f"{path}: {kind.value} cannot hold {name}; it holds {', '.join(held)}; or write .nii.gz")
        return Encoding(np.dtype(name))
    wanted = np.dtype(str(metadata.get("stored_dtype", values.name)))
    slope, inter = float(metadata.get("slope", 1.0)), float(metadata.get("inter", 0.0))
    if (slope, inter) != (1.0, 0.0) and kind is Kind.NIFTI:
        return Encoding(wanted, slope, inter)
    if (slope, inter) != (1.0, 0.0):
        wanted = values
    wide = [name for name in held if np.can_cast(wanted, name, "safe")]
    if not wide and wanted.kind == "f" and "float32" in held:
        wide = ["float32"]
    if not wide:
        raise WriteError(
            f"{path}: {kind.value} cannot hold {wanted.name}, only {', '.join(held)}; "
            "choose one of them with dtype, or write .nii.gz"
        )
    return Encoding(wanted if wanted.name in held else np.dtype(wide[0]))


def encode(values: VoxelArray, encoding: Encoding) -> Encoded:
    """Store `values`: integers are rounded half to even and clipped to the dtype's range."""
    if values.dtype == encoding.dtype and (encoding.slope, encoding.inter) == (1.0, 0.0):
        return Encoded(values)
    stored = np.empty(values.shape, encoding.dtype)
    out, flat = stored.reshape(-1), np.ascontiguousarray(values).reshape(-1)
    rounded, clipped, not_finite = False, 0, 0
    for at in range(0, flat.size, _BLOCK):  # in pieces that stay in the cache: fresh memory costs more than the sums
        part = _encode_part(flat[at : at + _BLOCK], encoding)
        out[at : at + _BLOCK] = part.array
        rounded |= part.rounded
        clipped += part.clipped
        not_finite += part.not_finite
    return Encoded(stored, rounded, clipped, not_finite)


def _encode_part(values: VoxelArray, encoding: Encoding) -> Encoded:
    dtype = encoding.dtype
    if values.dtype == np.float16:  # its largest number is below those of the integers
        values = values.astype(np.float32)
    if (encoding.slope, encoding.inter) != (1.0, 0.0):
        return _unscaled(values, encoding)
    if dtype.kind == "f":
        narrow = values.astype(dtype)
        nan = values.dtype.kind == "f"
        exact = np.can_cast(values.dtype, dtype, "safe") or np.array_equal(narrow, values, equal_nan=nan)
        return Encoded(narrow, rounded=not exact)
    return _to_integers(values, dtype) if values.dtype.kind == "f" else _between_integers(values, dtype)


def _unscaled(values: VoxelArray, encoding: Encoding) -> Encoded:
    wide = np.promote_types(scaling_dtype(encoding.dtype, encoding.slope, encoding.inter), values.dtype)
    quotient = (values.astype(wide) - wide.type(encoding.inter)) / wide.type(encoding.slope)
    part = _encode_part(quotient, Encoding(encoding.dtype))
    if encoding.dtype.kind == "f":
        return Encoded(part.array)
    # the quotient of a stored integer is off by its last digits: that is no rounding of the image's values
    drift = np.abs(part.array - quotient).max(initial=0, where=np.isfinite(quotient))
    return Encoded(part.array, bool(drift > _DRIFT), part.clipped, part.not_finite)


def _between_integers(values: VoxelArray, dtype: np.dtype[Any]) -> Encoded:
    own, limits = np.iinfo(values.dtype), np.iinfo(dtype)
    low, high = max(limits.min, own.min), min(limits.max, own.max)
    clipped = int(np.count_nonzero((values < low) | (values > high)))
    return Encoded((np.clip(values, low, high) if clipped else values).astype(dtype), clipped=clipped)


def _to_integers(values: VoxelArray, dtype: np.dtype[Any]) -> Encoded:
    limits = np.iinfo(dtype)
    low, high = values.dtype.type(limits.min), values.dtype.type(limits.max)
    if int(high) > limits.max:  # 2^31 - 1 is no float32: take the float below
        high = np.nextafter(high, values.dtype.type(0))
    whole = np.rint(values)
    if low <= whole.min() and whole.max() <= high:  # false for NaN
        return Encoded(whole.astype(dtype), rounded=not np.array_equal(whole, values))
    missing = np.isnan(values)
    clipped = int(np.count_nonzero((whole < low) | (whole > high)))
    inside = (whole >= low) & (whole <= high)
    rounded = bool((whole != values)[inside].any())
    whole[missing] = 0
    return Encoded(np.clip(whole, low, high).astype(dtype), rounded, clipped, int(np.count_nonzero(missing)))
