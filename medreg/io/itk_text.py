"""ITK's text transforms (`#Insight Transform File V1.0`; .tfm, .txt): written as an affine, read in every linear class.

ITK maps fixed points to moving points in LPS mm, as medreg does: y = A(x - c) + c + t. The file's t is not the offset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from medreg.errors import TransformError
from medreg.geometry.affine import homogeneous
from medreg.types import FloatArray

HEADER = "#Insight Transform File V1.0"


@dataclass(frozen=True)
class Entry:
    """One transform of a file: its class without the number types ("AffineTransform"), dimension and numbers."""

    name: str
    dimension: int
    parameters: tuple[float, ...]
    fixed: tuple[float, ...]

    @staticmethod
    def of(label: str, parameters: tuple[float, ...], fixed: tuple[float, ...]) -> Entry:
        """From a class's whole name: "AffineTransform_double_3_3".

        Raises:
            TransformError: no such name. The message lacks the file's name.
        """
        parts = label.split("_")
        if len(parts) != 4 or not parts[2].isdigit():
            raise TransformError(f"unknown transform {label!r}")
        return Entry(parts[0], int(parts[2]), parameters, fixed)


def to_itk_text(matrix: FloatArray, centre: Sequence[float] | None = None) -> str:
    """The text of an AffineTransform file; every number with the digits that give the same float64 back.

    Args:
        matrix: (D+1) x (D+1), fixed -> moving points, LPS mm.
        centre: D numbers, the fixed point about which the file is to be parametrised; the origin when None.
    """
    parameters, middle = offset_parameters(matrix, centre)
    d = len(middle)
    numbers = " ".join(repr(float(v)) for v in parameters)
    fixed = " ".join(repr(float(v)) for v in middle)
    return (
        f"{HEADER}\n#Transform 0\nTransform: AffineTransform_double_{d}_{d}\n"
        f"Parameters: {numbers}\nFixedParameters: {fixed}\n"
    )


def offset_parameters(matrix: FloatArray, centre: Sequence[float] | None) -> tuple[FloatArray, FloatArray]:
    """The numbers of an AffineTransform: its parameters (D*D of A by rows, then D of t) and its centre (D).

    A(x - c) + c + t = A x + offset, so t is the offset only about the origin.
    """
    d = len(matrix) - 1
    middle = np.zeros(d) if centre is None else np.asarray(centre, dtype=np.float64)
    linear, offset = matrix[:d, :d], matrix[:d, d]
    return np.concatenate([linear.ravel(), offset - middle + linear @ middle]), middle


def entries_of(text: str) -> list[Entry]:
    """The transforms that a file lists, in its order.

    Raises:
        TransformError: when the text is not of ITK's form. The message lacks the file's name.
    """
    entries: list[Entry] = []
    for line in text.splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not line.strip() or line.startswith("#"):
            continue
        if not colon or key not in ("Transform", "Parameters", "FixedParameters"):
            raise TransformError(f"line {line!r} is none of Transform, Parameters and FixedParameters")
        if key == "Transform":
            entries.append(Entry.of(value, (), ()))
            continue
        try:
            numbers = tuple(float(v) for v in value.split())
        except ValueError as error:
            raise TransformError(f"{key} are not all numbers: {value[:60]!r}") from error
        if not entries:
            raise TransformError(f"{key} stand before any Transform")
        last = entries[-1]
        entries[-1] = (
            Entry(last.name, last.dimension, numbers, last.fixed)
            if key == "Parameters"
            else Entry(last.name, last.dimension, last.parameters, numbers)
        )
    if not entries:
        raise TransformError("lists no transform")
    return entries


def matrix_of(entry: Entry) -> FloatArray | None:
    """The (D+1) x (D+1) matrix of an entry, None for a class that is not known here.

    Raises:
        TransformError: too few or too many numbers.
    """
    reader = _READERS.get(entry.name)
    if reader is None or entry.dimension not in (2, 3):
        return None
    d = entry.dimension
    try:
        linear, translation = reader(d, np.array(entry.parameters))
    except (ValueError, IndexError) as error:
        raise TransformError(f"{entry.name} cannot have {len(entry.parameters)} parameters") from error
    if linear.shape != (d, d) or translation.shape != (d,):
        raise TransformError(f"{entry.name} cannot have {len(entry.parameters)} parameters")
    if entry.name == "Euler3DTransform" and len(entry.fixed) > 3 and entry.fixed[3] == 1:
        linear = _euler_zyx(np.array(entry.parameters[:3]))
    middle = np.array(entry.fixed[:d]) if len(entry.fixed) >= d else np.zeros(d)
    return homogeneous(linear, middle + translation - linear @ middle)


def turn(axis: int, angle: float) -> FloatArray:
    """3x3 rotation about a world axis (0 x, 1 y, 2 z) by `angle` radians, right-handed."""
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[b, a], matrix[a, b] = np.sin(angle), -np.sin(angle)
    return matrix


def _euler_zyx(angles: FloatArray) -> FloatArray:
    return turn(2, angles[2]) @ turn(1, angles[1]) @ turn(0, angles[0])


def _versor(vector: FloatArray) -> FloatArray:
    """3x3 rotation of a unit quaternion's vector part (sine of half the angle, along the axis)."""
    x, y, z = vector
    w = np.sqrt(max(0.0, 1.0 - float(vector @ vector)))
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


Reader = Callable[[int, FloatArray], tuple[FloatArray, FloatArray]]
"""(dimension, parameters) -> the D x D map A and the translation t."""


def _matrix_offset(d: int, p: FloatArray) -> tuple[FloatArray, FloatArray]:
    return p[: d * d].reshape(d, d), p[d * d :]


def _euler_3d(d: int, p: FloatArray) -> tuple[FloatArray, FloatArray]:
    return turn(2, p[2]) @ turn(0, p[0]) @ turn(1, p[1]), p[3:]  # ITK's order unless the file says ZYX


def _in_plane(d: int, p: FloatArray) -> tuple[FloatArray, FloatArray]:
    return turn(2, p[0])[:2, :2], p[1:]


_READERS: dict[str, Reader] = {
    "AffineTransform": _matrix_offset,
    "MatrixOffsetTransformBase": _matrix_offset,
    "TranslationTransform": lambda d, p: (np.eye(d), p),
    "IdentityTransform": lambda d, p: (np.eye(d), np.zeros(d)),
    "ScaleTransform": lambda d, p: (np.diag(p), np.zeros(d)),
    "Euler2DTransform": _in_plane,
    "Rigid2DTransform": _in_plane,
    "Similarity2DTransform": lambda d, p: (p[0] * turn(2, p[1])[:2, :2], p[2:]),
    "Euler3DTransform": _euler_3d,
    "VersorTransform": lambda d, p: (_versor(p[:3]), np.zeros(d)),
    "VersorRigid3DTransform": lambda d, p: (_versor(p[:3]), p[3:]),
    "Similarity3DTransform": lambda d, p: (p[6] * _versor(p[:3]), p[3:6]),
}
