"""Rows of numbers in text: read with a message that says what is wrong, written so that no digit is lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from medreg.errors import TransformError
from medreg.types import FloatArray


def row_of(numbers: Iterable[float]) -> str:
    """Numbers with blanks between them, each with the digits that give the same float64 back.

    Example:
        >>> row_of([1, 0.1, -1e-17])
        '1.0 0.1 -1e-17'
    """
    return " ".join(repr(float(number)) for number in numbers)


def rows_of(matrix: FloatArray) -> str:
    """A matrix as lines of numbers; ends with a line break."""
    return "".join(f"{row_of(row)}\n" for row in matrix)


def numbers_in(lines: Sequence[str], path: Path, what: str) -> list[list[float]]:
    """The numbers of each line, without comments (#) and empty lines; commas count as blanks.

    Raises:
        TransformError: anything else stands there.
    """
    parts = [line.partition("#")[0].replace(",", " ").split() for line in lines]
    try:
        return [[float(value) for value in part] for part in parts if part]
    except ValueError as error:
        raise TransformError(f"{path}: is not {what}, {str(error).partition(': ')[2] or error} is no number") from error


def matrix_in(lines: Sequence[str], path: Path, what: str) -> FloatArray:
    """A matrix from lines of numbers.

    Raises:
        TransformError: no numbers, or rows of different lengths.
    """
    rows = numbers_in(lines, path, what)
    if not rows or len({len(row) for row in rows}) > 1:
        raise TransformError(f"{path}: a matrix has rows of one length, got {[len(row) for row in rows]}")
    return np.array(rows)


def square_in(lines: Sequence[str], path: Path, what: str) -> FloatArray:
    """4x4 or 3x3 from lines of numbers; three rows of four get their last row.

    Raises:
        TransformError: another shape.
    """
    matrix = matrix_in(lines, path, what)
    if matrix.shape == (3, 4):
        matrix = np.vstack([matrix, (0.0, 0.0, 0.0, 1.0)])
    if matrix.shape not in ((3, 3), (4, 4)):
        raise TransformError(
            f"{path}: a transform is a matrix of 4 rows of 4 numbers (3 of 3 in 2D), got {matrix.shape[0]} rows of "
            f"{matrix.shape[1]}"
        )
    return matrix
