"""Homogeneous 4x4 matrices as lists: from each tool's way of writing a transform to fixed -> moving in LPS mm."""

from collections.abc import Sequence
from math import cos, sin, sqrt

from protocol import Matrix

AXES = range(3)


def product(a: Matrix, b: Matrix) -> Matrix:
    """`a @ b`: first b, then a."""
    return [[sum(a[i][k] * b[k][j] for k in range(4)) for j in range(4)] for i in range(4)]


def other_world(matrix: Sequence[Sequence[float]]) -> Matrix:
    """The same transform in LPS if it was in RAS, or in RAS if it was in LPS: x and y change sign on both sides."""
    sign = (-1.0, -1.0, 1.0, 1.0)
    return [[sign[i] * float(matrix[i][j]) * sign[j] for j in range(4)] for i in range(4)]


def about_centre(linear: Sequence[float], centre: Sequence[float], shift: Sequence[float]) -> Matrix:
    """ITK's form, x -> A(x - c) + c + t, as one matrix. `linear` is A, row by row. The file's t is not the offset."""
    rows = [[float(linear[3 * i + j]) for j in AXES] for i in AXES]
    offset = [shift[i] + centre[i] - sum(rows[i][j] * centre[j] for j in AXES) for i in AXES]
    return [[*rows[i], float(offset[i])] for i in AXES] + [[0.0, 0.0, 0.0, 1.0]]


def euler(x: float, y: float, z: float) -> list[float]:
    """ITK's Euler3D rotation (radians), Rz Rx Ry, its default order (`ComputeZYX` false), row by row."""
    cx, sx, cy, sy, cz, sz = cos(x), sin(x), cos(y), sin(y), cos(z), sin(z)
    return [
        cz * cy - sz * sx * sy, -sz * cx, cz * sy + sz * sx * cy,
        sz * cy + cz * sx * sy, cz * cx, sz * sy - cz * sx * cy,
        -cx * sy, sx, cx * cy,
    ]  # fmt: skip


def versor(vector: Sequence[float], scale: float) -> list[float]:
    """ITK's versor (the vector part of a unit quaternion) times a scale, row by row."""
    x, y, z = vector
    w = sqrt(max(0.0, 1.0 - x * x - y * y - z * z))
    rotation = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return [scale * value for value in rotation]
