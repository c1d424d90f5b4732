"""Orientation: LPS <-> RAS and the three-letter codes of index axes."""

from __future__ import annotations

import numpy as np

from medreg.types import FloatArray

AXIS_LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))
"""For each LPS world axis, the letter of its negative and of its positive end: +x points to the patient's left."""


def flip_lps_ras(matrix: FloatArray) -> FloatArray:
    """An index -> world (D+1)x(D+1) affine carried from LPS to RAS or back: x and y of the world change sign."""
    return lps_ras(matrix.shape[0] - 1) @ matrix


def conjugate_lps_ras(matrix: FloatArray) -> FloatArray:
    """A world -> world (D+1)x(D+1) transform carried from LPS to RAS or back: both of its sides change sign."""
    flip = lps_ras(matrix.shape[0] - 1)
    return flip @ matrix @ flip


def lps_ras(dimension: int) -> FloatArray:
    """diag(-1, -1, 1, 1), or its 2D part diag(-1, -1, 1); its own inverse."""
    return np.diag([-1.0, -1.0, 1.0][:dimension] + [1.0])


def orientation_code(direction: FloatArray) -> str:
    """Where each index axis points, as letters: "LPS" grows to the left, to the back and to the head.

    Args:
        direction: D x D, column k the LPS direction of index axis k. Oblique axes take their nearest world axis, each
            world axis once.

    Example:
        >>> orientation_code(np.diag([-1.0, -1.0, 1.0]))
        'RAS'
    """
    direction = np.asarray(direction, dtype=np.float64)
    d = direction.shape[0]
    letters = [""] * d
    left = np.abs(direction)
    for _ in range(d):
        world, axis = np.unravel_index(int(np.argmax(left)), left.shape)
        letters[int(axis)] = AXIS_LETTERS[int(world)][int(direction[world, axis] > 0)]
        left[world, :] = -1.0
        left[:, axis] = -1.0
    return "".join(letters)
