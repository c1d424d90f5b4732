"""MATLAB's .mat files, as far as transforms need them: matrices of real numbers, levels 4 and 5 (-v4, -v6, -v7)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medreg.errors import ReadError, TransformError
from medreg.io.failing import AGAIN
from medreg.types import FloatArray

LEVEL_5 = b"MATLAB 5.0 MAT-file"
_LEVEL_73 = b"MATLAB 7.3 MAT-file"
_V4_DTYPES = ("f8", "f4", "i4", "i2", "u2", "u1")
_V5_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_NUMERIC_CLASSES = range(6, 16)
_MOST = 1 << 20
"""Numbers in one variable and bytes in a file, far more than any transform has."""


def is_matlab(raw: bytes) -> bool:
    """Whether bytes are those of a .mat file."""
    return raw.startswith((LEVEL_5, _LEVEL_73)) or _level_4_header(raw, 0) is not None


def variables_of(raw: bytes, path: Path) -> dict[str, FloatArray]:
    """The real numeric variables of a .mat file by name, float64 of their shapes; what is not numeric is left out.

    Raises:
        ReadError: cut short or damaged.
        TransformError: no .mat file, or one of -v7.3.
    """
    if raw.startswith(_LEVEL_73):
        raise TransformError(f"{path}: is a .mat file of version 7.3; save it with -v7 or -v6 in MATLAB")
    try:
        if raw.startswith(LEVEL_5):
            return dict(_level_5(raw))
        if _level_4_header(raw, 0) is not None:
            return dict(_level_4(raw))
    except (struct.error, ValueError, KeyError, IndexError, zlib.error, UnicodeDecodeError) as error:
        raise ReadError(f"{path}: is cut short or damaged; {AGAIN}") from error
    raise TransformError(f"{path}: is no binary .mat file of MATLAB, as ITK, ANTs and SPM write them")


def to_matlab(variables: Mapping[str, FloatArray]) -> bytes:
    """A level 4 file of float64 matrices, little-endian.

    Example:
        >>> raw = to_matlab({"M": np.array([[1.0, 2.0], [3.0, 4.0]])})
        >>> variables_of(raw, Path("M.mat"))["M"].tolist()
        [[1.0, 2.0], [3.0, 4.0]]
    """
    parts = []
    for name, numbers in variables.items():
        label = name.encode("ascii") + b"\0"
        parts.append(struct.pack("<5i", 0, *numbers.shape, 0, len(label)) + label)
        parts.append(np.asarray(numbers, dtype="<f8").tobytes(order="F"))
    return b"".join(parts)


def _level_4_header(raw: bytes, at: int) -> tuple[str, np.dtype[Any], int, int, int, int] | None:
    """Byte order, dtype, rows, columns, imaginary and length of the name; None where there is no such header."""
    if len(raw) < at + 20:
        return None
    for order in "<>":
        kind, rows, columns, imaginary, length = struct.unpack_from(f"{order}5i", raw, at)
        thousands, rest = divmod(kind, 1000)
        number, matrix = divmod(rest, 10)
        ours = thousands == (0 if order == "<" else 1)
        if (
            ours
            and rest < 100
            and number < len(_V4_DTYPES)
            and matrix in (0, 1, 2)
            and 0 <= rows <= _MOST
            and 0 <= columns <= _MOST
            and imaginary in (0, 1)
            and 1 < length < 128
        ):
            return order, np.dtype(order + _V4_DTYPES[number]), rows, columns, imaginary, length
    return None


def _level_4(raw: bytes) -> Iterator[tuple[str, FloatArray]]:
    at = 0
    while at < len(raw):
        header = _level_4_header(raw, at)
        if header is None:
            raise ValueError
        _, dtype, rows, columns, imaginary, length = header
        name = raw[at + 20 : at + 20 + length].rstrip(b"\0").decode("latin-1")
        at += 20 + length
        numbers = np.frombuffer(raw, dtype, rows * columns, at)
        at += rows * columns * dtype.itemsize * (1 + imaginary)
        if not imaginary:
            yield name, numbers.reshape(rows, columns, order="F").astype(np.float64)


def _level_5(raw: bytes) -> Iterator[tuple[str, FloatArray]]:
    order = {b"IM": "<", b"MI": ">"}[raw[126:128]]
    for kind, body in _elements(raw[128:], order):
        if kind == _COMPRESSED:
            plain = zlib.decompressobj()
            kind, body = next(_elements(plain.decompress(body, 16 * _MOST), order))
        if kind == _MATRIX:
            found = _matrix(body, order)
            if found is not None:
                yield found


def _elements(raw: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """(type, bytes) of each data element; small ones keep both in one word."""
    at = 0
    while at + 8 <= len(raw):
        kind, size = struct.unpack_from(f"{order}2I", raw, at)
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
            after = at + 8
        else:
            start = at + 8
            after = start + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > len(raw):
            raise ValueError
        yield kind, raw[start : start + size]
        at = after


def _matrix(body: bytes, order: str) -> tuple[str, FloatArray] | None:
    """Name and numbers; None where it is not a real numeric array."""
    parts = list(_elements(body, order))
    if len(parts) < 4:
        return None
    flags, shape = struct.unpack_from(f"{order}I", parts[0][1])[0], np.frombuffer(parts[1][1], f"{order}i4")
    if flags & 0xFF not in _NUMERIC_CLASSES or flags & 0x0800:
        return None
    numbers = np.frombuffer(parts[3][1], order + _V5_DTYPES[parts[3][0]])
    return parts[2][1].decode("latin-1"), numbers.astype(np.float64).reshape(shape, order="F")
