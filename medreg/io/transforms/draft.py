"""What the formats read from and write: a file's content with the two images, and a matrix that is to be a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from medreg.errors import TransformError
from medreg.io.transforms.ends import NOTHING, End
from medreg.types import FloatArray

LAST_ROW_TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False)
class Source:
    """A file that holds a transform.

    Attributes:
        path: the file.
        raw: its bytes.
        fixed: the image whose points are mapped.
        moving: the image to whose points they are mapped.
    """

    path: Path
    raw: bytes
    fixed: End = NOTHING
    moving: End = NOTHING

    @cached_property
    def text(self) -> str | None:
        """The file's text without a byte-order mark; None when it is not text."""
        try:
            text = self.raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            return None
        return None if "\0" in text else text

    @property
    def lines(self) -> list[str]:
        """The lines of its text.

        Raises:
            TransformError: it is not text.
        """
        if self.text is None:
            raise TransformError(f"{self.path}: is not text, as the form that was asked for is")
        return self.text.splitlines()


@dataclass(frozen=True, eq=False)
class Draft:
    """A transform that is to be written.

    Attributes:
        matrix: (D+1) x (D+1), fixed -> moving points, LPS mm; its last row is 0 ... 0 1 but for forms that hold more.
        path: the file that it will be.
        fixed: the image whose points are mapped.
        moving: the image to whose points they are mapped.
        centre: D numbers, LPS mm, about which forms with a centre are parametrised; the origin when None.
    """

    matrix: FloatArray
    path: Path
    fixed: End = NOTHING
    moving: End = NOTHING
    centre: Sequence[float] | None = None

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return len(self.matrix) - 1


def in_space(draft: Draft, form: str) -> FloatArray:
    """The 4x4 matrix of a draft, for a form that holds no 2D transforms.

    Raises:
        TransformError: it is 2D.
    """
    if draft.dimension != 3:
        raise TransformError(f"{draft.path}: {form} holds 3D transforms, this one is 2D; write .tfm or .json")
    return draft.matrix


def projective(matrix: FloatArray, path: Path) -> FloatArray:
    """The matrix, when it is 4x4 or 3x3 and finite.

    Raises:
        TransformError: it is not.
    """
    if matrix.shape not in ((3, 3), (4, 4)):
        raise TransformError(
            f"{path}: a transform is a matrix of 4 rows of 4 numbers (3 of 3 in 2D), got shape {matrix.shape}"
        )
    if not np.isfinite(matrix).all():
        raise TransformError(f"{path}: the matrix is not finite: {matrix.tolist()}")
    return matrix


def affine(matrix: FloatArray, path: Path) -> FloatArray:
    """The matrix, when it is one of a linear transform.

    Raises:
        TransformError: it is not.
    """
    matrix = projective(matrix, path)
    last = [0.0] * (len(matrix) - 1) + [1.0]
    if np.abs(matrix[-1] - last).max() > LAST_ROW_TOLERANCE:
        raise TransformError(
            f"{path}: the last row of a linear transform is {last}, got {matrix[-1].tolist()}; is it transposed? "
            "A homography is kept in medreg's own .json"
        )
    return matrix


def scaled(matrix: FloatArray, path: Path) -> FloatArray:
    """A linear map as the one of its multiples whose last row ends in 1; homographies stay as they are.

    Raises:
        TransformError: the last row is zero.
    """
    if not matrix[-1].any():
        raise TransformError(f"{path}: the last row of the matrix is zero, which maps no point anywhere")
    return matrix if matrix[-1, :-1].any() else matrix / matrix[-1, -1]
