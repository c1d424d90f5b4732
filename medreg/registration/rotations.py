"""Covers of all rotations: where a search that must not miss any pose begins."""

from __future__ import annotations

import numpy as np

from medreg.types import FloatArray

PHI, PSI = 2**0.5, 1.533751168755204288118041413
"""The two irrational turns of the spiral; PSI solves x^4 = x + 4."""


def super_fibonacci(count: int) -> FloatArray:
    """(count, 3, 3) rotations that cover all of them nearly evenly (Alexa 2022, doi:10.1109/CVPR52688.2022.00811).

    Of 1,000, every rotation has one within 22 degrees; the distance falls with the cube root of the count.
    """
    s = np.arange(count) + 0.5
    inner, outer = np.sqrt(s / count), np.sqrt(1 - s / count)
    first, second = 2 * np.pi * s / PHI, 2 * np.pi * s / PSI
    quaternions = np.stack(
        [inner * np.sin(first), inner * np.cos(first), outer * np.sin(second), outer * np.cos(second)], 1
    )
    return from_quaternions(quaternions)


def in_plane(count: int) -> FloatArray:
    """(count, 2, 2) rotations of the plane, evenly from 0."""
    angle = 2 * np.pi * np.arange(count) / count
    return np.moveaxis(np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]), 2, 0)


def from_quaternions(quaternions: FloatArray) -> FloatArray:
    """(N, 3, 3) of unit quaternions (N, 4) in the order w, x, y, z."""
    w, x, y, z = quaternions.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)
